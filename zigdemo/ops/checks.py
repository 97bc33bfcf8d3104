"""Arguments of the operators, checked before any kernel sees them: one sentence that names the argument."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Order(Protocol):
    """A permutation of the tokens in equal runs, hashable by identity; `zigdemo.scans.ScanOrder` is one."""

    perm: np.ndarray
    runs: int


def sizes(name: str, value: Tensor, axes: str) -> tuple[int, ...]:
    """Shape of a non-empty floating-point tensor with the named axes, as in "batch, length, channels"."""
    if value.ndim != axes.count(",") + 1 or 0 in value.shape:
        raise ValueError(f"{name} must be a non-empty ({axes}) tensor, not {tuple(value.shape)}")
    if not value.is_floating_point():
        raise ValueError(f"{name} must be a floating-point tensor, not {value.dtype}")
    return tuple(value.shape)


def expect(
    name: str,
    value: Tensor | None,
    shape: tuple[int, ...],
    like: Tensor,
    parameter: bool = False,
    dtypes: tuple[torch.dtype, ...] | None = None,
) -> None:
    """Refuse a tensor of another shape, device or dtype than fits `like`, the operator's first argument.

    A parameter may stay in float32 where the activations are in half precision; dtypes are the allowed ones where
    they do not follow from like's.
    """
    if value is None:
        return
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, not {tuple(value.shape)}")
    if value.device != like.device:
        raise ValueError(f"{name} is on {value.device}, the first argument on {like.device}; move them to one device")
    half = like.dtype in (torch.float16, torch.bfloat16)
    allowed = dtypes or ((like.dtype, torch.float32) if parameter and half else (like.dtype,))
    if value.dtype not in allowed:
        either = " or ".join(map(str, allowed))
        raise ValueError(f"{name} must have dtype {either} as the first argument has {like.dtype}, not {value.dtype}")


def no_nan(name: str, value: Tensor) -> None:
    """Refuse NaN in a tensor on the CPU; elsewhere the check would hold up the queue, and NaN shows in the result."""
    if value.device.type == "cpu" and bool(torch.isnan(value).any()):
        raise ValueError(f"{name} holds NaN; check the weights and the inputs that made it")


@lru_cache(maxsize=4096)
def permutation(order: Order) -> np.ndarray:
    """The checked index array, once per order object: a bad index would read foreign memory in a kernel."""
    perm = np.asarray(order.perm)
    if perm.dtype != np.int64 or perm.ndim != 1 or not np.array_equal(np.sort(perm), np.arange(perm.size)):
        raise ValueError("order.perm is not an int64 permutation of 0 .. length - 1; make it with scan_scheme(...)")
    return np.ascontiguousarray(perm)


@lru_cache(maxsize=4096)
def index(order: Order, device: torch.device) -> Tensor:
    """The permutation as a tensor on a device, made once per order object."""
    return torch.from_numpy(permutation(order).copy()).to(device)


def fitting(order: Order | None, length: int) -> None:
    """Refuse an order of another number of tokens, or of runs that do not divide it."""
    if order is not None and permutation(order).size != length:
        raise ValueError(f"order visits {order.perm.size} tokens and x has {length}; make the order for this grid")
    if order is not None and (not isinstance(order.runs, int) or order.runs < 1 or length % order.runs):
        raise ValueError(f"order.runs is {order.runs!r}, which does not cut {length} tokens into equal runs")


def needs_backward(*given: Tensor | None) -> bool:
    """Whether a backward pass may follow; inside an autograd Function, `needs_input_grad` ignores `no_grad`."""
    return torch.is_grad_enabled() and any(value is not None and value.requires_grad for value in given)
