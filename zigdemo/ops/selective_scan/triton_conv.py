"""The depthwise causal convolution along a path in Triton. Importing this module imports triton.

A program owns WIDTH channels of one line of the path, a stretch of tokens, and walks it token by token with the last
values in registers, so that every row is read once (but for the few before and after a line). What four tokens need
is read while the four before are computed.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from .triton_kernels import _sigmoid, device_of, refuse_too_large

WIDTH = 64  # channels of a program, a warp: 128 bytes of each row in half precision
LINE = 64  # tokens of a program


@triton.jit
def _row(perm, k, low, high, channels, ORDERED: tl.constexpr):
    """Where the k-th token of the path begins, and whether it lies within [low, high)."""
    here = (k >= low) & (k < high)
    place = tl.where(here, k, 0)
    if ORDERED:
        place = tl.load(perm + place)
    return place.to(tl.int32) * channels, here


@triton.jit
def _read(pointer, perm, k, low, high, channels, cols, inside, ORDERED: tl.constexpr):
    """Four tokens' values from k on, in the dtype of memory; 0 outside of [low, high)."""
    r0, h0 = _row(perm, k, low, high, channels, ORDERED)
    r1, h1 = _row(perm, k + 1, low, high, channels, ORDERED)
    r2, h2 = _row(perm, k + 2, low, high, channels, ORDERED)
    r3, h3 = _row(perm, k + 3, low, high, channels, ORDERED)
    return (
        tl.load(pointer + (r0 + cols), mask=inside & h0, other=0.0),
        tl.load(pointer + (r1 + cols), mask=inside & h1, other=0.0),
        tl.load(pointer + (r2 + cols), mask=inside & h2, other=0.0),
        tl.load(pointer + (r3 + cols), mask=inside & h3, other=0.0),
    )


@triton.jit
def _write(pointer, perm, k, low, high, channels, cols, inside, v0, v1, v2, v3, ORDERED: tl.constexpr):
    r0, h0 = _row(perm, k, low, high, channels, ORDERED)
    r1, h1 = _row(perm, k + 1, low, high, channels, ORDERED)
    r2, h2 = _row(perm, k + 2, low, high, channels, ORDERED)
    r3, h3 = _row(perm, k + 3, low, high, channels, ORDERED)
    tl.store(pointer + (r0 + cols), v0.to(pointer.dtype.element_ty), mask=inside & h0)
    tl.store(pointer + (r1 + cols), v1.to(pointer.dtype.element_ty), mask=inside & h1)
    tl.store(pointer + (r2 + cols), v2.to(pointer.dtype.element_ty), mask=inside & h2)
    tl.store(pointer + (r3 + cols), v3.to(pointer.dtype.element_ty), mask=inside & h3)


@triton.jit
def _start(x, weight, perm, begin, span, channels, cols, inside, TAPS: tl.constexpr, ORDERED: tl.constexpr):
    """(The taps, the TAPS last values before a line): tuples, the oldest first; 0 before the line's run."""
    taps = (tl.load(weight + cols * TAPS, mask=inside, other=0.0).to(tl.float32),)
    row, here = _row(perm, begin - TAPS, begin - begin % span, begin, channels, ORDERED)
    window = (tl.load(x + (row + cols), mask=inside & here, other=0.0).to(tl.float32),)
    for tap in tl.static_range(1, TAPS):
        taps = taps + (tl.load(weight + cols * TAPS + tap, mask=inside, other=0.0).to(tl.float32),)
        row, here = _row(perm, begin - TAPS + tap, begin - begin % span, begin, channels, ORDERED)
        window = window + (tl.load(x + (row + cols), mask=inside & here, other=0.0).to(tl.float32),)
    return taps, window


@triton.jit
def _seen(window, k, span, TAPS: tl.constexpr, RUNS: tl.constexpr):
    """The window of token k without what belongs to the run before."""
    if not RUNS:
        return window
    seen = (tl.where(k % span >= TAPS - 1, window[0], 0.0),)
    for tap in tl.static_range(1, TAPS):
        seen = seen + (tl.where(k % span >= TAPS - 1 - tap, window[tap], 0.0),)
    return seen


@triton.jit
def _linear(seen, taps, shift, TAPS: tl.constexpr):
    """The convolution before the activation."""
    value = shift
    for tap in tl.static_range(TAPS):
        value += taps[tap] * seen[tap]
    return value


@triton.jit
def _forward(window, value, taps, shift, k, span, TAPS: tl.constexpr, RUNS: tl.constexpr, SILU: tl.constexpr):
    """(The window with the value of token k, the output)."""
    window = window[1:] + (value.to(tl.float32),)
    out = _linear(_seen(window, k, span, TAPS, RUNS), taps, shift, TAPS)
    if SILU:
        out *= _sigmoid(out)
    return window, out


@triton.jit
def forward_kernel(
    x, weight, bias, perm, y, length, channels, span, line,
    TAPS: tl.constexpr, ORDERED: tl.constexpr, SILU: tl.constexpr, RUNS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """y: (batch, length, channels); weight: (channels, TAPS), the last on the token itself; span: tokens of a run."""
    lines = tl.cdiv(length, line)
    batch, begin = tl.program_id(1) // lines, tl.program_id(1) % lines * line
    end = tl.minimum(begin + line, length)
    cols = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    inside = cols < channels
    base = (batch * length).to(tl.int64) * channels
    x, y = x + base, y + base
    shift = tl.load(bias + cols, mask=inside, other=0.0).to(tl.float32)
    taps, window = _start(x, weight, perm, begin, span, channels, cols, inside, TAPS, ORDERED)
    ahead = _read(x, perm, begin, 0, end, channels, cols, inside, ORDERED)
    for k in range(begin, end, 4):
        x0, x1, x2, x3 = ahead
        ahead = _read(x, perm, k + 4, 0, end, channels, cols, inside, ORDERED)
        window, y0 = _forward(window, x0, taps, shift, k, span, TAPS, RUNS, SILU)
        window, y1 = _forward(window, x1, taps, shift, k + 1, span, TAPS, RUNS, SILU)
        window, y2 = _forward(window, x2, taps, shift, k + 2, span, TAPS, RUNS, SILU)
        window, y3 = _forward(window, x3, taps, shift, k + 3, span, TAPS, RUNS, SILU)
        _write(y, perm, k, 0, end, channels, cols, inside, y0, y1, y2, y3, ORDERED)


@triton.jit
def _backward(
    window, waiting, grads, grad_bias, value, dy, taps, shift, k, span, end,
    TAPS: tl.constexpr, RUNS: tl.constexpr, SILU: tl.constexpr,
):  # fmt: skip
    """Token k: its gradient goes to the TAPS tokens it saw, which are `waiting`; that of the oldest is then complete.

    Only tokens before `end` count for the gradients of the parameters, as the others belong to the next line.
    """
    window = window[1:] + (value.to(tl.float32),)
    seen = _seen(window, k, span, TAPS, RUNS)
    grad = dy.to(tl.float32)
    if SILU:
        out = _linear(seen, taps, shift, TAPS)
        open_ = _sigmoid(out)
        grad *= open_ * (1.0 + out * (1.0 - open_))
    counted = tl.where(k < end, grad, 0.0)
    grad_bias += counted
    shared = _seen((grad,) * TAPS, k, span, TAPS, RUNS)
    waiting = waiting[1:] + (grad * 0.0,)
    complete = (waiting[0] + taps[0] * shared[0],)
    added = (grads[0] + counted * seen[0],)
    for tap in tl.static_range(1, TAPS):
        complete = complete + (waiting[tap] + taps[tap] * shared[tap],)
        added = added + (grads[tap] + counted * seen[tap],)
    return window, complete, added, grad_bias, complete[0]


@triton.jit
def backward_kernel(
    x, weight, bias, perm, dy, dx, dweight, dbias, length, channels, span, line,
    TAPS: tl.constexpr, ORDERED: tl.constexpr, SILU: tl.constexpr, RUNS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Gradients of a line, from its own tokens and the TAPS - 1 after it.

    dweight: (batch * lines, TAPS, channels), dbias: (batch * lines, channels): slices for the caller to add up.
    """
    lines = tl.cdiv(length, line)
    batch, begin = tl.program_id(1) // lines, tl.program_id(1) % lines * line
    end = tl.minimum(begin + line, length)
    last = tl.minimum(end + TAPS - 1, length)
    cols = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    inside = cols < channels
    base = (batch * length).to(tl.int64) * channels
    x, dy, dx = x + base, dy + base, dx + base
    shift = tl.load(bias + cols, mask=inside, other=0.0).to(tl.float32)
    taps, window = _start(x, weight, perm, begin, span, channels, cols, inside, TAPS, ORDERED)
    grad_bias = tl.zeros((WIDTH,), tl.float32)
    waiting, grads = (grad_bias,) * TAPS, (grad_bias,) * TAPS
    ahead = _read(x, perm, begin, 0, last, channels, cols, inside, ORDERED)
    ahead_dy = _read(dy, perm, begin, 0, last, channels, cols, inside, ORDERED)
    for k in range(begin, end + TAPS - 1, 4):
        x0, x1, x2, x3 = ahead
        g0, g1, g2, g3 = ahead_dy
        ahead = _read(x, perm, k + 4, 0, last, channels, cols, inside, ORDERED)
        ahead_dy = _read(dy, perm, k + 4, 0, last, channels, cols, inside, ORDERED)
        window, waiting, grads, grad_bias, d0 = _backward(
            window, waiting, grads, grad_bias, x0, g0, taps, shift, k, span, end, TAPS, RUNS, SILU
        )
        window, waiting, grads, grad_bias, d1 = _backward(
            window, waiting, grads, grad_bias, x1, g1, taps, shift, k + 1, span, end, TAPS, RUNS, SILU
        )
        window, waiting, grads, grad_bias, d2 = _backward(
            window, waiting, grads, grad_bias, x2, g2, taps, shift, k + 2, span, end, TAPS, RUNS, SILU
        )
        window, waiting, grads, grad_bias, d3 = _backward(
            window, waiting, grads, grad_bias, x3, g3, taps, shift, k + 3, span, end, TAPS, RUNS, SILU
        )
        _write(dx, perm, k - (TAPS - 1), begin, end, channels, cols, inside, d0, d1, d2, d3, ORDERED)
    slot = tl.program_id(1).to(tl.int64)
    tl.store(dbias + slot * channels + cols, grad_bias, mask=inside)
    for tap in tl.static_range(TAPS):
        tl.store(dweight + (slot * TAPS + tap) * channels + cols, grads[tap], mask=inside)


def _launch(
    x: Tensor, weight: Tensor, perm: Tensor | None, silu: bool, runs: int
) -> tuple[tuple[int, int], tuple[int, ...], dict[str, object]]:
    """(Grid, the integers of a kernel, its constants)."""
    batch, length, channels = x.shape
    flags = {"TAPS": weight.shape[1], "ORDERED": perm is not None, "SILU": silu, "RUNS": runs > 1, "WIDTH": WIDTH}
    grid = (triton.cdiv(channels, WIDTH), batch * triton.cdiv(length, LINE))
    refuse_too_large(x.shape, channels, grid[1])
    return grid, (length, channels, length // runs, LINE), flags | {"num_warps": 1}


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, perm: Tensor | None, silu: bool, runs: int
    ) -> Tensor:
        x, weight, bias = x.contiguous(), weight.contiguous(), bias.contiguous()
        y, (grid, sizes, flags) = torch.empty_like(x), _launch(x, weight, perm, silu, runs)
        with device_of(x):
            forward_kernel[grid](x, weight, bias, x if perm is None else perm, y, *sizes, **flags)
        ctx.save_for_backward(x, weight, bias, perm)
        ctx.silu, ctx.runs = silu, runs
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, perm = ctx.saved_tensors
        grid, sizes, flags = _launch(x, weight, perm, ctx.silu, ctx.runs)
        channels, taps = weight.shape
        dx, dy = torch.empty_like(x), dy.contiguous()
        dweight = x.new_empty((grid[1], taps, channels), dtype=torch.float32)
        dbias = x.new_empty((grid[1], channels), dtype=torch.float32)
        order = x if perm is None else perm
        with device_of(x):
            backward_kernel[grid](x, weight, bias, order, dy, dx, dweight, dbias, *sizes, **flags)
        return dx, dweight.sum(0).T.to(weight.dtype), dbias.sum(0).to(bias.dtype), None, None, None


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor, perm: Tensor | None, silu: bool, runs: int = 1) -> Tensor:
    """The convolution of `reference.causal_conv`, in float32 whatever the dtype of x; weight: (channels, taps)."""
    return _Conv.apply(x, weight, bias, perm, silu, runs)
