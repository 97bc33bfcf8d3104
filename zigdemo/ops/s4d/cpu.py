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


def _table(rate: Tensor, weight: Tensor) -> np.ndarray:
    """Decay, fix and weights as the kernels read them, (blocks, modes, 2 + directions, 2, LANES)."""
    directions, channels, modes = weight.shape
    exact = rate.exp()
    decay = exact.to(torch.complex64)
    fix = CHUNK * (exact - decay) * torch.exp((CHUNK - 1) * rate)
    rows = torch.view_as_real(torch.stack([decay, fix, *weight]))
    table = torch.zeros(_blocks(channels) * LANES, -(-modes // MODES) * MODES, 2 + directions, 2)
    table[:channels, :modes] = rows.permute(1, 2, 0, 3)
    return table.unflatten(0, (-1, LANES)).permute(0, 2, 3, 4, 1).contiguous().numpy()


def _skip(D: Tensor | None, channels: int) -> np.ndarray:
    padded = torch.zeros(_blocks(channels) * LANES)
    if D is not None:
        padded[:channels] = D
    return padded.view(-1, LANES).numpy()


class _Convolution(torch.autograd.Function):
    """Saves its arguments, nothing else: the backward pass is a convolution and a correlation."""

    @staticmethod
    def forward(ctx: FunctionCtx, u: Tensor, rate: Tensor, weight: Tensor, D: Tensor | None) -> Tensor:
        batch, _, channels = u.shape
        table, y = _table(rate, weight), torch.empty(u.shape)
        run(kernels.convolve, batch * len(table), _array(u), table, _skip(D, channels), False, y.numpy())
        ctx.save_for_backward(u, rate, weight, D)
        return y.to(u.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, dy: Tensor) -> tuple[Tensor | None, ...]:
        """With y = Re(weight h) and h_k = decay h_(k-1) + u_k, the rate being the logarithm of the decay.

        dL/dweight = conj(sum_k dy_k h_k) and dL/drate = conj(decay weight sum_k dy_k dh_k/ddecay); the gradient of u is
        dy convolved the other way.
        """
        u, rate, weight, D = ctx.saved_tensors
        directions, channels, modes = weight.shape
        batch, table, dy_ = len(u), _table(rate, weight), _array(dy)
        tasks = batch * len(table)
        du = drate = dweight = dD = None
        if ctx.needs_input_grad[0]:
            du = torch.empty(u.shape)
            run(kernels.convolve, tasks, dy_, table, _skip(D, channels), True, du.numpy())
            du = du.to(u.dtype)
        if any(ctx.needs_input_grad[1:]):
            sums = torch.empty(batch, len(table), directions, table.shape[1], 2, 2, LANES)
            skips = torch.empty(batch, len(table), LANES)
            run(kernels.correlate, tasks, _array(u), dy_, table, sums.numpy(), skips.numpy())
            found = sums.sum(0).permute(3, 1, 0, 5, 2, 4).flatten(2, 3)[:, :, :channels, :modes]
            by_state, by_slope = torch.view_as_complex(found.contiguous()).conj()
            dweight = by_state.to(weight.dtype)
            drate = ((rate.exp() * weight).conj() * by_slope).sum(0).to(rate.dtype)
            dD = None if D is None else skips.sum(0).flatten()[:channels].to(D.dtype)
        return du, drate, dweight, dD


def s4d_convolution(u: Tensor, log_dt: Tensor, A: Tensor, C: Tensor, D: Tensor | None) -> Tensor:
    """The recurrence of `reference.s4d_convolution` in float32; its small tables are made in float64.

    The hold Abar - 1 over A is a weight of the output here, not of the input, so that every mode reads u itself.
    """
    A_ = A.to(torch.complex128)
    rate = log_dt.to(torch.float64).exp()[:, None] * A_
    return _Convolution.apply(u, rate, 2 * C * (torch.expm1(rate) / A_), D)


def warm_up() -> None:
    """Compile (or load from the disk cache) both kernels, on the smallest inputs."""
    u, A = torch.ones(1, 2, 1, requires_grad=True), torch.full((1, 1), -1 + 0j, requires_grad=True)
    s4d_convolution(u, torch.zeros(1), A, A[None], None).sum().backward()
