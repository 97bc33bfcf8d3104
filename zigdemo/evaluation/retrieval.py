"""Retrieval: is a generated picture closest to the real picture of its label?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Retrieval:
    """Share of generated pictures whose label's real picture is the nearest (top1), or among the nearest five (top5).

    chance: top1 of guessing. count: number of scored pictures.
    """

    top1: float
    top5: float
    chance: float
    count: int


def label_retrieval(generated: np.ndarray, targets: np.ndarray, real: np.ndarray) -> Retrieval:
    """Nearest-neighbour retrieval in pixels averaged over 4 x 4 blocks, so that shape and colour count, not texture.

    generated: (n, S, S, 3) uint8; targets: (n,) index into real of each one's label; real: (m, S, S, 3) uint8,
    one picture per label. 1.0 is perfect for a model that learned one picture per label.
    Raises ValueError for arrays that do not match.
    """
    if generated.shape[1:] != real.shape[1:] or len(generated) != len(targets):
        raise ValueError(
            f"generated {generated.shape}, targets {targets.shape} and real {real.shape} do not match; give pictures "
            "of one size and one target per generated picture"
        )
    a, b = _blocks(generated), _blocks(real)
    distance = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)
    target_distance = distance[np.arange(len(generated)), targets]
    rank = (distance < target_distance[:, None]).sum(1)
    return Retrieval(float((rank == 0).mean()), float((rank < 5).mean()), 1 / len(real), len(generated))


def class_retrieval(generated: np.ndarray, targets: np.ndarray, real: np.ndarray, labels: np.ndarray) -> Retrieval:
    """How often the real clip nearest to a generated one is of its class, over all cyclic shifts of the real clips.

    generated: (n, T, S, S, 3) uint8; targets: (n,) class of each; real: (m, L, S, S, 3) uint8, L >= T; labels:
    (m,) class of each. Distances are of pixels averaged over 4 x 4 blocks. `top5`: the class is among the nearest five
    classes. Raises ValueError for arrays that do not match.
    """
    fits = (
        generated.ndim == real.ndim == 5
        and generated.shape[2:] == real.shape[2:]
        and generated.shape[1] <= real.shape[1]
    )
    if not fits or len(generated) != len(targets) or len(real) != len(labels):
        raise ValueError(
            f"generated {generated.shape}, targets {len(targets)}, real {real.shape} and labels {len(labels)} do "
            "not match; give clips of one size, the real ones at least as long, with one class each"
        )
    length, kinds = real.shape[1], np.unique(labels)
    real_blocks = _blocks(real.reshape(-1, *real.shape[2:]))
    norms = (real_blocks**2).sum(1).reshape(len(real), length)
    shifts = (np.arange(length)[:, None] + np.arange(generated.shape[1])) % length
    ranks = []
    for clip, target in zip(generated, targets, strict=True):
        products = (_blocks(clip) @ real_blocks.T).reshape(len(clip), len(real), length)
        distance = norms[:, shifts] - 2 * products[np.arange(len(clip)), :, shifts].transpose(2, 0, 1)
        nearest = distance.sum(2).min(1)
        by_class = np.array([nearest[labels == kind].min() for kind in kinds])
        ranks.append(int((by_class < by_class[kinds == target]).sum()))
    rank = np.array(ranks)
    return Retrieval(float((rank == 0).mean()), float((rank < 5).mean()), 1 / len(kinds), len(generated))


def _blocks(images: np.ndarray, side: int = 4) -> np.ndarray:
    """Square images (n, S, S, 3) uint8 averaged over side x side blocks: (n, numbers) float64 in [0, 1]."""
    count, size = len(images), images.shape[1] // side * side
    tiles = images[:, :size, :size].reshape(count, size // side, side, size // side, side, 3)
    return tiles.mean((2, 4), dtype=np.float64).reshape(count, -1) / 255
