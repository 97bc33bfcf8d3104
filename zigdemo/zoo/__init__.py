"""The models that can be chosen, and the folders they are kept in: config.json, model.safetensors, README.md."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..backbones import FAMILIES, build, family_of
from ..backbones.official import MOST_PARAMETERS, OFFICIAL, OfficialConfig
from ..checks import choice, number, whole
from ..conditioning import TextSpec, TextTower
from ..diffusion import PATHS, PREDICTIONS, SAMPLERS
from ..files import file_sha256, replacing_files
from ..huggingface import push_folder
from ..latents import PIXELS, AutoencoderSpec, Latents
from ..scans import scan_scheme
from .hub import SOURCES
from .parts import Part, named_parts

DEFAULTS = ("solver", "steps", "guidance")
MOST_DEFAULT_STEPS, MOST_DEFAULT_GUIDANCE = 250, 10

Spec = TypeVar("Spec", AutoencoderSpec, TextSpec)
WEIGHTS = Path(os.environ.get("ZIGDEMO_WEIGHTS", Path(__file__).resolve().parents[2] / "weights"))
CONFIG, TENSORS = "config.json", "model.safetensors"
MOST_CONFIG_BYTES = 2**24
# An official network keeps its own arguments and quirks; what a folder calls it, and its name there.
OFFICIAL_FAMILIES = {f"{family} official": family for family in OFFICIAL}


@dataclass(frozen=True)
class ModelFolder:
    """What config.json says of a model, checked; the weights stay on disk until `load`.

    model: the backbone's config, an OfficialConfig where family is "ZigMa official". labels: class names in the order
    of the table, or None. schemes: scan schemes it was trained with, none for a backbone without a scan. origin:
    "shipped (toy)", "official", "yours" or "untrained". about: free facts for the card. interpolant: the path it was
    trained on, of PATHS; on "ddpm" the network is asked at the step, not at t. guided_channels: guidance acts on the
    first so many alone, None for all. latents: the autoencoder whose latents it draws, None for pixels. text: the tower
    that reads its prompts, None for a model without text. defaults: solver, steps and guidance that it draws best by,
    for whoever names none; empty for those of `Request`.
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
        """Frames of the clips it draws, None for a model of pictures."""
        return getattr(self.model, "frames", 0) or None

    @property
    def parts(self) -> list[Part]:
        """Its autoencoder and its tower, where they are folders named by an id."""
        return named_parts(self.latents, self.text)

    @property
    def places(self) -> tuple[Path, ...]:
        """Where its tower and its autoencoder are looked up: in its folder, beside it, among the weights."""
        return self.path, self.path.parent, WEIGHTS

    @property
    def sha256(self) -> str:
        """Hash of the weights file, to tell weights apart that share a name."""
        return file_sha256(self.path / TENSORS)

    @property
    def stamp(self) -> tuple[int, ...]:
        """Sizes and times of config and weights: tells at once, without reading them, that they were replaced."""
        found = [(self.path / name).stat() for name in (CONFIG, TENSORS) if (self.path / name).is_file()]
        return tuple(number for one in found for number in (one.st_size, one.st_mtime_ns))

    def state(self) -> dict[str, Tensor]:
        """The tensors, as stored. Raises ValueError where the file is no whole safetensors file."""
        path = self.path / TENSORS
        try:
            with safe_open(path, "pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}
        except FileNotFoundError:
            raise ValueError(f"{self.path} has no {TENSORS}; copy the weights file there again") from None
        except (SafetensorError, OSError) as fault:
            raise ValueError(
                f"{path} is damaged or not a safetensors file ({fault}); copy or download it again"
            ) from None

    def load(self, device: str | torch.device = "cpu") -> nn.Module:
        """Build the network and fill it, in float32 and for inference."""
        count = self.model.parameters
        if count > MOST_PARAMETERS:
            raise ValueError(
                f"{self.path / CONFIG} asks for {count:,} weights, more than {MOST_PARAMETERS:,}; correct its sizes"
            )
        state = self.state()
        stored = sum(value.numel() for value in state.values())
        if stored < count:  # before anything is built, so that a config cannot make us allocate what is not there
            raise ValueError(
                f"{self.path / CONFIG} asks for {count:,} weights and {TENSORS} holds {stored:,}: they do not belong "
                "together; copy both files again"
            )
        with torch.device("meta"):
            network = self.model.build() if isinstance(self.model, OfficialConfig) else build(self.model)
        wanted = network.state_dict()
        for key in sorted(wanted.keys() | state.keys()):
            if key not in state:
                raise ValueError(f"{self.path / TENSORS} lacks {key}: it does not belong to this {CONFIG}")
            if key not in wanted:
                raise ValueError(f"{self.path / TENSORS} has {key}, which this {CONFIG} does not know")
            if state[key].shape != wanted[key].shape:
                raise ValueError(
                    f"{key} is {tuple(state[key].shape)} in {self.path / TENSORS} and {tuple(wanted[key].shape)} "
                    f"by {CONFIG}: they do not belong together"
                )
            if not torch.isfinite(state[key].float()).all():
                raise ValueError(f"{key} in {self.path / TENSORS} holds NaN or infinity; the weights are damaged")
        # A copy, as the tensors read are mapped from a file that someone may overwrite under a running page.
        network.load_state_dict({key: value.to(torch.float32, copy=True) for key, value in state.items()}, assign=True)
        return network.requires_grad_(False).eval().to(device)

    def load_latents(self, device: str | torch.device = "cpu") -> Latents:
        """The space the model draws in, its autoencoder looked up as the tower is, or fetched."""
        return PIXELS if self.latents is None else self.latents.load(device, self.places)

    def load_text(self, device: str | torch.device = "cpu") -> TextTower | None:
        """The tower that reads its prompts, looked up in `places`, or fetched."""
        return None if self.text is None else self.text.load(device, self.places)

    def push(self, repo: str, private: bool = False) -> str:
        """Upload config, weights, card, pictures and the parts named by an id to owner/name on huggingface.co.

        Returns the address of the repository. Raises ValueError with one sentence where it cannot be done.
        """
        patterns = [CONFIG, TENSORS, "README.md", "*.png", "*.webp"]
        with tempfile.TemporaryDirectory() as aside:
            staged = Path(aside, self.path.resolve().name)
            staged.mkdir()
            for file in self.path.iterdir():
                if file.is_file() and any(fnmatchcase(file.name, pattern) for pattern in patterns):
                    shutil.copyfile(file, staged / file.name)
            for part in self.parts:
                part.copy(self.places, staged / part.id)
            return push_folder(staged, repo, [*patterns, *(f"{part.id}/*" for part in self.parts)], private)


def _schemes(model: Any) -> list[str]:
    """The scan schemes that a config names; none for a backbone without a scan."""
    return [] if model.scheme is None else list(dict.fromkeys(model.schemes))


def read_folder(path: str | Path) -> ModelFolder:
    """Read and check a model folder's config. Raises ValueError with one sentence for anything that is off."""
    path = Path(path)
    file = path / CONFIG
    if not file.is_file():
        raise ValueError(f"{path} is not a model folder: it has no {CONFIG}")
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
    own, guided = not isinstance(model, OfficialConfig), content.get("guided_channels")
    with _naming(file):
        choice("prediction", content.get("prediction"), PREDICTIONS)
        interpolant = choice("interpolant", content.get("interpolant", "linear"), PATHS)
        if guided is not None:
            whole("guided_channels", guided, 1)
    if own and interpolant != "ddpm" and getattr(model, "out_channels", model.in_channels) != model.in_channels:
        raise ValueError(f"{file} has learn_sigma, and {content['prediction']} prediction no variance; set drop_sigma")
    schemes = tuple(content["schemes"] if "schemes" in content else _schemes(model))
    for scheme in schemes:
        if own and model.scheme is None:
            raise ValueError(f"{file} names scan scheme {scheme!r} and {content['family']} has no scan; leave it out")
        scan_scheme(scheme)
    return ModelFolder(
        path=path,
        id=str(content.get("id", path.name)),
        family=content["family"],
        model=model,
        prediction=content["prediction"],
        labels=None if labels is None else tuple(labels),
        schemes=schemes,
        origin=str(content.get("origin", "yours")),
        about=content.get("about", {}) if isinstance(content.get("about", {}), dict) else {},
        interpolant=interpolant,
        guided_channels=guided,
        latents=_spec(file, content.get("latents"), AutoencoderSpec),
        text=_spec(file, content.get("text"), TextSpec),
        defaults=_defaults(file, content.get("defaults", {})),
    )


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Let a fault in what a file says name the file."""
    try:
        yield
    except (TypeError, ValueError) as fault:
        raise ValueError(f"{file}: {fault}") from None


def _defaults(file: Path, content: Any) -> dict[str, Any]:
    """The settings under 'defaults'; ValueError naming the file where they make no sense."""
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
    """The config under 'model'; ValueError naming the file where it makes no sense."""
    official = OFFICIAL_FAMILIES.get(family)
    known = None if official else {entry.name for entry in fields(FAMILIES[family].config)}
    if not isinstance(settings, dict) or (known is not None and set(settings) - known):
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
    """Write a model folder in fp16, every file aside first and then renamed. network: built from its `.config`.

    latents: the autoencoder it was trained behind, None for pixels. text: the tower its prompts were read by. defaults:
    as in ModelFolder.
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
    """Write the three files of a model folder that exists, each aside first, and read the folder back."""
    with replacing_files(path, (TENSORS, CONFIG, "README.md")) as (tensors, config, readme):
        save_file(state, tensors, metadata={"format": "pt"})
        config.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        readme.write_text(card, encoding="utf-8")
    return read_folder(path)


def available() -> list[ModelFolder]:
    """The model folders beside the program, by name; one that cannot be read is logged and left out."""
    found = []
    for folder in sorted(WEIGHTS.glob("*/")):
        if (folder / CONFIG).is_file() and (folder / TENSORS).is_file():
            try:
                found.append(read_folder(folder))
            except ValueError as fault:
                logging.getLogger(__name__).warning("%s", fault)
    return found


def find(name: str | Path) -> ModelFolder:
    """The model of a shipped id or a local folder. Raises ValueError listing what there is."""
    here = WEIGHTS / str(name)
    if here.parent == WEIGHTS and (here / CONFIG).is_file():
        return read_folder(here)
    if Path(name).is_dir():
        return read_folder(name)
    if str(name) in SOURCES:
        raise ValueError(f"{name} is an official model that is not here yet; run `python -m zigdemo.zoo import {name}`")
    known = ", ".join(folder.id for folder in available()) or "none is here yet"
    raise ValueError(f"unknown model {str(name)!r}; choose one of: {known}, or give a model folder")
