"""What a scan order does to a picture: how continuous it is, and which tokens can influence which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from zigdemo.checks import whole
from zigdemo.scans.schemes import ScanOrder, ScanScheme, check_grid

# The reachability of all tokens takes tokens**2 / 8 bytes: 32 MiB here.
MAX_FIELD_TOKENS = 2**14


@dataclass(frozen=True)
class Measures:
    """How a scan moves over its grid; distances are Manhattan distances in cells.

    A step leads to the next token of the same run; from one run to the next there is none.
    continuity: share of steps that go to a 4-neighbour (6-neighbour on a (T, H, W) grid), 1.0 if there is
    no step. jumps: number of the other steps, a diagonal one included. longest_jump, mean_jump: their
    length, 0 if there are none. mean_neighbour_distance: distance along the scan between grid neighbours,
    in steps, mean over all pairs of neighbours that share a run, 0.0 if there are none.
    """

    continuity: float
    jumps: int
    longest_jump: int
    mean_jump: float
    mean_neighbour_distance: float


def measure(order: ScanOrder, grid: Sequence[int]) -> Measures:
    """Measures of an order on its grid, (H, W) or (T, H, W); ValueError if their numbers of tokens differ."""
    sizes = check_grid(grid)
    if len(order) != prod(sizes):
        raise ValueError(
            f"the order has {len(order)} tokens, but grid {grid!r} has {prod(sizes)};"
            " give the grid that the order was made for"
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

    In one layer a token hears itself and all tokens before it in its run of the layer's scan (in any of them where
    the layer uses several). Returns (L,) int64 in raster order, the token itself counted: ones for layers = 0.
    Raises ValueError for a bad number of layers or grid, and for more than 2**14 tokens.
    """
    tokens = _check(layers, grid)
    if tokens > MAX_FIELD_TOKENS:
        raise ValueError(
            f"grid {grid!r} has {tokens} tokens; use at most {MAX_FIELD_TOKENS}, or receptive_mask for a single token"
        )
    # Row i holds, one bit a token, who has reached token i so far.
    heard = np.packbits(np.eye(tokens, dtype=bool), axis=1)
    for layer in range(layers):
        scans = scheme.scans(layer, grid)
        heard = np.bitwise_or.reduce([_pass_on(heard, scan) for scan in scans])
    few_rows = np.array_split(heard, -(-tokens // 512))
    return np.concatenate([np.unpackbits(rows, axis=1).sum(axis=1, dtype=np.int64) for rows in few_rows])


def receptive_mask(scheme: ScanScheme, layers: int, grid: Sequence[int], token: int) -> NDArray[np.bool_]:
    """Which tokens can influence one token after the first `layers` causal layers of a scheme.

    token: its raster index. Returns (L,) bool in raster order, the token itself included; its sum is that
    token's `order_receptive_field`. Raises ValueError for a bad number of layers, grid or token.
    """
    tokens = _check(layers, grid)
    mask = np.zeros(tokens, dtype=bool)
    mask[whole("token", token, 0, tokens - 1, Integral)] = True
    for layer in reversed(range(layers)):
        scans = scheme.scans(layer, grid)
        mask = np.logical_or.reduce([_pass_back(mask, scan) for scan in scans])
    return mask


def _pass_on(heard: NDArray[np.uint8], scan: ScanOrder) -> NDArray[np.uint8]:
    """Every token's row (L, bytes) with those of all tokens before it in its run."""
    runs = heard[scan.perm].reshape(scan.runs, -1, heard.shape[1])
    return np.bitwise_or.accumulate(runs, axis=1).reshape(heard.shape)[scan.inverse]


def _pass_back(mask: NDArray[np.bool_], scan: ScanOrder) -> NDArray[np.bool_]:
    """Whether the token or one behind it in its run is marked."""
    runs = mask[scan.perm].reshape(scan.runs, -1)
    return np.logical_or.accumulate(runs[:, ::-1], axis=1)[:, ::-1].ravel()[scan.inverse]


def _check(layers: int, grid: Sequence[int]) -> int:
    """The number of tokens of the grid; ValueError for a bad grid or number of layers."""
    whole("the number of layers", layers, 0, kind=Integral)
    return prod(check_grid(grid))
