"""What a scan order does to a picture: how continuous it is, and which tokens can influence which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from ..checks import whole
from .schemes import ScanOrder, ScanScheme, check_grid

# The reachability matrix takes tokens**2 / 8 bytes: 32 MiB here.
MAX_FIELD_TOKENS = 2**14


@dataclass(frozen=True)
class Measures:
    """How a scan moves over its grid; distances are Manhattan distances in cells.

    A step goes from a token to the next one of the same run; there is no step between runs.
    continuity: share of the steps that go to a 4-neighbour (6-neighbour on a (T, H, W) grid), 1.0 without steps.
    jumps: number of all other steps, diagonal ones included. longest_jump, mean_jump: their lengths, 0 without
    jumps. mean_neighbour_distance: number of steps between grid neighbours along the scan, averaged over all pairs
    of neighbours in the same run, 0.0 without such pairs.
    """

    continuity: float
    jumps: int
    longest_jump: int
    mean_jump: float
    mean_neighbour_distance: float


def measure(order: ScanOrder, grid: Sequence[int]) -> Measures:
    """Measure an order on its grid, (H, W) or (T, H, W). Raises ValueError if their token counts differ."""
    sizes = check_grid(grid)
    if len(order) != prod(sizes):
        raise ValueError(
            f"the order has {len(order)} tokens, but grid {grid!r} has {prod(sizes)};"
            " give the grid the order was made for"
        )
    cells = np.stack(np.unravel_index(order.perm, sizes)).reshape(len(sizes), order.runs, -1)
    steps = np.abs(np.diff(cells, axis=2)).sum(axis=0).ravel()
    jumps = steps[steps > 1]
    run, place = (part.reshape(sizes) for part in np.divmod(order.inverse, len(order) // order.runs))
    distances = np.concatenate(
        [np.abs(np.diff(place, axis=axis))[np.diff(run, axis=axis) == 0] for axis in range(len(sizes))]
    )
    return Measures(
        continuity=float(np.mean(steps == 1)) if steps.size else 1.0,
        jumps=int(jumps.size),
        longest_jump=int(jumps.max(initial=0)),
        mean_jump=float(jumps.mean()) if jumps.size else 0.0,
        mean_neighbour_distance=float(distances.mean()) if distances.size else 0.0,
    )


def order_receptive_field(scheme: ScanScheme, layers: int, grid: Sequence[int]) -> NDArray[np.int64]:
    """How many tokens can influence each token after the first `layers` causal layers of a scheme.

    In one layer a token is influenced by itself and by all tokens before it in the same run of the layer's scan (of
    any of its scans if it has several). Returns (L,) int64 in raster order, counting the token itself: ones for
    layers = 0.
    Raises ValueError for a bad number of layers or grid, and for more than 2**14 tokens.
    """
    tokens = _check(layers, grid)
    if tokens > MAX_FIELD_TOKENS:
        raise ValueError(
            f"grid {grid!r} has {tokens} tokens; use at most {MAX_FIELD_TOKENS}, or receptive_mask for a single token"
        )
    # Row i is a bit mask of the tokens that have reached token i so far.
    reached = np.packbits(np.eye(tokens, dtype=bool), axis=1)
    for layer in range(layers):
        scans = scheme.scans(layer, grid)
        reached = np.bitwise_or.reduce([_propagate(reached, scan) for scan in scans])
    row_chunks = np.array_split(reached, -(-tokens // 512))
    return np.concatenate([np.unpackbits(rows, axis=1).sum(axis=1, dtype=np.int64) for rows in row_chunks])


def receptive_mask(scheme: ScanScheme, layers: int, grid: Sequence[int], token: int) -> NDArray[np.bool_]:
    """Which tokens can influence one token after the first `layers` causal layers of a scheme.

    token: its raster index. Returns (L,) bool in raster order, including the token itself; its sum is the token's
    `order_receptive_field`. Raises ValueError for a bad number of layers, grid or token.
    """
    tokens = _check(layers, grid)
    mask = np.zeros(tokens, dtype=bool)
    mask[whole("token", token, 0, tokens - 1, Integral)] = True
    for layer in reversed(range(layers)):
        scans = scheme.scans(layer, grid)
        mask = np.logical_or.reduce([_propagate_back(mask, scan) for scan in scans])
    return mask


def _propagate(reached: NDArray[np.uint8], scan: ScanOrder) -> NDArray[np.uint8]:
    """Each token's row (L, bytes), combined with the rows of all tokens before it in its run."""
    runs = reached[scan.perm].reshape(scan.runs, -1, reached.shape[1])
    return np.bitwise_or.accumulate(runs, axis=1).reshape(reached.shape)[scan.inverse]


def _propagate_back(mask: NDArray[np.bool_], scan: ScanOrder) -> NDArray[np.bool_]:
    """Whether the token or any later token of its run is marked."""
    runs = mask[scan.perm].reshape(scan.runs, -1)
    return np.logical_or.accumulate(runs[:, ::-1], axis=1)[:, ::-1].ravel()[scan.inverse]


def _check(layers: int, grid: Sequence[int]) -> int:
    """The number of tokens of the grid; ValueError for a bad grid or number of layers."""
    whole("the number of layers", layers, 0, kind=Integral)
    return prod(check_grid(grid))
