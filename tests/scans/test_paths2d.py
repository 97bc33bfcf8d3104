from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers
from safetensors.numpy import load_file

from zigdemo.scans import gilbert_rank, scan_scheme
from zigdemo.scans.paths2d import random_walk, shuffled_walk, zigzag_walk

GOLDEN = load_file(Path(__file__).parents[1] / "golden" / "scan_paths.safetensors")
sides = integers(1, 40)


def step_lengths(walk: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Manhattan length of every step of a walk."""
    rows, columns = np.unravel_index(walk, grid)
    return np.abs(np.diff(rows)) + np.abs(np.diff(columns))


@pytest.mark.parametrize("n", [4, 7, 8, 16])
def test_the_eight_zigzags_are_the_official_ones(n):
    scheme = scan_scheme("zigzag-8")
    for layer in range(8):
        order = scheme.order(layer=layer, grid=(n, n))
        np.testing.assert_array_equal(order.perm, GOLDEN[f"out.zigzag_N{n}"][layer])
        np.testing.assert_array_equal(order.inverse, GOLDEN[f"out.zigzag_N{n}_inverse"][layer])


@pytest.mark.parametrize("n", [4, 6, 8, 16])
def test_the_official_hilbert_tables_follow_from_the_rank(n):
    rank = gilbert_rank(n, n)
    tables = [table for turns in range(4) for table in (np.rot90(rank, turns), np.rot90(rank, turns).T)]
    np.testing.assert_array_equal(np.stack(tables).reshape(8, -1), GOLDEN[f"out.hilbert_N{n}"])


@pytest.mark.parametrize("n", [4, 6, 8, 16])
def test_our_hilbert_walks_are_the_inverse_of_the_official_tables(n):
    scheme = scan_scheme("hilbert-8")
    for layer in range(8):
        order = scheme.order(layer=layer, grid=(n, n))
        np.testing.assert_array_equal(order.perm, GOLDEN[f"out.hilbert_N{n}_inverse"][layer])


@settings(deadline=None, max_examples=200)
@given(height=sides, width=sides, layer=integers(0, 16))
def test_every_zigzag_step_goes_to_a_neighbour(height, width, layer):
    order = scan_scheme("zigzag-8").order(layer=layer, grid=(height, width))
    assert step_lengths(order.perm, (height, width)).max(initial=1) == 1


@settings(deadline=None, max_examples=200)
@given(height=sides, width=sides, layer=integers(0, 7))
def test_every_hilbert_step_goes_to_a_neighbour(height, width, layer):
    order = scan_scheme("hilbert-8").order(layer=layer, grid=(height, width))
    assert step_lengths(order.perm, (height, width)).max(initial=1) == 1


@pytest.mark.parametrize("grid", [(2, 2), (3, 3), (16, 16), (8, 16), (15, 9), (33, 16)])
@pytest.mark.parametrize("name", ["zigzag-8", "hilbert-8"])
def test_the_eight_paths_differ(name, grid):
    walks = {scan_scheme(name).order(layer=layer, grid=grid).perm.tobytes() for layer in range(8)}
    assert len(walks) == 8


@pytest.mark.parametrize("grid", [(16, 9), (9, 16), (16, 17)])
def test_parity_leaves_some_grids_one_hilbert_curve_and_its_transpose(grid):
    scheme = scan_scheme("hilbert-8")
    assert scheme.order(layer=0, grid=grid).perm.tolist() == scheme.order(layer=1, grid=grid).perm.tolist()
    assert len({scheme.order(layer=layer, grid=grid).perm.tobytes() for layer in range(8)}) == 4


@pytest.mark.parametrize("grid", [(32, 32), (64, 16), (16, 65), (63, 4)])
def test_hilbert_fills_small_squares_before_it_moves_on(grid):
    rows, columns = np.unravel_index(scan_scheme("hilbert-1").order(layer=0, grid=grid).perm, grid)
    boxes = [np.ptp(rows[i : i + 64]) + np.ptp(columns[i : i + 64]) for i in range(0, rows.size - 63, 64)]
    assert np.mean(boxes) < 24


@pytest.mark.parametrize("corner", range(4))
def test_zigzag_pairs_start_in_the_corners_in_order(corner):
    height, width = 5, 7
    start = (corner // 2) * (height - 1) * width + (corner % 2) * (width - 1)
    by_row, by_column = zigzag_walk(2 * corner, height, width), zigzag_walk(2 * corner + 1, height, width)
    assert by_row[0] == by_column[0] == start
    assert by_row[1] // width == start // width
    assert by_column[1] % width == start % width


@settings(deadline=None, max_examples=50)
@given(path=integers(0, 63), height=integers(4, 40), width=integers(4, 40))
def test_random_paths_differ_and_ignore_the_global_seed(path, height, width):
    np.random.seed(path)
    walk = random_walk(path, height, width)
    np.random.seed(path + 1)
    np.testing.assert_array_equal(walk, random_walk(path, height, width))
    assert not np.array_equal(walk, random_walk(path + 1, height, width))


def test_random_paths_never_change():
    """Weights trained on random paths are lost if these numbers move."""
    assert random_walk(0, 2, 4).tolist() == [7, 5, 4, 1, 6, 2, 3, 0]
    assert random_walk(3, 3, 3).tolist() == [8, 3, 5, 0, 1, 2, 4, 6, 7]


@settings(deadline=None, max_examples=100)
@given(path=integers(0, 7), run=integers(1, 60), height=integers(1, 20), width=integers(1, 20))
def test_shuffled_zigzag_keeps_its_runs(path, run, height, width):
    snake, shuffled = zigzag_walk(path, height, width), shuffled_walk(path, run, height, width)
    runs = {tuple(snake[start : start + run]) for start in range(0, snake.size, run)}
    seen, at = set(), 0
    while at < shuffled.size:
        found = next(cells for cells in runs if cells[0] == shuffled[at])
        assert tuple(shuffled[at : at + len(found)]) == found
        seen.add(found)
        at += len(found)
    assert seen == runs


def test_shuffled_zigzag_with_one_long_run_is_the_zigzag():
    np.testing.assert_array_equal(shuffled_walk(5, 63, 7, 9), zigzag_walk(5, 7, 9))
