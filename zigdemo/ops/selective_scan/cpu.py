"""The CPU backend: autograd around the numba kernels. Importing this module imports numba."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from ..checks import needs_backward, no_nan
from ..threads import run
from . import kernels

_EMPTY = np.empty(0, np.float32)
_EMPTY3 = np.empty((0, 0, 0), np.float32)


def _array(value: Tensor | None, empty: np.ndarray = _EMPTY) -> np.ndarray:
    """A contiguous float32 numpy view of a tensor, without a copy where it already is one."""
    return empty if value is None else value.detach().to(torch.float32).contiguous().numpy()


def _path(perm: np.ndarray | None, length: int) -> np.ndarray:
    return np.arange(length) if perm is None else perm


def _tasks(x: np.ndarray) -> int:
    return x.shape[0] * -(-x.shape[2] // kernels.WIDTH)


def _parts(runs: int) -> int:
    """Pieces of a path that form separate tasks in the forward pass, so that a single video keeps all cores busy."""
    return min(runs, 4)


def _wide_blocks(batch: int, channels: int) -> int:
    """Blocks per batch element for the backward pass: as wide as possible with at least four tasks."""
    return max(-(-channels // kernels.WIDE), min(-(-4 // batch), -(-channels // kernels.WIDTH)))


class _Scan(torch.autograd.Function):
    """Saves the inputs and the states at chunk boundaries, nothing else."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        dt: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor | None,
        z: Tensor | None,
        bias: Tensor | None,
        perm: np.ndarray,
        runs: int,
        training: bool,
    ) -> Tensor:
        x_, dt_, B_, C_ = map(_array, (x, dt, B, C))
        A_ = np.ascontiguousarray(_array(A).T)
        D_ = np.zeros(x.shape[2], np.float32) if D is None else _array(D)
        y = torch.empty(x.shape)
        batch, length, channels = x_.shape
        span, tasks = length // runs, _tasks(x_) * _parts(runs)
        chunks = runs * ((span - 1) // kernels.CHUNK) if training else 0
        states = torch.empty(batch, chunks, A_.shape[0], channels)
        arrays = (x_, dt_, A_, B_, C_, D_, _array(z, _EMPTY3), _array(bias), perm, span, _parts(runs))
        suspect = np.zeros(tasks, np.bool_)
        run(kernels.scan_forward, tasks, *arrays, y.numpy(), states.numpy(), suspect)
        if suspect.any():
            no_nan("dt", dt)
        ctx.save_for_backward(x, dt, A, B, C, D, z, bias, states)
        ctx.perm, ctx.span = perm, span
        return y.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, dt, A, B, C, D, z, bias, states = ctx.saved_tensors
        x_, dt_, B_, C_ = map(_array, (x, dt, B, C))
        A_ = np.ascontiguousarray(_array(A).T)
        batch, length, channels = x_.shape
        state, blocks = A_.shape[0], _wide_blocks(batch, channels)
        D_ = np.zeros(channels, np.float32) if D is None else _array(D)
        dx, ddt = torch.empty(x.shape), torch.empty(x.shape)
        dz = None if z is None else torch.empty(x.shape)
        dA = torch.empty(batch, state, channels)
        dB, dC = (torch.empty(batch, blocks, length, state) for _ in range(2))
        dD, dbias = torch.empty(batch, channels), torch.empty(batch, channels)
        inputs = (x_, dt_, A_, B_, C_, D_, _array(z, _EMPTY3), _array(bias), ctx.perm, ctx.span)
        inputs += (states.numpy(), _array(dy))
        outputs = (dx, ddt, dA, dB, dC, dD, dz, dbias)
        run(kernels.scan_backward, batch * blocks, *inputs, *(_array(out, _EMPTY3) for out in outputs))
        return (
            dx.to(x.dtype),
            ddt.to(dt.dtype),
            dA.sum(0).T.to(A.dtype),
            dB.sum(1).to(B.dtype),
            dC.sum(1).to(C.dtype),
            None if D is None else dD.sum(0).to(D.dtype),
            None if dz is None else dz.to(z.dtype),
            None if bias is None else dbias.sum(0).to(bias.dtype),
            None,
            None,
            None,
        )


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, perm: np.ndarray, runs: int, silu: bool
    ) -> Tensor:
        x_, weight_ = _array(x), np.ascontiguousarray(_array(weight).T)
        y = torch.empty(x.shape)
        span, parts = x.shape[1] // runs, _parts(runs)
        run(kernels.conv_forward, _tasks(x_) * parts, x_, weight_, _array(bias), perm, span, parts, silu, y.numpy())
        ctx.save_for_backward(x, weight, bias)
        ctx.perm, ctx.span, ctx.silu = perm, span, silu
        return y.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        x_, weight_ = _array(x), np.ascontiguousarray(_array(weight).T)
        batch, taps = x.shape[0], weight_.shape[0]
        dx = torch.zeros(x.shape)
        dweight = torch.zeros(batch, taps, x.shape[2])
        dbias = torch.zeros(batch, x.shape[2])
        inputs = (x_, weight_, _array(bias), ctx.perm, ctx.span, ctx.silu, _array(dy))
        run(kernels.conv_backward, _tasks(x_), *inputs, dx.numpy(), dweight.numpy(), dbias.numpy())
        return dx.to(x.dtype), dweight.sum(0).T.to(weight.dtype), dbias.sum(0).to(bias.dtype), None, None, None


def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    perm: np.ndarray | None,
    runs: int = 1,
) -> Tensor:
    """The scan of `reference.selective_scan` in float32; perm is a numpy index array."""
    tensors = (x, dt, A, B, C, D, z, dt_bias)
    return _Scan.apply(*tensors, _path(perm, x.shape[1]), runs, needs_backward(*tensors))


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor, perm: np.ndarray | None, silu: bool, runs: int = 1) -> Tensor:
    """The convolution of `reference.causal_conv` in float32; weight: (channels, taps)."""
    return _Conv.apply(x, weight, bias, _path(perm, x.shape[1]), runs, silu)


def warm_up() -> None:
    """Compile (or load from the disk cache) all four kernels, on the smallest inputs."""
    x, B, A = torch.ones(1, 2, 2, requires_grad=True), torch.ones(1, 2, 1), -torch.ones(2, 1)
    y = selective_scan(x, x, A, B, B, None, None, None, None)
    y = causal_conv(y, torch.ones(2, 4), torch.ones(2), None, True)
    y.sum().backward()
