"""Grids of what a network makes, beside the real thing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..conditioning import TextTower
from ..diffusion import SOLVERS, guided_velocity, uniform_times
from .data import ImageSet


@torch.no_grad()
def draw(
    network: nn.Module,
    prediction: str,
    cond: Tensor,
    null: Tensor,
    *,
    steps: int = 20,
    guidance: float = 2.0,
    seed: int = 0,
    batch: int = 16,
) -> np.ndarray:
    """Samples for conditions (n, ...), guided away from as many null ones, as uint8 (n, H, W, 3).

    Heun, one noise image per place in the list.
    """
    config = network.config
    device = next(network.parameters()).device
    images = []
    for rows in torch.arange(len(cond)).split(batch):
        noise = [
            torch.randn(config.in_channels, *config.size, generator=torch.Generator().manual_seed(seed + int(row)))
            for row in rows
        ]
        velocity = guided_velocity(network, prediction, cond[rows].to(device), null[rows].to(device), guidance)
        for step in SOLVERS["heun"].function(velocity, torch.stack(noise).to(device), uniform_times(steps)):
            last = step.x
        images.append(((last.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(images)


def conditions(data: ImageSet, rows: np.ndarray, tower: TextTower | None) -> tuple[Tensor, Tensor]:
    """What a network takes for the labels of some images, and for none: label numbers, or features of the names."""
    if tower is None:
        label = torch.from_numpy(data.labels[rows])
        return label, torch.full_like(label, len(data.label_names))
    cond = tower.encode([data.label_names[data.labels[row]] for row in rows])
    return cond, tower.features("").expand_as(cond)


def pair_grid(real: np.ndarray, made: np.ndarray, columns: int) -> np.ndarray:
    """Real images above made ones, (n, S, S, 3) uint8 each, in rows of `columns`, as one uint8 picture."""
    count, size = len(real), real.shape[1]
    rows = -(-count // columns)
    picture = np.full((rows * (2 * size + 8), columns * (size + 4), 3), 255, np.uint8)
    for i in range(count):
        top, left = i // columns * (2 * size + 8), i % columns * (size + 4)
        picture[top : top + size, left : left + size] = real[i]
        picture[top + size : top + 2 * size, left : left + size] = made[i]
    return picture


def sample_grid(
    network: nn.Module, prediction: str, data: ImageSet, tower: TextTower | None, path: Path, count: int = 16
) -> None:
    """Write a PNG of `count` evenly spaced labels, real above generated."""
    from PIL import Image

    rows = np.linspace(0, len(data) - 1, min(count, len(data))).astype(int)
    made = draw(network, prediction, *conditions(data, rows, tower))
    Image.fromarray(pair_grid(np.asarray(data.images[rows]), made, columns=8)).save(path)
