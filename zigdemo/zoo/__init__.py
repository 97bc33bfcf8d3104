"""The available models and their folders: config.json, model.safetensors, README.md."""

from __future__ import annotations

import difflib
import json
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..backbones import FAMILIES, build, family_of
from ..backbones.official import MOST_PARAMETERS, OFFICIAL, OfficialConfig
from ..checks import choice, number, shown, whole
from ..conditioning import TextSpec, TextTower
from ..diffusion import PATHS, PREDICTIONS, SAMPLERS
from ..files import file_sha256, replacing_files
from ..huggingface import push_folder
from ..latents import PIXELS, AutoencoderSpec, Latents
from ..scans import scan_scheme
from .hub import SOURCES
from .parts import Part, is_id, named_parts
from .retired import RETIRED, Retired
from .tensors import opened, tensor_copies, tensor_shapes

DEFAULTS = ("solver", "steps", "guidance")
MOST_DEFAULT_STEPS, MOST_DEFAULT_GUIDANCE = 250, 10

Spec = TypeVar("Spec", AutoencoderSpec, TextSpec)
WEIGHTS = Path(os.environ.get("ZIGDEMO_WEIGHTS", Path(__file__).resolve().parents[2] / "weights"))
CONFIG, TENSORS = "config.json", "model.safetensors"
MOST_CONFIG_BYTES = 2**24
MOST_NAMED = 4  # models in a sentence
MOST_ID = 200  # letters of a model's name
# Official networks keep their constructor's arguments: name of the family in a folder, and in `official`.
OFFICIAL_FAMILIES = {f"{family} official": family for family in OFFICIAL}


@dataclass(frozen=True)
class ModelFolder:
    """The validated config.json of a model; the weights stay on disk until `load`.

    id: under which it is chosen; of a folder of WEIGHTS its name.
    model: the backbone's config, an OfficialConfig for families such as "ZigMa official". labels: class names in the
    order of the label table, or None. schemes: scan schemes it was trained with, empty for backbones without a scan.
    origin: "shipped (toy)", "official", "yours" or "untrained". about: free-form facts for the card. interpolant: the
    path it was trained on, of PATHS; on "ddpm" the network receives the step instead of t. guided_channels: guide only
    the first so many channels, None for all. latents: the autoencoder of its latents, None for pixels. text: the tower
    for its prompts, None for a model without text. defaults: recommended solver, steps and guidance, used unless the
    request sets them; empty for those of `Request`.
    """

    path: Path
    id: str
    family: str
    model: Any
    prediction: str
    labels: tuple[str, ...] | None
    schemes: tuple[str, ...]
    origin: str
    about: dict[str, Any]
    interpolant: str = "linear"
    guided_channels: int | None = None
    latents: AutoencoderSpec | None = None
    text: TextSpec | None = None
    defaults: dict[str, Any] = field(default_factory=dict)

    @property
    def frames(self) -> int | None:
        """Frames of its clips, None for a model of pictures."""
        return getattr(self.model, "frames", 0) or None

    @property
    def parts(self) -> list[Part]:
        """Its autoencoder and its tower, if they are folders named by an id."""
        return named_parts(self.latents, self.text)

    @property
    def places(self) -> tuple[Path, ...]:
        """Folders in which its tower and autoencoder are looked up: its own, the one around it, the shipped weights."""
        return self.path, self.path.parent, WEIGHTS

    @property
    def sha256(self) -> str:
        """Hash of the weights file, to distinguish weights of the same name."""
        return file_sha256(self.path / TENSORS)

    @property
    def stamp(self) -> tuple[int, ...]:
        """Sizes and times of config and weights, to detect without reading them that they were replaced."""
        stats = [(self.path / name).stat() for name in (CONFIG, TENSORS) if (self.path / name).is_file()]
        return tuple(number for stat in stats for number in (stat.st_size, stat.st_mtime_ns))

    def state(self) -> dict[str, Tensor]:
        """The tensors as stored. Raises ValueError if the file is missing or no complete safetensors file."""
        with opened(self.path / TENSORS) as file:
            return {key: file.get_tensor(key) for key in file.keys()}

    def load(self, device: str | torch.device = "cpu") -> nn.Module:
        """The network with its weights, in float32 for inference. Raises ValueError if they do not match."""
        count = self.model.parameters
        if count > MOST_PARAMETERS:
            raise ValueError(
                f"{self.path / CONFIG} asks for {count:,} weights, more than {MOST_PARAMETERS:,}; correct its sizes"
            )
        path = self.path / TENSORS
        shapes = tensor_shapes(path)
        stored = sum(map(math.prod, shapes.values()))
        if stored < count:  # asked first, as building allocates what the config asks for
            raise ValueError(
                f"{self.path / CONFIG} asks for {count:,} weights and {TENSORS} holds {stored:,}: they do not belong "
                "together; copy both files again"
            )
        with torch.device("meta"):
            network = self.model.build() if isinstance(self.model, OfficialConfig) else build(self.model)
        expected = network.state_dict()
        for key in sorted(expected.keys() | shapes.keys()):
            if key not in shapes:
                raise ValueError(f"{path} lacks {key}: it does not belong to this {CONFIG}")
            if key not in expected:
                raise ValueError(f"{path} has {key}, which this {CONFIG} does not know")
            if shapes[key] != expected[key].shape:
                raise ValueError(
                    f"{key} is {shapes[key]} in {path} and {tuple(expected[key].shape)} by {CONFIG}: they do not "
                    "belong together"
                )
        network.load_state_dict(dict(tensor_copies(path, device)), assign=True)
        return network.requires_grad_(False).eval().to(device)

    def load_latents(self, device: str | torch.device = "cpu") -> Latents:
        """The space in which the model generates; its autoencoder is looked up in `places`, or downloaded."""
        return PIXELS if self.latents is None else self.latents.load(device, self.places)

    def load_text(self, device: str | torch.device = "cpu") -> TextTower | None:
        """The tower for its prompts, looked up in `places`, or downloaded; None for a model without text."""
        return None if self.text is None else self.text.load(device, self.places)

    def push(self, repo: str, private: bool = False) -> str:
        """Upload config, weights, card, pictures and the parts named by an id to owner/name on huggingface.co.

        Returns the address of the repository. Raises ValueError with one sentence if the upload fails.
        """
        patterns = [CONFIG, TENSORS, "README.md", "*.png", "*.webp"]
        with tempfile.TemporaryDirectory() as temporary:
            staged = Path(temporary, self.path.resolve().name)
            staged.mkdir()
            for file in self.path.iterdir():
                if file.is_file() and any(fnmatchcase(file.name, pattern) for pattern in patterns):
                    shutil.copyfile(file, staged / file.name)
            for part in self.parts:
                part.copy(self.places, staged / part.id)
            return push_folder(staged, repo, [*patterns, *(f"{part.id}/*" for part in self.parts)], private)


def _schemes(model: Any) -> list[str]:
    """The scan schemes in a config; empty for a backbone without a scan."""
    return [] if model.scheme is None else list(dict.fromkeys(model.schemes))


def read_folder(path: str | Path) -> ModelFolder:
    """Read and validate the config of a model folder. Raises ValueError with one sentence for any defect."""
    path = Path(path)
    file = path / CONFIG
    if not file.is_file():
        raise ValueError(str(retired(path) or f"{path} is not a model folder: it has no {CONFIG}"))
    if file.stat().st_size > MOST_CONFIG_BYTES:
        raise ValueError(f"{file} is {file.stat().st_size:,} bytes, far more than a config; replace it")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as fault:
        raise ValueError(f"{file} is not JSON: {fault}") from None
    families = [*FAMILIES, *OFFICIAL_FAMILIES]
    if not isinstance(content, dict) or content.get("family") not in families:
        raise ValueError(f"{file} names no known family; it must be one of {', '.join(families)}")
    model = _model_config(file, content["family"], content.get("model"))
    labels = content.get("labels")
    if labels is not None:
        if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
            raise ValueError(f"labels in {file} must be a list of names")
        if len(labels) != model.labels:
            raise ValueError(f"{file} names {len(labels)} labels and its model has {model.labels}")
    is_ours, guided_channels = not isinstance(model, OfficialConfig), content.get("guided_channels")
    with _naming(file):
        choice("prediction", content.get("prediction"), PREDICTIONS)
        interpolant = choice("interpolant", content.get("interpolant", "linear"), PATHS)
        if guided_channels is not None:
            whole("guided_channels", guided_channels, 1)
    if is_ours and interpolant != "ddpm" and getattr(model, "out_channels", model.in_channels) != model.in_channels:
        raise ValueError(f"{file} has learn_sigma, and {content['prediction']} prediction no variance; set drop_sigma")
    schemes = tuple(content["schemes"] if "schemes" in content else _schemes(model))
    for scheme in schemes:
        if is_ours and model.scheme is None:
            raise ValueError(f"{file} names scan scheme {scheme!r} and {content['family']} has no scan; leave it out")
        scan_scheme(scheme)
    return ModelFolder(
        path=path,
        id=_id(path, content),
        family=content["family"],
        model=model,
        prediction=content["prediction"],
        labels=None if labels is None else tuple(labels),
        schemes=schemes,
        origin=str(content.get("origin", "yours")),
        about=content.get("about", {}) if isinstance(content.get("about", {}), dict) else {},
        interpolant=interpolant,
        guided_channels=guided_channels,
        latents=_spec(file, content.get("latents"), AutoencoderSpec),
        text=_spec(file, content.get("text"), TextSpec),
        defaults=_defaults(file, content.get("defaults", {})),
    )


def _id(path: Path, content: dict[str, Any]) -> str:
    """The name of a folder of WEIGHTS, so that a copy is a model of its own; elsewhere what its config says."""
    return _name_among_weights(path) or str(content.get("id", Path(os.path.abspath(path)).name))


def _name_among_weights(path: str | Path) -> str | None:
    """The name of a path that is directly in WEIGHTS, whether it exists or not; None for every other path."""
    path = Path(os.path.abspath(path))
    return path.name if path.parent == Path(os.path.abspath(WEIGHTS)) else None


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Let a fault in what a file says name the file."""
    try:
        yield
    except (TypeError, ValueError) as fault:
        raise ValueError(f"{file}: {fault}") from None


def _defaults(file: Path, content: Any) -> dict[str, Any]:
    """The settings under 'defaults'. Raises ValueError naming the file if they are invalid."""
    if not isinstance(content, dict) or set(content) - set(DEFAULTS):
        raise ValueError(f"defaults in {file} must have some of {', '.join(DEFAULTS)}")
    with _naming(file):
        choice("defaults.solver", content.get("solver", "heun"), SAMPLERS)
        whole("defaults.steps", content.get("steps", 1), 1, MOST_DEFAULT_STEPS)
        number("defaults.guidance", content.get("guidance", 0), least=0, most=MOST_DEFAULT_GUIDANCE)
    return dict(content)


def _spec(file: Path, content: Any, kind: type[Spec]) -> Spec | None:
    with _naming(file):
        return None if content is None else kind.read(content)


def _model_config(file: Path, family: str, settings: Any) -> Any:
    """The config under 'model'. Raises ValueError naming the file if it is invalid."""
    official = OFFICIAL_FAMILIES.get(family)
    known_fields = None if official else {entry.name for entry in fields(FAMILIES[family].config)}
    if not isinstance(settings, dict) or (known_fields is not None and set(settings) - known_fields):
        raise ValueError(f"{file} has settings under 'model' that {family} does not know")
    with _naming(file):
        return OfficialConfig(official, settings) if official else FAMILIES[family].config(**settings)


def write_folder(
    path: str | Path,
    network: nn.Module,
    *,
    prediction: str,
    labels: list[str] | None,
    origin: str,
    about: dict[str, Any],
    card: str,
    latents: AutoencoderSpec | None = None,
    text: TextSpec | None = None,
    defaults: dict[str, Any] | None = None,
) -> ModelFolder:
    """Write a model folder in fp16, each file under a temporary name first. network: built from its `.config`.

    Other arguments as in ModelFolder; card: content of README.md.
    """
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    family, _ = family_of(network.config)
    content = {
        "id": path.name,
        "family": family,
        "model": asdict(network.config),
        "prediction": prediction,
        "labels": labels,
        "schemes": _schemes(network.config),
        "origin": origin,
        "latents": None if latents is None else latents.content(),
        "text": None if text is None else text.content(),
        "defaults": defaults or {},
        "about": about,
    }
    state = {key: value.detach().half().contiguous() for key, value in network.state_dict().items()}
    return write_files(path, content, state, card)


def write_files(path: Path, content: dict[str, Any], state: dict[str, Tensor], card: str) -> ModelFolder:
    """Write the three files into an existing folder, each under a temporary name first, and read the folder."""
    with replacing_files(path, (TENSORS, CONFIG, "README.md")) as (tensors, config, readme):
        save_file(state, tensors, metadata={"format": "pt"})
        config.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        readme.write_text(card, encoding="utf-8")
    return read_folder(path)


def available() -> list[ModelFolder]:
    """The shipped and imported models, by name; unreadable folders are logged and skipped."""
    folders = []
    for folder in sorted(WEIGHTS.glob("*/")):
        if (folder / CONFIG).is_file() and (folder / TENSORS).is_file():
            try:
                folders.append(read_folder(folder))
            except ValueError as fault:
                logging.getLogger(__name__).warning("%s", fault)
    return folders


def installed(name: str) -> ModelFolder:
    """The model here of this id; never a path, as names come from files of strangers. Raises ValueError for none."""
    if not _is_here(name):
        raise unknown(name)
    return read_folder(WEIGHTS / name)


def unknown(name: str, otherwise: str = "", models: Sequence[ModelFolder] | None = None) -> ValueError:
    """The error about an id of no model here: it names the successor of a retired one, else the models there are.

    otherwise: what else could be done, put at the end of the list. models: those to name, by default all.
    """
    ids = [folder.id for folder in (available() if models is None else models)]
    near = difflib.get_close_matches(str(name)[:MOST_ID], ids, n=MOST_NAMED, cutoff=0.0)
    rest = f" or one of {len(ids) - len(near)} others" if len(ids) > len(near) else ""
    known = ", ".join(near) + rest if ids else "none is here yet"
    return ValueError(str(retired(name) or f"unknown model {shown(name)}; choose one of: {known}{otherwise}"))


def retired(name: str | Path) -> Retired | None:
    """What took the place of a model that is no longer shipped, given by its id or the folder it had among the weights.

    None for every other name, and for a retired model whose folder is still here: that one works as before.
    """
    entry = RETIRED.get(_name_among_weights(name) or str(name))
    return None if entry is None or _is_here(entry.id) else entry


def _is_here(name: str) -> bool:
    return 0 < len(name) <= MOST_ID and is_id(name) and (WEIGHTS / name / CONFIG).is_file()


def find(name: str | Path) -> ModelFolder:
    """The model of a local id or folder. Raises ValueError listing the available ones, or naming a successor."""
    if isinstance(name, str) and _is_here(name):
        return read_folder(WEIGHTS / name)
    if _is_folder(name):
        return read_folder(name)
    if str(name) in SOURCES:
        raise ValueError(f"{name} is an official model that is not here yet; run `python -m zigdemo.zoo import {name}`")
    raise unknown(str(name), ", or give a model folder")


def _is_folder(name: str | Path) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):  # a name too long for the system, or with a null in it
        return False
