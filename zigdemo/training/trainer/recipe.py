"""A training recipe: one dataclass, read from YAML, changed by `key=value` on the command line."""

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
TRACKERS = ("tensorboard", "trackio", "wandb")  # names of accelerate, and of the packages
RECIPES = Path(__file__).resolve().parents[1] / "recipes"  # the ones that come with zigdemo
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the trained weights, with the data and the seed.

    data: a prepared folder of images, clips, or latents of these. run: the folder written. groups, labels: what to keep
    of the data, all where null. latents: the autoencoder to train behind, as in AutoencoderSpec, which encodes images
    or clips in every step; latents on disk name their own.
    exclude: patterns of label names to leave out, with * for anything.
    model: family and its config fields; the number of labels is taken from the data. text: the tower of a model with
    text_width, as in TextSpec; captions are made of names and keywords, or of a portrait's attributes, another one each
    time, and a share `model.label_dropout` of them is empty. tower_lr: learning rate of that tower, which learns along
    and is exported too; 0: it stays as it is. tower_context: tokens that it is to read, where it learns; 0: as many as
    it does.
    init: a weights folder to start from; label rows are matched by name. keep_labels: its labels that the data has not
    stay in the table. method, rank: what learns, see `lora.adapt`. start_from: a weights folder of another shape, whose
    tensors are taken where name and shape are the same. start_blocks: for each block of the model the number of that
    folder's block it starts from, or null. shares: part of every batch that is of a group, by its name.
    flip, shift_px: mirror half of the pictures or clips, and move them by up to so many pixels along each side; of
    latents on disk flip takes those that were encoded mirrored.
    steps: optimiser updates. batch: images a step, over all processes.
    accumulate: parts that each process's share of it is cut into, for less memory; the gradients are summed.
    warmup, cooldown: steps of linear rise and fall of the learning rate. ema_halflife: steps after which the average
    has forgotten half; a list makes several averages, the first of which is sampled. time_mean, time_spread:
    logit-normal training times, see `diffusion.draw_times`. min_snr: gamma of the min-SNR weighting, 0 for none.
    checkpointing: compute the blocks again in the backward pass, for less memory and more time. compile: by torch,
    which pays on a GPU in long runs. held_out: images kept away from training, for a loss by time every
    `validate_every` steps. keep_last, keep_every: checkpoints that stay, the newest and those at multiples of so many
    steps. trackers: any of tensorboard, trackio and wandb, beside metrics.jsonl.
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
        for name in ("weight_decay", "time_spread", "min_snr", "tower_lr"):
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
        if bool(self.text) != bool(self.model.get("text_width")):
            raise ValueError("text names the tower of a model with model.text_width; give both or neither")
        if self.tower_lr and not self.text:
            raise ValueError("tower_lr is that of the tower which text names; give text, or leave tower_lr out")
        if self.tower_context and not self.tower_lr:
            raise ValueError("tower_context needs a tower that learns; give tower_lr, or leave tower_context out")
        if self.model.get("frames") and (self.text or self.groups):
            raise ValueError("clips are trained by label, and have no groups; leave text and groups out")
        if self.start_blocks is not None:
            if not self.start_from:
                raise ValueError("start_blocks chooses blocks of the folder start_from; give that too")
            if not isinstance(self.start_blocks, list) or not all(
                n is None or type(n) is int for n in self.start_blocks
            ):
                raise ValueError(
                    f"start_blocks must be a list of block numbers and nulls, not {shown(self.start_blocks)}"
                )
        if not isinstance(self.shares, dict):
            raise ValueError(f"shares must map groups to parts of a batch, not {shown(self.shares)}")
        for group, share in self.shares.items():
            number(f"shares.{group}", share, above=0, most=1)
        if sum(self.shares.values()) > 1:
            raise ValueError(f"shares must sum up to 1 at most, not {self.shares}")
        if self.keep_labels and not self.init:
            raise ValueError("keep_labels keeps those of the weights that init names; give init")
        if self.init and self.start_from:
            raise ValueError("init and start_from are two ways to start; give one of them")
        if self.model.get("family") not in FAMILIES:
            raise ValueError(f"model.family {self.model.get('family')!r} is unknown; use {', '.join(FAMILIES)}")

    @property
    def halflives(self) -> list[float]:
        """Of each of the averages of the weights, in steps."""
        return self.ema_halflife if isinstance(self.ema_halflife, list) else [self.ema_halflife]

    @property
    def text_spec(self) -> TextSpec | None:
        """The tower that reads the captions, or None for a model of labels."""
        return TextSpec.read(self.text) if self.text else None

    def save(self, path: Path) -> None:
        """Write the recipe as YAML."""
        text = yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True)
        write_whole(path, text)


def load_recipe(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a YAML recipe and apply `key=value` changes (`model.width=192` reaches inside; values are YAML).

    Raises ValueError with one sentence for a file that is no recipe or a key that does not exist.
    """
    return read_settings(path, Recipe, changes)


def read_settings(path: str | Path, kind: type[Settings], changes: Sequence[str]) -> Settings:
    """A dataclass `kind` out of a YAML file, with changes and errors as in `load_recipe`."""
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        here = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml")))
        raise ValueError(f"there is no recipe {path}; the ones that come with zigdemo are {here}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        raise ValueError(f"{path} is not a YAML recipe: {str(fault).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a recipe: it must be a YAML mapping of settings")
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise ValueError(f"change {change!r} must look like key=value")
        target = content
        *outer, last = key.split(".")
        for part in outer:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise ValueError(f"{part} in {change!r} has no settings inside")
        target[last] = yaml.safe_load(value)
    known = {entry.name for entry in fields(kind)}
    unknown = sorted(set(content) - known)
    if unknown:
        raise ValueError(f"{', '.join(unknown)} is no setting of a recipe; the settings are {', '.join(sorted(known))}")
    required = [e.name for e in fields(kind) if e.default is MISSING and e.default_factory is MISSING]
    missing = sorted(set(required) - set(content))
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; every recipe needs {', '.join(required)}")
    return kind(**content)


def load_data(recipe: Recipe) -> ImageSet | ClipSet | LatentSet:
    """The images, or the clips for a model with frames, that a recipe trains on, after its choices of them."""
    frames = recipe.model.get("frames") or 0
    if any(Path(recipe.data).glob(LATENTS.array_file)):
        if recipe.shift_px or recipe.latents:
            raise ValueError(
                f"{recipe.data} holds latents already: leave out latents and shift_px, or train on its pictures"
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
    known = list(read_folder(recipe.init).labels or [])
    names = list(dict.fromkeys([*known, *data.label_names]))
    places = np.array([names.index(name) for name in data.label_names])
    return replace(data, label_names=names, labels=places[data.labels])


def autoencoder_spec(recipe: Recipe) -> AutoencoderSpec | None:
    """The autoencoder that a recipe trains behind: its own, or that of the latents on disk; None for pixels."""
    if recipe.latents is not None:
        return AutoencoderSpec.read(recipe.latents)
    return LatentSet.load(recipe.data).spec if any(Path(recipe.data).glob(LATENTS.array_file)) else None


def part_places(recipe: Recipe) -> tuple[Path, ...]:
    """Where the tower and the autoencoder of a recipe are looked up: as those of the model it starts from."""
    return read_folder(recipe.init).places if recipe.init else (zoo.WEIGHTS,)


def known_labels(recipe: Recipe) -> int:
    """How many rows of the label table a run finds there and keeps."""
    return len(read_folder(recipe.init).labels or []) if recipe.keep_labels else 0


def model_config(recipe: Recipe, labels: int) -> object:
    """The backbone's config for a recipe and a number of labels."""
    settings = {key: value for key, value in recipe.model.items() if key != "family"}
    kind = FAMILIES[recipe.model["family"]].config
    unknown = sorted(set(settings) - {entry.name for entry in fields(kind)})
    if unknown:
        raise ValueError(f"model.{unknown[0]} is no setting of {recipe.model['family']}")
    if (spec := autoencoder_spec(recipe)) is not None:
        settings.setdefault("in_channels", spec.channels)
    config = kind(**settings)
    return config if config.text_width else replace(config, labels=labels)
