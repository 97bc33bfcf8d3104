"""The depthwise causal convolution along a path in Triton. Importing this module imports triton."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from .triton_kernels import _sigmoid, device_of

ROWS, WIDTH = 16, 64  # tokens and channels of a program


@triton.jit
def _rows(pointer, perm, k, run, base, length, span, cols, channels, ORDERED: tl.constexpr):
    """(tokens, channels) values at positions k of the path; 0 outside of the path and of the given run of each."""
    here = (k >= 0) & (k < length) & (k // span == run)
    place = tl.where(here, k, 0).to(tl.int64)
    if ORDERED:
        place = tl.load(perm + place)
    mask = here[:, None] & (cols < channels)[None, :]
    return tl.load(pointer + (base + place)[:, None] * channels + cols[None, :], mask=mask, other=0.0).to(tl.float32)


@triton.jit
def _linear(
    x, weight, bias, perm, k, run, base, length, span, cols, channels, TAPS: tl.constexpr, ORDERED: tl.constexpr
):
    """The convolution at positions k, before the activation."""
    inside = cols < channels
    total = tl.zeros((k.shape[0], cols.shape[0]), tl.float32)
    total += tl.load(bias + cols, mask=inside, other=0.0).to(tl.float32)[None, :]
    for tap in tl.static_range(TAPS):
        tapped = tl.load(weight + cols * TAPS + tap, mask=inside, other=0.0).to(tl.float32)
        taken = _rows(x, perm, k - (TAPS - 1) + tap, run, base, length, span, cols, channels, ORDERED)
        total += tapped[None, :] * taken
    return total


@triton.jit
def forward_kernel(
    x, weight, bias, perm, y, length, channels, span,
    TAPS: tl.constexpr, ORDERED: tl.constexpr, SILU: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """y: (batch, length, channels); weight: (channels, TAPS), the last on the token itself; span: tokens of a run."""
    batch, tiles = tl.program_id(1) // tl.cdiv(length, ROWS), tl.cdiv(length, ROWS)
    k = (tl.program_id(1) % tiles) * ROWS + tl.arange(0, ROWS)
    cols = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    base = (batch * length).to(tl.int64)
    value = _linear(x, weight, bias, perm, k, k // span, base, length, span, cols, channels, TAPS, ORDERED)
    if SILU:
        value *= _sigmoid(value)
    place = tl.where(k < length, k, 0).to(tl.int64)
    if ORDERED:
        place = tl.load(perm + place)
    mask = (k < length)[:, None] & (cols < channels)[None, :]
    tl.store(y + (base + place)[:, None] * channels + cols[None, :], value.to(y.dtype.element_ty), mask=mask)


@triton.jit
def _inner_gradient(
    x, weight, bias, perm, dy, k, run, base, length, span, cols, channels,
    TAPS: tl.constexpr, ORDERED: tl.constexpr, SILU: tl.constexpr,
):  # fmt: skip
    """Gradient before the activation at positions k; 0 beyond the end of the given run of each."""
    grad = _rows(dy, perm, k, run, base, length, span, cols, channels, ORDERED)
    if SILU:
        value = _linear(x, weight, bias, perm, k, run, base, length, span, cols, channels, TAPS, ORDERED)
        open_ = _sigmoid(value)
        grad *= open_ * (1.0 + value * (1.0 - open_))
    return grad


@triton.jit
def backward_kernel(
    x, weight, bias, perm, dy, dx, dweight, dbias, length, channels, span,
    TAPS: tl.constexpr, ORDERED: tl.constexpr, SILU: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """dweight: (batch * tiles, TAPS, channels), dbias: (batch * tiles, channels): slices for the caller to add up."""
    tiles = tl.cdiv(length, ROWS)
    batch = tl.program_id(1) // tiles
    k = (tl.program_id(1) % tiles) * ROWS + tl.arange(0, ROWS)
    cols = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    inside = cols < channels
    base = (batch * length).to(tl.int64)
    slot = tl.program_id(1).to(tl.int64)
    run = k // span
    grad = _inner_gradient(x, weight, bias, perm, dy, k, run, base, length, span, cols, channels, TAPS, ORDERED, SILU)
    tl.store(dbias + slot * channels + cols, tl.sum(grad, 0), mask=inside)
    total = tl.zeros((ROWS, WIDTH), tl.float32)
    for tap in tl.static_range(TAPS):
        taken = _rows(x, perm, k - (TAPS - 1) + tap, run, base, length, span, cols, channels, ORDERED)
        tl.store(dweight + (slot * TAPS + tap) * channels + cols, tl.sum(grad * taken, 0), mask=inside)
        later = _inner_gradient(
            x,
            weight,
            bias,
            perm,
            dy,
            k + (TAPS - 1) - tap,
            run,
            base,
            length,
            span,
            cols,
            channels,
            TAPS,
            ORDERED,
            SILU,
        )
        tapped = tl.load(weight + cols * TAPS + tap, mask=inside, other=0.0).to(tl.float32)
        total += tapped[None, :] * later
    place = tl.where(k < length, k, 0).to(tl.int64)
    if ORDERED:
        place = tl.load(perm + place)
    mask = (k < length)[:, None] & inside[None, :]
    tl.store(dx + (base + place)[:, None] * channels + cols[None, :], total.to(dx.dtype.element_ty), mask=mask)


def _launch(x: Tensor, weight: Tensor, perm: Tensor | None, silu: bool) -> tuple[tuple[int, int], dict[str, object]]:
    batch, length, channels = x.shape
    flags = {"TAPS": weight.shape[1], "ORDERED": perm is not None, "SILU": silu, "ROWS": ROWS, "WIDTH": WIDTH}
    return (triton.cdiv(channels, WIDTH), batch * triton.cdiv(length, ROWS)), flags


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, perm: Tensor | None, silu: bool, runs: int
    ) -> Tensor:
        x, weight, bias = x.contiguous(), weight.contiguous(), bias.contiguous()
        y, (grid, flags) = torch.empty_like(x), _launch(x, weight, perm, silu)
        sizes = (x.shape[1], x.shape[2], x.shape[1] // runs)
        with device_of(x):
            forward_kernel[grid](x, weight, bias, x if perm is None else perm, y, *sizes, **flags)
        ctx.save_for_backward(x, weight, bias, perm)
        ctx.silu, ctx.sizes = silu, sizes
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, perm = ctx.saved_tensors
        grid, flags = _launch(x, weight, perm, ctx.silu)
        channels, taps = weight.shape
        dx, dy = torch.empty_like(x), dy.contiguous()
        dweight = x.new_empty((grid[1], taps, channels), dtype=torch.float32)
        dbias = x.new_empty((grid[1], channels), dtype=torch.float32)
        order = x if perm is None else perm
        with device_of(x):
            backward_kernel[grid](x, weight, bias, order, dy, dx, dweight, dbias, *ctx.sizes, **flags)
        return dx, dweight.sum(0).T.to(weight.dtype), dbias.sum(0).to(bias.dtype), None, None, None


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor, perm: Tensor | None, silu: bool, runs: int = 1) -> Tensor:
    """The convolution of `reference.causal_conv`, in float32 whatever the dtype of x; weight: (channels, taps)."""
    return _Conv.apply(x, weight, bias, perm, silu, runs)
