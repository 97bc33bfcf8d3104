"""The S4D convolution, a diagonal state-space model with fixed step and rates, and its initialisation."""

from __future__ import annotations

import math
from importlib import import_module

import torch
from torch import Tensor
from torch.overrides import wrap_torch_function

from .. import backends
from ..checks import expect, sizes


def _working(dtype: torch.dtype) -> torch.dtype:
    """The precision of computations on tokens of this dtype."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _first(u: Tensor, *rest: object, **named: object) -> tuple[Tensor]:
    return (u,)


@wrap_torch_function(_first)  # visible to a TorchFunctionMode like torch's own functions, for observation and counting
def s4d_convolution(
    u: Tensor,
    log_dt: Tensor,
    A: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    bidirectional: bool = False,
    backend: str = "auto",
) -> Tensor:
    """S4D: every channel convolved with the impulse response of its own diagonal complex state-space model.

    Zero-order hold with B = 1: Abar = exp(dt A), Bbar = (Abar - 1) / A, dt = exp(log_dt), and the kernel
    K_l = 2 Re sum_n C_n Bbar_n Abar_n^l, as each mode represents itself and its conjugate.
    y_i = sum_(j <= i) K_(i-j) u_j + D u_i. With bidirectional, C[1] gives a second kernel K' that reads the reversed
    tokens, and sum_(j >= i) K'_(j-i) u_j is added: both directions include the current token, so the weight of u_i in
    y_i is K_0 + K'_0 + D.
    u: (batch, length, channels) real; log_dt: (channels,), natural logarithm of the step; A: (channels, modes) complex
    with negative real part; C: (channels, modes) complex, bidirectional (2, channels, modes); D: (channels,) or None.
    A and C are complex128 for u in float64, else complex64; half precision is computed in float32.
    backend: "auto", "cpu" (the recurrence in numba, float32), "fft" (any device and dtype) or "reference" (plain
    torch, one token at a time). Returns (batch, length, channels) like u; differentiable in every tensor. Raises
    ValueError naming the argument that does not fit; values of log_dt and A are checked on a CPU alone.
    Source: Gu et al. 2022 (arXiv 2206.11893), S4D with zero-order hold.
    """
    _, _, channels = sizes("u", u, "batch, length, channels")
    real = _working(u.dtype)
    reals, complexes = (real, u.dtype), (real.to_complex(),)
    if A.ndim != 2 or A.shape[1] == 0:
        raise ValueError(f"A must be a non-empty (channels, modes) tensor, not {tuple(A.shape)}")
    modes = A.shape[1]
    expect("log_dt", log_dt, (channels,), u, dtypes=reals)
    expect("A", A, (channels, modes), u, dtypes=complexes)
    expect("C", C, (2, channels, modes) if bidirectional else (channels, modes), u, dtypes=complexes)
    expect("D", D, (channels,), u, dtypes=reals)
    here = u.device.type == "cpu"  # elsewhere the checks would hold up the queue, and NaN shows in the result
    if here and not log_dt.isfinite().all():
        raise ValueError("log_dt must be finite and has NaN or infinite entries")
    if here and not (A.real < 0).all():  # false for NaN too
        raise ValueError("A must have a negative real part in every entry: other modes grow without bound")
    backend_name = backends.choose("s4d_convolution", backend, u.device, u.dtype)
    implementation = import_module(f"zigdemo.ops.s4d.{backend_name}")  # numba may be absent
    return implementation.s4d_convolution(u, log_dt, A, C if bidirectional else C[None], D)


def s4d_lin(
    channels: int,
    modes: int,
    *,
    dt_min: float = 1e-3,
    dt_max: float = 0.1,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Initialisation of S4D-Lin: log_dt (channels,) float32 and A (channels, modes) complex64.

    A_n = -1/2 + i pi n, n = 0 .. modes - 1, the same for all channels; dt log-uniform in [dt_min, dt_max].
    Source: Gu et al. 2022 (arXiv 2206.11893), S4D-Lin.
    """
    low, high = math.log(dt_min), math.log(dt_max)
    log_dt = low + (high - low) * torch.rand(channels, generator=generator)
    frequency = math.pi * torch.arange(modes, dtype=torch.float32)
    return log_dt, torch.complex(torch.full_like(frequency, -0.5), frequency).repeat(channels, 1)
