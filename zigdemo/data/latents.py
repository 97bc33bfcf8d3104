"""Latents of an image or clip set, computed once: shards latents-00000.npy and so on, samples.jsonl and info.json."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch

from ..latents import Autoencoder, AutoencoderSpec
from ..ops.heap import keep_freed_memory
from .clips import CLIPS, ClipSet
from .images import IMAGES, ImageSet, descriptions
from .portraits import Attributes
from .prepared import INFO_FILE, SAMPLES_FILE, Form, choose_rows, number_labels, read_samples, replacing, write_text

LATENTS = Form(
    noun="latent",
    array_file="latents-*.npy",
    axes=("count", "frames, of clips", "channels", "height", "width"),
    how_to_make="run `python -m zigdemo.training.prepare latents`",
    more_files=("mirrored-*.npy",),
)
SHARD_CLIPS, SHARD_IMAGES = 512, 8192


@dataclass(frozen=True)
class LatentSet:
    """Latents of pictures or clips, each with one label.

    shards: (count, C, h, w), of clips (count, frames, C, h, w), float16 each, memory-mapped. rows: those of all of them
    that were chosen. label_names, labels, groups, keywords, attributes: as in ImageSet, of the chosen ones. loops:
    (count,) bool, of clips as in ClipSet. spec: the autoencoder's, sha256: of its weights. mirrored: like shards, of
    the pictures mirrored left to right; empty where they were not encoded.
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
        """Latents of one picture, (C, h, w), or clip, (frames, C, h, w), float16."""
        return self._latents(row, self.shards)

    def _latents(self, row: int, shards: list[np.ndarray]) -> np.ndarray:
        if not 0 <= row < len(self):
            raise IndexError(f"row must be 0 to {len(self) - 1}, not {row}")
        row, ends = self.rows[row], list(accumulate(map(len, shards)))
        shard = bisect_right(ends, row)
        return np.asarray(shards[shard][row - (ends[shard - 1] if shard else 0)])

    @property
    def frames(self) -> int:
        """Frames of each clip, 0 of pictures."""
        return self.shards[0].shape[1] if self.shards[0].ndim == 5 else 0

    @property
    def size(self) -> int:
        """Side of the latents."""
        return self.shards[0].shape[-1]

    def draw(
        self, rows: np.ndarray, frames: int, seeds: Sequence[int], flip: bool = False, shift_px: int = 0
    ) -> np.ndarray:
        """Latents of some rows, (n, C, h, w) or windows of `frames` (n, frames, C, h, w), float32.

        Each window starts by its seed, as in ClipSet; half of the pictures are mirrored, by their seeds too, where
        `flip` is set and they were encoded so. Latents of a mirrored or moved picture are others than the mirrored or
        moved latents: ValueError where `flip` or `shift_px` asks for what is not there.
        """
        if shift_px or (flip and not self.mirrored):
            raise ValueError(
                "flip and shift_px need pixels; train on the pictures and name their autoencoder (latents), or prepare "
                "latents with --mirror for flip"
            )
        if not frames:
            chosen = [
                self.mirrored if flip and np.random.default_rng(seed).random() < 0.5 else self.shards for seed in seeds
            ]
            return np.stack([self._latents(*each) for each in zip(rows, chosen, strict=True)]).astype(np.float32)
        found = []
        for row, seed in zip(rows, seeds, strict=True):
            rng = np.random.default_rng(seed)
            if self.loops[row]:
                picked = (rng.integers(self.frames) + np.arange(frames)) % self.frames
            else:
                picked = rng.integers(self.frames - frames + 1) + np.arange(frames)
            found.append(self[row][picked])
        return np.stack(found).astype(np.float32)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        groups: Iterable[str] | None = None,
        labels: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
        frames: int | None = None,
    ) -> LatentSet:
        """Read a folder of latents, of the named groups and labels only, where they are given.

        frames: windows that are to be cut, 0 for pictures, None for whatever there is.
        Raises FileNotFoundError where it is none, ValueError where it is broken or holds nothing of the kind.
        """
        folder = Path(folder)
        paths = sorted(folder.glob(LATENTS.array_file))
        if not paths:
            raise FileNotFoundError(f"{folder} is no prepared latent set (no latents-00000.npy); {LATENTS.how_to_make}")
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
            raise LATENTS.broken(folder, "shards that are no float16 of one shape")
        if shards[0].ndim not in (4, 5) or shards[0].shape[-1] != shards[0].shape[-2]:
            raise LATENTS.broken(
                folder, f"shards of shape {shards[0].shape}, where ({', '.join(LATENTS.axes)}) belongs"
            )
        if mirrored and [(one.dtype, one.shape) for one in mirrored] != [(one.dtype, one.shape) for one in shards]:
            raise LATENTS.broken(folder, "mirrored shards that are not like the others")
        if sum(map(len, shards)) != len(samples):
            raise LATENTS.broken(folder, f"{sum(map(len, shards))} latents but {len(samples)} samples")
        there = shards[0].shape[1] if shards[0].ndim == 5 else 0
        if frames is not None and (bool(frames) != bool(there) or frames > there):
            kind = f"clips of {there} frames" if there else "pictures"
            raise ValueError(
                f"{folder} holds latents of {kind}; set model.frames to {there or 0} or less, not {frames}"
            )
        rows = choose_rows(folder, LATENTS, samples, groups, labels, exclude)
        chosen = [samples[row] for row in rows]
        loops = np.array([sample.get("loops") is True for sample in chosen])
        return cls(shards, rows, *number_labels(chosen), spec, sha256, *descriptions(chosen), loops, mirrored)


def prepare_latents(
    out: Path,
    source: Path,
    spec: AutoencoderSpec,
    places: Sequence[Path] = (),
    mirror: bool = False,
    half: bool = False,
) -> int:
    """Encode every picture, or every frame, of the set in the folder `source` into the folder `out`; returns how many.

    places: folders that the autoencoder is looked up in. mirror: encode pictures mirrored left to right too, so that
    training can flip. half: compute in bf16, which is off by half a percent of the latents' spread. The latents are the
    scaled means of `Autoencoder.encode`, without sampling: the same on every run. Raises ValueError for an unusable
    autoencoder, and pictures whose sides are no multiples of its factor.
    """
    keep_freed_memory()  # four times as fast on a CPU
    of_clips = (source / CLIPS.array_file).is_file()
    if mirror and of_clips:
        raise ValueError(f"{source} holds clips, and only latents of pictures can be mirrored; leave --mirror out")
    form, length = (CLIPS, SHARD_CLIPS) if of_clips else (IMAGES, SHARD_IMAGES)
    items, space = ClipSet.load(source).clips if of_clips else ImageSet.load(source).images, spec.load("cpu", places)
    info = json.loads((source / INFO_FILE).read_text(encoding="utf-8"))
    with replacing(out, LATENTS) as fresh:
        for number, start in enumerate(range(0, len(items), length)):
            part = items[start : start + length]
            np.save(fresh / f"latents-{number:05}.npy", _encoded(part, space, half))
            if mirror:
                np.save(fresh / f"mirrored-{number:05}.npy", _encoded(part[..., ::-1, :], space, half))
        about = {"autoencoder": spec.content(), "autoencoder_sha256": space.sha256}
        kept = {name: value for name, value in info.items() if name != f"{form.noun}s_sha256"}
        write_text(fresh / INFO_FILE, json.dumps({**kept, **about}, indent=2) + "\n")
        write_text(fresh / SAMPLES_FILE, (source / SAMPLES_FILE).read_text(encoding="utf-8"))
    return len(items)


def _encoded(pictures: np.ndarray, space: Autoencoder, half: bool) -> np.ndarray:
    """Scaled latents of pictures (..., H, W, 3) uint8, (..., C, h, w) float16."""
    flat = pictures.reshape(-1, *pictures.shape[-3:])
    with torch.autocast(space.network.device.type, torch.bfloat16, enabled=half):
        latents = [space.encode(pixels_of(one[None])).half().cpu() for one in flat]
    encoded = torch.cat(latents).numpy()
    return encoded.reshape(*pictures.shape[:-3], *encoded.shape[1:])


def pixels_of(pictures: np.ndarray) -> torch.Tensor:
    """Pictures (..., H, W, 3) uint8 as (..., 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.moveaxis(pictures, -1, -3).astype(np.float32) / 127.5 - 1)
