"""Latents of a clip set, computed once: shards latents-00000.npy and so on beside samples.jsonl and info.json."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch

from ...latents import AutoencoderSpec
from .clips import CLIPS, ClipSet
from .prepared import INFO_FILE, SAMPLES_FILE, Form, number_labels, read_samples, replacing, write_text

LATENTS = Form(
    noun="latent",
    array_file="latents-*.npy",
    axes=("count", "frames", "channels", "height", "width"),
    how_to_make="run `python -m zigdemo.training.prepare latents`",
)
SHARD_CLIPS = 512


@dataclass(frozen=True)
class LatentSet:
    """Latents of clips, each with one label. shards: (count, frames, C, h, w) float16 each, memory-mapped.

    label_names, labels: as in ClipSet. spec: the autoencoder's, sha256: of its weights.
    """

    shards: list[np.ndarray]
    label_names: list[str]
    labels: np.ndarray
    spec: AutoencoderSpec
    sha256: str

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.labels)

    def __getitem__(self, row: int) -> np.ndarray:
        """Latents of one clip as (frames, C, h, w) float16."""
        if not 0 <= row < len(self):
            raise IndexError(f"row must be 0 to {len(self) - 1}, not {row}")
        ends = list(accumulate(map(len, self.shards)))
        shard = bisect_right(ends, row)
        return np.asarray(self.shards[shard][row - (ends[shard - 1] if shard else 0)])

    @classmethod
    def load(cls, folder: str | Path) -> LatentSet:
        """Read a folder of latents. Raises FileNotFoundError where it is none, ValueError where it is broken."""
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
        if any(one.dtype != np.float16 or one.ndim != 5 or one.shape[1:] != shards[0].shape[1:] for one in shards):
            raise LATENTS.broken(folder, "shards that are no float16 of one shape")
        if sum(map(len, shards)) != len(samples):
            raise LATENTS.broken(folder, f"{sum(map(len, shards))} latents but {len(samples)} samples")
        return cls(shards, *number_labels(samples), spec, sha256)


def prepare_latents(out: Path, clips: Path, spec: AutoencoderSpec, device: str = "cpu") -> int:
    """Encode every frame of the clip set in the folder `clips` into the folder `out`; returns the number of clips.

    The latents are the scaled means of `Autoencoder.encode`, without sampling: the same on every run.
    Raises ValueError for an unusable autoencoder, and frames whose sides are no multiples of its factor.
    """
    data, space = ClipSet.load(clips), spec.load(device)
    info = json.loads((clips / INFO_FILE).read_text(encoding="utf-8"))
    with replacing(out, LATENTS) as fresh:
        for number, start in enumerate(range(0, len(data), SHARD_CLIPS)):
            shard = [
                space.encode(_pixels(clip)).half().cpu().numpy() for clip in data.clips[start : start + SHARD_CLIPS]
            ]
            np.save(fresh / f"latents-{number:05}.npy", np.stack(shard))
        about = {"autoencoder": spec.content(), "autoencoder_sha256": space.sha256}
        kept = {name: value for name, value in info.items() if name != f"{CLIPS.noun}s_sha256"}
        write_text(fresh / INFO_FILE, json.dumps({**kept, **about}, indent=2) + "\n")
        write_text(fresh / SAMPLES_FILE, (clips / SAMPLES_FILE).read_text(encoding="utf-8"))
    return len(data)


def _pixels(clip: np.ndarray) -> torch.Tensor:
    """A clip (frames, H, W, 3) uint8 as (frames, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(clip)).permute(0, 3, 1, 2).float() / 127.5 - 1
