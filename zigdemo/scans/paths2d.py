"""Walks over an H x W grid: snakes, the generalised Hilbert curve, random and shuffled orders.

Every `*_walk` returns a (H * W,) int64 permutation: walk[k] is the raster index (row * width + column) of the
k-th cell visited. The caller checks the sizes (`schemes.check_grid`).
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

Walk = NDArray[np.int64]

# Part of the seed, so that random and shuffled orders of the same grid are unrelated.
_RANDOM, _SHUFFLED = 1, 2


def sweep_walk(*grid: int) -> Walk:
    """Raster order: row by row from the top left, in a video frame by frame."""
    return np.arange(prod(grid), dtype=np.int64)


def zigzag_walk(path: int, height: int, width: int) -> Walk:
    """Snake number `path` (0 to 7): every step goes to a 4-neighbour on any grid.

    The start corners are top-left, top-right, bottom-left, bottom-right; each has a row-wise snake, then a
    column-wise one. Source: Hu et al. 2024 (arXiv 2403.13802), figure 3, in the order of their code.
    """
    bottom, right, columns = path & 4, path & 2, path & 1
    lines = np.arange(height * width, dtype=np.int64).reshape(height, width)
    lines = lines[:: -1 if bottom else 1, :: -1 if right else 1]
    lines = lines.T if columns else lines
    snake = lines.copy()
    snake[1::2] = lines[1::2, ::-1]
    return snake.ravel()


def gilbert_rank(height: int, width: int, main_axis: int | None = None) -> Walk:
    """Rank of every cell along the generalised Hilbert curve of the grid, (height, width).

    The curve starts in the top-left corner and advances along main_axis (0: down the rows, 1: along the columns); by
    default along the longer side, in a square down the rows. Every step goes to a 4-neighbour, on any grid. Plain
    gilbert ends in the next corner along the main side, which forces one diagonal step if that side is odd and the
    other even; here the last, nearly square part then runs along the even side, which avoids it. For a square this is
    the table in ZigMa's code, which gathers with it where `hilbert_walk` gathers with its inverse.
    Source: J. Cerveny's generalised Hilbert curve, github.com/jakubcerveny/gilbert.
    """
    if main_axis is None:
        main_axis = 0 if height >= width else 1
    down, right = np.array([height, 0], dtype=np.int64), np.array([0, width], dtype=np.int64)
    main, side = (down, right) if main_axis == 0 else (right, down)
    corner = np.zeros(2, dtype=np.int64)
    if main.sum() % 2 and side.sum() % 2 == 0:
        tail = np.sign(main) * min(main.sum(), side.sum() + 1)
        tail_rank = (main - tail).sum() * side.sum()
        seeds = [(0, corner, main - tail, side), (tail_rank, main - tail, side, tail)]
    else:
        seeds = [(0, corner, main, side)]
    blocks = np.array([np.hstack(seed) for seed in seeds if seed[2].any()], dtype=np.int64)

    rank = np.empty((height, width), dtype=np.int64)
    while len(blocks):
        is_line = (np.abs(blocks[:, 3:5].sum(axis=1)) == 1) | (np.abs(blocks[:, 5:7].sum(axis=1)) == 1)
        _rank_lines(rank, blocks[is_line])
        blocks = _split(blocks[~is_line])
    return rank


def _rank_lines(rank: Walk, blocks: Walk) -> None:
    """Number the cells of blocks that are one cell wide; blocks as in `_split`."""
    first, corner, main, side = blocks[:, 0], blocks[:, 1:3], blocks[:, 3:5], blocks[:, 5:7]
    ahead = np.where(np.abs(side.sum(axis=1, keepdims=True)) == 1, main, side)
    lengths = np.abs(ahead.sum(axis=1))
    ranks = _ranges(first, lengths)
    steps = ranks - np.repeat(first, lengths)
    cells = np.repeat(corner, lengths, axis=0) + np.repeat(np.sign(ahead), lengths, axis=0) * steps[:, None]
    rank[cells[:, 0], cells[:, 1]] = ranks


def _split(blocks: Walk) -> Walk:
    """Split every block of a Hilbert curve into the two or three blocks that its curve runs through.

    blocks: (n, 7), each row the rank of the first cell, its (row, column), the main side and the other side, both
    signed vectors (row, column) along an axis. The curve enters a block at its first cell and leaves it in the next
    corner along the main side. All blocks are split at once, so a curve takes a logarithmic number of calls.
    """
    first, corner, main, side = blocks[:, 0], blocks[:, 1:3], blocks[:, 3:5], blocks[:, 5:7]
    main_step, side_step = np.sign(main), np.sign(side)
    main_cells, side_cells = np.abs(main.sum(axis=1)), np.abs(side.sum(axis=1))
    is_long = 2 * main_cells > 3 * side_cells
    # Halves are even where possible: with an even main side a curve needs no diagonal step.
    half_main, half_side = main // 2, side // 2
    half_main += main_step * (is_long & (np.abs(half_main.sum(axis=1)) % 2 == 1) & (main_cells > 2))[:, None]
    half_side += side_step * (~is_long & (np.abs(half_side.sum(axis=1)) % 2 == 1) & (side_cells > 2))[:, None]
    half_main_cells, half_side_cells = np.abs(half_main.sum(axis=1)), np.abs(half_side.sum(axis=1))
    before = half_main_cells * half_side_cells
    parts = [
        (is_long, first, corner, half_main, side),
        (is_long, first + half_main_cells * side_cells, corner + half_main, main - half_main, side),
        (~is_long, first, corner, half_side, half_main),
        (~is_long, first + before, corner + half_side, main, side - half_side),
        (
            ~is_long,
            first + before + main_cells * (side_cells - half_side_cells),
            corner + main - main_step + half_side - side_step,
            -half_side,
            half_main - main,
        ),
    ]
    return np.concatenate([np.column_stack(columns)[mask] for mask, *columns in parts])


def hilbert_walk(path: int, height: int, width: int) -> Walk:
    """Generalised Hilbert curve number `path` (0 to 7): every step goes to a 4-neighbour.

    Path 0 is the curve of `gilbert_rank`, path 1 its transpose, paths 2 to 7 the curve rotated anticlockwise by 90,
    180 and 270 degrees, each followed by its transpose. If the grid is not square, the curve is built on the rotated
    or transposed grid with the same main axis, so half of the paths advance along the longer side and half along the
    shorter. By parity they coincide in pairs if the longer side is even and the shorter odd, or if the longer side is
    odd and exactly one cell longer than the shorter.
    """
    turns, transposed = divmod(path, 2)
    main_axis = 0 if height >= width else 1
    shape = (width, height) if (turns + transposed) % 2 else (height, width)
    rank = np.rot90(gilbert_rank(*shape, main_axis), turns)
    rank = rank.T if transposed else rank
    walk = np.empty(height * width, dtype=np.int64)
    walk[rank.ravel()] = np.arange(height * width, dtype=np.int64)
    return walk


def random_walk(path: int, height: int, width: int) -> Walk:
    """Uniformly random permutation number `path` of the grid; the same on every machine and numpy version."""
    return _seeded_permutation(height * width, (_RANDOM, path, height, width))


def shuffled_walk(path: int, run: int, height: int, width: int) -> Walk:
    """Snake number `path` cut into runs of `run` cells (the last may be shorter), in random order.

    Within a run the steps are those of the snake; with run >= H * W it is the snake itself.
    """
    cells = height * width
    starts = np.arange(0, cells, run, dtype=np.int64)
    starts = starts[_seeded_permutation(len(starts), (_SHUFFLED, path, run, height, width))]
    return zigzag_walk(path, height, width)[_ranges(starts, np.minimum(run, cells - starts))]


def _seeded_permutation(length: int, seed: tuple[int, ...]) -> Walk:
    # Raw PCG64 bits, which numpy guarantees to be stable; it gives no such guarantee for `permutation`.
    return np.argsort(np.random.PCG64(seed).random_raw(length), kind="stable").astype(np.int64, copy=False)


def _ranges(starts: Walk, lengths: Walk) -> Walk:
    """Concatenation of arange(start, start + length) over all pairs of start and length."""
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum(), dtype=np.int64) + np.repeat(starts - before, lengths)
