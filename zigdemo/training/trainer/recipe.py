"""A training recipe: one dataclass, read from YAML, with `key=value` overrides from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import yaml

from ... import zoo
from ...backbones import FAMILIES
from ...checks import choice, flag, number, shown, whole
from ...conditioning import TextSpec
from ...data import ClipSet, ImageSet
from ...data.latents import LATENTS, LatentSet
from ...diffusion import PREDICTIONS
from ...files import write_whole
from ...latents import AutoencoderSpec
from ...zoo import read_folder
from .lora import METHODS

Settings = TypeVar("Settings")
TRACKERS = ("tensorboard", "trackio", "wandb")  # names in accelerate, and of the packages
RECIPES = Path(__file__).resolve().parents[1] / "recipes"  # shipped with zigdemo
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Recipe:
    """All settings of a run: together with the data they determine the trained weights. Raises ValueError for bad ones.

    data: a prepared folder of images, clips, or latents of either. run: the output folder. groups, labels: subset of
    the data; null: all. latents: the autoencoder, as in AutoencoderSpec, that encodes images or clips at every step;
    latents on disk name their own.
    exclude: patterns of label names to leave out; * matches anything.
    model: family and its config fields; the number of labels comes from the data. text: the tower of a model with
    text_width, as in TextSpec; captions are drawn anew each time from names and keywords, or from the attributes of a
    portrait or a drawn person, and a share `model.label_dropout` of them is empty. tower_lr: learning rate of that
    tower, which is then trained and exported too; 0: frozen. tower_context: context length of a trained tower, in
    tokens; 0: unchanged.
    init: a weights folder to start from; label rows are matched by name. keep_labels: keep its labels that are not in
    the data. method, rank: which weights are trained, see `lora.adapt`. start_from: a weights folder of another
    architecture; tensors of the same name and shape are loaded. start_blocks: for each block of the model the index of
    that folder's block to start from, or null. shares: fraction of every batch that comes from a group, by its name.
    flip, shift_px: mirror half of the images or clips, and shift them by up to this many pixels in each direction; with
    latents on disk, flip uses the mirrored ones.
    lr: highest learning rate of AdamW. muon_lr: that of Muon, which then trains the weight matrices of the blocks; 0:
    AdamW trains all weights. steps: optimiser updates. batch: images per step, over all processes.
    accumulate: gradient accumulation steps per update, for less memory.
    warmup, cooldown: steps of linear rise and fall of the learning rate. ema_halflife: half-life of the moving average
    of the weights, in steps; a list gives several averages, the first of which is sampled. time_mean, time_spread:
    logit-normal training times, see `diffusion.draw_times`. min_snr: gamma of the min-SNR weighting, 0 for none. clip:
    largest norm of the gradients.
    checkpointing: recompute the blocks in the backward pass, for less memory and more time. compile: use torch.compile,
    which pays off in long runs on a GPU. held_out: images kept out of training, for a loss by time every
    `validate_every` steps. keep_last, keep_every: checkpoints to keep, the newest and those at multiples of this many
    steps. trackers: any of tensorboard, trackio and wandb, besides metrics.jsonl.
    """

    name: str
    data: str
    run: str
    model: dict
    groups: list[str] | None = None
    labels: list[str] | None = None
    exclude: list[str] = field(default_factory=list)
    text: dict | None = None
    tower_lr: float = 0.0
    tower_context: int = 0
    latents: dict | None = None
    init: str | None = None
    keep_labels: bool = False
    method: str = "full"
    rank: int = 8
    start_from: str | None = None
    start_blocks: list[int | None] | None = None
    flip: bool = False
    shift_px: int = 0
    shares: dict[str, float] = field(default_factory=dict)
    prediction: str = "velocity"
    steps: int = 10000
    batch: int = 64
    accumulate: int = 1
    lr: float = 1e-4
    muon_lr: float = 0.0
    warmup: int = 0
    cooldown: int = 0
    weight_decay: float = 0.0
    clip: float = 1.0
    ema_halflife: float | list[float] = 1000.0
    time_mean: float = 0.0
    time_spread: float = 0.0
    min_snr: float = 0.0
    precision: str = "auto"
    checkpointing: bool = False
    compile: bool = False
    held_out: int = 0
    seed: int = 0
    log_every: int = 50
    save_every: int = 1000
    sample_every: int = 1000
    validate_every: int = 1000
    keep_last: int = 2
    keep_every: int = 0
    trackers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "log_every", "save_every", "sample_every", "validate_every"):
            whole(name, getattr(self, name), least=1)
        for name in ("keep_last", "rank"):
            whole(name, getattr(self, name), least=1)
        for name in ("warmup", "cooldown", "seed", "held_out", "keep_every", "shift_px", "tower_context"):
            whole(name, getattr(self, name), least=0)
        for name in ("lr", "clip"):
            number(name, getattr(self, name), above=0)
        for name in ("weight_decay", "time_spread", "min_snr", "tower_lr", "muon_lr"):
            number(name, getattr(self, name), least=0)
        if not self.halflives:
            raise ValueError("ema_halflife must be a number of steps, or a list of some")
        for halflife in self.halflives:
            number("ema_halflife", halflife, above=0)
        for name in ("checkpointing", "compile", "flip", "keep_labels"):
            flag(name, getattr(self, name))
        if not isinstance(self.trackers, list) or not set(self.trackers) <= set(TRACKERS):
            raise ValueError(f"trackers must be a list of some of {', '.join(TRACKERS)}, not {shown(self.trackers)}")
        if not isinstance(self.exclude, list) or not all(isinstance(pattern, str) for pattern in self.exclude):
            raise ValueError(f"exclude must be a list of label patterns, not {shown(self.exclude)}")
        for name, known in (("prediction", PREDICTIONS), ("precision", PRECISIONS), ("method", METHODS)):
            choice(name, getattr(self, name), known)
        if self.text is not None:
            TextSpec.read(self.text)
        if self.latents is not None:
            AutoencoderSpec.read(self.latents)
        if self.model.get("family") not in FAMILIES:
            raise ValueError(f"model.family {self.model.get('family')!r} is unknown; use {', '.join(FAMILIES)}")
        self._check_shares()
        self._check_start()
        self._check_text()

    def _check_text(self) -> None:
        """Raises ValueError for settings of texts without what they need."""
        if bool(self.text) != bool(self.model.get("text_width")):
            raise ValueError("text names the tower of a model with model.text_width; give both or neither")
        if self.tower_lr and not self.text:
            raise ValueError("tower_lr is that of the tower which text names; give text, or leave tower_lr out")
        if self.tower_context and not self.tower_lr:
            raise ValueError("tower_context needs a tower that learns; give tower_lr, or leave tower_context out")
        if self.model.get("frames") and self.groups:
            raise ValueError("clips have no groups to choose; leave groups out")

    def _check_start(self) -> None:
        """Raises ValueError for settings of the starting weights that contradict each other."""
        if self.start_blocks is not None:
            if not self.start_from:
                raise ValueError("start_blocks chooses blocks of the folder start_from; give that too")
            if not isinstance(self.start_blocks, list) or not all(
                n is None or type(n) is int for n in self.start_blocks
            ):
                raise ValueError(
                    f"start_blocks must be a list of block numbers and nulls, not {shown(self.start_blocks)}"
                )
        if self.keep_labels and not self.init:
            raise ValueError("keep_labels keeps those of the weights that init names; give init")
        if self.init and self.start_from:
            raise ValueError("init and start_from are two ways to start; give one of them")

    def _check_shares(self) -> None:
        """Raises ValueError for shares of groups that are no parts of a batch."""
        if not isinstance(self.shares, dict):
            raise ValueError(f"shares must map groups to parts of a batch, not {shown(self.shares)}")
        for group, share in self.shares.items():
            number(f"shares.{group}", share, above=0, most=1)
        if sum(self.shares.values()) > 1:
            raise ValueError(f"shares must sum up to 1 at most, not {self.shares}")

    @property
    def halflives(self) -> list[float]:
        """Half-life of each moving average of the weights, in steps."""
        return self.ema_halflife if isinstance(self.ema_halflife, list) else [self.ema_halflife]

    @property
    def text_spec(self) -> TextSpec | None:
        """The text tower that encodes the captions, or None for a class-conditional model."""
        return TextSpec.read(self.text) if self.text else None

    def save(self, path: Path) -> None:
        """Write the recipe as YAML."""
        text = yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True)
        write_whole(path, text)


def load_recipe(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a YAML recipe and apply `key=value` overrides (`model.width=192` sets a nested key; values are YAML).

    Raises ValueError with one sentence for a file that is not a recipe or a key that does not exist.
    """
    return read_settings(path, Recipe, changes)


def read_settings(path: str | Path, kind: type[Settings], changes: Sequence[str]) -> Settings:
    """A dataclass `kind` read from a YAML file, with overrides. Raises ValueError as `load_recipe` does."""
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        shipped = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml")))
        raise ValueError(f"there is no recipe {path}; zigdemo comes with {shipped}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        raise ValueError(f"{path} is not a YAML recipe: {str(fault).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a recipe: it must be a YAML mapping of settings")
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise ValueError(f"override {change!r} must look like key=value")
        target = content
        *outer, last = key.split(".")
        for part in outer:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise ValueError(f"{part} in {change!r} is not a mapping of settings")
        target[last] = yaml.safe_load(value)
    known = {entry.name for entry in fields(kind)}
    unknown = sorted(set(content) - known)
    if unknown:
        raise ValueError(
            f"{', '.join(unknown)} is not a setting of a recipe; the settings are {', '.join(sorted(known))}"
        )
    required = [e.name for e in fields(kind) if e.default is MISSING and e.default_factory is MISSING]
    missing = sorted(set(required) - set(content))
    if missing:
        raise ValueError(f"{path} does not set {', '.join(missing)}; every recipe needs {', '.join(required)}")
    return kind(**content)


def load_data(recipe: Recipe) -> ImageSet | ClipSet | LatentSet:
    """The images, or clips for a video model, that a recipe trains on: the subset it selects.

    Raises ValueError where the recipe asks for what the data do not have, FileNotFoundError if they are missing.
    """
    frames = recipe.model.get("frames") or 0
    if any(Path(recipe.data).glob(LATENTS.array_file)):
        if recipe.shift_px or recipe.latents:
            raise ValueError(
                f"{recipe.data} already contains latents; leave out latents and shift_px, or train on the images"
            )
        data = LatentSet.load(recipe.data, recipe.groups, recipe.labels, recipe.exclude, frames)
        if recipe.flip and not data.mirrored:
            raise ValueError(f"{recipe.data} has no mirrored latents; prepare them with --mirror, or leave flip out")
    elif frames:
        data = ClipSet.load(recipe.data, labels=recipe.labels, exclude=recipe.exclude, frames=frames)
    else:
        data = ImageSet.load(recipe.data, groups=recipe.groups, labels=recipe.labels, exclude=recipe.exclude)
    if not recipe.keep_labels:
        return data
    initial_labels = list(read_folder(recipe.init).labels or [])
    names = list(dict.fromkeys([*initial_labels, *data.label_names]))
    indices = np.array([names.index(name) for name in data.label_names])
    return replace(data, label_names=names, labels=indices[data.labels])


def autoencoder_spec(recipe: Recipe) -> AutoencoderSpec | None:
    """The autoencoder of a recipe: its own, or that of the latents on disk; None for pixels."""
    if recipe.latents is not None:
        return AutoencoderSpec.read(recipe.latents)
    return LatentSet.load(recipe.data).spec if any(Path(recipe.data).glob(LATENTS.array_file)) else None


def part_places(recipe: Recipe) -> tuple[Path, ...]:
    """Folders to look up the tower and the autoencoder of a recipe in: those of the model it starts from."""
    return read_folder(recipe.init).places if recipe.init else (zoo.WEIGHTS,)


def known_labels(recipe: Recipe) -> int:
    """Number of rows of the initial label table that a run keeps as they are."""
    return len(read_folder(recipe.init).labels or []) if recipe.keep_labels else 0


def model_config(recipe: Recipe, labels: int) -> object:
    """The backbone's config for a recipe and a number of labels. Raises ValueError for an unknown setting."""
    settings = {key: value for key, value in recipe.model.items() if key != "family"}
    kind = FAMILIES[recipe.model["family"]].config
    unknown = sorted(set(settings) - {entry.name for entry in fields(kind)})
    if unknown:
        raise ValueError(f"model.{unknown[0]} is not a setting of {recipe.model['family']}")
    if (spec := autoencoder_spec(recipe)) is not None:
        settings.setdefault("in_channels", spec.channels)
    config = kind(**settings)
    return config if config.text_width else replace(config, labels=labels)
