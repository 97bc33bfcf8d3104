"""Walks over a T x H x W grid: snakes through space and time, and layers that alternate between the two.

Every `*_walk` returns a (T * H * W,) int64 permutation: walk[k] is the raster index ((frame * height + row) * width +
column) of the k-th cell visited. The caller checks the sizes (`schemes.check_grid`).
"""

from __future__ import annotations

from math import gcd, lcm

import numpy as np

from .paths2d import Walk, zigzag_walk

# The axes (0 time, 1 rows, 2 columns) from slowest to fastest, and the start corner: 1 is the far end of an axis.
# Paths come in pairs from opposite corners. The first six use each order of the axes once; the last two start at the
# same end of the slowest axis as the earlier path with that order, so that no path is the reverse of another.
_SNAKES = (
    ((0, 1, 2), (0, 0, 0)),
    ((0, 2, 1), (1, 1, 1)),
    ((2, 1, 0), (0, 0, 1)),
    ((1, 2, 0), (1, 1, 0)),
    ((1, 0, 2), (0, 1, 0)),
    ((2, 0, 1), (1, 0, 1)),
    ((0, 2, 1), (1, 0, 0)),
    ((0, 1, 2), (0, 1, 1)),
)


def zigzag3d_walk(path: int, frames: int, height: int, width: int) -> Walk:
    """Snake number `path` (0 to 7) through space and time: every step goes to a 6-neighbour on any grid.

    The planes along the slowest axis are visited one after the other, each by a snake that starts where the previous
    one ended. Source: Hu et al. 2024 (arXiv 2403.13802), 3-D zigzag; the choice of the eight paths is ours.
    """
    axes, corner = _SNAKES[path]
    cells = np.arange(frames * height * width, dtype=np.int64).reshape(frames, height, width)
    cells = np.flip(cells, [axis for axis in range(3) if corner[axis]]).transpose(axes).copy()
    cells[1::2] = cells[1::2, ::-1].copy()
    lines = cells.reshape(-1, cells.shape[2])
    lines[1::2] = lines[1::2, ::-1].copy()
    return lines.ravel()


def factorized_walk(path: int, word: str, frames: int, height: int, width: int) -> Walk:
    """The walk of layer `path` for a word of s and t, by letter path mod len(word); cut it into `factorized_runs`.

    An s layer visits frame after frame, each by the same zigzag; the s layers cycle through zigzags 0 to 7. A t layer
    visits location after location (in raster order) through time; the t layers alternate between forward and backward.
    Source: Hu et al. 2024 (arXiv 2403.13802), factorised 3-D zigzag.
    """
    turn = _count_before(path, word, word[path % len(word)])
    cells = np.arange(frames * height * width, dtype=np.int64).reshape(frames, height * width)
    if word[path % len(word)] == "s":
        return cells[:, zigzag_walk(turn % 8, height, width)].ravel()
    return cells[:: -1 if turn % 2 else 1].T.ravel()


def factorized_runs(path: int, word: str, frames: int, height: int, width: int) -> int:
    """Number of runs in the walk of layer `path`: the frames of an s layer, the locations of a t layer."""
    return frames if word[path % len(word)] == "s" else height * width


def factorized_paths(word: str) -> int:
    """Number of layers after which the walks of a word repeat: at a word's end, with zigzag 0 and forward time next."""
    repeats = [turns // gcd(turns, word.count(letter)) for letter, turns in (("s", 8), ("t", 2))]
    return len(word) * lcm(*repeats)


def _count_before(path: int, word: str, letter: str) -> int:
    """How many layers before layer `path` have this letter."""
    whole, rest = divmod(path, len(word))
    return whole * word.count(letter) + word[:rest].count(letter)
