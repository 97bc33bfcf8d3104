"""Gated linear attention against recorded official outputs, and backend against backend."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, sampled_from
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from zigdemo.ops import backends, gated_linear_attention
from zigdemo.scans import ScanOrder

GOLDEN = Path(__file__).parent.parent / "golden"
TRITON_FAULT = backends.OPERATORS["gated_linear_attention"][0].fault(torch.device("cpu"), torch.float32)
BACKENDS = [
    "reference",
    pytest.param(
        "cpu", marks=pytest.mark.skipif(backends.numba_fault() is not None, reason=str(backends.numba_fault()))
    ),
    pytest.param("triton", marks=pytest.mark.skipif(TRITON_FAULT is not None, reason=str(TRITON_FAULT))),
]


def close(found, wanted, tolerance, name):
    assert found.shape == wanted.shape, name
    assert (found - wanted).abs().max() <= tolerance * wanted.std(), name


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("variant", ["zero", "h0"])
def test_outputs_and_gradients_equal_the_official_ones(backend, variant):
    golden = load_file(GOLDEN / "gla_naive.safetensors")
    given = {name: golden[f"in.{name}"].requires_grad_() for name in ("q", "k", "v", "gk", "h0")}
    q, k, v, gate = (
        given[name].transpose(1, 2) for name in ("q", "k", "v", "gk")
    )  # official: (batch, head, time, dim)
    initial = given["h0"] if variant == "h0" else None
    o, state = gated_linear_attention(q, k, v, gate, initial_state=initial, final_state=True, backend=backend)
    close(o.transpose(1, 2), golden[f"out.{variant}.o"], 1e-4, "o")
    close(state, golden[f"out.{variant}.final_state"], 1e-4, "final_state")
    ((o.transpose(1, 2) * golden["in.cot"]).sum() + (state * golden["in.cot_h"]).sum()).backward()
    for key in golden:
        if key.startswith(f"out.{variant}.grad."):
            name = key.rsplit(".", 1)[1]
            close(given[name].grad, golden[key], 5e-4, name)


def draw(seed, batch, length, heads, keys, values, strongest=1.0, dtype=torch.float64):
    """Inputs by name; log gates between -strongest and 0."""
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    tensors = {
        "q": normal(batch, length, heads, keys),
        "k": normal(batch, length, heads, keys),
        "v": normal(batch, length, heads, values),
        "log_gate": -strongest * torch.rand(batch, length, heads, keys, generator=generator, dtype=torch.float64),
        "initial_state": normal(batch, heads, keys, values),
    }
    return {name: value.to(dtype).requires_grad_() for name, value in tensors.items()}


def relative(found, wanted):
    return ((found.double() - wanted.double()).norm() / (wanted.double().norm() + 1e-12)).item()


def outputs_and_gradients(tensors, backend, seed=0, order=None, of_state=True):
    """o, the last state, and the gradient in every input of a random weighting of both, or of o alone."""
    generator = torch.Generator().manual_seed(seed)
    o, state = gated_linear_attention(**tensors, final_state=True, order=order, backend=backend)
    weight_o, weight_state = (torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x) for x in (o, state))
    leaves = [value for value in tensors.values() if value is not None]
    loss = (o * weight_o).sum() + of_state * (state * weight_state).sum()
    return [o.detach(), state.detach(), *torch.autograd.grad(loss, leaves)]


@settings(deadline=None, max_examples=30)
@given(
    seed=integers(0, 10**6),
    batch=integers(1, 2),
    length=integers(1, 150),
    heads=integers(1, 3),
    keys=integers(1, 40),
    values=integers(1, 150),
    strongest=sampled_from([0.01, 1.0, 5.0, 20.0]),
    carried=booleans(),
)
def test_the_cpu_kernels_agree_with_the_float64_reference(seed, batch, length, heads, keys, values, strongest, carried):
    if backends.numba_fault():
        pytest.skip(backends.numba_fault())
    tensors = draw(seed, batch, length, heads, keys, values, strongest)
    if not carried:
        tensors["initial_state"] = None
    single = {k: None if v is None else v.detach().float().requires_grad_() for k, v in tensors.items()}
    exact = outputs_and_gradients(tensors, "reference")
    for found, wanted in zip(outputs_and_gradients(single, "cpu"), exact, strict=True):
        assert relative(found, wanted) < 1e-5


@pytest.mark.skipif(TRITON_FAULT is not None, reason=str(TRITON_FAULT))
@pytest.mark.parametrize(
    "batch, length, heads, keys, values, strongest",
    [(1, 1, 1, 1, 1, 1.0), (2, 63, 2, 5, 7, 0.01), (1, 130, 1, 40, 70, 20.0)],
)
@pytest.mark.parametrize("ordered", [False, True])
def test_the_triton_kernels_agree_with_the_float64_reference(batch, length, heads, keys, values, strongest, ordered):
    tensors = draw(7, batch, length, heads, keys, values, strongest)
    single = {name: value.detach().float().requires_grad_() for name, value in tensors.items()}
    order = ScanOrder(np.random.default_rng(0).permutation(length)) if ordered else None
    exact = outputs_and_gradients(tensors, "reference", order=order)
    for found, wanted in zip(outputs_and_gradients(single, "triton", order=order), exact, strict=True):
        assert relative(found, wanted) < 1e-5


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_order_is_a_gather_and_a_scatter(backend):
    tensors = {name: value.detach() for name, value in draw(8, 1, 20, 2, 4, 6, dtype=torch.float32).items()}
    perm = torch.from_numpy(np.random.default_rng(1).permutation(20))
    found = gated_linear_attention(**tensors, order=ScanOrder(perm.numpy()), backend=backend)
    along = {name: value if name == "initial_state" else value[:, perm] for name, value in tensors.items()}
    assert relative(found[:, perm], gated_linear_attention(**along, backend=backend)) < 1e-6


def test_keys_too_wide_for_the_gpu_kernels_and_orders_of_several_runs_are_refused_in_a_sentence():
    wide = {name: value.detach() for name, value in draw(9, 1, 4, 1, 129, 2, dtype=torch.float32).items()}
    if TRITON_FAULT is None:
        with pytest.raises(ValueError, match="keys of at most 128, not 129"):
            gated_linear_attention(**wide, backend="triton")
    with pytest.raises(ValueError, match="in one run"):
        gated_linear_attention(**wide, order=ScanOrder(np.arange(4), runs=2))


@pytest.mark.parametrize("backend", BACKENDS)
def test_decay_of_minus_twenty_at_every_token_neither_overflows_nor_loses_the_small_gradients(backend):
    tensors = draw(0, 1, 70, 2, 8, 16)
    tensors["log_gate"] = torch.full_like(tensors["log_gate"], -20.0).requires_grad_()
    single = {name: value.detach().float().requires_grad_() for name, value in tensors.items()}
    of_state = backend != "triton"  # whose gradients in gates are exact to the rounding of the last state's
    exact = outputs_and_gradients(tensors, "reference", of_state=of_state)
    for found, wanted in zip(outputs_and_gradients(single, backend, of_state=of_state), exact, strict=True):
        assert found.isfinite().all() and relative(found, wanted) < 1e-5


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gate_of_minus_infinity_forgets_all_that_was_before(backend):
    tensors = {name: value.detach() for name, value in draw(1, 1, 50, 2, 4, 6, dtype=torch.float32).items()}
    tensors["log_gate"][:, 20] = -torch.inf
    o = gated_linear_attention(**tensors, backend=backend)
    fresh = [tensors[name][:, 20:] for name in ("q", "k", "v", "log_gate")]
    assert torch.allclose(o[:, 20:], gated_linear_attention(*fresh, backend=backend), atol=1e-5)


@settings(deadline=None, max_examples=15)
@given(
    seed=integers(0, 10**6), first=integers(1, 90), second=integers(1, 90), backend=sampled_from(["reference", "cpu"])
)
def test_two_halves_with_the_state_carried_over_are_the_whole(seed, first, second, backend):
    if backend == "cpu" and backends.numba_fault():
        pytest.skip(backends.numba_fault())
    tensors = draw(seed, 1, first + second, 2, 5, 7, dtype=torch.float32)
    leaves = list(tensors.values())
    *sequence, initial = leaves
    whole = gated_linear_attention(*sequence, initial_state=initial, backend=backend)
    head, state = gated_linear_attention(
        *(x[:, :first] for x in sequence), initial_state=initial, final_state=True, backend=backend
    )
    tail = gated_linear_attention(*(x[:, first:] for x in sequence), initial_state=state, backend=backend)
    parts = torch.cat([head, tail], 1)
    assert relative(parts, whole) < 1e-5
    weight = torch.randn(whole.shape, generator=torch.Generator().manual_seed(seed))
    wanted = torch.autograd.grad((whole * weight).sum(), leaves)
    for found, exact in zip(torch.autograd.grad((parts * weight).sum(), leaves), wanted, strict=True):
        assert relative(found, exact) < 1e-5


def test_the_reference_has_exact_gradients():
    tensors = draw(2, 1, 5, 2, 3, 2)
    names = list(tensors)
    assert torch.autograd.gradcheck(
        lambda *values: gated_linear_attention(
            **dict(zip(names, values, strict=True)), final_state=True, backend="reference"
        ),
        tuple(tensors.values()),
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_keeps_its_dtype_and_a_float32_state(backend, dtype):
    tensors = {name: value.detach() for name, value in draw(3, 2, 50, 2, 16, 8, dtype=torch.float32).items()}
    half = {k: v.to(dtype) if k in "qkv" else v for k, v in tensors.items()}
    o, state = gated_linear_attention(**half, final_state=True, backend=backend)
    assert o.dtype == dtype and state.dtype == torch.float32
    exact = gated_linear_attention(**tensors, final_state=True, backend=backend)
    assert relative(o, exact[0]) < 0.02 and relative(state, exact[1]) < 0.02


@pytest.mark.parametrize("wanted", ["outputs", "state"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loss_may_use_the_outputs_or_the_state_alone(backend, wanted):
    tensors = draw(4, 1, 40, 1, 3, 4)
    single = {name: value.detach().float().requires_grad_() for name, value in tensors.items()}

    def gradients(inputs, backend):
        o, state = gated_linear_attention(**inputs, final_state=True, backend=backend)
        loss = o.square().sum() if wanted == "outputs" else state.square().sum()
        return torch.autograd.grad(loss, list(inputs.values()), materialize_grads=True)

    exact = gradients(tensors, "reference")
    for found, gradient in zip(gradients(single, backend), exact, strict=True):
        assert relative(found, gradient) < 1e-5


def test_the_result_does_not_depend_on_the_number_of_threads():
    if backends.numba_fault():
        pytest.skip(backends.numba_fault())
    tensors = draw(5, 2, 70, 3, 9, 150, dtype=torch.float32)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(torch.cat([x.flatten() for x in outputs_and_gradients(tensors, "cpu")]))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


class Largest(TorchDispatchMode):
    """Remembers the size of the largest tensor made by any torch operation."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for value in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(value, torch.Tensor) and value.dtype != torch.uint8:  # Triton's interpreter copies bytes
                self.size = max(self.size, value.numel())
        return made


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_tensor_has_the_state_over_the_whole_sequence_in_training_either(backend):
    def peak(length):
        kept = 0

        def count(value):
            nonlocal kept
            kept += value.numel()
            return value

        tensors = draw(6, 1, length, 1, 16, 64, dtype=torch.float32)
        with Largest() as largest, torch.autograd.graph.saved_tensors_hooks(count, lambda value: value):
            o = gated_linear_attention(**tensors, backend=backend)
            states = getattr(o.grad_fn, "states", None)
            o.sum().backward()
        return largest.size, kept + (0 if states is None else states.size)

    (made_short, kept_short), (made_long, kept_long) = peak(128), peak(256)
    whole_state = 128 * 16 * 64  # what the added tokens would need
    assert made_long - made_short < 0.1 * whole_state
    assert kept_long - kept_short < 0.4 * whole_state  # q, k, v and the gates themselves are a tenth


@pytest.mark.skipif(backends.numba_fault() is not None, reason=str(backends.numba_fault()))
def test_no_states_are_kept_where_no_gradient_is_asked_for(monkeypatch):
    from zigdemo.ops.gla import cpu

    sizes = []
    run = cpu.run
    monkeypatch.setattr(cpu, "run", lambda *given: [sizes.append(given[-1].size), run(*given)])
    tensors = draw(7, 1, 100, 1, 4, 4, dtype=torch.float32)
    gated_linear_attention(**tensors, backend="cpu")
    with torch.no_grad():
        gated_linear_attention(**tensors, backend="cpu")
    assert sizes[0] > 0 and sizes[1] == 0


BAD = [
    ({"q": torch.ones(2, 3)}, "q"),
    ({"q": torch.ones(1, 0, 2, 3)}, "q"),
    ({"q": torch.ones(1, 5, 2, 3, dtype=torch.int64)}, "q"),
    ({"k": torch.ones(1, 5, 2, 4)}, "k"),
    ({"k": torch.ones(1, 5, 2, 3, dtype=torch.float16)}, "k"),
    ({"v": torch.ones(1, 5, 2)}, "v"),
    ({"v": torch.ones(1, 4, 2, 6)}, "v"),
    ({"v": torch.ones(1, 5, 2, 6, device="meta")}, "v"),
    ({"log_gate": torch.ones(1, 5, 1, 3)}, "log_gate"),
    ({"log_gate": torch.ones(1, 5, 2, 3, dtype=torch.float64)}, "log_gate"),
    ({"log_gate": torch.full((1, 5, 2, 3), 0.1)}, "log_gate"),
    ({"log_gate": torch.full((1, 5, 2, 3), torch.nan)}, "log_gate"),
    ({"initial_state": torch.ones(1, 2, 6, 3)}, "initial_state"),
    ({"initial_state": torch.ones(1, 2, 3, 6, dtype=torch.int32)}, "initial_state"),
    ({"backend": "magic"}, "magic"),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("change", "name"), BAD, ids=[f"{next(iter(c))}-{i}" for i, (c, _) in enumerate(BAD)])
def test_a_wrong_argument_is_named(backend, change, name):
    tensors = draw(8, 1, 5, 2, 3, 6, dtype=torch.float32)
    with pytest.raises(ValueError, match=name) as fault:
        gated_linear_attention(**{"backend": backend, **tensors, **change})
    assert "\n" not in str(fault.value)


def test_one_nan_among_gates_is_found():
    tensors = draw(9, 1, 300, 2, 3, 6, dtype=torch.float32)
    with torch.no_grad():
        tensors["log_gate"][0, 123, 1, 2] = torch.nan
    with pytest.raises(ValueError, match="log_gate"):
        gated_linear_attention(**tensors)


def test_float64_runs_on_the_reference_and_a_backend_that_cannot_is_refused_with_the_reason():
    tensors = draw(10, 1, 5, 2, 3, 6)
    assert gated_linear_attention(**tensors).dtype == torch.float64
    for backend, reason in (("cpu", "float32"), ("fla", "CUDA")):
        with pytest.raises(ValueError, match=reason):
            gated_linear_attention(**tensors, backend=backend)


@pytest.mark.gpu
@pytest.mark.parametrize("strongest", [0.1, 20.0])
def test_the_fla_kernel_agrees_with_the_reference(strongest):
    fault = {line.backend: line for line in backends.report("cuda") if line.operator == "gated_linear_attention"}["fla"]
    if not fault.available:
        pytest.skip(fault.reason)
    tensors = draw(11, 2, 150, 2, 32, 64, strongest, torch.float32)
    tensors = {name: value.detach().cuda().requires_grad_() for name, value in tensors.items()}
    exact = outputs_and_gradients(tensors, "reference")
    for found, wanted in zip(outputs_and_gradients(tensors, "fla"), exact, strict=True):
        assert relative(found, wanted) < 1e-2  # its matrix products may run in TF32
