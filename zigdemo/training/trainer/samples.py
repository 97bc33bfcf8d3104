"""Grids of generated images beside real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...backbones.checks import item_shape
from ...conditioning import TextTower
from ...data import ClipSet, ImageSet
from ...data.captions import image_caption
from ...data.latents import LatentSet
from ...diffusion import Sampling, own_items, sample_items
from ...latents import PIXELS, Latents


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
    space: Latents = PIXELS,
) -> np.ndarray:
    """Samples for conditions (n, ...), guided away from as many null ones, as uint8 (n, H, W, 3) or (n, T, H, W, 3).

    By the Heun solver and the sampling function of the page. seed: the noise of item i is seeded by seed + i. space:
    in which the network works.
    """
    device = next(network.parameters()).device
    sampling, count = Sampling("heun", steps, guidance), len(cond)
    seeds = [seed + row for row in range(count)]
    run = sample_items(
        network, item_shape(network.config), seeds, cond, null, sampling, prediction=prediction, device=device
    )
    for parts in run:
        last = parts
    return _decoded(own_items([part.x for part in last], count), space)


def _decoded(latents: Tensor, space: Latents) -> np.ndarray:
    """Latents (..., C, h, w) decoded to images (..., H, W, 3) uint8."""
    pictures = space.to_bytes(space.decode(latents.flatten(0, -4)))
    return pictures.unflatten(0, latents.shape[:-3]).numpy()


def real_pictures(data: ImageSet | ClipSet | LatentSet, rows: np.ndarray, frames: int, space: Latents) -> np.ndarray:
    """The images, or a window of each clip, of rows of a set, uint8; latents are decoded."""
    items = data.draw(rows, frames, [int(row) for row in range(len(rows))])
    return _decoded(torch.from_numpy(items), space) if isinstance(data, LatentSet) else items


def conditions(
    data: ImageSet | ClipSet | LatentSet, rows: np.ndarray, tower: TextTower | None
) -> tuple[Tensor, Tensor]:
    """Conditions of some images or clips, and the null conditions.

    Label indices (n,) int64, or with a tower the features (n, words, width) of a caption of each that has attributes,
    always the same one, and of the names of the others.
    """
    if tower is None:
        label = torch.from_numpy(data.labels[rows])
        return label, torch.full_like(label, len(data.label_names))
    cond = tower.encode([_caption(data, int(row)) for row in rows])
    return cond, tower.features("").expand_as(cond)


def _caption(data: ImageSet | ClipSet | LatentSet, row: int) -> str:
    """A caption of a row with attributes, drawn by the row, or its label."""
    if data.attributes and data.attributes[row]:
        return image_caption(data, row, np.random.default_rng(row))
    return data.label_names[data.labels[row]]


def filmstrips(clips: np.ndarray) -> np.ndarray:
    """Clips (n, T, S, S, 3) uint8 as strips of at most eight evenly spaced frames, (n, S, frames * S, 3)."""
    chosen = clips[:, np.linspace(0, clips.shape[1] - 1, min(8, clips.shape[1])).astype(int)]
    return chosen.transpose(0, 2, 1, 3, 4).reshape(len(clips), clips.shape[2], -1, 3)


def pair_grid(real: np.ndarray, generated: np.ndarray, columns: int) -> np.ndarray:
    """Real images above generated ones, (n, H, W, 3) uint8 each, in rows of `columns`, as one uint8 image."""
    count, height, width = real.shape[:3]
    rows = -(-count // columns)
    picture = np.full((rows * (2 * height + 8), columns * (width + 4), 3), 255, np.uint8)
    for i in range(count):
        top, left = i // columns * (2 * height + 8), i % columns * (width + 4)
        picture[top : top + height, left : left + width] = real[i]
        picture[top + height : top + 2 * height, left : left + width] = generated[i]
    return picture


def sample_grid(
    network: nn.Module,
    prediction: str,
    data: ImageSet | ClipSet | LatentSet,
    tower: TextTower | None,
    path: Path,
    space: Latents = PIXELS,
) -> None:
    """Write a PNG of 16 evenly spaced labels, real above generated; of clips the strips of four."""
    from PIL import Image

    frames = network.config.frames
    count = min(4 if frames else 16, len(data))
    rows = np.linspace(0, len(data) - 1, count).astype(int)
    generated = draw(network, prediction, *conditions(data, rows, tower), space=space)
    real = real_pictures(data, rows, frames, space)
    strips = (filmstrips(real), filmstrips(generated)) if frames else (real, generated)
    Image.fromarray(pair_grid(*strips, columns=1 if frames else 8)).save(path)
