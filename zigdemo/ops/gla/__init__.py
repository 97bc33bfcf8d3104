"""Gated linear attention: one matrix state per head, with a separate decay for each key channel."""

from __future__ import annotations

from importlib import import_module

from torch import Tensor
from torch.overrides import wrap_torch_function

from .. import backends
from ..checks import expect, sizes


def _check_gate(log_gate: Tensor) -> None:
    if log_gate.device.type == "cpu":
        top = log_gate.detach().amax().item()  # NaN wins over every number
        if not top <= 0:
            raise ValueError(f"log_gate must be at most 0 everywhere, its largest entry is {top}")


def _first(q: Tensor, *rest: object, **named: object) -> tuple[Tensor]:
    return (q,)


@wrap_torch_function(_first)  # visible to a TorchFunctionMode like torch's own functions, for observation and counting
def gated_linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_gate: Tensor,
    *,
    initial_state: Tensor | None = None,
    final_state: bool = False,
    backend: str = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    """h_t = diag(exp(log_gate_t)) h_(t-1) + k_t^T v_t, o_t = dim_k^(-1/2) q_t h_t; differentiable in every tensor.

    q, k, log_gate: (batch, length, heads, dim_k); v: (batch, length, heads, dim_v); initial_state: (batch, heads,
    dim_k, dim_v), zeros if None. log_gate is at most 0 (-inf forgets everything); it and initial_state may be float32
    with half precision. backend: "auto", "fla" (flash-linear-attention's chunk kernel, CUDA), "cpu" (numba, float32) or
    "reference" (plain torch). Any length.
    Returns o (batch, length, heads, dim_v) like v, or with final_state the pair (o, state like initial_state), the
    state in float32, or float64 for float64. Raises ValueError naming the argument that does not fit. Values of
    log_gate (NaN, positive) are checked on the CPU only, as reading them back from a GPU would stall every call.
    Source: Yang et al. 2023 (arXiv 2312.06635), equation 3 and section 4.
    """
    batch, length, heads, keys = sizes("q", q, "batch, length, heads, dim_k")
    values = sizes("v", v, "batch, length, heads, dim_v")[3]
    expect("k", k, (batch, length, heads, keys), q)
    expect("v", v, (batch, length, heads, values), q)
    expect("log_gate", log_gate, (batch, length, heads, keys), q, parameter=True)
    expect("initial_state", initial_state, (batch, heads, keys, values), q, parameter=True)
    _check_gate(log_gate)
    backend_name = backends.choose("gated_linear_attention", backend, q.device, q.dtype)
    implementation = import_module(f"zigdemo.ops.gla.{backend_name}")
    o, state = implementation.gated_linear_attention(q, k, v, log_gate, initial_state)
    return (o, state) if final_state else o
