"""The selective scan and its causal convolution, with the scan order inside the kernel."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from torch import Tensor
from torch.overrides import wrap_torch_function

from .. import backends
from ..checks import Order, expect, fitting, index, no_nan, permutation, sizes

# A backend is imported on first use, as numba, triton and mamba_ssm are optional.
MODULES = {"cpu": "cpu", "triton": "triton_scan", "mamba_ssm": "mamba_cuda", "reference": "reference"}


def _module(backend: str) -> ModuleType:
    return import_module(f"{__name__}.{MODULES[backend]}")


def _first(x: Tensor, *rest: object, **named: object) -> tuple[Tensor]:
    return (x,)


@wrap_torch_function(_first)  # visible to a TorchFunctionMode like torch's own functions, for observation and counting
def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    *,
    dt_bias: Tensor | None = None,
    order: Order | None = None,
    backend: str = "auto",
) -> Tensor:
    """Mamba's selective state-space scan along a scan order; differentiable in every tensor.

    x, dt, z: (batch, length, channels); A: (channels, state), negative; B, C: (batch, length, state); D, dt_bias:
    (channels,). With dt_bias the step is softplus(dt + dt_bias), otherwise dt. The output is gated by SiLU(z).
    order: the k-th token visited is order.perm[k]; None is raster order. No permuted copy is made. With order.runs > 1
    it is scanned in as many equal pieces, each from an empty state.
    x, dt, z, B, C have the same dtype; A, D, dt_bias may be float32 with half precision.
    backend: "auto", "cpu" (numba, float32), "triton" (state in float32), "mamba_ssm" (their CUDA kernel between two
    gathers) or "reference" (plain torch). Returns (batch, length, channels) like x.
    Raises ValueError naming the argument that does not fit; NaN in dt and A is detected on the CPU only, as the check
    would stall a GPU; NaN in others shows in the result. Source: Gu & Dao 2023 (arXiv 2312.00752), algorithm 2.
    """
    batch, length, channels = sizes("x", x, "batch, length, channels")
    state = sizes("A", A, "channels, state")[1]
    expect("A", A, (channels, state), x, parameter=True)
    for name, value in (("dt", dt), ("z", z)):
        expect(name, value, (batch, length, channels), x)
    for name, value in (("B", B), ("C", C)):
        expect(name, value, (batch, length, state), x)
    for name, value in (("D", D), ("dt_bias", dt_bias)):
        expect(name, value, (channels,), x, parameter=True)
    fitting(order, length)
    no_nan("A", A)  # which fast exponentials swallow
    backend_name = backends.choose("selective_scan", backend, x.device, x.dtype)
    if backend_name == "cpu":  # its kernel detects NaN in dt
        perm = None if order is None else permutation(order)
    else:
        no_nan("dt", dt)
        perm = None if order is None else index(order, x.device)
    return _module(backend_name).selective_scan(x, dt, A, B, C, D, z, dt_bias, perm, 1 if order is None else order.runs)


@wrap_torch_function(_first)
def causal_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    order: Order | None = None,
    silu: bool = True,
    backend: str = "auto",
) -> Tensor:
    """Depthwise causal convolution in scan order, followed by SiLU unless silu is False; differentiable.

    x: (batch, length, channels); weight: (channels, taps), the last tap for the token itself; bias:
    (channels,). order, backend and errors as in `selective_scan`; each run starts with zeros before it. Returns a
    tensor like x.
    """
    _, length, channels = sizes("x", x, "batch, length, channels")
    expect("weight", weight, (channels, sizes("weight", weight, "channels, taps")[1]), x, parameter=True)
    expect("bias", bias, (channels,), x, parameter=True)
    fitting(order, length)
    backend_name = backends.choose("selective_scan", backend, x.device, x.dtype)
    if backend_name == "cpu":
        perm = None if order is None else permutation(order)
    else:
        perm = None if order is None else index(order, x.device)
    return _module(backend_name).causal_conv(x, weight, bias, perm, silu, 1 if order is None else order.runs)
