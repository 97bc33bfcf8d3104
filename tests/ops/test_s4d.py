"""The S4D convolution: against its recurrence, against its written-out kernel, and the laws of a linear filter."""

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis.strategies import booleans, integers

from zigdemo.ops import backends, s4d_convolution, s4d_lin
from zigdemo.ops.s4d.fft import fast_length

EXACT = ["fft", "reference"]  # the backends that compute in float64 too
CPU = pytest.param("cpu", marks=pytest.mark.skipif(backends.numba_fault() is not None, reason="needs numba"))
BACKENDS = [CPU, *EXACT]


def draw(seed, batch, length, channels, modes, bidirectional=False, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    kernels = (2, channels, modes) if bidirectional else (channels, modes)
    tensors = {
        "u": normal(batch, length, channels),
        "log_dt": normal(channels) - 2,
        "A": torch.complex(-normal(channels, modes).exp(), 3 * normal(channels, modes)),
        "C": torch.complex(normal(*kernels), normal(*kernels)),
        "D": normal(channels),
    }
    return {k: v.to(dtype.to_complex() if v.is_complex() else dtype).requires_grad_() for k, v in tensors.items()}


def impulse_response(log_dt, A, C, length):
    """The kernel (channels, length) as the formula has it."""
    steps = torch.arange(length, dtype=torch.float64)
    rate = log_dt.exp()[:, None] * A
    powers = torch.exp(rate[..., None] * steps)
    return 2 * (C * (rate.exp() - 1) / A).unsqueeze(-1).mul(powers).sum(1).real


def outputs_and_gradients(tensors, backend, **kind):
    y = s4d_convolution(**tensors, backend=backend, **kind)
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(y.dtype)
    leaves = [value for value in tensors.values() if value is not None]
    return [y.detach(), *torch.autograd.grad((y * weight).sum(), leaves)]


def largest(u, log_dt, A, C, D, bidirectional):
    """Upper bounds of what `outputs_and_gradients` gives, by channel, as if no term of any sum cancelled another.

    The scale to judge rounding by: a sum is as exact as its terms are large, also where it comes to nearly nothing.
    By Young's inequality, the norm of a convolution is at most the kernel's sum times the norm of the signal.
    """
    wide = lambda value: value.detach().to(torch.complex128 if value.is_complex() else torch.float64)  # noqa: E731
    u, log_dt, A, C = map(wide, (u, log_dt, A, C))
    weight = torch.randn(u.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, weight, lags = u.norm(dim=(0, 1)), weight.norm(dim=(0, 1)), torch.arange(u.shape[1])
    step, A, C = log_dt.exp()[:, None, None], A[..., None], (C if bidirectional else C[None])[..., None]
    rate = step * A
    kernel = 2 * C * (rate.exp() - 1) / A * torch.exp(rate * lags)  # (kinds, channels, modes, lags)
    of_rate = 2 * C / A * torch.exp(rate * lags) * (rate.exp() + (rate.exp() - 1) * lags)
    gain = kernel.abs().sum((0, 2, 3)) + (0 if D is None else wide(D).abs())
    of_A = ((of_rate * step).abs() + (kernel / A).abs()).sum((0, 3))
    of_C, of_step = (kernel / C).abs().sum(3), (of_rate * rate).abs().sum((0, 2, 3))
    both = u * weight
    bounds = [gain * u, gain * weight, of_step * both, of_A * both[:, None], of_C * both[:, None], both]
    return bounds if D is not None else bounds[:-1]


def worst_error(found, exact, bounds):
    """The largest error of an output or a gradient, each by the norm of its bounds."""
    apart = [(one.to(other.dtype) - other).norm() for one, other in zip(found, exact, strict=True)]
    return max((error / bound.norm()).item() for error, bound in zip(apart, bounds, strict=True))


def cast(tensors, dtype):
    """Leaves of another precision, complex ones too."""
    cast = {
        k: None if v is None else v.detach().to(dtype.to_complex() if v.is_complex() else dtype)
        for k, v in tensors.items()
    }
    return {k: None if v is None else v.requires_grad_() for k, v in cast.items()}


def relative(found, wanted):
    wide = torch.complex128 if wanted.is_complex() else torch.float64
    return ((found.to(wide) - wanted.to(wide)).norm() / (wanted.to(wide).norm() + 1e-12)).item()


@settings(deadline=None, max_examples=40)
@given(
    seed=integers(0, 10**6),
    batch=integers(1, 3),
    length=integers(1, 75),
    channels=integers(1, 6),
    modes=integers(1, 9),
    bidirectional=booleans(),
    skip=booleans(),
)
def test_the_fft_and_its_gradients_equal_the_recurrence(seed, batch, length, channels, modes, bidirectional, skip):
    tensors = draw(seed, batch, length, channels, modes, bidirectional)
    if not skip:
        tensors["D"] = None
    exact = outputs_and_gradients(tensors, "reference", bidirectional=bidirectional)
    found = outputs_and_gradients(tensors, "fft", bidirectional=bidirectional)
    assert all(relative(one, other) < 1e-10 for one, other in zip(found, exact, strict=True))
    found = outputs_and_gradients(cast(tensors, torch.float32), "fft", bidirectional=bidirectional)
    assert worst_error(found, exact, largest(**tensors, bidirectional=bidirectional)) < 1e-6


@pytest.mark.parametrize("backend", [CPU])
@settings(deadline=None, max_examples=60)
@given(
    seed=integers(0, 10**6),
    batch=integers(1, 3),
    length=integers(1, 200),
    channels=integers(1, 40),
    modes=integers(1, 9),
    bidirectional=booleans(),
    skip=booleans(),
)
@example(seed=1, batch=2, length=110, channels=1, modes=1, bidirectional=False, skip=True)  # one nearly cancels
def test_the_kernels_and_their_gradients_equal_float64(
    backend, seed, batch, length, channels, modes, bidirectional, skip
):
    tensors = draw(seed, batch, length, channels, modes, bidirectional, torch.float32)
    if not skip:
        tensors["D"] = None
    exact = outputs_and_gradients(cast(tensors, torch.float64), "fft", bidirectional=bidirectional)
    found = outputs_and_gradients(tensors, backend, bidirectional=bidirectional)
    assert worst_error(found, exact, largest(**tensors, bidirectional=bidirectional)) < 1e-6


@pytest.mark.parametrize("backend", [CPU])
@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 128, 129])
@pytest.mark.parametrize(("channels", "modes"), [(1, 1), (16, 4), (17, 5), (48, 1)])
def test_the_kernels_equal_the_recurrence_where_chunks_and_blocks_end(backend, length, channels, modes):
    tensors = draw(9, 2, length, channels, modes, True, torch.float32)
    exact = outputs_and_gradients(cast(tensors, torch.float64), "reference", bidirectional=True)
    found = outputs_and_gradients(tensors, backend, bidirectional=True)
    assert all(relative(one, other) < 2e-5 for one, other in zip(found, exact, strict=True))


@pytest.mark.parametrize("backend", EXACT)
@pytest.mark.parametrize("length", [1, 2, 31, 33, 64])
def test_time_stepping_is_convolution_with_the_written_out_kernel(backend, length):
    given = draw(1, 2, length, 3, 4, bidirectional=True)
    u, log_dt, A, C, D = given.values()
    lag = torch.arange(length)[:, None] - torch.arange(length)
    ahead = impulse_response(log_dt, A, C[0], length)[:, lag.clamp(min=0)] * (lag >= 0)
    behind = impulse_response(log_dt, A, C[1], length)[:, (-lag).clamp(min=0)] * (lag <= 0)
    causal = torch.einsum("cij,bjc->bic", ahead, u)
    both = torch.einsum("cij,bjc->bic", ahead + behind, u)
    assert torch.allclose(s4d_convolution(u, log_dt, A, C[0], D, backend=backend), causal + D * u)
    assert torch.allclose(s4d_convolution(u, log_dt, A, C, bidirectional=True, backend=backend), both)


@pytest.mark.parametrize("backend", EXACT)
def test_one_token_is_weighted_by_both_kernels_and_the_skip(backend):
    u, log_dt, A, C, D = draw(2, 2, 1, 3, 4, bidirectional=True).values()
    first = sum(impulse_response(log_dt, A, C[i], 1)[:, 0] for i in (0, 1))
    found = s4d_convolution(u, log_dt, A, C, D, bidirectional=True, backend=backend)
    assert torch.allclose(found, (first + D) * u)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_are_exact_in_the_complex_arguments_too(bidirectional):
    tensors = draw(3, 1, 5, 2, 2, bidirectional)
    for backend in EXACT:
        assert torch.autograd.gradcheck(
            lambda *values, backend=backend: s4d_convolution(*values, bidirectional=bidirectional, backend=backend),
            tuple(tensors.values()),
        )


LAWS = dict(seed=integers(0, 10**6), length=integers(2, 90))


@settings(deadline=None, max_examples=15)
@given(**LAWS)
def test_answers_to_a_sum_are_sums_of_answers(seed, length):
    u, *rest = draw(seed, 2, length, 3, 4, bidirectional=True).values()
    answer = lambda u: s4d_convolution(u, *rest, bidirectional=True)  # noqa: E731
    assert torch.allclose(answer(2 * u[:1] - 3 * u[1:]), 2 * answer(u[:1]) - 3 * answer(u[1:]))


@settings(deadline=None, max_examples=15)
@given(**LAWS)
def test_a_causal_answer_ignores_later_tokens_and_moves_with_the_input(seed, length):
    u, *rest = (value.detach() for value in draw(seed, 1, length, 3, 4).values())
    cut = seed % (length - 1) + 1
    y = s4d_convolution(u, *rest)
    changed = torch.cat([u[:, :cut], torch.randn_like(u[:, cut:])], 1)
    assert torch.allclose(s4d_convolution(changed, *rest)[:, :cut], y[:, :cut])
    later = torch.cat([torch.zeros_like(u[:, :cut]), u[:, :-cut]], 1)
    assert torch.allclose(s4d_convolution(later, *rest)[:, cut:], y[:, :-cut])


@settings(deadline=None, max_examples=15)
@given(**LAWS)
def test_reading_from_the_end_swaps_the_two_kernels(seed, length):
    u, log_dt, A, C, D = draw(seed, 2, length, 3, 4, bidirectional=True).values()
    y = s4d_convolution(u, log_dt, A, C, D, bidirectional=True)
    mirrored = s4d_convolution(u.flip(1), log_dt, A, C.flip(0), D, bidirectional=True)
    assert torch.allclose(mirrored.flip(1), y)


@settings(deadline=None, max_examples=10)
@given(seed=integers(0, 10**6), cut=integers(1, 59))
def test_two_halves_of_the_causal_answer_join_through_the_kernel_alone(seed, cut):
    u, log_dt, A, C, _ = draw(seed, 1, 60, 2, 3).values()
    first = torch.cat([u[:, :cut], torch.zeros_like(u[:, cut:])], 1)
    second = s4d_convolution(u[:, cut:], log_dt, A, C)
    whole = s4d_convolution(first, log_dt, A, C)[:, cut:] + second
    assert torch.allclose(s4d_convolution(u, log_dt, A, C)[:, cut:], whole)


@given(least=integers(1, 10**6))
def test_the_transform_is_the_next_length_without_large_primes(least):
    def smooth(number):
        for prime in (2, 3, 5):
            while number % prime == 0:
                number //= prime
        return number == 1

    found = fast_length(least)
    assert found >= least and smooth(found) and not any(smooth(number) for number in range(least, found))


@pytest.mark.parametrize("backend", [CPU, "fft"])
def test_long_sequences_keep_their_phase_in_float32(backend):
    log_dt, A = s4d_lin(4, 32, generator=torch.Generator().manual_seed(0))
    tensors = draw(4, 1, 20_000, 4, 32, bidirectional=True, dtype=torch.float32)
    tensors = {key: value.detach() for key, value in tensors.items()} | {"log_dt": log_dt, "A": A}
    exact = s4d_convolution(**cast(tensors, torch.float64), bidirectional=True)
    assert relative(s4d_convolution(**tensors, bidirectional=True, backend=backend), exact) < 1e-4


@pytest.mark.parametrize("backend", [CPU])
def test_a_memory_of_a_million_tokens_neither_drifts_nor_loses_its_phase(backend):
    length = 65_536
    tensors = draw(10, 1, length, 4, 8, bidirectional=True, dtype=torch.float32)
    frequency = 1j * math.pi * torch.arange(8)
    tensors |= {"log_dt": torch.full((4,), math.log(1e-3)), "A": (-1e-3 + frequency).repeat(4, 1).to(torch.complex64)}
    tensors = cast(tensors, torch.float32)
    exact = outputs_and_gradients(cast(tensors, torch.float64), "fft", bidirectional=True)
    found = outputs_and_gradients(tensors, backend, bidirectional=True)
    assert all(relative(one, other) < 1e-4 for one, other in zip(found, exact, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_keeps_its_dtype_and_is_computed_in_float32(backend, dtype):
    tensors = {key: value.detach() for key, value in draw(5, 2, 50, 16, 8, dtype=torch.float32).items()}
    u = tensors["u"].to(dtype)
    y = s4d_convolution(**{**tensors, "u": u}, backend=backend)
    assert y.dtype == dtype
    assert torch.equal(y, s4d_convolution(**{**tensors, "u": u.float()}, backend=backend).to(dtype))


@pytest.mark.parametrize("backend", BACKENDS)
def test_autocast_leaves_the_kernel_in_float32(backend):
    tensors = {key: value.detach() for key, value in draw(6, 1, 50, 4, 8, dtype=torch.float32).items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = s4d_convolution(**tensors, backend=backend)
    assert torch.equal(found, s4d_convolution(**tensors, backend=backend))


@pytest.mark.parametrize("backend", [CPU])
def test_the_result_does_not_depend_on_the_number_of_threads(backend):
    tensors = draw(11, 3, 130, 70, 6, True, torch.float32)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            found.append(outputs_and_gradients(tensors, backend, bidirectional=True))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for run in found[1:] for one, other in zip(run, found[0], strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_inputs_need_not_be_contiguous(backend):
    tensors = {key: value.detach() for key, value in draw(12, 2, 70, 20, 3, dtype=torch.float32).items()}
    y = s4d_convolution(**tensors, backend=backend)
    strided = {key: value.mT.contiguous().mT if value.ndim > 1 else value for key, value in tensors.items()}
    assert torch.allclose(s4d_convolution(**strided, backend=backend), y, atol=1e-5)


@pytest.mark.parametrize("backend", [CPU, "fft"])
def test_a_sequence_is_answered_alike_alone_and_in_a_batch(backend):
    tensors = {key: value.detach() for key, value in draw(7, 3, 200, 8, 4, True, torch.float32).items()}
    y = s4d_convolution(**tensors, bidirectional=True, backend=backend)
    alone = s4d_convolution(**{**tensors, "u": tensors["u"][1:2]}, bidirectional=True, backend=backend)
    assert torch.equal(y[1:2], alone)


PEAK = """
import resource, sys, torch
from zigdemo.ops import s4d_convolution, s4d_lin
backend, length, channels = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
peaks = []
for modes in (4, 4, 64):
    log_dt, A = (value.requires_grad_() for value in s4d_lin(channels, modes))
    C = torch.randn(2, channels, modes, dtype=torch.complex64, requires_grad=True)
    u = torch.randn(1, length, channels, requires_grad=True)
    s4d_convolution(u, log_dt, A, C, bidirectional=True, backend=backend).sum().backward()
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
print(peaks[2] - peaks[1])
"""


@pytest.mark.parametrize(
    ("backend", "length", "channels"), [("cpu", 16_384, 32), ("fft", 16_384, 32), ("reference", 2_048, 64)]
)
def test_peak_memory_of_training_does_not_grow_with_length_times_modes(backend, length, channels):
    pytest.importorskip("resource", reason="no peak memory to read on this system")
    if backend == "cpu" and backends.numba_fault():
        pytest.skip(backends.numba_fault())
    command = [sys.executable, "-c", PEAK, backend, str(length), str(channels)]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    whole_state = length * channels * (64 - 4) * 8
    assert grown < 0.4 * whole_state


def test_s4d_lin_starts_at_the_paper_s_modes_and_steps():
    log_dt, A = s4d_lin(500, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(A[7], torch.tensor([-0.5, -0.5 + math.pi * 1j, -0.5 + 2 * math.pi * 1j]))
    assert log_dt.exp().min() >= 0.999e-3 and log_dt.exp().max() <= 0.1001
    assert abs((log_dt < math.log(1e-2)).float().mean() - 0.5) < 0.1
    C = torch.randn(500, 3, dtype=torch.complex64)
    assert s4d_convolution(torch.randn(1, 4, 500), log_dt, A, C).isfinite().all()


def bad_tensors():
    ones = torch.ones
    return [
        ({"u": ones(2, 4)}, "u"),
        ({"u": ones(1, 0, 4)}, "u"),
        ({"u": ones(1, 5, 4, dtype=torch.int64)}, "u"),
        ({"u": ones(1, 5, 4, dtype=torch.complex64)}, "u"),
        ({"u": ones(1, 5, 4, dtype=torch.float64)}, "log_dt"),
        ({"log_dt": ones(3)}, "log_dt"),
        ({"log_dt": torch.tensor([0.0, math.nan, 0.0, 0.0])}, "log_dt"),
        ({"A": -ones(4, 3, dtype=torch.complex64)}, "C"),
        ({"A": -ones(4, 2)}, "A"),
        ({"A": -ones(4, 0, dtype=torch.complex64)}, "A"),
        ({"A": -ones(4, 2, dtype=torch.complex128)}, "A"),
        ({"A": 1j * ones(4, 2)}, "A"),
        ({"A": torch.full((4, 2), complex(math.nan, 0))}, "A"),
        ({"C": ones(2, 4, 2, dtype=torch.complex64)}, "C"),
        ({"bidirectional": True}, "C"),
        ({"C": ones(4, 2, dtype=torch.complex64, device="meta")}, "C"),
        ({"D": ones(5)}, "D"),
        ({"D": ones(4, dtype=torch.int64)}, "D"),
        ({"backend": "magic"}, "magic"),
    ]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("change", "name"), bad_tensors(), ids=lambda value: value if isinstance(value, str) else None)
def test_a_wrong_argument_is_named(change, name, backend):
    tensors = draw(8, 1, 5, 4, 2, dtype=torch.float32)
    with pytest.raises(ValueError, match=name) as fault:
        s4d_convolution(**{"backend": backend, **tensors, **change})
    assert str(fault.value).startswith(name) or name == "magic"
    assert "\n" not in str(fault.value)


def test_the_kernels_are_chosen_on_the_cpu_the_fft_elsewhere_and_the_recurrence_on_request(monkeypatch):
    def chosen(dtype=torch.float32):
        return {status.operator: status.backend for status in backends.report(dtype=dtype) if status.chosen}

    assert chosen(torch.float64)["s4d_convolution"] == "fft"
    with monkeypatch.context() as without:
        without.setattr(backends, "numba_fault", lambda: None)
        assert all(chosen(dtype)["s4d_convolution"] == "cpu" for dtype in (torch.float32, torch.bfloat16))
        without.setattr(backends, "numba_fault", lambda: "numba is not installed")
        assert chosen()["s4d_convolution"] == "fft"
    for device in ("cuda", "mps"):
        assert backends.choose("s4d_convolution", "auto", torch.device(device), torch.float32) == "fft"
    before = chosen()
    monkeypatch.setenv(backends.ENVIRONMENT, "reference")
    assert set(chosen().values()) == {"reference"}
    monkeypatch.setenv(backends.ENVIRONMENT, "fft")  # other operators have none: theirs is chosen as before
    assert chosen() == {**before, "s4d_convolution": "fft"}
    monkeypatch.setenv(backends.ENVIRONMENT, "magic")
    with pytest.raises(ValueError, match="magic"):
        backends.report()
