"""Walks of a T x H x W grid: snakes through the whole clip, and the pieces of factorised scans.

Every `*_walk` returns a (T * H * W,) int64 permutation: walk[k] is the raster index ((frame * height + row) * width +
column) of the k-th cell visited. Sizes are checked by the caller (`schemes.check_grid`).
"""

from __future__ import annotations

from math import gcd

import numpy as np

from zigdemo.scans.paths2d import Walk, zigzag_walk

ZIGZAGS = 8  # paths of a zigzag over one frame
NESTINGS = ((0, 1, 2), (1, 2, 0), (2, 0, 1))  # from the outer axis to the inner one, of (T, H, W)


def zigzag3d_walk(path: int, frames: int, height: int, width: int) -> Walk:
    """Snake number `path` (0 to 7) through a clip: every step goes to a 6-neighbour on any grid.

    Each starts in another corner: bit 0 of the number starts in the last frame, bit 1 at the bottom, bit 2 on the
    right. The nesting goes round with the number: frames of rows, rows of columns of frames, columns of frames of rows.
    """
    cells = np.arange(frames * height * width, dtype=np.int64).reshape(frames, height, width)
    cells = cells[tuple(slice(None, None, -1 if path >> axis & 1 else 1) for axis in range(3))]
    cells = cells.transpose(NESTINGS[path % 3])
    planes = cells.copy()
    planes[1::2] = cells[1::2, ::-1]
    lines = planes.reshape(-1, cells.shape[2])
    snake = lines.copy()
    snake[1::2] = lines[1::2, ::-1]
    return snake.ravel()


def letter(layer: int, word: str) -> tuple[str, int]:
    """What a layer of a factorised scan is, s or t, and how many layers of that kind come before it."""
    rounds, place = divmod(layer, len(word))
    kind = word[place]
    return kind, rounds * word.count(kind) + word[:place].count(kind)


def factorized_period(word: str) -> int:
    """After how many layers the orders of a factorised scan repeat."""
    rounds = 1
    for kind, count in (("s", ZIGZAGS), ("t", 2)):
        if kind in word:
            needed = count // gcd(count, word.count(kind))
            rounds = rounds * needed // gcd(rounds, needed)
    return rounds * len(word)


def factorized_walk(layer: int, word: str, frames: int, height: int, width: int) -> Walk:
    """The order of one layer: an s layer goes through every frame by the next of the eight zigzags, a t layer through
    every place over time, forwards and backwards by turns.

    Source: Hu et al. 2024 (arXiv 2403.13802), section 3.4.
    """
    kind, before = letter(layer, word)
    places = height * width
    if kind == "s":
        return (np.arange(frames)[:, None] * places + zigzag_walk(before % ZIGZAGS, height, width)).ravel()
    time = np.arange(frames, dtype=np.int64)[:: -1 if before % 2 else 1]
    return (np.arange(places)[:, None] + time * places).ravel()


def factorized_runs(layer: int, word: str, frames: int, height: int, width: int) -> int:
    """How many pieces, each scanned on its own, the order of one layer has: the frames, or the places."""
    return frames if letter(layer, word)[0] == "s" else height * width
