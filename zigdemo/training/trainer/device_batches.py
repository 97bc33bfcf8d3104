"""The batches of a run whose latents lie on its GPU: gathered and given noise there, captions read by other processes.

Like every batch, each depends on the seed and the step alone, so that resuming and splitting over processes are exact.
Noise, windows and dropped conditions come from the device's generator and are others than a CPU draws at that step.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ...conditioning.tokens import Tokenizer
from ...data import ClipSet, ImageSet
from ...data.latents import LatentSet
from ...latents import PIXELS
from ...ops.threads import usable_cores
from .batches import Batches, drawn_caption

MOST_SHARE = 0.4  # of the memory of a GPU, for the latents
MOST_READERS = 16  # processes that draw captions, each a step at a time


def fits(data: ImageSet | ClipSet | LatentSet, device: torch.device) -> bool:
    """Whether a set is to lie on a device: latents, on a GPU, within MOST_SHARE of its memory.

    Not of what is free of it, so that a run that is resumed, and every process of one, decides alike.
    """
    if device.type != "cuda" or not isinstance(data, LatentSet):
        return False
    needed = sum(shard.nbytes for shard in (*data.shards, *data.mirrored))
    return needed <= MOST_SHARE * torch.cuda.mem_get_info(device)[1]


class DeviceBatches(Batches):
    """As `Batches`, but everything is on the device, and captions are always token ids (n, words) int64."""

    def __init__(self, *arguments: Any, device: torch.device) -> None:
        super().__init__(*arguments)
        self.device = device
        try:
            self._shards = [_whole(shards, self.data.rows, device) for shards in (self.data.shards, self.data.mirrored)]
        except torch.OutOfMemoryError:
            raise MemoryError(
                "the latents do not fit on the GPU beside what else is on it; end that, or train on the CPU"
            ) from None
        self._loops = torch.from_numpy(self.data.loops).to(device) if self.data.frames else None
        self._labels_there = torch.from_numpy(self.data.labels).to(device)
        self._ids: Iterator[Tensor] | None = None  # of the captions of step after step, from `_next_step` on
        self._next_step = 0

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As of `Batches`; captions of the next steps are drawn meanwhile."""
        recipe, share, seeds = self.recipe, self.share, self.step_seeds(step)
        torch.manual_seed(int(seeds[1:][share][0]))  # drop path inside the network
        generator = torch.Generator(self.device).manual_seed(int(seeds[0]))
        rows = self._sent(torch.from_numpy(self.step_rows(step)))
        chance = torch.rand((3, recipe.batch), generator=generator, device=self.device)
        clean = self._latents(rows, *chance[:2])[share]
        noise = torch.randn((recipe.batch, *clean.shape[1:]), generator=generator, device=self.device)[share]
        if self.tower is None:
            cond = self._kept_labels(rows, chance[2])[share]
        else:
            cond = self._sent(self._caption_ids(step))
        return clean, cond, self._sent(self._times(seeds)[share]), noise

    def close(self) -> None:
        """End the processes that draw captions."""
        self._ids = None

    def _sent(self, value: Tensor) -> Tensor:
        """A tensor of the CPU on the device, without waiting for what the device still has to do."""
        return value.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else value

    def _latents(self, rows: Tensor, chance: Tensor, start: Tensor) -> Tensor:
        """Latents of rows, float32, or windows of them.

        chance, start: (n,) in [0, 1), for mirroring, if the recipe flips, and for the first frame.
        """
        plain, mirrored = self._shards
        if self.recipe.flip:
            return torch.where((chance < 0.5).view(-1, 1, 1, 1), mirrored[rows], plain[rows]).float()
        if self._loops is None:
            return plain[rows].float()
        frames, length = self.config.frames, self.data.frames
        starts = torch.where(self._loops[rows], length, length - frames + 1)
        first = torch.minimum((start * starts).long(), starts - 1)
        return plain[rows[:, None], (first[:, None] + torch.arange(frames, device=self.device)) % length].float()

    def _kept_labels(self, rows: Tensor, chance: Tensor) -> Tensor:
        """Label indices, a share of them replaced by the null label for classifier-free guidance."""
        labels = self._labels_there[rows]
        if not self.config.null_label:
            return labels
        return torch.where(chance < self.config.label_dropout, self.config.labels, labels)

    def _caption_ids(self, step: int) -> Tensor:
        """Token ids of this process's share of a step, (n, words) int64."""
        if self._ids is None or step != self._next_step:
            readers = max(1, min(MOST_READERS, usable_cores() // self.accelerator.num_processes - 1))
            ahead = DataLoader(
                _Captions(self), batch_size=None, sampler=count(step), num_workers=readers, worker_init_fn=_deaf
            )
            self._ids = iter(ahead)
        self._next_step = step + 1
        return next(self._ids)


def _whole(shards: Sequence[np.ndarray], rows: np.ndarray, device: torch.device) -> Tensor | None:
    """The selected rows of all shards as one float16 tensor on a device; None without shards."""
    if not shards:
        return None
    whole = torch.empty((len(rows), *shards[0].shape[1:]), dtype=torch.float16, device=device)
    done, start = 0, 0
    for shard in shards:
        here = rows[(rows >= start) & (rows < start + len(shard))] - start
        whole[done : done + len(here)] = torch.from_numpy(np.ascontiguousarray(shard[here]))
        done, start = done + len(here), start + len(shard)
    return whole


def _deaf(number: int) -> None:
    """Let a process that draws captions ignore the signals at which the run writes a checkpoint and ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class _Captions(Dataset):
    """Item `step`: token ids (n, words) int64 of the captions of that step, which takes a tenth of a second to draw."""

    def __init__(self, batches: DeviceBatches) -> None:
        words = replace(batches.data, shards=[], mirrored=[])  # what captions are drawn from, without the latents
        here = batches.accelerator
        whole = SimpleNamespace(num_processes=here.num_processes, process_index=here.process_index)
        self._plain = Batches(batches.recipe, words, batches.rows, batches.config, PIXELS, None, whole)
        self._tokenizer: Tokenizer | None = None  # made where it is used, as it cannot be sent to another process
        self._size = batches.tower.context, batches.tower.tokenizer.vocabulary

    def __getitem__(self, step: int) -> Tensor:
        if self._tokenizer is None:
            self._tokenizer = Tokenizer(*self._size)
        plain, dropout = self._plain, self._plain.config.label_dropout
        rows, seeds = plain.step_rows(step)[plain.share], plain.step_seeds(step)[1:][plain.share]
        said = [drawn_caption(plain.data, row, int(seed), dropout) for row, seed in zip(rows, seeds, strict=True)]
        return torch.tensor([self._tokenizer(caption).ids for caption in said])
