from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import data, integers, sampled_from, tuples

from zigdemo.scans import ScanOrder, measure, order_receptive_field, receptive_mask, scan_scheme

VIDEO = ["sweep3d", "zigzag3d-8", "factorized-st", "factorized-sst", "bidirectional"]
NAMES = ["sweep", "zigzag-8", "hilbert-8", "random-3", "shuffled-4", "bidirectional", "parallel-2"]
sides = integers(1, 12)


def hears(scan: ScanOrder) -> np.ndarray:
    """hears[i, j]: token j is in the run of token i and not behind it."""
    place, run = scan.inverse, scan.inverse // (len(scan) // scan.runs)
    return (place[None, :] <= place[:, None]) & (run[None, :] == run[:, None])


def reach_by_matrices(name: str, layers: int, grid: tuple[int, ...]) -> np.ndarray:
    """reach[i, j]: token j can influence token i; the definition, one boolean matrix product a layer."""
    reach = np.eye(np.prod(grid), dtype=int)
    for layer in range(layers):
        once = np.any([hears(scan) for scan in scan_scheme(name).scans(layer, grid)], axis=0)
        reach = np.minimum(once.astype(int) @ reach, 1)
    return reach.astype(bool)


@settings(deadline=None, max_examples=50)
@given(height=integers(1, 40), width=integers(1, 40), layer=integers(0, 7))
def test_a_zigzag_has_no_jumps(height, width, layer):
    grid = (height, width)
    found = measure(scan_scheme("zigzag-8").order(layer=layer, grid=grid), grid)
    assert (found.continuity, found.jumps, found.longest_jump, found.mean_jump) == (1.0, 0, 0, 0.0)


@settings(deadline=None, max_examples=50)
@given(height=integers(1, 40), width=integers(2, 40))
def test_a_sweep_jumps_back_at_the_end_of_every_row(height, width):
    found = measure(scan_scheme("sweep").order(layer=0, grid=(height, width)), (height, width))
    assert found.jumps == height - 1
    assert found.longest_jump == (width if height > 1 else 0)
    assert found.mean_jump == found.longest_jump
    assert found.continuity == pytest.approx(1 - (height - 1) / (height * width - 1))
    pairs_across, pairs_down = height * (width - 1), (height - 1) * width
    expected = (pairs_across + pairs_down * width) / (pairs_across + pairs_down)
    assert found.mean_neighbour_distance == pytest.approx(expected)


def test_a_diagonal_step_is_a_jump_of_two():
    found = measure(ScanOrder(np.array([0, 3, 1, 2])), (2, 2))
    assert (found.jumps, found.longest_jump, found.mean_jump) == (2, 2, 2.0)
    assert found.continuity == pytest.approx(1 / 3)


def test_a_stack_of_frames_has_six_neighbours():
    found = measure(ScanOrder(np.array([0, 4, 5, 1, 3, 7, 6, 2])), (2, 2, 2))
    assert (found.continuity, found.jumps) == (1.0, 0)


def test_a_single_token_has_nothing_to_jump_to():
    found = measure(scan_scheme("sweep").order(layer=0, grid=(1, 1)), (1, 1))
    assert (found.continuity, found.jumps, found.mean_neighbour_distance) == (1.0, 0, 0.0)


def test_shorter_runs_are_less_continuous():
    grid = (16, 16)
    orders = [scan_scheme(f"shuffled-{run}").order(layer=0, grid=grid) for run in (1, 4, 16, 256)]
    shares = [measure(order, grid).continuity for order in orders]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_an_order_of_another_grid_is_refused():
    with pytest.raises(ValueError, match="has 9 tokens"):
        measure(scan_scheme("sweep").order(layer=0, grid=(3, 3)), (4, 4))


@settings(deadline=None, max_examples=60)
@given(name=sampled_from(NAMES), layers=integers(0, 5), height=sides, width=sides, draw=data())
def test_the_receptive_field_is_that_of_the_definition(name, layers, height, width, draw):
    grid = (height, width)
    reach = reach_by_matrices(name, layers, grid)
    token = draw.draw(integers(0, height * width - 1))
    np.testing.assert_array_equal(order_receptive_field(scan_scheme(name), layers, grid), reach.sum(axis=1))
    np.testing.assert_array_equal(receptive_mask(scan_scheme(name), layers, grid, token), reach[token])


@settings(deadline=None, max_examples=40)
@given(name=sampled_from(VIDEO), layers=integers(0, 5), grid=tuples(*[integers(1, 5)] * 3), draw=data())
def test_the_receptive_field_of_a_video_is_that_of_the_definition(name, layers, grid, draw):
    reach = reach_by_matrices(name, layers, grid)
    token = draw.draw(integers(0, int(np.prod(grid)) - 1))
    np.testing.assert_array_equal(order_receptive_field(scan_scheme(name), layers, grid), reach.sum(axis=1))
    np.testing.assert_array_equal(receptive_mask(scan_scheme(name), layers, grid, token), reach[token])


@settings(deadline=None, max_examples=40)
@given(name=sampled_from(["zigzag3d-8", "factorized-st", "factorized-t"]), grid=tuples(*[integers(1, 6)] * 3))
def test_a_video_scan_has_no_jumps_within_its_runs(name, grid):
    for layer in range(8):
        found = measure(scan_scheme(name).order(layer=layer, grid=grid), grid)
        assert (found.continuity, found.jumps, found.longest_jump) == (1.0, 0, 0)


def test_neighbours_are_as_far_apart_as_in_their_run():
    grid, scheme = (3, 2, 2), scan_scheme("factorized-st")
    space, time = (measure(scheme.order(layer=layer, grid=grid), grid) for layer in (0, 1))
    assert space.mean_neighbour_distance == (1 + 1 + 1 + 3) / 4  # a snake of four in each frame
    assert time.mean_neighbour_distance == 1


def test_a_frame_layer_hears_its_frame_and_a_time_layer_its_place():
    grid, scheme = (3, 4, 5), scan_scheme("factorized-st")
    after = [receptive_mask(scheme, layers, grid, 40).reshape(grid) for layers in (1, 2)]
    assert [heard.any(axis=(1, 2)).tolist() for heard in after] == [[False, False, True], [True, True, True]]


@settings(deadline=None, max_examples=40)
@given(name=sampled_from(NAMES), height=sides, width=sides)
def test_the_receptive_field_grows_with_layers(name, height, width):
    fields = [order_receptive_field(scan_scheme(name), layers, (height, width)) for layers in range(6)]
    assert (fields[0] == 1).all()
    assert all((after >= before).all() for before, after in zip(fields, fields[1:], strict=False))


@settings(deadline=None, max_examples=30)
@given(layers=integers(1, 12), height=integers(1, 32), width=integers(1, 32))
def test_sweeping_again_never_shows_a_token_what_comes_after_it(layers, height, width):
    field = order_receptive_field(scan_scheme("sweep"), layers, (height, width))
    np.testing.assert_array_equal(field, np.arange(1, height * width + 1))


@settings(deadline=None, max_examples=30)
@given(height=integers(1, 32), width=integers(1, 32))
def test_two_directions_at_once_show_everything_in_one_layer(height, width):
    field = order_receptive_field(scan_scheme("bidirectional"), 1, (height, width))
    assert (field == height * width).all()


@pytest.mark.parametrize("name", ["zigzag-8", "hilbert-8"])
def test_eight_paths_show_every_token_everything(name):
    assert (order_receptive_field(scan_scheme(name), 8, (32, 32)) == 1024).all()


@pytest.mark.parametrize("layers", [-1, 1.5, None])
def test_a_bad_number_of_layers_is_refused(layers):
    with pytest.raises(ValueError, match="the number of layers must be a whole number of at least 0, not"):
        order_receptive_field(scan_scheme("sweep"), layers, (4, 4))


def test_a_field_too_large_for_memory_is_refused():
    with pytest.raises(ValueError, match="at most 16384"):
        order_receptive_field(scan_scheme("sweep"), 1, (129, 128))


@pytest.mark.parametrize("token", [-1, 16, 2.0, None])
def test_a_token_off_the_grid_is_refused(token):
    with pytest.raises(ValueError, match="token must be a whole number from 0 to 15, not"):
        receptive_mask(scan_scheme("sweep"), 1, (4, 4), token)
