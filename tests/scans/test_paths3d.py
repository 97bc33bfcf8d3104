"""Orders of frame stacks: permutations, snakes without jumps, and layers that scan space and time in turn."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from, text, tuples

from zigdemo.scans import SCHEMES, scan_scheme
from zigdemo.scans.paths2d import zigzag_walk
from zigdemo.scans.paths3d import factorized_paths

EXAMPLES = [name for family in SCHEMES.values() if 3 in family.dimensions for name in family.examples]
grids = tuples(integers(1, 6), integers(1, 6), integers(1, 6))
words = text("st", min_size=1, max_size=16)


@settings(deadline=None, max_examples=150)
@given(name=sampled_from(EXAMPLES), layer=integers(0, 40), grid=grids)
def test_every_order_is_a_permutation_in_equal_runs(name, layer, grid):
    tokens = np.arange(np.prod(grid))
    for order in scan_scheme(name).scans(layer, grid):
        np.testing.assert_array_equal(np.sort(order.perm), tokens)
        np.testing.assert_array_equal(order.inverse[order.perm], tokens)
        assert tokens.size % order.runs == 0


@settings(deadline=None, max_examples=200)
@given(path=integers(0, 7), grid=grids)
def test_every_zigzag3d_step_goes_to_a_neighbour_in_space_or_time(path, grid):
    order = scan_scheme("zigzag3d-8").order(layer=path, grid=grid)
    steps = np.abs(np.diff(np.unravel_index(order.perm, grid), axis=1)).sum(axis=0)
    assert order.runs == 1
    assert (steps == 1).all()


@pytest.mark.parametrize("grid", [*product((2, 3, 4), repeat=3), (16, 8, 8)])
def test_the_eight_zigzags_start_in_all_corners_and_no_two_are_one_walk(grid):
    walks = [scan_scheme("zigzag3d-8").order(layer=layer, grid=grid).perm for layer in range(8)]
    assert len({walk[0] for walk in walks}) == 8
    assert len({min(walk.tobytes(), walk[::-1].tobytes()) for walk in walks}) == 8
    fastest = {int(np.abs(walk[1] - walk[0])) for walk in walks}
    assert fastest == {1, grid[2], grid[1] * grid[2]}


@pytest.mark.parametrize("k", [1, 2, 4])
def test_k_snakes_are_the_first_k_of_eight(k):
    few, eight = scan_scheme(f"zigzag3d-{k}"), scan_scheme("zigzag3d-8")
    for layer in range(9):
        ours, theirs = few.order(layer=layer, grid=(3, 4, 5)), eight.order(layer=layer % k, grid=(3, 4, 5))
        np.testing.assert_array_equal(ours.perm, theirs.perm)


@settings(deadline=None, max_examples=150)
@given(word=words, layer=integers(0, 300), grid=grids)
def test_a_word_says_what_each_layer_scans(word, layer, grid):
    frames, height, width = grid
    scheme = scan_scheme(f"factorized-{word}")
    order, letter = scheme.order(layer=layer, grid=grid), word[layer % len(word)]
    before = [word[i % len(word)] for i in range(layer)].count(letter)
    pieces = order.perm.reshape(order.runs, -1)
    if letter == "s":
        assert (scheme.axis(layer), order.runs) == ("space", frames)
        for frame, piece in enumerate(pieces):
            np.testing.assert_array_equal(piece, frame * height * width + zigzag_walk(before % 8, height, width))
    else:
        assert (scheme.axis(layer), order.runs) == ("time", height * width)
        for location, piece in enumerate(pieces):
            through = location + height * width * np.arange(frames)
            np.testing.assert_array_equal(piece, through[:: -1 if before % 2 else 1])


@settings(deadline=None, max_examples=50)
@given(word=words)
def test_a_word_repeats_no_sooner_than_it_says(word):
    paths, grid = factorized_paths(word), (3, 3, 3)
    scheme = scan_scheme(f"factorized-{word}")
    walks = [scheme.order(layer=layer, grid=grid).perm.tobytes() for layer in range(paths)]
    assert scheme.paths == paths
    shifts = [p for p in range(len(word), paths, len(word)) if walks == walks[p:] + walks[:p]]
    assert all(paths % shift for shift in shifts) or not shifts


def test_sweep3d_and_bidirectional_read_frame_by_frame():
    assert scan_scheme("sweep3d").order(layer=5, grid=(2, 3, 4)).is_identity
    forward, backward = scan_scheme("bidirectional").scans(1, (2, 3, 4))
    assert forward.is_identity
    np.testing.assert_array_equal(backward.perm, forward.perm[::-1])


@pytest.mark.parametrize("name", ["sweep3d", "zigzag3d-8", "factorized-sst"])
def test_video_schemes_refuse_an_image_grid(name):
    with pytest.raises(ValueError, match=r"is for videos, not for grid \(4, 4\); give \(T, H, W\)"):
        scan_scheme(name).order(layer=0, grid=(4, 4))


@pytest.mark.parametrize("name", ["sweep", "zigzag-8", "sweep3d", "zigzag3d-8", "bidirectional"])
def test_a_layer_scans_all_at_once_unless_factorised(name):
    assert scan_scheme(name).axis(3) == "all"


@pytest.mark.parametrize(
    "name", ["factorized", "factorized-", "factorized-3", "factorized-sx", "factorized-" + 17 * "s"]
)
def test_a_bad_word_is_refused(name):
    with pytest.raises(ValueError, match="word of 1 to 16 letters s and t"):
        scan_scheme(name)


@pytest.mark.parametrize("name", ["sweep3d-2", "zigzag3d", "zigzag3d-3", "sweep-st"])
def test_a_bad_number_is_refused(name):
    with pytest.raises(ValueError, match="unknown scan scheme"):
        scan_scheme(name)
