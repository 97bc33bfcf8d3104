"""A mixing operator's matrix times its input is the operator's output, whatever the order of the tokens."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, sampled_from, tuples

from zigdemo.explain import mixing
from zigdemo.explain.mixing import mixing_of
from zigdemo.ops import gated_linear_attention, s4d_convolution, s4d_lin, selective_scan
from zigdemo.scans import ScanOrder, scan_scheme

few = settings(deadline=None, max_examples=25)
sides, seeds = integers(1, 6), integers(0, 2**32 - 1)


def normals(seed, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def product(found):
    """The matrices times what they multiply: (length, lanes, width)."""
    return torch.einsum("ijc,jcw->icw", found.rows(list(range(found.length))), found.values)


@few
@given(
    scheme=sampled_from(["sweep", "zigzag-8", "hilbert-8", "random-8", "shuffled-4"]),
    layer=integers(0, 9),
    rows=sides,
    columns=sides,
    state=integers(1, 5),
    gated=booleans(),
    seed=seeds,
)
def test_a_selective_scan_is_its_matrix_along_every_order(scheme, layer, rows, columns, state, gated, seed):
    order = scan_scheme(scheme).order(layer=layer, grid=(rows, columns))
    length, channels = rows * columns, 3
    wide, narrow = (1, length, channels), (1, length, state)
    x, dt, z, A, B, C, D, bias = normals(seed, wide, wide, wide, (channels, state), narrow, narrow, (3,), (3,))
    args = (x, dt, -A.exp(), B, C, *((D, z) if gated else ()))
    kwargs = {"dt_bias": bias, "order": order}
    found = mixing_of(selective_scan, 0, length, None, args, kwargs)
    assert torch.allclose(product(found)[..., 0], selective_scan(*args, **kwargs)[0], rtol=0, atol=1e-10)


@few
@given(
    scheme=sampled_from(["factorized-sst", "factorized-ts", "zigzag3d-8", "bidirectional"]),
    layer=integers(0, 9),
    grid=tuples(integers(1, 4), integers(1, 3), integers(1, 4)),
    gated=booleans(),
    seed=seeds,
)
def test_a_scan_of_a_clip_is_a_matrix_with_nothing_between_its_runs(scheme, layer, grid, gated, seed):
    order = scan_scheme(scheme).order(layer=layer, grid=grid)
    length = len(order)
    wide, narrow = (1, length, 3), (1, length, 2)
    x, dt, z, A, B, C, D, bias = normals(seed, wide, wide, wide, (3, 2), narrow, narrow, (3,), (3,))
    args = (x, dt, -A.exp(), B, C, *((D, z) if gated else ()))
    kwargs = {"dt_bias": bias, "order": order}
    found = mixing_of(selective_scan, 0, length, None, args, kwargs)
    assert torch.allclose(product(found)[..., 0], selective_scan(*args, **kwargs)[0], rtol=0, atol=1e-10)
    run = torch.from_numpy(order.inverse // (length // order.runs))
    assert (found.rows(list(range(length)))[run[:, None] != run] == 0).all()
    assert found.runs == order.runs and found.terms == length**2 // order.runs * 3 * 2


@few
@given(
    layer=integers(0, 9),
    grid=tuples(integers(1, 4), integers(1, 3), integers(1, 4)),
    operator=sampled_from([gated_linear_attention, F.scaled_dot_product_attention]),
    seed=seeds,
)
def test_sequences_beside_each_other_are_one_matrix_over_the_clip(layer, grid, operator, seed):
    layout = scan_scheme("factorized-st").order(layer=layer, grid=grid)
    size = len(layout) // layout.runs
    scan = operator is gated_linear_attention
    args = normals(seed, *[(layout.runs, size, 2, 3) if scan else (layout.runs, 2, size, 3)] * 3)
    args = (*args, -args[0].abs()) if scan else args
    found = mixing_of(operator, 0, len(layout), layout, args, {})
    output = operator(*args) if scan else operator(*args).transpose(1, 2)
    expected = output.flatten(0, 1)[torch.from_numpy(layout.inverse.copy())]
    assert torch.allclose(product(found), expected, rtol=0, atol=1e-10)


@few
@given(length=integers(1, 30), heads=integers(1, 3), width=integers(1, 4), seed=seeds)
def test_gated_linear_attention_is_its_matrix(length, heads, width, seed):
    shape = (1, length, heads, width)
    q, k, v, gate = normals(seed, shape, shape, (1, length, heads, 2), shape)
    args = (q, k, v, F.logsigmoid(gate))
    found = mixing_of(gated_linear_attention, 0, length, None, args, {})
    assert torch.allclose(product(found), gated_linear_attention(*args)[0], rtol=0, atol=1e-10)


def test_a_gate_that_forgets_everything_is_no_number_lost():
    q, k, v = normals(0, *[(1, 6, 1, 2)] * 3)
    gate = torch.full_like(q, -0.1)
    gate[0, 3] = -torch.inf
    found = mixing_of(gated_linear_attention, 0, 6, None, (q, k, v, gate), {})
    assert torch.allclose(product(found), gated_linear_attention(q, k, v, gate)[0], rtol=0, atol=1e-10)
    assert (found.rows([4])[0, :3] == 0).all() and (found.rows([4])[0, 3:5] != 0).all()


@few
@given(length=integers(1, 30), both=booleans(), seed=seeds)
def test_an_s4d_convolution_is_its_matrix(length, both, seed):
    u, real, imaginary, D = normals(seed, (1, length, 3), (2, 3, 4), (2, 3, 4), (3,))
    log_dt, A = (value.to(kind) for value, kind in zip(s4d_lin(3, 4), (torch.float64, torch.complex128), strict=True))
    C = torch.complex(real, imaginary)
    args, kwargs = (u, log_dt, A, C if both else C[0], D), {"bidirectional": both}
    found = mixing_of(s4d_convolution, 0, length, None, args, kwargs)
    assert torch.allclose(product(found)[..., 0], s4d_convolution(*args, **kwargs)[0], rtol=0, atol=1e-10)


@few
@given(patches=integers(1, 20), before=integers(0, 3), seed=seeds)
def test_attention_is_its_matrix_with_the_condition_behind_the_patches(patches, before, seed):
    q, k, v = normals(seed, *[(1, 2, before + patches, 4)] * 3)
    found = mixing_of(F.scaled_dot_product_attention, 0, patches, None, (q, k, v), {})
    assert torch.allclose(found.rows([0]).sum(1), torch.ones(1, 2, dtype=q.dtype))
    expected = F.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1).roll(-before, 0)
    assert torch.allclose(product(found), expected, rtol=0, atol=1e-10)


def test_tokens_that_lie_turned_are_named_by_their_place_in_the_picture():
    q, k, v = normals(1, *[(1, 6, 1, 2)] * 3)
    gate = torch.full_like(q, -0.1)
    layout = ScanOrder([5, 3, 1, 4, 2, 0])
    found = mixing_of(gated_linear_attention, 0, 6, layout, (q, k, v, gate), {})
    output = gated_linear_attention(q, k, v, gate)[0]
    assert torch.allclose(product(found), output[torch.from_numpy(layout.inverse.copy())])
    assert found.strength([5])[0].nonzero().flatten().tolist() == [5]  # it is read first


def test_strength_is_the_mean_over_lanes_however_small_the_working_tensors(monkeypatch):
    shapes = [(1, 9, 5), (1, 9, 5), (5, 3), (1, 9, 3), (1, 9, 3)]
    x, dt, A, B, C = normals(2, *shapes)
    found = mixing_of(selective_scan, 0, 9, None, (x, dt.exp(), -A.exp(), B, C), {})
    whole = found.rows([8, 0, 4])
    assert torch.allclose(found.strength([8, 0, 4]), whole.abs().mean(-1))
    largest = []

    def seen(steps, ends, passed=mixing._sums_between):
        largest.append(len(ends) * steps.numel())
        return passed(steps, ends)

    monkeypatch.setattr(mixing, "_sums_between", seen)
    for most in (1, 60, 150):
        monkeypatch.setattr(mixing, "MOST_NUMBERS", most)
        largest.clear()
        assert torch.allclose(found.rows([8, 0, 4]), whole)
        assert torch.allclose(found.strength([8, 0, 4]), whole.abs().mean(-1))
        assert max(largest) <= max(most, 9)


def test_attention_with_a_mask_is_one_sentence():
    q = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match="attn_mask"):
        mixing_of(F.scaled_dot_product_attention, 0, 2, None, (q, q, q), {"attn_mask": torch.ones(2, 2).bool()})
