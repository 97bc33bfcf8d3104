"""The Triton kernels of the GPU backend: channel-last, the scan order as an index, the state in registers.

A program is one warp that owns 32 channels of one batch element, one per lane with its whole state, and walks one
segment of the path in groups of four tokens. Long sequences are cut into segments that run at once: a first pass finds
what every segment adds to the state from nothing (`walk` without outputs), `join` chains these, a second pass computes
from the true states. Where batch and channels fill the chip alone there is one segment and no first pass. The backward
pass does the same from the end. A path of runs that start afresh has one segment for each, from nothing, and no first
pass.
Importing this module imports triton.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl

TILE = 8  # tokens between two saved states: two groups of four, of which the backward kernel replays the first twice
LANES = 32  # channels of a program

MOST_PROGRAMS = 65_535  # along the second axis of a launch

LOG2E: tl.constexpr = tl.constexpr(1.4426950408889634)
LN2: tl.constexpr = tl.constexpr(0.6931471805599453)


def refuse_too_large(shape: torch.Size, widest: int, programs: int) -> None:
    """Raises ValueError for tensors that the kernels, which count within an item in 32 bits, cannot address.

    shape: of x. widest: the most numbers that a token has in any tensor. programs: along the second axis of a launch.
    """
    if shape[1] * widest >= 2**31:
        raise ValueError(f"x of shape {tuple(shape)} is too large: one item must have fewer than 2^31 elements")
    if programs > MOST_PROGRAMS:
        raise ValueError(
            f"x of shape {tuple(shape)} needs {programs} programs, and a GPU starts at most {MOST_PROGRAMS}; "
            "give fewer items at a time"
        )


def device_of(x: torch.Tensor) -> AbstractContextManager:
    """Triton launches on the current device; this makes it the tensor's."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp2(-x * LOG2E))


@triton.jit
def _softplus(x):
    """log(1 + exp(x)), exact to rounding in both tails; the polynomial is the one of `vector_math`."""
    small = tl.exp2(-tl.abs(x) * LOG2E)
    ratio = small / (2.0 + small)
    square = ratio * ratio
    poly = 0.281783448 * square + 0.279606006
    poly = poly * square + 0.400249104
    poly = poly * square + 0.666663147
    poly = poly * square + 2.0
    return tl.maximum(x, 0.0) + ratio * poly


@triton.jit
def _columns(WIDTH: tl.constexpr):
    """The program's channels, one per lane with all its states, as the compiler must not know that they are aligned.

    Otherwise it gives a lane four neighbours and a quarter of their states, so that saved states are read in wide
    loads, and passes the values of every token between lanes through shared memory.
    """
    return tl.multiple_of(tl.program_id(0) * WIDTH + tl.arange(0, WIDTH), 1)


@triton.jit
def _room(pointer, index, n, PAD: tl.constexpr, WIDTH: tl.constexpr):
    """Where this program keeps states n in (index, programs, PAD, WIDTH): one address and constant distances."""
    seat = (index * tl.num_programs(0) + tl.program_id(0)).to(tl.int64) * (PAD * WIDTH)
    lane = tl.multiple_of(tl.arange(0, WIDTH), 1)
    return (pointer + seat + lane)[None, :] + (n * WIDTH)[:, None]


@triton.jit
def _place(perm, k, end, ORDERED: tl.constexpr):
    """Raster index of the k-th token of the path; 0 beyond the end, where everything is masked."""
    if ORDERED:
        return tl.load(perm + k, mask=k < end, other=0).to(tl.int32)
    return tl.where(k < end, k, 0).to(tl.int32)


@triton.jit
def _places(perm, k, end, ORDERED: tl.constexpr):
    """Raster indices of the four tokens from k on."""
    return (
        _place(perm, k, end, ORDERED),
        _place(perm, k + 1, end, ORDERED),
        _place(perm, k + 2, end, ORDERED),
        _place(perm, k + 3, end, ORDERED),
    )


@triton.jit
def _masks(inside, k, end):
    """Which channels of the four tokens from k on exist."""
    zero = inside.to(tl.int32) * 0  # compared as vectors: a scalar's dtype differs between versions
    return (
        inside & (k + zero < end),
        inside & (k + 1 + zero < end),
        inside & (k + 2 + zero < end),
        inside & (k + 3 + zero < end),
    )


@triton.jit
def _read(pointer, places, cols, channels, masks):
    """The channels of four tokens, in the dtype of memory."""
    p0, p1, p2, p3 = places
    m0, m1, m2, m3 = masks
    return (
        tl.load(pointer + (p0 * channels + cols), mask=m0, other=0.0),
        tl.load(pointer + (p1 * channels + cols), mask=m1, other=0.0),
        tl.load(pointer + (p2 * channels + cols), mask=m2, other=0.0),
        tl.load(pointer + (p3 * channels + cols), mask=m3, other=0.0),
    )


@triton.jit
def _write(pointer, places, cols, channels, masks, v0, v1, v2, v3):
    p0, p1, p2, p3 = places
    m0, m1, m2, m3 = masks
    tl.store(pointer + (p0 * channels + cols), v0.to(pointer.dtype.element_ty), mask=m0)
    tl.store(pointer + (p1 * channels + cols), v1.to(pointer.dtype.element_ty), mask=m1)
    tl.store(pointer + (p2 * channels + cols), v2.to(pointer.dtype.element_ty), mask=m2)
    tl.store(pointer + (p3 * channels + cols), v3.to(pointer.dtype.element_ty), mask=m3)


@triton.jit
def _vector(pointer, place, n, STATE: tl.constexpr):
    """B or C of a token."""
    return tl.load(pointer + (place * STATE + n), mask=n < STATE, other=0.0).to(tl.float32)


@triton.jit
def _parameter(pointer, cols, inside, GIVEN: tl.constexpr):
    """One number of each channel, zero where there is none."""
    if GIVEN:
        return tl.load(pointer + cols, mask=inside, other=0.0).to(tl.float32)
    return cols.to(tl.float32) * 0.0


@triton.jit
def _step(raw, shift, mask, SHIFTED: tl.constexpr):
    """The step size of a token; 0 beyond the end: no decay, no input."""
    step = raw.to(tl.float32)
    if SHIFTED:
        step = _softplus(step + shift)
    return tl.where(mask, step, 0.0)


@triton.jit
def _advance(h, step, drive, into, rate):
    """The state after a token of the given step, drive (step times x) and B."""
    return tl.exp2(step[None, :] * rate) * h + drive[None, :] * into[:, None]


@triton.jit
def _output(h, out, x, gate, skip, GATED: tl.constexpr):
    value = tl.sum(h * out[:, None], 0) + skip * x
    if GATED:
        gate = gate.to(tl.float32)
        value *= gate * _sigmoid(gate)
    return value


@triton.jit
def walk(
    x, dt, rate, B, C, D, z, bias, perm, y, states, carry, sums, length, channels, span, segments,
    STATE: tl.constexpr, PAD: tl.constexpr, WIDTH: tl.constexpr, ORDERED: tl.constexpr, SHIFTED: tl.constexpr,
    SKIP: tl.constexpr, GATED: tl.constexpr, SAVE: tl.constexpr, OUTPUT: tl.constexpr, JOINED: tl.constexpr,
    TILE: tl.constexpr,
):  # fmt: skip
    """One segment of `span` tokens, from the state in `carry` if JOINED, or without OUTPUT into `carry` and `sums`.

    x, dt, z, y: (batch, length, channels); rate: (blocks, PAD, WIDTH), A times log2(e); B, C: (batch, length, state);
    states: (batch, segments, tiles, state, channels), the state before each tile of a segment, of the first only if
    JOINED; carry: (batch, segments, state, channels); sums: (batch, segments, channels), the sum of the steps. PAD:
    STATE rounded up to a power of two. The next four tokens are on their way while these four are computed.
    """
    batch, segment = tl.program_id(1) // segments, tl.program_id(1) % segments
    cols = _columns(WIDTH)
    n = tl.arange(0, PAD)
    inside = cols < channels
    decay_rate = tl.load(_room(rate, 0, n, PAD, WIDTH))
    base = (batch * length).to(tl.int64)
    x, dt, z, y = x + base * channels, dt + base * channels, z + base * channels, y + base * channels
    B, C = B + base * STATE, C + base * STATE
    home = (batch * segments + segment).to(tl.int64)
    tiles = tl.cdiv(span, TILE)
    h = tl.zeros((PAD, WIDTH), tl.float32)
    if OUTPUT and JOINED:
        h = tl.load(_room(carry, home, n, PAD, WIDTH))
    skip, shift = _parameter(D, cols, inside, SKIP), _parameter(bias, cols, inside, SHIFTED)
    total = tl.zeros((WIDTH,), tl.float32)
    begin = segment * span
    end = tl.minimum(begin + span, length)
    places, masks = _places(perm, begin, end, ORDERED), _masks(inside, begin, end)
    xs, dts = _read(x, places, cols, channels, masks), _read(dt, places, cols, channels, masks)
    zs = _read(z, places, cols, channels, masks) if GATED and OUTPUT else xs
    for k in range(begin, end, 4):
        now, live = places, masks
        p0, p1, p2, p3 = places
        m0, m1, m2, m3 = masks
        x0, x1, x2, x3 = xs
        t0, t1, t2, t3 = dts
        z0, z1, z2, z3 = zs
        places, masks = _places(perm, k + 4, end, ORDERED), _masks(inside, k + 4, end)
        xs, dts = _read(x, places, cols, channels, masks), _read(dt, places, cols, channels, masks)
        zs = _read(z, places, cols, channels, masks) if GATED and OUTPUT else xs
        if SAVE:
            if ((k - begin) % TILE == 0) & (JOINED or k > begin):
                tl.store(_room(states, home * tiles + (k - begin) // TILE, n, PAD, WIDTH), h)
        s0, s1 = _step(t0, shift, m0, SHIFTED), _step(t1, shift, m1, SHIFTED)
        s2, s3 = _step(t2, shift, m2, SHIFTED), _step(t3, shift, m3, SHIFTED)
        x0, x1, x2, x3 = x0.to(tl.float32), x1.to(tl.float32), x2.to(tl.float32), x3.to(tl.float32)
        h = _advance(h, s0, s0 * x0, _vector(B, p0, n, STATE), decay_rate)
        y0 = _output(h, _vector(C, p0, n, STATE), x0, z0, skip, GATED) if OUTPUT else x0
        h = _advance(h, s1, s1 * x1, _vector(B, p1, n, STATE), decay_rate)
        y1 = _output(h, _vector(C, p1, n, STATE), x1, z1, skip, GATED) if OUTPUT else x1
        h = _advance(h, s2, s2 * x2, _vector(B, p2, n, STATE), decay_rate)
        y2 = _output(h, _vector(C, p2, n, STATE), x2, z2, skip, GATED) if OUTPUT else x2
        h = _advance(h, s3, s3 * x3, _vector(B, p3, n, STATE), decay_rate)
        y3 = _output(h, _vector(C, p3, n, STATE), x3, z3, skip, GATED) if OUTPUT else x3
        if OUTPUT:
            _write(y, now, cols, channels, live, y0, y1, y2, y3)
        else:
            total += (s0 + s1) + (s2 + s3)
    if not OUTPUT:
        tl.store(_room(carry, home, n, PAD, WIDTH), h)
        tl.store(sums + home * channels + cols, total, mask=inside)


@triton.jit
def join(
    rate, carry, sums, channels, segments,
    STATE: tl.constexpr, PAD: tl.constexpr, WIDTH: tl.constexpr, BACKWARD: tl.constexpr,
):  # fmt: skip
    """Turn what every segment adds into the state on its entry, in place; BACKWARD chains from the last segment."""
    batch = tl.program_id(1)
    cols = _columns(WIDTH)
    n = tl.arange(0, PAD)
    inside = cols < channels
    decay_rate = tl.load(_room(rate, 0, n, PAD, WIDTH))
    h = tl.zeros((PAD, WIDTH), tl.float32)
    for i in range(segments):
        segment = segments - 1 - i if BACKWARD else i
        home = (batch * segments + segment).to(tl.int64)
        added = tl.load(_room(carry, home, n, PAD, WIDTH))
        total = tl.load(sums + home * channels + cols, mask=inside, other=0.0)
        tl.store(_room(carry, home, n, PAD, WIDTH), h)
        h = tl.exp2(total[None, :] * decay_rate) * h + added
