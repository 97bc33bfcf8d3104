"""Scans of clips: every order visits every token once, snakes are continuous, factorised layers keep to their runs."""

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from, text, tuples

from zigdemo.scans import SCHEMES, ScanOrder, measure, order_receptive_field, receptive_mask, scan_scheme
from zigdemo.scans.paths2d import zigzag_walk

NAMES = [name for family in SCHEMES.values() if 3 in family.axes for name in family.examples]
words = text("st", min_size=1, max_size=16)
grids = tuples(*[integers(1, 7)] * 3)


@settings(deadline=None, max_examples=150)
@given(name=sampled_from(NAMES), layer=integers(0, 60), grid=grids)
def test_every_order_of_a_clip_is_a_permutation_cut_into_equal_runs(name, layer, grid):
    scheme = scan_scheme(name)
    for order in scheme.scans(layer, grid):
        assert np.array_equal(np.sort(order.perm), np.arange(prod(grid)))
        assert len(order) % order.runs == 0
    assert scheme.order(layer, grid) is scheme.order(layer + scheme.paths, grid)


@settings(deadline=None, max_examples=150)
@given(layer=integers(0, 7), grid=tuples(*[integers(1, 9)] * 3))
def test_every_step_of_a_zigzag_through_the_clip_goes_to_a_neighbour(layer, grid):
    order = scan_scheme("zigzag3d-8").order(layer, grid)
    assert measure(order, grid).continuity == 1.0


def test_the_eight_zigzags_start_in_eight_corners_and_end_elsewhere():
    grid = (4, 4, 4)
    orders = [scan_scheme("zigzag3d-8").order(layer, grid) for layer in range(8)]
    corners = {4 * (4 * frame + row) + column for frame in (0, 3) for row in (0, 3) for column in (0, 3)}
    assert {int(order.perm[0]) for order in orders} == corners
    assert len({order.perm.tobytes() for order in orders}) == 8
    # Steps from frame to frame are rare, frequent and in between by turns.
    through_time = [int(np.abs(np.diff(order.perm // 16)).sum()) for order in orders]
    assert through_time[:3] == [3, 48, 12]


@settings(deadline=None, max_examples=80)
@given(word=words, layer=integers(0, 40), grid=grids)
def test_layers_of_a_factorised_scan_keep_to_a_frame_or_to_a_place(word, layer, grid):
    scheme, (frames, height, width) = scan_scheme(f"factorized-{word}"), grid
    order = scheme.order(layer, grid)
    runs = order.perm.reshape(order.runs, -1)
    letters = [word[i % len(word)] for i in range(layer + 1)]
    before = letters.count(letters[-1]) - 1
    if letters[-1] == "s":
        assert scheme.axis(layer) == "space"
        assert order.runs == frames
        for frame, run in enumerate(runs):
            assert np.array_equal(run - frame * height * width, zigzag_walk(before % 8, height, width))
    else:
        assert scheme.axis(layer) == "time"
        assert order.runs == height * width
        time = np.arange(frames)[:: -1 if before % 2 else 1]
        for place, run in enumerate(runs):
            assert np.array_equal(run, place + time * height * width)


@pytest.mark.parametrize(("word", "paths"), [("s", 8), ("t", 2), ("st", 16), ("sst", 12), ("sstt", 16), ("ts", 16)])
def test_the_orders_repeat_after_the_least_number_of_layers(word, paths):
    scheme, grid = scan_scheme(f"factorized-{word}"), (3, 4, 5)
    assert scheme.paths == paths
    orders = [scheme.order(layer, grid).perm.tobytes() for layer in range(2 * paths)]
    assert orders[:paths] == orders[paths:]
    for shorter in range(1, paths):
        assert orders[shorter : shorter + paths] != orders[:paths] or paths % shorter


def test_what_a_run_hears_is_what_comes_before_in_it():
    order = ScanOrder(np.arange(6), runs=2)
    grid = (1, 2, 3)
    assert measure(order, grid).jumps == 0
    assert measure(ScanOrder(np.arange(6)), grid).jumps == 1
    scheme, grid = scan_scheme("factorized-st"), (2, 2, 2)
    assert order_receptive_field(scheme, 1, grid).tolist() == [1, 2, 4, 3] * 2
    assert order_receptive_field(scheme, 2, grid).tolist() == [1, 2, 4, 3, 2, 4, 8, 6]


@settings(deadline=None, max_examples=40)
@given(name=sampled_from(NAMES), layers=integers(0, 5), grid=tuples(*[integers(1, 4)] * 3))
def test_the_field_of_one_token_is_that_of_all(name, layers, grid):
    scheme = scan_scheme(name)
    field = order_receptive_field(scheme, layers, grid)
    assert [receptive_mask(scheme, layers, grid, token).sum() for token in range(prod(grid))] == field.tolist()


@pytest.mark.parametrize(
    ("name", "grid", "words"),
    [
        ("sweep3d", (4, 4), "is for clips.*give .T, H, W."),
        ("factorized-st", (4, 4), "is for clips"),
        ("zigzag-8", (2, 4, 4), "is for images.*give .H, W."),
    ],
)
def test_a_scheme_of_clips_wants_clips_and_one_of_images_images(name, grid, words):
    with pytest.raises(ValueError, match=words):
        scan_scheme(name).order(0, grid)


@pytest.mark.parametrize(
    "name", ["factorized", "factorized-", "factorized-sx", "factorized-8", "zigzag3d", "sweep3d-2"]
)
def test_unknown_names_list_the_known_ones(name):
    with pytest.raises(ValueError, match="factorized-WORD .a word of s and t, such as sst."):
        scan_scheme(name)


@pytest.mark.parametrize("runs", [0, -1, 4, 1.5, None])
def test_an_order_is_cut_into_whole_runs_only(runs):
    with pytest.raises(ValueError, match="cannot be cut"):
        ScanOrder(np.arange(6), runs)
