"""Gated linear attention: one matrix state per head, with a separate decay for each key channel."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor
from torch.overrides import wrap_torch_function

from .. import backends
from ..checks import Order, expect, fitting, index, sizes

MOST_KEYS = 128  # of a head in the GPU kernels, which hold its state in registers


def _check_gate(log_gate: Tensor) -> None:
    if log_gate.device.type == "cpu":
        top = log_gate.detach().amax().item()  # NaN wins over every number
        if not top <= 0:
            raise ValueError(f"log_gate must be at most 0 everywhere, its largest entry is {top}")


def _choose(backend: str, q: Tensor, keys: int) -> str:
    """The backend for keys of this width; wide ones are not among what "triton" can do."""
    name = backends.choose("gated_linear_attention", backend, q.device, q.dtype)
    if name != "triton" or keys <= MOST_KEYS:
        return name
    if backend == "triton":
        raise ValueError(f"backend 'triton' takes keys of at most {MOST_KEYS}, not {keys}; use backend='auto'")
    others = backends.OPERATORS["gated_linear_attention"]
    return next(one.name for one in others if one.name != "triton" and one.fault(q.device, q.dtype) is None)


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
    order: Order | None = None,
    backend: str = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    """h_t = diag(exp(log_gate_t)) h_(t-1) + k_t^T v_t, o_t = dim_k^(-1/2) q_t h_t; differentiable in every tensor.

    q, k, log_gate: (batch, length, heads, dim_k); v: (batch, length, heads, dim_v); initial_state: (batch, heads,
    dim_k, dim_v), zeros if None. log_gate is at most 0 (-inf forgets everything); it and initial_state may be float32
    with half precision. order: the k-th token visited is order.perm[k]; None is raster order. backend: "auto", "triton"
    (our GPU kernels, dim_k up to 128), "fla" (flash-linear-attention's chunk kernel, CUDA), "cpu" (numba, float32) or
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
    fitting(order, length)
    if order is not None and order.runs > 1:
        raise ValueError("gated linear attention reads a path in one run; take an order with runs = 1")
    backend_name = _choose(backend, q, keys)
    implementation = import_module(f"zigdemo.ops.gla.{backend_name}")
    inputs = q, k, v, log_gate
    if order is None:
        o, state = implementation.gated_linear_attention(*inputs, initial_state)
    elif backend_name == "triton":
        o, state = implementation.gated_linear_attention(*inputs, initial_state, index(order, q.device))
    else:
        perm = index(order, q.device)
        o, state = implementation.gated_linear_attention(*(value[:, perm] for value in inputs), initial_state)
        o = o[:, torch.argsort(perm)]
    return (o, state) if final_state else o
