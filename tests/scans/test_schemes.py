from __future__ import annotations

import copy
import gc
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from

from zigdemo.scans import SCHEMES, ScanOrder, scan_scheme

EXAMPLES = [name for family in SCHEMES.values() if 2 in family.dimensions for name in family.examples]
sides = integers(1, 40)


@settings(deadline=None, max_examples=200)
@given(name=sampled_from(EXAMPLES), layer=integers(0, 70), height=sides, width=sides)
def test_every_order_is_a_permutation_with_its_inverse(name, layer, height, width):
    scheme = scan_scheme(name)
    tokens = np.arange(height * width)
    for order in scheme.scans(layer, (height, width)):
        assert order.perm.dtype == order.inverse.dtype == np.int64
        np.testing.assert_array_equal(order.perm[order.inverse], tokens)
        np.testing.assert_array_equal(order.inverse[order.perm], tokens)
        assert order.is_identity == np.array_equal(order.perm, tokens)
        assert len(order) == tokens.size


@settings(deadline=None, max_examples=100)
@given(name=sampled_from(EXAMPLES), layer=integers(0, 70), height=sides, width=sides)
def test_the_same_path_and_grid_give_the_same_object(name, layer, height, width):
    scheme = scan_scheme(name)
    order = scheme.order(layer=layer, grid=(height, width))
    assert scan_scheme(name) is scheme
    assert scheme.order(layer=layer + scheme.paths, grid=[np.int64(height), width]) is order
    assert scheme.scans(layer, (height, width))[0] is order
    assert len({order, scheme.order(layer=layer, grid=(height, width))}) == 1


def test_an_order_in_use_outlives_the_cache():
    scheme = scan_scheme("sweep")
    order = scheme.order(layer=0, grid=(3, 5))
    for width in range(1, 400):
        scheme.order(layer=0, grid=(2, width))
    gc.collect()
    assert scheme.order(layer=0, grid=(3, 5)) is order


def test_threads_get_the_same_object():
    with ThreadPoolExecutor(8) as pool:
        orders = set(pool.map(lambda _: scan_scheme("hilbert-8").order(layer=5, grid=(37, 41)), range(32)))
    assert len(orders) == 1


def test_orders_cannot_be_written_to():
    order = scan_scheme("zigzag-8").order(layer=1, grid=(4, 4))
    for array in (order.perm, order.inverse):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 3
    with pytest.raises(AttributeError):
        order.perm = order.inverse


def test_copies_of_a_network_share_its_orders():
    scheme = scan_scheme("zigzag-8")
    order = scheme.order(layer=1, grid=(4, 6))
    assert copy.copy(order) is copy.deepcopy(order) is order
    assert copy.deepcopy(scheme) is pickle.loads(pickle.dumps(scheme)) is scheme
    restored = pickle.loads(pickle.dumps(order))
    np.testing.assert_array_equal(restored.perm, order.perm)
    assert not restored.perm.flags.writeable


def test_a_copied_order_keeps_its_runs():
    order = ScanOrder(np.arange(6), runs=3)
    assert copy.deepcopy(order) is order
    assert pickle.loads(pickle.dumps(order)).runs == 3


def test_a_raster_order_that_starts_afresh_is_no_identity():
    assert ScanOrder(np.arange(6)).is_identity
    assert not ScanOrder(np.arange(6), runs=2).is_identity


@pytest.mark.parametrize("runs", [0, -1, 4, 7, 2.0, None, "2"])
def test_an_order_refuses_runs_that_are_not_equal_pieces(runs):
    with pytest.raises(ValueError, match="runs=.* equal pieces"):
        ScanOrder(np.arange(6), runs=runs)


def test_an_order_keeps_its_own_copy_of_the_permutation():
    given_perm = np.array([2, 0, 1])
    order = ScanOrder(given_perm)
    given_perm[0] = 7
    assert order.perm.tolist() == [2, 0, 1]
    assert order.inverse.tolist() == [1, 2, 0]


@pytest.mark.parametrize("perm", [[0, 0, 1], [1, 2, 3], [-1, 0, 1], [0, 5], [], [0.0, 1.0], [[0, 1]]])
def test_an_order_refuses_what_is_no_permutation(perm):
    with pytest.raises(ValueError, match="scan order"):
        ScanOrder(np.array(perm))


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("stem", ["zigzag", "hilbert", "random"])
def test_k_paths_are_the_first_k_of_all(stem, k):
    few, all_paths = scan_scheme(f"{stem}-{k}"), scan_scheme(f"{stem}-8")
    assert few.paths == k
    for layer in range(9):
        ours, theirs = few.order(layer=layer, grid=(5, 6)), all_paths.order(layer=layer % k, grid=(5, 6))
        np.testing.assert_array_equal(ours.perm, theirs.perm)


def test_only_the_sweep_is_the_identity_on_a_real_grid():
    identical = {name for name in EXAMPLES if scan_scheme(name).order(layer=0, grid=(8, 8)).is_identity}
    assert identical == {"sweep", "bidirectional"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_scheme_says_which_block_it_needs(name):
    scheme = scan_scheme(name)
    scans = scheme.scans(3, (4, 5))
    assert scheme.name == name
    assert "{" not in scheme.label
    assert (scheme.block == "single") == (len(scans) == 1)


def test_bidirectional_scans_the_sweep_and_its_reverse():
    forward, backward = scan_scheme("bidirectional").scans(1, (3, 4))
    assert forward.is_identity
    np.testing.assert_array_equal(backward.perm, forward.perm[::-1])


def test_parallel_scans_are_the_zigzag_paths_in_every_layer():
    for layer in range(3):
        scans = scan_scheme("parallel-4").scans(layer, (3, 4))
        assert len(scans) == 4
        for path, scan in enumerate(scans):
            zigzag = scan_scheme("zigzag-4").order(layer=path, grid=(3, 4))
            np.testing.assert_array_equal(scan.perm, zigzag.perm)


NO_NAMES = ["", "nonsense", "zigzag", "zigzag-3", "zigzag-08", "zigzag-8 ", "Zigzag-8", "hilbert-9", "random-0"]
NO_NAMES += ["random-65", "random--1", "random-1e1", "shuffled-0", "shuffled-99999999999", "parallel"]


@pytest.mark.parametrize("name", [*NO_NAMES, None, 8, ["a"]])
def test_an_unknown_name_lists_the_valid_ones(name):
    with pytest.raises(ValueError, match="unknown scan scheme") as error:
        scan_scheme(name)
    for key in SCHEMES:
        assert key in str(error.value)


NO_GRIDS = [(0, 4), (4, -1), (4.0, 4), (4,), (), 4, None, "44", (True, 4), (2, 2, 2, 2), (4097, 4096)]


@pytest.mark.parametrize("grid", [*NO_GRIDS, (10**30, 2)])
def test_a_bad_grid_is_refused(grid):
    with pytest.raises(ValueError, match="grid"):
        scan_scheme("zigzag-8").order(layer=0, grid=grid)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if 3 not in scan_scheme(name).dimensions])
def test_image_schemes_refuse_a_video_grid(name):
    with pytest.raises(ValueError, match="is for images"):
        scan_scheme(name).order(layer=0, grid=(2, 4, 4))


@pytest.mark.parametrize("layer", [-1, 1.0, "1", None, True])
def test_a_bad_layer_is_refused(layer):
    with pytest.raises(ValueError, match="layer must be a whole number of at least 0, not"):
        scan_scheme("zigzag-8").order(layer=layer, grid=(4, 4))
