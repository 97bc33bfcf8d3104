"""The selective scan and its causal convolution, with the scan order inside the kernel."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.overrides import wrap_torch_function

from .. import backends
from . import reference


class Order(Protocol):
    """A permutation of the tokens, hashable by identity; `zigdemo.scans.ScanOrder` is one."""

    perm: np.ndarray


def _expect(name: str, value: Tensor | None, shape: tuple[int, ...], like: Tensor) -> None:
    if value is None:
        return
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, not {tuple(value.shape)}")
    if value.device != like.device:
        raise ValueError(f"{name} is on {value.device} and x on {like.device}; move them to one device")
    if not value.is_floating_point():
        raise ValueError(f"{name} must be a floating-point tensor, not {value.dtype}")


def _tokens(x: Tensor) -> tuple[int, int, int]:
    if x.ndim != 3 or 0 in x.shape:
        raise ValueError(f"x must be a non-empty (batch, length, channels) tensor, not {tuple(x.shape)}")
    if not x.is_floating_point():
        raise ValueError(f"x must be a floating-point tensor, not {x.dtype}")
    return x.shape[0], x.shape[1], x.shape[2]


@lru_cache(maxsize=4096)
def _permutation(order: Order) -> np.ndarray:
    """The checked index array, once per order object: a bad index would read foreign memory in a kernel."""
    perm = np.asarray(order.perm)
    if perm.dtype != np.int64 or perm.ndim != 1 or not np.array_equal(np.sort(perm), np.arange(perm.size)):
        raise ValueError("order.perm is not an int64 permutation of 0 .. length - 1; make it with scan_scheme(...)")
    return np.ascontiguousarray(perm)


@lru_cache(maxsize=4096)
def _index(order: Order, device: torch.device) -> Tensor:
    return torch.from_numpy(_permutation(order).copy()).to(device)


def _check_order(order: Order | None, length: int) -> None:
    if order is not None and _permutation(order).size != length:
        raise ValueError(f"order visits {order.perm.size} tokens and x has {length}; make the order for this grid")


def _cpu(order: Order | None) -> tuple[ModuleType, np.ndarray | None]:
    return import_module("zigdemo.ops.selective_scan.cpu"), None if order is None else _permutation(order)


def _first(x: Tensor, *rest: object, **named: object) -> tuple[Tensor]:
    return (x,)


@wrap_torch_function(_first)  # a TorchFunctionMode sees the call, as it sees torch's own; for counting
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
    """Selective state-space scan of Mamba along a path over the tokens; differentiable in every tensor.

    x, dt, z: (batch, length, channels); A: (channels, state), negative; B, C: (batch, length, state); D, dt_bias:
    (channels,). With dt_bias the step is softplus(dt + dt_bias), without it dt itself. z gates by SiLU(z).
    order: the k-th token visited is order.perm[k]; None is raster order. No permuted copy is made.
    backend: "auto", "cpu" (numba, float32) or "reference" (plain torch). Returns (batch, length, channels) like x.
    Raises ValueError naming the argument that does not fit. Source: Gu & Dao 2023 (arXiv 2312.00752), algorithm 2.
    """
    batch, length, channels = _tokens(x)
    state = A.shape[-1]
    _expect("A", A, (channels, state), x)
    for name, value in (("dt", dt), ("z", z)):
        _expect(name, value, (batch, length, channels), x)
    for name, value in (("B", B), ("C", C)):
        _expect(name, value, (batch, length, state), x)
    for name, value in (("D", D), ("dt_bias", dt_bias)):
        _expect(name, value, (channels,), x)
    _check_order(order, length)
    if backends.choose("selective_scan", backend, x.device, x.dtype) == "cpu":
        cpu, perm = _cpu(order)
        return cpu.selective_scan(x, dt, A, B, C, D, z, dt_bias, perm)
    index = None if order is None else _index(order, x.device)
    return reference.selective_scan(x, dt, A, B, C, D, z, dt_bias, index)


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
    """Depthwise causal convolution in scan order, then SiLU unless told not to; differentiable.

    x: (batch, length, channels); weight: (channels, taps), the last tap on the token itself; bias: (channels,).
    order, backend and errors as in `selective_scan`. Returns a tensor like x.
    """
    _, length, channels = _tokens(x)
    _expect("weight", weight, (channels, weight.shape[-1]), x)
    _expect("bias", bias, (channels,), x)
    _check_order(order, length)
    if backends.choose("selective_scan", backend, x.device, x.dtype) == "cpu":
        cpu, perm = _cpu(order)
        return cpu.causal_conv(x, weight, bias, perm, silu)
    index = None if order is None else _index(order, x.device)
    return reference.causal_conv(x, weight, bias, index, silu)
