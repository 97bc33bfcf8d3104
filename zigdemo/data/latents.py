"""Precomputed latents of an image or clip set: shards latents-00000.npy and so on, samples.jsonl and info.json."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..devices import choose_device
from ..latents import AutoencoderSpec
from ..ops.heap import keep_freed_memory
from .clips import CLIPS, ClipSet, window_indices
from .images import IMAGES, ImageSet, annotations
from .portraits import Attributes
from .prepared import INFO_FILE, SAMPLES_FILE, Form, choose_samples, read_samples, replacing, write_text

LATENTS = Form(
    noun="latent",
    array_file="latents-*.npy",
    axes=("count", "frames, of clips", "channels", "height", "width"),
    how_to_make="run `python -m zigdemo.training.prepare latents`",
    more_files=("mirrored-*.npy",),
)
SHARD_CLIPS, SHARD_IMAGES = 512, 8192
AT_ONCE_PX = 256 * 128**2  # pixels per call of an autoencoder on a GPU


@dataclass(frozen=True)
class LatentSet:
    """Latents of pictures or clips, each with one label.

    shards: (count, C, h, w) or, for clips, (count, frames, C, h, w), float16 each, memory-mapped. rows: the selected
    ones, counted over all shards. label_names, labels, groups, keywords, attributes: of the selected rows, as in
    ImageSet. loops: (count,) bool, of clips, as in ClipSet. spec: of the autoencoder; sha256: of its weights. mirrored:
    like shards, of the pictures mirrored left to right; empty if they were not encoded.
    """

    shards: list[np.ndarray]
    rows: np.ndarray
    label_names: list[str]
    labels: np.ndarray
    spec: AutoencoderSpec
    sha256: str
    groups: list[str] = field(default_factory=list)
    keywords: list[list[str]] = field(default_factory=list)
    attributes: list[Attributes] = field(default_factory=list)
    loops: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    mirrored: list[np.ndarray] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of pictures or clips."""
        return len(self.labels)

    def __getitem__(self, row: int) -> np.ndarray:
        """Latents of one picture, (C, h, w), or clip, (frames, C, h, w), float16. Raises IndexError."""
        return self._latents(row, self.shards)

    def _latents(self, row: int, shards: list[np.ndarray]) -> np.ndarray:
        if not 0 <= row < len(self):
            raise IndexError(f"row must be 0 to {len(self) - 1}, not {row}")
        row, ends = self.rows[row], list(accumulate(map(len, shards)))
        shard = bisect_right(ends, row)
        return np.asarray(shards[shard][row - (ends[shard - 1] if shard else 0)])

    @property
    def frames(self) -> int:
        """Number of frames of each clip, 0 for pictures."""
        return self.shards[0].shape[1] if self.shards[0].ndim == 5 else 0

    @property
    def size(self) -> int:
        """Side of the latents."""
        return self.shards[0].shape[-1]

    def draw(
        self, rows: np.ndarray, frames: int, seeds: Sequence[int], flip: bool = False, shift_px: int = 0
    ) -> np.ndarray:
        """Latents of some rows, (n, C, h, w) or windows of `frames` (n, frames, C, h, w), float32.

        Windows are drawn by the seeds, as in ClipSet; with `flip` half of the pictures, by their seeds, are replaced by
        their mirrored latents. Latents of a mirrored or shifted picture differ from mirrored or shifted latents, so
        other augmentation is not possible. Raises ValueError if `flip` or `shift_px` needs latents that do not exist.
        """
        if shift_px or (flip and not self.mirrored):
            raise ValueError(
                "flip and shift_px need pixels; train on the pictures and set the recipe's latents to the autoencoder, "
                "or prepare latents with --mirror for flip"
            )
        if not frames:
            sources = [
                self.mirrored if flip and np.random.default_rng(seed).random() < 0.5 else self.shards for seed in seeds
            ]
            return np.stack([self._latents(*each) for each in zip(rows, sources, strict=True)]).astype(np.float32)
        windows = []
        for row, seed in zip(rows, seeds, strict=True):
            rng = np.random.default_rng(seed)
            windows.append(self[row][window_indices(self.frames, frames, self.loops[row], rng)])
        return np.stack(windows).astype(np.float32)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        groups: Iterable[str] | None = None,
        labels: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
        frames: int | None = None,
    ) -> LatentSet:
        """Read a folder of latents, optionally only some groups and labels of it.

        exclude: patterns of labels to leave out; * matches anything. frames: length of the windows to be cut, 0 for
        pictures, None for either. Raises FileNotFoundError if the folder is not a latent set, ValueError if it is
        damaged, does not hold what `frames` asks for, or a group or label is not in it.
        """
        folder = Path(folder)
        paths = sorted(folder.glob(LATENTS.array_file))
        if not paths:
            raise FileNotFoundError(
                f"{folder} is not a prepared latent set (no latents-00000.npy); {LATENTS.how_to_make}"
            )
        try:
            info = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
            spec, sha256 = AutoencoderSpec.read(info["autoencoder"]), str(info["autoencoder_sha256"])
            shards = [np.lib.format.open_memmap(path, mode="r") for path in paths]
            mirrored = [
                np.lib.format.open_memmap(path, mode="r") for path in sorted(folder.glob(LATENTS.more_files[0]))
            ]
        except (OSError, EOFError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise LATENTS.broken(folder, f"unreadable: {error}") from error
        samples = read_samples(folder, LATENTS)
        if any(one.dtype != np.float16 or one.shape[1:] != shards[0].shape[1:] for one in shards):
            raise LATENTS.broken(folder, "shards that are not float16 of one shape")
        if shards[0].ndim not in (4, 5) or shards[0].shape[-1] != shards[0].shape[-2]:
            raise LATENTS.broken(folder, f"shards of shape {shards[0].shape} instead of ({', '.join(LATENTS.axes)})")
        if mirrored and [(one.dtype, one.shape) for one in mirrored] != [(one.dtype, one.shape) for one in shards]:
            raise LATENTS.broken(folder, "mirrored shards that do not match the others")
        if sum(map(len, shards)) != len(samples):
            raise LATENTS.broken(folder, f"{sum(map(len, shards))} latents but {len(samples)} samples")
        length = shards[0].shape[1] if shards[0].ndim == 5 else 0
        if frames is not None and (bool(frames) != bool(length) or frames > length):
            kind = f"clips of {length} frames" if length else "pictures"
            raise ValueError(f"{folder} contains latents of {kind}; set model.frames to {length} or less, not {frames}")
        rows, samples = choose_samples(folder, LATENTS, samples, groups, labels, exclude)
        loops = np.array([sample.get("loops") is True for sample in samples])
        return cls(shards, rows, spec=spec, sha256=sha256, loops=loops, mirrored=mirrored, **annotations(samples))


def prepare_latents(
    out: Path,
    source: Path,
    spec: AutoencoderSpec,
    places: Sequence[Path] = (),
    mirror: bool = False,
    half: bool = False,
) -> int:
    """Encode all pictures or frames of the set in the folder `source` into the folder `out`; returns their number.

    places: folders to look up the autoencoder in. mirror: also encode the pictures mirrored left to right, so that
    training can flip. half: compute in bf16, with an error of half a percent of the latents' standard deviation. The
    latents are the scaled means of `Autoencoder.encode`, without sampling, and so deterministic; a GPU is used if there
    is one. Raises ValueError for an unusable autoencoder, and for pictures whose sides are not multiples of its factor.
    """
    of_clips = (source / CLIPS.array_file).is_file()
    if mirror and of_clips:
        raise ValueError(f"{source} contains clips, and only latents of pictures can be mirrored; leave --mirror out")
    form, length = (CLIPS, SHARD_CLIPS) if of_clips else (IMAGES, SHARD_IMAGES)
    items = ClipSet.load(source).clips if of_clips else ImageSet.load(source).images
    encoder = Encoder(spec, places, half)
    info = json.loads((source / INFO_FILE).read_text(encoding="utf-8"))
    parts = [items[start : start + length] for start in range(0, len(items), length)]
    with replacing(out, LATENTS) as fresh:
        save_shards(fresh, "latents", map(encoder, parts), length)
        if mirror:
            save_shards(fresh, "mirrored", (encoder(part[..., ::-1, :]) for part in parts), length)
        facts = {name: value for name, value in info.items() if name != f"{form.noun}s_sha256"}
        describe_latents(fresh, (source / SAMPLES_FILE).read_text(encoding="utf-8"), facts, encoder)
    return len(items)


class Encoder:
    """Pixels to scaled latents, by an autoencoder on the GPU if there is one. Arguments as in `prepare_latents`."""

    def __init__(self, spec: AutoencoderSpec, places: Sequence[Path] = (), half: bool = False) -> None:
        keep_freed_memory()  # makes this four times as fast on a CPU
        self.device, self.half = choose_device(), half
        self.space = spec.load(self.device, places)
        self.spec = spec

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Scaled latents (..., C, h, w) float16 of pictures (..., H, W, 3) uint8."""
        flat = pictures.reshape(-1, *pictures.shape[-3:])
        # One by one on a CPU, so that results do not depend on what comes together.
        at_once = 1 if self.device.type == "cpu" else max(1, AT_ONCE_PX // math.prod(flat.shape[1:3]))
        latents = []
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            for start in range(0, len(flat), at_once):
                levels = torch.from_numpy(np.array(flat[start : start + at_once])).to(self.device)
                pixels = levels.permute(0, 3, 1, 2).float() / 127.5 - 1
                latents.append(self.space.encode(pixels, at_once=at_once).half())
        encoded = torch.cat(latents).cpu().numpy()
        return encoded.reshape(*pictures.shape[:-3], *encoded.shape[1:])


def save_shards(folder: Path, name: str, parts: Iterable[np.ndarray], length: int) -> None:
    """Write arrays one after another as shards of `length` rows: name-00000.npy and so on."""
    kept: list[np.ndarray] = []
    number = 0
    for part in parts:
        kept.append(part)
        while sum(map(len, kept)) >= length:
            whole = np.concatenate(kept)
            np.save(folder / f"{name}-{number:05}.npy", whole[:length])
            kept, number = [whole[length:]], number + 1
    if sum(map(len, kept)):
        np.save(folder / f"{name}-{number:05}.npy", np.concatenate(kept))


def describe_latents(fresh: Path, lines: str, facts: dict[str, Any], encoder: Encoder) -> None:
    """Write the samples of a latent set, a line each, and its info: the facts of the pictures, and the autoencoder."""
    about = {"autoencoder": encoder.spec.content(), "autoencoder_sha256": encoder.space.sha256}
    write_text(fresh / INFO_FILE, json.dumps({**facts, **about}, indent=2) + "\n")
    write_text(fresh / SAMPLES_FILE, lines)


def pixels_of(pictures: np.ndarray) -> torch.Tensor:
    """Pictures (..., H, W, 3) uint8 as (..., 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.moveaxis(pictures, -1, -3).astype(np.float32) / 127.5 - 1)
