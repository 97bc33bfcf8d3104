"""The Triton backend: autograd around `triton_kernels`. Importing this module imports triton."""

from __future__ import annotations

import torch
import torch.nn.functional as F
import triton
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from ..checks import needs_backward
from . import triton_backward, triton_conv, triton_kernels
from .triton_kernels import LANES, TILE, device_of, refuse_too_large

LEAST_SPAN = 64  # tokens of a segment, at least
WARPS_PER_CHIP_UNIT = 16  # target number of programs per multiprocessor, so that some compute while others wait
BACKWARD_SETTINGS: dict[str, int] = {}  # overrides of `shapes` for the backward kernel, to time variants
LOG2E = 1.4426950408889634


def split(batch: int, length: int, channels: int, device: torch.device) -> tuple[int, int]:
    """(tokens per segment, number of segments): enough segments to fill the GPU, none shorter than LEAST_SPAN."""
    tiles, segments = triton.cdiv(length, TILE), 1
    if device.type == "cuda":
        units = torch.cuda.get_device_properties(device).multi_processor_count
        programs = batch * triton.cdiv(channels, LANES)
        segments = max(1, min(length // LEAST_SPAN, triton.cdiv(WARPS_PER_CHIP_UNIT * units, programs)))
    span = triton.cdiv(tiles, segments) * TILE
    return span, triton.cdiv(length, span)


def shapes(state: int, backward: bool = False) -> dict[str, int]:
    """Launch settings by the size of the state: a lane has at most 16 states, the backward kernel takes halves."""
    pad = triton.next_power_of_2(state)
    shape = {"STATE": state, "PAD": pad, "WIDTH": LANES, "num_warps": max(1, pad // 16)}
    if backward:
        shape |= {"PARTS": 2 if pad >= 16 else 1, "KEEP": True} | BACKWARD_SETTINGS
    return shape


class _Scan(torch.autograd.Function):
    """Saves the inputs and the state before every tile, nothing else."""

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
        perm: Tensor | None,
        runs: int,
        pieces: tuple[int, int] | None,
        saves: bool,
    ) -> Tensor:
        x, dt, B, C = (value.contiguous() for value in (x, dt, B, C))
        z = None if z is None else z.contiguous()
        batch, length, channels = x.shape
        state = A.shape[1]
        if runs > 1:
            span, segments = length // runs, runs
        else:
            span, segments = pieces or split(batch, length, channels, x.device)
        joined = segments > runs  # else every segment starts from nothing
        shape = shapes(state)
        refuse_too_large(x.shape, max(channels, 2 * shape["PAD"]), batch * segments)
        rate = _in_rooms(A.float() * LOG2E, shape["PAD"])
        blocks, rooms = triton.cdiv(channels, LANES), (shape["PAD"], LANES)
        y, empty = torch.empty_like(x), x.new_empty(0, dtype=torch.float32)
        tiles = segments * triton.cdiv(span, TILE)
        states = x.new_empty((batch, tiles, blocks, *rooms), dtype=torch.float32) if saves else empty
        carry = x.new_empty((batch, segments, blocks, *rooms), dtype=torch.float32) if joined else empty
        sums = x.new_empty((batch, segments, channels), dtype=torch.float32) if joined else empty
        flags = {"ORDERED": perm is not None, "SHIFTED": bias is not None, "JOINED": joined, "TILE": TILE}
        flags |= {"SKIP": D is not None, "GATED": z is not None, **shape}
        grid, sizes = (blocks, batch * segments), (length, channels, span, segments)
        arrays = (x, dt, rate, B, C, _or_stand_in(D, empty), _or_stand_in(z, x))
        arrays += (_or_stand_in(bias, empty), _or_stand_in(perm, empty), y, states, carry, sums)
        with device_of(x):
            if joined:
                triton_kernels.walk[grid](*arrays, *sizes, SAVE=False, OUTPUT=False, **flags)
                triton_kernels.join[(blocks, batch)](rate, carry, sums, channels, segments, BACKWARD=False, **shape)
            triton_kernels.walk[grid](*arrays, *sizes, SAVE=saves, OUTPUT=True, **flags)
        ctx.save_for_backward(x, dt, A, B, C, D, z, bias, perm, states)
        ctx.pieces = span, segments, joined
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, dt, A, B, C, D, z, bias, perm, states = ctx.saved_tensors
        span, segments, joined = ctx.pieces
        batch, length, channels = x.shape
        state, blocks, dy = A.shape[1], triton.cdiv(channels, LANES), dy.contiguous()
        shape, shape_back = shapes(state), shapes(state, backward=True)
        pad, parts = shape["PAD"], shape_back["PARTS"]
        rate = _in_rooms(A.float() * LOG2E, pad)
        empty = x.new_empty(0, dtype=torch.float32)
        dx, ddt = torch.empty_like(x), torch.empty_like(dt)
        dz = None if z is None else torch.empty_like(z)
        dBC = x.new_empty((batch, blocks, length, parts, 2, pad // parts), dtype=torch.float32)
        dA = x.new_empty((batch, segments, blocks, pad, LANES), dtype=torch.float32)
        dD, dbias = (x.new_empty((batch, segments, channels), dtype=torch.float32) for _ in range(2))
        carry = torch.empty_like(dA) if joined else empty
        flags = {"ORDERED": perm is not None, "SHIFTED": bias is not None, "GATED": z is not None}
        sizes = (length, channels, span, segments)
        grid = (blocks, batch * segments)
        z_, bias_, perm_ = _or_stand_in(z, x), _or_stand_in(bias, empty), _or_stand_in(perm, empty)
        with device_of(x):
            if joined:
                sums = x.new_empty((batch, segments, channels), dtype=torch.float32)
                triton_backward.walk_back[grid](
                    dt, rate, C, z_, bias_, perm_, dy, carry, sums, *sizes, **flags, **shape
                )
                triton_kernels.join[(blocks, batch)](rate, carry, sums, channels, segments, BACKWARD=True, **shape)
            inputs = (x, dt, rate, B, C, _or_stand_in(D, empty), z_, bias_, perm_, states, carry, dy)
            outputs = (dx, ddt, dA, dBC, dD, _or_stand_in(dz, dx), dbias)
            flags |= {"SKIP": D is not None, "JOINED": joined, "TILE": TILE, **shape_back}
            triton_backward.differentiate[grid](*inputs, *outputs, *sizes, **flags)
        dB, dC = dBC.sum(1).transpose(2, 3).flatten(3)[..., :state].unbind(2)
        return (
            dx,
            ddt,
            dA.sum((0, 1)).transpose(1, 2).flatten(0, 1)[:channels, :state].to(A.dtype),
            dB.to(B.dtype),
            dC.to(C.dtype),
            None if D is None else dD.sum((0, 1)).to(D.dtype),
            dz,
            None if bias is None else dbias.sum((0, 1)).to(bias.dtype),
            None,
            None,
            None,
            None,
        )


def _in_rooms(A: Tensor, pad: int) -> Tensor:
    """(channels, state) to (blocks, pad, LANES), filled up with zeros: what a program reads lies together."""
    channels, state = A.shape
    filled = F.pad(A, (0, pad - state, 0, -channels % LANES))
    return filled.unflatten(0, (-1, LANES)).transpose(1, 2).contiguous()


def _or_stand_in(value: Tensor | None, stand_in: Tensor) -> Tensor:
    """A tensor for a kernel argument; even one that is never read needs an address."""
    return stand_in if value is None else value.contiguous()


def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    perm: Tensor | None,
    runs: int = 1,
    pieces: tuple[int, int] | None = None,
) -> Tensor:
    """The scan of `reference.selective_scan`, state in float32 whatever the dtype of the inputs.

    perm: (length,) int64 on the tensors' device. pieces: (tokens per segment, segments) in place of `split`, for a path
    of one run.
    """
    tensors = (x, dt, A, B, C, D, z, dt_bias)
    return _Scan.apply(*tensors, perm, runs, pieces, needs_backward(*tensors))


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor, perm: Tensor | None, silu: bool, runs: int = 1) -> Tensor:
    """The convolution of `reference.causal_conv`, in float32 whatever the dtype of x."""
    return triton_conv.causal_conv(x, weight, bias, perm, silu, runs)
