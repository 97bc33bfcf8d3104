"""The batches of a run whose latents lie on its GPU: gathered and given noise there, captions read by other processes.

Like every batch, each depends on the seed and the step alone, so that resuming and splitting over processes are exact.
Noise, windows and dropped conditions come from the device's generator and are others than a CPU draws at that step.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...conditioning import TextTower
from ...conditioning.tokens import Tokenizer
from ...data import ClipSet, ImageSet
from ...data.latents import LatentSet
from .batches import Batches, drawn_caption

MOST_SHARE = 0.5  # of the free memory of a GPU, for the latents
AHEAD = 8  # steps whose captions are read in advance
PIECE = 32  # captions that a process reads at a time
MOST_READERS = 16


def fits(data: ImageSet | ClipSet | LatentSet, device: torch.device) -> bool:
    """Whether a set can lie on a device: latents, on a GPU, within MOST_SHARE of its free memory."""
    if device.type != "cuda" or not isinstance(data, LatentSet):
        return False
    needed = sum(shard.nbytes for shard in (*data.shards, *data.mirrored))
    return needed <= MOST_SHARE * torch.cuda.mem_get_info(device)[0]


class DeviceBatches(Batches):
    """As `Batches`, but everything is on the device, and captions are always token ids (n, words) int64."""

    def __init__(self, *arguments: Any, device: torch.device) -> None:
        super().__init__(*arguments)
        self.device = device
        self._shards = [_whole(shards, self.data.rows, device) for shards in (self.data.shards, self.data.mirrored)]
        self._loops = torch.from_numpy(self.data.loops).to(device) if self.data.frames else None
        self._labels_there = torch.from_numpy(self.data.labels).to(device)
        self._captions_ahead = _Captions(self.data, self.tower, self.config.label_dropout) if self.tower else None
        self._waiting: dict[int, list[Future[np.ndarray]]] = {}

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As of `Batches`; captions of later steps begin to be read."""
        recipe, share, seeds = self.recipe, self._share, self._seeds(step)
        torch.manual_seed(int(seeds[0]))  # drop path inside the network
        generator = torch.Generator(self.device).manual_seed(int(seeds[0]))
        rows = self._sent(torch.from_numpy(self._rows(step)))
        chance = torch.rand((3, recipe.batch), generator=generator, device=self.device)
        clean = self._latents(rows, *chance[:2])[share]
        noise = torch.randn((recipe.batch, *clean.shape[1:]), generator=generator, device=self.device)[share]
        if self._captions_ahead is None:
            cond = self._kept_labels(rows, chance[2])[share]
        else:
            cond = self._sent(self._ids(step))
        return clean, cond, self._sent(self._times(seeds)[share]), noise

    def close(self) -> None:
        """End the processes that read captions."""
        if self._captions_ahead is not None:
            self._captions_ahead.close()

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

    def _ids(self, step: int) -> Tensor:
        """Token ids of this process's share of a step, (n, words) int64."""
        for later in range(step, max(step + 1, min(step + AHEAD, self.recipe.steps))):
            if later not in self._waiting:
                share = self._share
                self._waiting[later] = self._captions_ahead(self._rows(later)[share], self._seeds(later)[1:][share])
        for other in [other for other in self._waiting if not step <= other < step + AHEAD]:  # after a jump
            del self._waiting[other]
        return torch.from_numpy(np.concatenate([piece.result() for piece in self._waiting.pop(step)]))


def _whole(shards: Sequence[np.ndarray], rows: np.ndarray, device: torch.device) -> Tensor | None:
    """The selected rows of all shards as one float16 tensor on a device; None without shards."""
    if not shards:
        return None
    ends, parts = np.cumsum([len(shard) for shard in shards]), []
    for shard, end in zip(shards, ends, strict=True):
        here = rows[(rows >= end - len(shard)) & (rows < end)] - (end - len(shard))
        parts.append(torch.from_numpy(np.ascontiguousarray(shard[here])).to(device))
    return torch.cat(parts)


class _Captions:
    """Draws and tokenises captions in other processes, as one takes a quarter of a millisecond in Python."""

    def __init__(self, data: LatentSet, tower: TextTower, dropout: float) -> None:
        words = replace(data, shards=[], mirrored=[])  # what captions are drawn from, without the latents
        readers = max(1, min(MOST_READERS, (os.cpu_count() or 2) - 1))
        self._pool = ProcessPoolExecutor(
            readers,
            multiprocessing.get_context("spawn"),  # a fork of a process with a GPU may hang
            initializer=_start_reading,
            initargs=(words, tower.context, tower.tokenizer.vocabulary, dropout),
        )

    def __call__(self, rows: np.ndarray, seeds: np.ndarray) -> list[Future[np.ndarray]]:
        """Token ids of captions of rows, each drawn by its seed, in pieces to come: (n, words) int64 each."""
        pieces = range(0, len(rows), PIECE)
        return [self._pool.submit(_read, rows[i : i + PIECE], seeds[i : i + PIECE]) for i in pieces]

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(wait=True, cancel_futures=True)


_reading: tuple[LatentSet, Tokenizer, float]  # of a process that reads


def _start_reading(data: LatentSet, context: int, vocabulary: int, dropout: float) -> None:
    global _reading
    _reading = data, Tokenizer(context, vocabulary), dropout


def _read(rows: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    data, tokenizer, dropout = _reading
    said = [drawn_caption(data, row, int(seed), dropout) for row, seed in zip(rows, seeds, strict=True)]
    return np.array([tokenizer(caption).ids for caption in said], dtype=np.int64)
