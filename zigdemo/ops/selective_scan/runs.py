"""Scans in runs for kernels that do not support them: every run becomes an item of the batch, by copies."""

from __future__ import annotations

from torch import Tensor


def apart(value: Tensor, perm: Tensor | None, runs: int) -> Tensor:
    """(batch, length, n) in raster order to (batch * runs, length / runs, n) in scan order."""
    return value if perm is None else value[:, perm].unflatten(1, (runs, -1)).flatten(0, 1)


def together(value: Tensor, perm: Tensor | None, runs: int) -> Tensor:
    """The inverse of `apart`: back to raster order."""
    if perm is None:
        return value
    moved = value.unflatten(0, (-1, runs)).flatten(1, 2)
    return moved.new_empty(moved.shape).index_copy(1, perm, moved)
