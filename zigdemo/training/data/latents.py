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

from ...latents import AutoencoderSpec
from .clips import CLIPS, ClipSet
from .images import IMAGES, ImageSet, keywords_of
from .prepared import INFO_FILE, SAMPLES_FILE, Form, choose_rows, number_labels, read_samples, replacing, write_text

LATENTS = Form(
    noun="latent",
    array_file="latents-*.npy",
    axes=("count", "frames, of clips", "channels", "height", "width"),
    how_to_make="run `python -m zigdemo.training.prepare latents`",
)
SHARD_CLIPS, SHARD_IMAGES = 512, 8192


@dataclass(frozen=True)
class LatentSet:
    """Latents of pictures or clips, each with one label.

    shards: (count, C, h, w), of clips (count, frames, C, h, w), float16 each, memory-mapped. rows: those of all of them
    that were chosen. label_names, labels, groups, keywords: as in ImageSet, of the chosen ones. loops: (count,) bool,
    of clips as in ClipSet. spec: the autoencoder's, sha256: of its weights.
    """

    shards: list[np.ndarray]
    rows: np.ndarray
    label_names: list[str]
    labels: np.ndarray
    spec: AutoencoderSpec
    sha256: str
    groups: list[str] = field(default_factory=list)
    keywords: list[list[str]] = field(default_factory=list)
    loops: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    def __len__(self) -> int:
        """Return the number of pictures or clips."""
        return len(self.labels)

    def __getitem__(self, row: int) -> np.ndarray:
        """Latents of one picture, (C, h, w), or clip, (frames, C, h, w), float16."""
        if not 0 <= row < len(self):
            raise IndexError(f"row must be 0 to {len(self) - 1}, not {row}")
        row, ends = self.rows[row], list(accumulate(map(len, self.shards)))
        shard = bisect_right(ends, row)
        return np.asarray(self.shards[shard][row - (ends[shard - 1] if shard else 0)])

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

        Each window starts by its seed, as in ClipSet. Latents of a mirrored or moved picture are others than the
        mirrored or moved latents: ValueError where `flip` or `shift_px` asks for these.
        """
        if flip or shift_px:
            raise ValueError(
                "flip and shift_px need pixels; train on the pictures and name their autoencoder (latents)"
            )
        if not frames:
            return np.stack([self[row] for row in rows]).astype(np.float32)
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
        except (OSError, EOFError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise LATENTS.broken(folder, f"unreadable: {error}") from error
        samples = read_samples(folder, LATENTS)
        if any(one.dtype != np.float16 or one.shape[1:] != shards[0].shape[1:] for one in shards):
            raise LATENTS.broken(folder, "shards that are no float16 of one shape")
        if shards[0].ndim not in (4, 5) or shards[0].shape[-1] != shards[0].shape[-2]:
            raise LATENTS.broken(
                folder, f"shards of shape {shards[0].shape}, where ({', '.join(LATENTS.axes)}) belongs"
            )
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
        described = [sample["group"] for sample in chosen], [keywords_of(sample) for sample in chosen]
        return cls(shards, rows, *number_labels(chosen), spec, sha256, *described, loops)


def prepare_latents(out: Path, source: Path, spec: AutoencoderSpec, device: str = "cpu") -> int:
    """Encode every picture, or every frame, of the set in the folder `source` into the folder `out`; returns how many.

    The latents are the scaled means of `Autoencoder.encode`, without sampling: the same on every run.
    Raises ValueError for an unusable autoencoder, and pictures whose sides are no multiples of its factor.
    """
    of_clips = (source / CLIPS.array_file).is_file()
    form, length = (CLIPS, SHARD_CLIPS) if of_clips else (IMAGES, SHARD_IMAGES)
    items, space = ClipSet.load(source).clips if of_clips else ImageSet.load(source).images, spec.load(device)
    info = json.loads((source / INFO_FILE).read_text(encoding="utf-8"))
    with replacing(out, LATENTS) as fresh:
        for number, start in enumerate(range(0, len(items), length)):
            part = items[start : start + length]
            frames = part.reshape(-1, *part.shape[-3:])
            encoded = torch.cat([space.encode(pixels_of(frame[None])).half().cpu() for frame in frames]).numpy()
            np.save(fresh / f"latents-{number:05}.npy", encoded.reshape(*part.shape[:-3], *encoded.shape[1:]))
        about = {"autoencoder": spec.content(), "autoencoder_sha256": space.sha256}
        kept = {name: value for name, value in info.items() if name != f"{form.noun}s_sha256"}
        write_text(fresh / INFO_FILE, json.dumps({**kept, **about}, indent=2) + "\n")
        write_text(fresh / SAMPLES_FILE, (source / SAMPLES_FILE).read_text(encoding="utf-8"))
    return len(items)


def pixels_of(pictures: np.ndarray) -> torch.Tensor:
    """Pictures (..., H, W, 3) uint8 as (..., 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.moveaxis(pictures, -1, -3).astype(np.float32) / 127.5 - 1)
