"""The selective scan against recorded official outputs, and backend against backend."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers
from safetensors.torch import load_file

from zigdemo import ops
from zigdemo.ops import backends
from zigdemo.scans import ScanOrder, scan_scheme

GOLDEN = Path(__file__).parent.parent / "golden"
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fault(name):
    """Why a backend cannot run on its device here, or None."""
    known = {entry.name: entry for entry in backends.OPERATORS["selective_scan"]}
    return known[name].fault(torch.device("cpu") if name == "cpu" else DEVICE, torch.float32)


def able(name):
    return pytest.param(name, marks=pytest.mark.skipif(fault(name) is not None, reason=str(fault(name))))


FAST = [able("cpu"), able("triton"), able("mamba_ssm")]
BACKENDS = ["reference", *FAST]


def on_its_device(operator):
    """The operator with its tensors moved to where the backend computes, and the result back; gradients follow."""

    def moved(*values, backend="auto", **named):
        device = DEVICE if backend in ("triton", "mamba_ssm") else torch.device("cpu")
        move = lambda value: value.to(device) if isinstance(value, torch.Tensor) else value  # noqa: E731
        found = operator(*map(move, values), **{key: move(value) for key, value in named.items()}, backend=backend)
        return found.cpu()

    return moved


selective_scan, causal_conv = on_its_device(ops.selective_scan), on_its_device(ops.causal_conv)


def close(found, wanted, tolerance, name):
    assert found.shape == wanted.shape, name
    assert (found - wanted).abs().max() <= tolerance * wanted.std(), name


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("variant", ["full", "noz", "plain"])
def test_outputs_and_gradients_equal_the_official_ones(backend, variant):
    golden = load_file(GOLDEN / "selective_scan.safetensors")
    given = {
        name: golden[f"in.{name}"].requires_grad_() for name in ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")
    }
    last = lambda value: value.transpose(1, 2)  # noqa: E731 - official tensors are channel-first
    dt = last(given["delta"])
    y = selective_scan(
        last(given["u"]),
        F.softplus(dt) if variant == "plain" else dt,
        given["A"],
        last(given["B"]),
        last(given["C"]),
        None if variant == "plain" else given["D"],
        last(given["z"]) if variant == "full" else None,
        dt_bias=None if variant == "plain" else given["delta_bias"],
        backend=backend,
    )
    close(last(y), golden[f"out.{variant}.y"], 1e-4, "y")
    (last(y) * golden["in.cot"]).sum().backward()
    for key in golden:
        if key.startswith(f"out.{variant}.grad."):
            name = key.rsplit(".", 1)[1]
            close(given[name].grad, golden[key], 5e-4, name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_whole_mamba_pass_equals_the_official_one(backend):
    golden = load_file(GOLDEN / "mamba_inner.safetensors")
    given = {key[3:]: value.requires_grad_() for key, value in golden.items() if key.startswith("in.")}
    x, z = given["xz"].transpose(1, 2).chunk(2, -1)
    x = causal_conv(x, given["conv1d.weight"].squeeze(1), given["conv1d.bias"], backend=backend)
    close(x.transpose(1, 2), golden["out.conv_silu"], 1e-4, "conv_silu")
    dt, B, C = F.linear(x, given["x_proj.weight"]).split([3, 16, 16], -1)
    dt = F.linear(dt, given["dt_proj.weight"])
    y = selective_scan(x, dt, given["A"], B, C, given["D"], z, dt_bias=given["dt_proj.bias"], backend=backend)
    y = F.linear(y, given["out_proj.weight"])
    close(y, golden["out.y"], 1e-4, "y")
    (y * given["cot"]).sum().backward()
    for key in golden:
        if key.startswith("out.grad."):
            close(given[key[9:]].grad, golden[key], 5e-4, key)


def draw(seed, batch, length, channels, state, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    tensors = {
        "x": normal(batch, length, channels),
        "dt": normal(batch, length, channels),
        "A": -normal(channels, state).exp(),
        "B": normal(batch, length, state),
        "C": normal(batch, length, state),
        "D": normal(channels),
        "z": normal(batch, length, channels),
        "dt_bias": normal(channels),
    }
    order = ScanOrder(np.random.default_rng(seed).permutation(length))
    return {name: value.to(dtype).requires_grad_() for name, value in tensors.items()}, order


def relative(found, wanted):
    return ((found.double() - wanted.double()).norm() / (wanted.double().norm() + 1e-12)).item()


def agree(backend, seed, batch, length, channels, state, skip=True, gate=True, bias=True, order=None):
    """Outputs and gradients of a backend in float32 equal those of the float64 reference."""
    tensors, drawn = draw(seed, batch, length, channels, state)
    order = order or drawn
    for name, wanted in (("D", skip), ("z", gate), ("dt_bias", bias)):
        if not wanted:
            tensors[name] = None
    weight = torch.randn(batch, length, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def run(inputs, backend):
        step = inputs["dt"] if bias else F.softplus(inputs["dt"])
        y = selective_scan(**{**inputs, "dt": step}, order=order, backend=backend)
        leaves = [value for value in inputs.values() if value is not None]
        return [y.detach(), *torch.autograd.grad((y * weight.to(y.dtype)).sum(), leaves)]

    exact = run(tensors, "reference")
    single = {k: None if v is None else v.detach().float().requires_grad_() for k, v in tensors.items()}
    for found, wanted in zip(run(single, backend), exact, strict=True):
        assert relative(found, wanted) < 3e-5


@pytest.mark.skipif(fault("cpu") is not None, reason=str(fault("cpu")))
@settings(deadline=None, max_examples=25)
@given(
    seed=integers(0, 10**6),
    batch=integers(1, 3),
    length=integers(1, 70),
    channels=integers(1, 280),
    state=integers(1, 20),
    skip=booleans(),
    gate=booleans(),
    bias=booleans(),
)
def test_the_cpu_kernels_agree_with_the_float64_reference(seed, batch, length, channels, state, skip, gate, bias):
    agree("cpu", seed, batch, length, channels, state, skip, gate, bias)


@pytest.mark.skipif(fault("triton") is not None, reason=str(fault("triton")))
@settings(deadline=None, max_examples=6)
@given(
    seed=integers(0, 10**6),
    length=integers(1, 37),
    channels=integers(1, 40),
    state=integers(1, 20),
    skip=booleans(),
    gate=booleans(),
    bias=booleans(),
)
def test_the_triton_kernels_agree_with_the_float64_reference(seed, length, channels, state, skip, gate, bias):
    agree("triton", seed, 1, length, channels, state, skip, gate, bias)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize(
    ("name", "state"), [("sweep", 16), ("random-2", 16), *(("zigzag-8", state) for state in (8, 16, 24, 64))]
)
def test_every_size_of_state_along_every_kind_of_path(backend, state, name):
    agree(backend, state, 2, 21, 35, state, order=scan_scheme(name).order(layer=1, grid=(3, 7)))


# Runs of one token, shorter and longer than the chunk of a kernel, and of two chunks; few, as interpreting is slow.
@pytest.mark.parametrize(("length", "runs"), [(5, 5), (15, 3), (34, 2), (64, 2)])
@pytest.mark.parametrize("backend", FAST)
def test_gradients_stay_within_their_run(backend, length, runs):
    order = ScanOrder(np.random.default_rng(length).permutation(length), runs)
    agree(backend, runs, 1, length, 3, 2, order=order)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize(("length", "runs"), [(5, 5), (34, 2), (42, 14)])
def test_gradients_of_the_convolution_stay_within_their_run(backend, length, runs):
    order = ScanOrder(np.random.default_rng(length).permutation(length), runs)
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn(*shape, generator=generator) for shape in ((2, length, 20), (20, 4), (20,))]

    def gradients(kind, backend):
        leaves = [value.to(kind).requires_grad_() for value in values]
        y = causal_conv(*leaves, order=order, backend=backend)
        return [y.detach(), *torch.autograd.grad(y.square().sum(), leaves)]

    pairs = zip(gradients(torch.float32, backend), gradients(torch.float64, "reference"), strict=True)
    assert all(relative(found, wanted) < 1e-5 for found, wanted in pairs)


@pytest.mark.parametrize("backend", FAST)
def test_a_backward_pass_repeats_exactly(backend):
    tensors, order = draw(9, 2, 20, 40, 4, torch.float32)
    runs = []
    for _ in range(2):
        y = selective_scan(**tensors, order=order, backend=backend)
        runs.append(torch.autograd.grad(y.square().sum(), list(tensors.values())))
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["sweep", "zigzag-8", "hilbert-2", "random-2"])
def test_an_order_is_gather_then_scan_then_scatter(backend, name):
    order = scan_scheme(name).order(layer=1, grid=(5, 7))
    tensors, _ = draw(1, 2, 35, 20, 4, torch.float32)
    tensors = {key: value.detach() for key, value in tensors.items()}
    moved = {k: v[:, order.perm.copy()] if v.ndim == 3 else v for k, v in tensors.items()}
    plain = selective_scan(**moved, backend=backend)[:, order.inverse.copy()]
    assert torch.allclose(selective_scan(**tensors, order=order, backend=backend), plain, rtol=1e-5, atol=1e-5)
    weight, bias = torch.randn(20, 4), torch.randn(20)
    plain = causal_conv(moved["x"], weight, bias, backend=backend)[:, order.inverse.copy()]
    assert torch.allclose(causal_conv(tensors["x"], weight, bias, order=order, backend=backend), plain, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_every_run_is_scanned_as_if_it_were_alone(backend, layer):
    order = scan_scheme("factorized-st").order(layer=layer, grid=(3, 3, 4))
    tensors, _ = draw(1, 2, 36, 20, 4, torch.float32)
    tensors = {key: value.detach() for key, value in tensors.items()}
    weight, bias = torch.randn(20, 4), torch.randn(20)
    scanned = selective_scan(**tensors, order=order, backend=backend)
    convolved = causal_conv(tensors["x"], weight, bias, order=order, backend=backend)
    for piece in order.perm.copy().reshape(order.runs, -1):
        own = {k: v[:, piece] if v.ndim == 3 else v for k, v in tensors.items()}
        assert torch.allclose(scanned[:, piece], selective_scan(**own, backend=backend), rtol=1e-5, atol=1e-5)
        assert torch.allclose(convolved[:, piece], causal_conv(own["x"], weight, bias, backend=backend), atol=1e-5)


def test_the_reference_has_exact_gradients():
    tensors, order = draw(2, 1, 5, 3, 2)
    names = list(tensors)
    assert torch.autograd.gradcheck(
        lambda *values: selective_scan(**dict(zip(names, values, strict=True)), order=order, backend="reference"),
        tuple(tensors.values()),
    )


@pytest.mark.parametrize("backend", FAST)
@settings(deadline=None, max_examples=15)
@given(seed=integers(0, 10**6), length=integers(1, 40), channels=integers(1, 200), taps=integers(1, 6), silu=booleans())
def test_the_convolutions_agree(backend, seed, length, channels, taps, silu):
    tensors, order = draw(seed, 2, length, channels, 1)
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(channels, taps, generator=generator, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(channels, generator=generator, dtype=torch.float64, requires_grad=True)

    def run(x, weight, bias, backend):
        y = causal_conv(x, weight, bias, order=order, silu=silu, backend=backend)
        return [y.detach(), *torch.autograd.grad(y.square().sum(), (x, weight, bias))]

    exact = run(tensors["x"], weight, bias, "reference")
    single = [value.detach().float().requires_grad_() for value in (tensors["x"], weight, bias)]
    for found, wanted in zip(run(*single, backend), exact, strict=True):
        assert relative(found, wanted) < 3e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_keeps_its_dtype_and_a_float32_state(backend, dtype):
    tensors, order = draw(3, 2, 50, 16, 8, torch.float32)
    tensors = {key: value.detach() for key, value in tensors.items()}
    half = {k: v.to(dtype) if v.ndim == 3 else v for k, v in tensors.items()}
    y = selective_scan(**half, order=order, backend=backend)
    assert y.dtype == dtype
    assert relative(y, selective_scan(**tensors, order=order, backend=backend)) < 0.02


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_training_keeps_does_not_grow_with_the_state(backend):
    def kept(state):
        tensors, order = draw(4, 1, 256, 32, state, torch.float32)
        total = 0

        def count(value):
            nonlocal total
            total += value.numel()
            return value

        with torch.autograd.graph.saved_tensors_hooks(count, lambda value: value):
            selective_scan(**tensors, order=order, backend=backend)
        return total

    whole_state = 256 * 32 * (32 - 4)
    assert kept(32) - kept(4) < 0.25 * whole_state


BAD = [
    ({"x": torch.ones(2, 3)}, "x"),
    ({"x": torch.ones(1, 0, 4)}, "x"),
    ({"x": torch.ones(1, 5, 4, dtype=torch.int64)}, "x"),
    ({"dt": torch.ones(1, 5, 3)}, "dt"),
    ({"dt": torch.full((1, 5, 4), torch.nan)}, "dt holds NaN"),
    ({"dt": torch.ones(1, 5, 4, dtype=torch.bfloat16)}, "dt must have dtype"),
    ({"A": torch.ones(3, 2)}, "A"),
    ({"A": torch.ones(4, 2, dtype=torch.float16)}, "A must have dtype"),
    ({"B": torch.ones(1, 4, 2)}, "B"),
    ({"C": torch.ones(1, 5, 3)}, "C"),
    ({"C": torch.ones(1, 5, 2, dtype=torch.float64)}, "C must have dtype"),
    ({"D": torch.ones(3)}, "D"),
    ({"z": torch.ones(2, 5, 4)}, "z"),
    ({"dt_bias": torch.ones(5)}, "dt_bias"),
    ({"B": "meta"}, "B is on meta"),
    ({"order": ScanOrder(np.arange(4))}, "order"),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("change", "name"), BAD, ids=[f"{next(iter(c))}-{i}" for i, (c, _) in enumerate(BAD)])
def test_a_wrong_argument_is_named_by_every_backend_alike(backend, change, name):
    tensors, _ = draw(5, 1, 5, 4, 2, torch.float32)
    device = DEVICE if backend in ("triton", "mamba_ssm") else torch.device("cpu")
    if "NaN" in name and device.type != "cpu":
        pytest.skip("NaN is looked for on the CPU only")
    given = {**tensors, **change}
    given = {k: v.detach().to(device) if isinstance(v, torch.Tensor) else v for k, v in given.items()}
    if isinstance(given["B"], str):
        given["B"] = torch.ones(1, 5, 2, device=given["B"])
    with pytest.raises(ValueError, match=name) as raised:
        ops.selective_scan(**given, backend=backend)
    assert "\n" not in str(raised.value)


def test_a_nan_in_the_step_of_any_run_is_refused():
    tensors, _ = draw(5, 1, 6, 4, 2, torch.float32)
    for token in range(6):
        dt = tensors["dt"].detach().clone()
        dt[0, token, 1] = torch.nan
        with pytest.raises(ValueError, match="dt holds NaN"):
            selective_scan(**{**tensors, "dt": dt}, order=ScanOrder(np.arange(6), runs=3))


def test_a_nan_elsewhere_is_not_blamed_on_the_step():
    tensors, _ = draw(5, 1, 5, 4, 2, torch.float32)
    tensors["x"] = torch.full((1, 5, 4), torch.nan)
    assert selective_scan(**tensors).isnan().all()


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("name", ["x", "dt", "A", "B", "C", "D", "z", "dt_bias"])
def test_a_nan_in_any_tensor_shows_in_the_result_or_is_refused(name, backend):
    tensors, _ = draw(5, 1, 6, 4, 2, torch.float32)
    for place in range(tensors[name].numel()):
        value = tensors[name].detach().clone()
        value.view(-1)[place] = torch.nan
        try:
            result = selective_scan(**{**tensors, name: value}, backend=backend)
        except ValueError as fault:
            assert f"{name} holds NaN" in str(fault)
        else:
            assert result.isnan().any()


def test_an_unknown_backend_is_refused_with_the_names_that_exist():
    tensors, _ = draw(5, 1, 5, 4, 2, torch.float32)
    with pytest.raises(ValueError, match="magic.*cpu, triton, mamba_ssm, reference"):
        selective_scan(**tensors, backend="magic")


def test_an_order_that_is_no_permutation_never_reaches_a_kernel():
    class Bad:
        perm = np.array([0, 1, 2, 3, 99])

    tensors, _ = draw(5, 1, 5, 4, 2, torch.float32)
    with pytest.raises(ValueError, match="permutation"):
        selective_scan(**tensors, order=Bad())


def test_float64_runs_on_the_reference_and_a_backend_that_cannot_is_refused_with_the_reason():
    tensors, _ = draw(6, 1, 5, 4, 2)
    assert selective_scan(**tensors).dtype == torch.float64
    with pytest.raises(ValueError, match="float32"):
        selective_scan(**tensors, backend="cpu")
