"""The batches of a run: every step's depends on the seed and the step alone, whatever came before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...backbones import BackboneConfig
from ...conditioning import TextTower
from ...data import ClipSet, ImageSet
from ...data.captions import image_caption
from ...data.latents import LatentSet, pixels_of
from ...diffusion import draw_times
from ...latents import PIXELS, Latents
from .recipe import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator


class Batches:
    """Called with a step, what the network is trained on in it: this process's share of the whole batch.

    rows: those of the data to train on. config: of the network. space: in which it works. tower: for captions, None for
    labels. accelerator: says which share is this process's.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: ImageSet | ClipSet | LatentSet,
        rows: np.ndarray,
        config: BackboneConfig,
        space: Latents,
        tower: TextTower | None,
        accelerator: Accelerator,
    ) -> None:
        self.recipe, self.data, self.rows, self.config = recipe, data, rows, config
        self.space, self.tower, self.accelerator = space, tower, accelerator
        self._orders: dict[int, np.ndarray] = {}

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images in [-1, 1], labels or captions, times and noise of this process's share of a step.

        Captions are features (n, words, width), or token ids (n, words) if the tower is trained too.
        """
        recipe, share = self.recipe, self.share
        rows, seeds = self.step_rows(step)[share], self.step_seeds(step)
        item_seeds = [int(seed) for seed in seeds[1:][share]]
        torch.manual_seed(item_seeds[0])  # drop path inside the network
        clean = self.clean(rows, item_seeds, recipe.flip, recipe.shift_px)
        noise = torch.stack(
            [torch.randn(clean.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in item_seeds]
        )
        cond = self._labels(rows, item_seeds) if self.tower is None else self._captions(rows, item_seeds)
        return clean, cond, self._times(seeds)[share], noise

    def close(self) -> None:
        """Give back what making batches needs beside this process; nothing here."""

    @property
    def share(self) -> slice:
        """The places of this process in a batch."""
        count = self.recipe.batch // self.accelerator.num_processes
        first = self.accelerator.process_index * count
        return slice(first, first + count)

    def step_rows(self, step: int) -> np.ndarray:
        """The rows of the data in the whole batch of a step: (batch,) int64, every row once an epoch."""
        count, batch = len(self.rows), self.recipe.batch
        places = step * batch + np.arange(batch)
        rows = np.empty(batch, np.int64)
        for epoch in np.unique(places // count):
            in_epoch = places // count == epoch
            rows[in_epoch] = self.rows[self._order(int(epoch))[places[in_epoch] % count]]
        return rows

    def _order(self, epoch: int) -> np.ndarray:
        """The order of the rows in an epoch; the last two are kept, as drawing one of many rows takes milliseconds."""
        if epoch not in self._orders:
            if len(self._orders) > 1:
                self._orders.pop(min(self._orders))
            self._orders[epoch] = np.random.default_rng((self.recipe.seed, epoch)).permutation(len(self.rows))
        return self._orders[epoch]

    def step_seeds(self, step: int) -> np.ndarray:
        """Seeds of a step: one of the whole batch, and one of each item in it."""
        count = 1 + self.recipe.batch
        return np.random.SeedSequence((self.recipe.seed, step)).generate_state(count, np.uint64) >> np.uint64(1)

    def _times(self, seeds: np.ndarray) -> Tensor:
        """The times of the whole batch."""
        recipe, generator = self.recipe, torch.Generator().manual_seed(int(seeds[0]))
        return draw_times(recipe.batch, recipe.time_mean, recipe.time_spread, generator)

    def clean(self, rows: np.ndarray, seeds: Sequence[int], flip: bool = False, shift_px: int = 0) -> Tensor:
        """Images (n, C, H, W) or windows of clips (n, T, C, H, W), in [-1, 1], or their latents.

        rows: (n,) of the data. seeds: of the windows and the augmentation, one for each row.
        """
        items = self.data.draw(rows, self.config.frames, seeds, flip, shift_px)
        if isinstance(self.data, LatentSet):
            return torch.from_numpy(items)
        pixels = pixels_of(items)
        if self.space is PIXELS:
            return pixels
        return self.space.encode(pixels.flatten(0, -4)).cpu().unflatten(0, pixels.shape[:-3])

    def _labels(self, rows: np.ndarray, seeds: list[int]) -> Tensor:
        """Label indices, a share of them replaced by the null label for classifier-free guidance."""
        dropout = self.config.label_dropout if self.config.null_label else 0.0
        dropped = [np.random.default_rng(seed).random() < dropout for seed in seeds]
        return torch.from_numpy(np.where(dropped, self.config.labels, self.data.labels[rows]))

    def _captions(self, rows: np.ndarray, seeds: list[int]) -> Tensor:
        """One caption per image, a share of them empty: features, or token ids if the tower is trained too."""
        dropout = self.config.label_dropout
        captions = [drawn_caption(self.data, row, seed, dropout) for row, seed in zip(rows, seeds, strict=True)]
        if self.recipe.tower_lr:
            return torch.tensor([self.tower.prompt(caption).ids for caption in captions])
        with self.accelerator.autocast():
            features = self.tower.encode(captions)
        return features.float()


def drawn_caption(data: ImageSet | LatentSet, row: int, seed: int, dropout: float) -> str:
    """The caption of one item by its seed, empty with probability `dropout`."""
    rng = np.random.default_rng(seed)
    return image_caption(data, row, rng) if rng.random() >= dropout else ""
