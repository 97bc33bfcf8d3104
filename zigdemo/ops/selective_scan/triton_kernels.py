"""The Triton kernels of the GPU backend: channel-last, the scan order as an index, the state in registers.

A program owns WIDTH channels of one batch element and walks one segment of the path token by token. Long sequences
are cut into segments that run at once: a first pass finds what every segment adds to the state from nothing
(`walk` without outputs), `join` chains these, a second pass computes from the true states. Where batch and channels
fill the chip alone there is one segment and no first pass. The backward pass does the same from the end. A path of
runs that start afresh has one segment for each, from nothing, and no first pass.
Importing this module imports triton.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl

TILE = 16  # tokens between two saved states; the backward kernel replays them in four groups of four

LOG2E: tl.constexpr = tl.constexpr(1.4426950408889634)
LN2: tl.constexpr = tl.constexpr(0.6931471805599453)


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
def _place(perm, k, length, ORDERED: tl.constexpr):
    """Raster index of the k-th token of the path; 0 beyond the end, where everything is masked."""
    if ORDERED:
        return tl.load(perm + k, mask=k < length, other=0)
    return tl.where(k < length, k, 0).to(tl.int64)


@triton.jit
def _read(pointer, row, cols, channels, mask):
    return tl.load(pointer + row * channels + cols, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def _step(dt, bias, row, cols, channels, mask, SHIFTED: tl.constexpr):
    """The step size of a token and its slope in dt; both 0 beyond the end: no decay, no input."""
    raw = _read(dt, row, cols, channels, mask)
    slope = tl.full(raw.shape, 1.0, tl.float32)
    if SHIFTED:
        raw += tl.load(bias + cols, mask=mask, other=0.0)
        slope = _sigmoid(raw)
        raw = _softplus(raw)
    return tl.where(mask, raw, 0.0), slope


@triton.jit
def _vector(pointer, row, n, STATE: tl.constexpr, mask):
    return tl.load(pointer + row * STATE + n, mask=mask & (n < STATE), other=0.0).to(tl.float32)


@triton.jit
def walk(
    x, dt, rate, B, C, D, z, bias, perm, y, states, carry, sums, length, channels, span, segments,
    STATE: tl.constexpr, PAD: tl.constexpr, WIDTH: tl.constexpr, ORDERED: tl.constexpr, SHIFTED: tl.constexpr,
    SKIP: tl.constexpr, GATED: tl.constexpr, SAVE: tl.constexpr, OUTPUT: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """One segment of `span` tokens, from the state in `carry`; without OUTPUT from nothing, into `carry` and `sums`.

    x, dt, z, y: (batch, length, channels); rate: (state, channels), A times log2(e); B, C: (batch, length, state);
    states: (batch, segments, tiles, state, channels), the state before each tile of a segment; carry: (batch, segments,
    state, channels); sums: (batch, segments, channels), the sum of the steps. PAD: STATE rounded up to a power of two.
    """
    batch, segment = tl.program_id(1) // segments, tl.program_id(1) % segments
    cols = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    n = tl.arange(0, PAD)
    inside = cols < channels
    field = (n < STATE)[:, None] & inside[None, :]
    cell = n[:, None] * channels + cols[None, :]
    decay_rate = tl.load(rate + cell, mask=field, other=0.0)
    base = (batch * length).to(tl.int64)
    home = (batch * segments + segment).to(tl.int64)
    tiles = tl.cdiv(span, TILE)
    if OUTPUT:
        h = tl.load(carry + home * STATE * channels + cell, mask=field, other=0.0)
        skip = tl.zeros((WIDTH,), tl.float32)
        if SKIP:
            skip = tl.load(D + cols, mask=inside, other=0.0)
    else:
        h = tl.zeros((PAD, WIDTH), tl.float32)
    total = tl.zeros((WIDTH,), tl.float32)
    begin = segment * span
    for k in range(begin, tl.minimum(begin + span, length)):
        row = base + _place(perm, k, length, ORDERED)
        xs = _read(x, row, cols, channels, inside)
        step, _ = _step(dt, bias, row, cols, channels, inside, SHIFTED)
        into = _vector(B, row, n, STATE, True)
        if SAVE:
            if (k - begin) % TILE == 0:
                tile = home * tiles + (k - begin) // TILE
                tl.store(states + tile * STATE * channels + cell, h, mask=field)
        h = tl.exp2(step[None, :] * decay_rate) * h + (step * xs)[None, :] * into[:, None]
        if OUTPUT:
            out = _vector(C, row, n, STATE, True)
            value = tl.sum(h * out[:, None], 0)
            if SKIP:
                value += skip * xs
            if GATED:
                gate = _read(z, row, cols, channels, inside)
                value *= gate * _sigmoid(gate)
            tl.store(y + row * channels + cols, value.to(y.dtype.element_ty), mask=inside)
        else:
            total += step
    if not OUTPUT:
        tl.store(carry + home * STATE * channels + cell, h, mask=field)
        tl.store(sums + home * channels + cols, total, mask=inside)


@triton.jit
def join(
    rate, carry, sums, channels, segments,
    STATE: tl.constexpr, PAD: tl.constexpr, WIDTH: tl.constexpr, BACKWARD: tl.constexpr,
):  # fmt: skip
    """Turn what every segment adds into the state on its entry, in place; BACKWARD chains from the last segment."""
    batch = tl.program_id(1)
    cols = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    n = tl.arange(0, PAD)
    inside = cols < channels
    field = (n < STATE)[:, None] & inside[None, :]
    cell = n[:, None] * channels + cols[None, :]
    decay_rate = tl.load(rate + cell, mask=field, other=0.0)
    h = tl.zeros((PAD, WIDTH), tl.float32)
    for i in range(segments):
        segment = segments - 1 - i if BACKWARD else i
        home = (batch * segments + segment).to(tl.int64)
        added = tl.load(carry + home * STATE * channels + cell, mask=field, other=0.0)
        total = tl.load(sums + home * channels + cols, mask=inside, other=0.0)
        tl.store(carry + home * STATE * channels + cell, h, mask=field)
        h = tl.exp2(total[None, :] * decay_rate) * h + added


@triton.jit
def _gradient_out(dy, z, row, cols, channels, mask, GATED: tl.constexpr):
    """Gradient of the ungated output."""
    grad = _read(dy, row, cols, channels, mask)
    if GATED:
        gate = _read(z, row, cols, channels, mask)
        grad *= gate * _sigmoid(gate)
    return grad


@triton.jit
def walk_back(
    dt, rate, C, z, bias, perm, dy, carry, sums, length, channels, span, segments,
    STATE: tl.constexpr, PAD: tl.constexpr, WIDTH: tl.constexpr, ORDERED: tl.constexpr, SHIFTED: tl.constexpr,
    GATED: tl.constexpr,
):  # fmt: skip
    """What a segment alone adds to the gradient of the state before it, into `carry`, and the sum of its steps."""
    batch, segment = tl.program_id(1) // segments, tl.program_id(1) % segments
    cols = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    n = tl.arange(0, PAD)
    inside = cols < channels
    field = (n < STATE)[:, None] & inside[None, :]
    cell = n[:, None] * channels + cols[None, :]
    decay_rate = tl.load(rate + cell, mask=field, other=0.0)
    base = (batch * length).to(tl.int64)
    home = (batch * segments + segment).to(tl.int64)
    flow = tl.zeros((PAD, WIDTH), tl.float32)
    total = tl.zeros((WIDTH,), tl.float32)
    begin = segment * span
    end = tl.minimum(begin + span, length)
    for i in range(begin, end):
        row = base + _place(perm, begin + end - 1 - i, length, ORDERED)
        step, _ = _step(dt, bias, row, cols, channels, inside, SHIFTED)
        grad = _gradient_out(dy, z, row, cols, channels, inside, GATED)
        out = _vector(C, row, n, STATE, True)
        flow = tl.exp2(step[None, :] * decay_rate) * (flow + out[:, None] * grad[None, :])
        total += step
    tl.store(carry + home * STATE * channels + cell, flow, mask=field)
    tl.store(sums + home * channels + cols, total, mask=inside)


@triton.jit
def _advance(
    h, x, dt, B, bias, perm, k, base, length, cols, n, inside, decay_rate, channels,
    STATE: tl.constexpr, ORDERED: tl.constexpr, SHIFTED: tl.constexpr,
):  # fmt: skip
    """The state after token k; unchanged beyond the end."""
    row = base + _place(perm, k, length, ORDERED)
    here = inside & (k + cols * 0 < length)  # compared as a vector: a scalar's dtype differs between versions
    xs = _read(x, row, cols, channels, here)
    step, _ = _step(dt, bias, row, cols, channels, here, SHIFTED)
    into = _vector(B, row, n, STATE, k + n * 0 < length)
    return tl.exp2(step[None, :] * decay_rate) * h + (step * xs)[None, :] * into[:, None]


@triton.jit
def _retreat(
    flow, grad_rate, grad_skip, grad_bias, before, after,
    x, dt, B, C, z, bias, perm, dy, dx, ddt, dz, dB, dC, skip, k, base, slot, length, cols, n, inside, decay_rate,
    channels, STATE: tl.constexpr, ORDERED: tl.constexpr, SHIFTED: tl.constexpr, GATED: tl.constexpr,
):  # fmt: skip
    """Gradients of token k, from the states before and after it and the gradient `flow` of the state after it."""
    place = _place(perm, k, length, ORDERED)
    row = base + place
    here = inside & (k + cols * 0 < length)
    xs = _read(x, row, cols, channels, here)
    step, slope = _step(dt, bias, row, cols, channels, here, SHIFTED)
    live = k + n * 0 < length
    into, out = _vector(B, row, n, STATE, live), _vector(C, row, n, STATE, live)
    grad = _gradient_out(dy, z, row, cols, channels, here, GATED)
    if GATED:
        gate = _read(z, row, cols, channels, here)
        open_ = _sigmoid(gate)
        value = tl.sum(after * out[:, None], 0) + skip * xs
        change = _read(dy, row, cols, channels, here) * value * open_ * (1.0 + gate * (1.0 - open_))
        tl.store(dz + row * channels + cols, change.to(dz.dtype.element_ty), mask=here)
    flow += out[:, None] * grad[None, :]
    seat = (slot + place) * STATE + n
    tl.store(dC + seat, tl.sum(after * grad[None, :], 1), mask=(n < STATE) & live)
    tl.store(dB + seat, tl.sum(flow * (step * xs)[None, :], 1), mask=(n < STATE) & live)
    grad_drive = tl.sum(flow * into[:, None], 0)
    flow *= tl.exp2(step[None, :] * decay_rate)
    decay = flow * before
    grad_rate += decay * step[None, :]
    grad_step = (grad_drive * xs + tl.sum(decay * decay_rate, 0) * LN2) * slope
    grad_skip += grad * xs
    grad_bias += grad_step
    tl.store(dx + row * channels + cols, (skip * grad + grad_drive * step).to(dx.dtype.element_ty), mask=here)
    tl.store(ddt + row * channels + cols, grad_step.to(ddt.dtype.element_ty), mask=here)
    return flow, grad_rate, grad_skip, grad_bias


@triton.jit
def differentiate(
    x, dt, rate, B, C, D, z, bias, perm, states, carry, dy, dx, ddt, dA, dB, dC, dD, dz, dbias,
    length, channels, span, segments,
    STATE: tl.constexpr, PAD: tl.constexpr, WIDTH: tl.constexpr, ORDERED: tl.constexpr, SHIFTED: tl.constexpr,
    SKIP: tl.constexpr, GATED: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Gradients over one segment, tile by tile from its end; the states of a tile are replayed from `states`.

    dA: (batch, segments, state, channels), dD, dbias: (batch, segments, channels),
    dB, dC: (batch, blocks, length, state): slices that the caller adds up in order, so that results repeat exactly.
    """
    batch, segment = tl.program_id(1) // segments, tl.program_id(1) % segments
    cols = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    n = tl.arange(0, PAD)
    inside = cols < channels
    field = (n < STATE)[:, None] & inside[None, :]
    cell = n[:, None] * channels + cols[None, :]
    decay_rate = tl.load(rate + cell, mask=field, other=0.0)
    base = (batch * length).to(tl.int64)
    slot = (batch * tl.num_programs(0) + tl.program_id(0)).to(tl.int64) * length
    home = (batch * segments + segment).to(tl.int64)
    flow = tl.load(carry + home * STATE * channels + cell, mask=field, other=0.0)
    skip = tl.zeros((WIDTH,), tl.float32)
    if SKIP:
        skip = tl.load(D + cols, mask=inside, other=0.0)
    grad_rate = tl.zeros((PAD, WIDTH), tl.float32)
    grad_skip = tl.zeros((WIDTH,), tl.float32)
    grad_bias = tl.zeros((WIDTH,), tl.float32)
    tiles = tl.cdiv(span, TILE)
    begin = segment * span
    end = tl.minimum(begin + span, length)
    used = tl.cdiv(end - begin, TILE)
    for i in range(used):
        tile = used - 1 - i
        k = begin + tile * TILE
        saved = home * tiles + tile
        g0 = tl.load(states + saved * STATE * channels + cell, mask=field, other=0.0)
        g1 = g0
        for j in range(4):
            g1 = _advance(g1, x, dt, B, bias, perm, k + j, base, end, cols, n, inside, decay_rate, channels,
                          STATE, ORDERED, SHIFTED)  # fmt: skip
        g2 = g1
        for j in range(4, 8):
            g2 = _advance(g2, x, dt, B, bias, perm, k + j, base, end, cols, n, inside, decay_rate, channels,
                          STATE, ORDERED, SHIFTED)  # fmt: skip
        g3 = g2
        for j in range(8, 12):
            g3 = _advance(g3, x, dt, B, bias, perm, k + j, base, end, cols, n, inside, decay_rate, channels,
                          STATE, ORDERED, SHIFTED)  # fmt: skip
        for group in range(4):
            q = k + 12 - 4 * group
            h0 = tl.where(group == 0, g3, tl.where(group == 1, g2, tl.where(group == 2, g1, g0)))
            h1 = _advance(h0, x, dt, B, bias, perm, q, base, end, cols, n, inside, decay_rate, channels,
                          STATE, ORDERED, SHIFTED)  # fmt: skip
            h2 = _advance(h1, x, dt, B, bias, perm, q + 1, base, end, cols, n, inside, decay_rate, channels,
                          STATE, ORDERED, SHIFTED)  # fmt: skip
            h3 = _advance(h2, x, dt, B, bias, perm, q + 2, base, end, cols, n, inside, decay_rate, channels,
                          STATE, ORDERED, SHIFTED)  # fmt: skip
            h4 = _advance(h3, x, dt, B, bias, perm, q + 3, base, end, cols, n, inside, decay_rate, channels,
                          STATE, ORDERED, SHIFTED)  # fmt: skip
            flow, grad_rate, grad_skip, grad_bias = _retreat(
                flow, grad_rate, grad_skip, grad_bias, h3, h4, x, dt, B, C, z, bias, perm, dy, dx, ddt, dz, dB, dC,
                skip, q + 3, base, slot, end, cols, n, inside, decay_rate, channels, STATE, ORDERED, SHIFTED,
                GATED)  # fmt: skip
            flow, grad_rate, grad_skip, grad_bias = _retreat(
                flow, grad_rate, grad_skip, grad_bias, h2, h3, x, dt, B, C, z, bias, perm, dy, dx, ddt, dz, dB, dC,
                skip, q + 2, base, slot, end, cols, n, inside, decay_rate, channels, STATE, ORDERED, SHIFTED,
                GATED)  # fmt: skip
            flow, grad_rate, grad_skip, grad_bias = _retreat(
                flow, grad_rate, grad_skip, grad_bias, h1, h2, x, dt, B, C, z, bias, perm, dy, dx, ddt, dz, dB, dC,
                skip, q + 1, base, slot, end, cols, n, inside, decay_rate, channels, STATE, ORDERED, SHIFTED,
                GATED)  # fmt: skip
            flow, grad_rate, grad_skip, grad_bias = _retreat(
                flow, grad_rate, grad_skip, grad_bias, h0, h1, x, dt, B, C, z, bias, perm, dy, dx, ddt, dz, dB, dC,
                skip, q, base, slot, end, cols, n, inside, decay_rate, channels, STATE, ORDERED, SHIFTED,
                GATED)  # fmt: skip
    tl.store(dA + home * STATE * channels + cell, grad_rate, mask=field)
    tl.store(dD + home * channels + cols, grad_skip, mask=inside)
    tl.store(dbias + home * channels + cols, grad_bias, mask=inside)
