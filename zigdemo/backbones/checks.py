"""Checks shared by the backbones: each refuses a wrong value with one sentence that names it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from ..checks import shown, whole

MOST = 2**20  # bound of every size in a config, so that a hostile one cannot overflow


def check_sizes(config: Any, names: Iterable[str], least: int) -> None:
    """Every named field must be a whole number from least to MOST."""
    for name in names:
        whole(name, getattr(config, name), least, MOST)


def checked_size(size: object, patch: int) -> tuple[int, int]:
    """(height, width) as a tuple, two multiples of the patch size."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise ValueError(f"size must be two whole numbers (height, width), not {shown(size)}")
    for side in size:
        whole("size", side, 1, MOST)
    if any(side % patch for side in size):
        raise ValueError(f"size {tuple(size)} must be two multiples of the patch size {patch}")
    return tuple(size)


def item_shape(config: Any) -> tuple[int, ...]:
    """The shape of what a network of this config draws: (channels, H, W), or (frames, channels, H, W)."""
    return (*((config.frames,) if config.frames else ()), config.in_channels, *config.size)


def fits(config: Any, x: Tensor) -> None:
    """x must be a batch of what the network was built for."""
    wanted = item_shape(config)
    if tuple(x.shape[1:]) != wanted:
        raise ValueError(f"x must be (batch, {', '.join(map(str, wanted))}), not {tuple(x.shape)}")
