"""The CPU backend: autograd around the numba kernels. Importing this module imports numba."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from ..threads import run
from . import kernels
from .kernels import CHUNK, LANES, MODES


def _array(value: Tensor) -> np.ndarray:
    """A contiguous float32 numpy view of a tensor, without a copy where it already is one."""
    return value.detach().to(torch.float32).contiguous().numpy()


def _blocks(channels: int) -> int:
    return -(-channels // LANES)


def _table(decay: Tensor, weight: Tensor) -> Tensor:
    """Decay, fix and weights as the kernels read them, (blocks, modes, 2 + directions, 2, LANES)."""
    directions, channels, modes = weight.shape
    rows = weight.new_zeros(2 + directions, _blocks(channels) * LANES, -(-modes // MODES) * MODES)
    used_rows = rows[:, :channels, :modes]
    used_rows[0], used_rows[1], used_rows[2:] = decay.to(torch.complex64), decay, weight
    powers = used_rows[:2].clone()
    for _ in range(CHUNK.bit_length() - 1):
        powers *= powers
    used_rows[1] = powers[1] - powers[0]
    parts = torch.view_as_real(rows).unflatten(1, (-1, LANES)).permute(1, 3, 0, 4, 2)
    return parts.to(torch.float32, memory_format=torch.contiguous_format)


def _skip(D: Tensor | None, channels: int) -> Tensor:
    padded = torch.zeros(_blocks(channels) * LANES)
    if D is not None:
        padded[:channels] = D
    return padded.view(-1, LANES)


class _Convolution(torch.autograd.Function):
    """Saves its arguments and tables of that size, but no states, as the backward pass is also a convolution."""

    @staticmethod
    def forward(ctx: FunctionCtx, u: Tensor, decay: Tensor, weight: Tensor, D: Tensor | None) -> Tensor:
        batch, _, channels = u.shape
        table, skip, y = _table(decay, weight), _skip(D, channels), torch.empty(u.shape)
        run(kernels.s4d_forward, batch * len(table), _array(u), table.numpy(), skip.numpy(), y.numpy())
        ctx.save_for_backward(u, weight, D, table, skip)
        return y.to(u.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, dy: Tensor) -> tuple[Tensor | None, ...]:
        u, weight, D, table, skip = ctx.saved_tensors
        directions, channels, modes = weight.shape
        batch, blocks, padded = len(u), len(table), table.shape[1]
        du, dskip = torch.empty(u.shape), torch.empty(batch, blocks, LANES)
        sums = torch.empty(batch, blocks, directions, padded, 2, 2, LANES)
        inputs = (_array(u), _array(dy), table.numpy(), skip.numpy())
        run(kernels.s4d_backward, batch * blocks, *inputs, du.numpy(), sums.numpy(), dskip.numpy())
        sums = sums.sum(0).permute(3, 1, 0, 5, 2, 4).flatten(2, 3)[:, :, :channels, :modes]
        by_weight, by_decay = torch.view_as_complex(sums.contiguous()).conj()
        return (
            du.to(u.dtype),
            (weight.conj() * by_decay).sum(0),
            by_weight.to(weight.dtype),
            None if D is None else dskip.sum(0).flatten()[:channels].to(D.dtype),
        )


def s4d_convolution(u: Tensor, log_dt: Tensor, A: Tensor, C: Tensor, D: Tensor | None) -> Tensor:
    """The recurrence of `reference.s4d_convolution` in float32, with small tables computed in float64.

    The hold (Abar - 1) / A is a weight of the output here, not of the input, so that every mode reads u directly.
    """
    A_ = A.to(torch.complex128)
    change = torch.expm1(log_dt.to(torch.float64).exp()[:, None] * A_)
    return _Convolution.apply(u, 1 + change, 2 * C * (change / A_), D)


def warm_up() -> None:
    """Compile (or load from the disk cache) both kernels, on the smallest inputs."""
    u, A = torch.ones(1, 2, 1, requires_grad=True), torch.full((1, 1), -1 + 0j, requires_grad=True)
    s4d_convolution(u, torch.zeros(1), A, A[None], None).sum().backward()
