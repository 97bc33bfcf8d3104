"""The Triton kernels of the scan's backward pass; layout and segments are those of `triton_kernels`."""

from __future__ import annotations

import triton
import triton.language as tl

from .triton_kernels import (
    LN2,
    _advance,
    _columns,
    _masks,
    _parameter,
    _places,
    _read,
    _room,
    _sigmoid,
    _step,
    _vector,
    _write,
)


@triton.jit
def _through_gate(dy, gate, GATED: tl.constexpr):
    """Gradient of the ungated output."""
    grad = dy.to(tl.float32)
    if GATED:
        gate = gate.to(tl.float32)
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
    cols = _columns(WIDTH)
    n = tl.arange(0, PAD)
    inside = cols < channels
    decay_rate = tl.load(_room(rate, 0, n, PAD, WIDTH))
    base = (batch * length).to(tl.int64)
    dt, z, dy, C = dt + base * channels, z + base * channels, dy + base * channels, C + base * STATE
    home = (batch * segments + segment).to(tl.int64)
    flow = tl.zeros((PAD, WIDTH), tl.float32)
    total = tl.zeros((WIDTH,), tl.float32)
    shift = _parameter(bias, cols, inside, SHIFTED)
    begin = segment * span
    end = tl.minimum(begin + span, length)
    for i in range(tl.cdiv(end - begin, 4)):
        k = begin + 4 * (tl.cdiv(end - begin, 4) - 1 - i)
        places, masks = _places(perm, k, end, ORDERED), _masks(inside, k, end)
        p0, p1, p2, p3 = places
        m0, m1, m2, m3 = masks
        dys = _read(dy, places, cols, channels, masks)
        t0, t1, t2, t3 = _read(dt, places, cols, channels, masks)
        g0, g1, g2, g3 = dys
        z0, z1, z2, z3 = _read(z, places, cols, channels, masks) if GATED else dys
        s0, s1 = _step(t0, shift, m0, SHIFTED), _step(t1, shift, m1, SHIFTED)
        s2, s3 = _step(t2, shift, m2, SHIFTED), _step(t3, shift, m3, SHIFTED)
        total += (s0 + s1) + (s2 + s3)
        flow = _advance_back(flow, s3, _through_gate(g3, z3, GATED), _vector(C, p3, n, STATE), decay_rate)
        flow = _advance_back(flow, s2, _through_gate(g2, z2, GATED), _vector(C, p2, n, STATE), decay_rate)
        flow = _advance_back(flow, s1, _through_gate(g1, z1, GATED), _vector(C, p1, n, STATE), decay_rate)
        flow = _advance_back(flow, s0, _through_gate(g0, z0, GATED), _vector(C, p0, n, STATE), decay_rate)
    tl.store(_room(carry, home, n, PAD, WIDTH), flow)
    tl.store(sums + home * channels + cols, total, mask=inside)


@triton.jit
def _advance_back(flow, step, grad, out, rate):
    """The gradient of the state before a token from that of the state after it."""
    return tl.exp2(step[None, :] * rate) * (flow + out[:, None] * grad[None, :])


@triton.jit
def _swap(value, lane, BIT: tl.constexpr):
    """The value of the lane whose number differs in one bit."""
    return tl.gather(value, tl.broadcast_to((lane ^ BIT)[None, :], value.shape), 1)


@triton.jit
def _fold(low, high, lane, BIT: tl.constexpr):
    """Adds pairs of lanes: those without BIT keep the sums of `low`, those with it of `high`."""
    upper = ((lane & BIT) != 0)[None, :]
    return tl.where(upper, high, low) + _swap(tl.where(upper, low, high), lane, BIT)


@triton.jit
def _halves(value):
    rows: tl.constexpr = value.shape[0] // 2
    return tl.split(tl.permute(tl.reshape(value, (2, rows, value.shape[1])), (1, 2, 0)))


@triton.jit
def _sums(low, high, PART: tl.constexpr, WIDTH: tl.constexpr):
    """Sums over the lanes of both (PART, 32) tensors: every exchange halves what a lane still adds up.

    2 PART exchanges rather than the 10 PART of two reductions. Returns (rows, 32): lane by lane the rows of `low`, then
    of `high`; below 32 rows in all, neighbouring lanes hold the same.
    """
    lane = tl.arange(0, WIDTH)
    value = _fold(low, high, lane, 16)
    if PART >= 2:
        low, high = _halves(value)
        value = _fold(low, high, lane, 8)
    else:
        value += _swap(value, lane, 8)
    if PART >= 4:
        low, high = _halves(value)
        value = _fold(low, high, lane, 4)
    else:
        value += _swap(value, lane, 4)
    if PART >= 8:
        low, high = _halves(value)
        value = _fold(low, high, lane, 2)
    else:
        value += _swap(value, lane, 2)
    if PART >= 16:
        low, high = _halves(value)
        value = _fold(low, high, lane, 1)
    else:
        value += _swap(value, lane, 1)
    return value


@triton.jit
def _write_vectors(dBC, sums, live, PART: tl.constexpr, WIDTH: tl.constexpr):
    """The program's share of the gradients of B and C of a token, (2, PART), as `_sums` leaves them."""
    lane = tl.arange(0, WIDTH)[None, :]
    rows: tl.constexpr = sums.shape[0]
    copies: tl.constexpr = WIDTH * rows // (2 * PART)
    seat = lane // copies * rows + tl.arange(0, rows)[:, None]
    tl.store(dBC + seat, sums, mask=(lane % copies == 0) & live)


@triton.jit
def _write_all(dBC, places, vectors, k, end, PAD: tl.constexpr, PART: tl.constexpr, WIDTH: tl.constexpr):
    p0, p1, p2, p3 = places
    b0, b1, b2, b3 = vectors
    _write_vectors(dBC + p0 * (2 * PAD), b0, k < end, PART, WIDTH)
    _write_vectors(dBC + p1 * (2 * PAD), b1, k + 1 < end, PART, WIDTH)
    _write_vectors(dBC + p2 * (2 * PAD), b2, k + 2 < end, PART, WIDTH)
    _write_vectors(dBC + p3 * (2 * PAD), b3, k + 3 < end, PART, WIDTH)


@triton.jit
def _retreat(
    flow, grad_rate, before, after, step, decay_step, drive, grad, B, C, place, n, rate,
    STATE: tl.constexpr, PART: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Through one token, from the states before and after it and the gradient `flow` of the state after it.

    Also returns the ungated output without its skip, the gradients of drive and of the step's decay, and those of B
    and C summed over the channels.
    """
    into, out = _vector(B, place, n, STATE), _vector(C, place, n, STATE)
    value = tl.sum(after * out[:, None], 0)
    flow += out[:, None] * grad[None, :]
    sums = _sums(flow * drive[None, :], after * grad[None, :], PART, WIDTH)
    grad_drive = tl.sum(flow * into[:, None], 0)
    flow *= tl.exp2(decay_step[None, :] * rate)
    decay = flow * before
    grad_rate += decay * step[None, :]
    grad_decay = tl.sum(decay * rate, 0) * LN2
    return flow, grad_rate, value, grad_drive, grad_decay, sums


@triton.jit
def _part(
    h, flow, grad_rate, rate, steps, decay_steps, drives, grads, places, again, B, C, n,
    STATE: tl.constexpr, PART: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Some states of four tokens: forward from `h`, then back; `again` are the places, as a second read of B.

    Returns flow and grad_rate, and the four other results of `_retreat` for each of the tokens.
    """
    s0, s1, s2, s3 = steps
    d0, d1, d2, d3 = drives
    g0, g1, g2, g3 = grads
    p0, p1, p2, p3 = places
    q0, q1, q2, q3 = again
    r0, r1, r2, r3 = decay_steps
    h1 = _advance(h, s0, d0, _vector(B, p0, n, STATE), rate)
    h2 = _advance(h1, s1, d1, _vector(B, p1, n, STATE), rate)
    h3 = _advance(h2, s2, d2, _vector(B, p2, n, STATE), rate)
    h4 = _advance(h3, s3, d3, _vector(B, p3, n, STATE), rate)
    flow, grad_rate, v3, a3, e3, b3 = _retreat(
        flow, grad_rate, h3, h4, s3, r3, d3, g3, B, C, q3, n, rate, STATE, PART, WIDTH)  # fmt: skip
    flow, grad_rate, v2, a2, e2, b2 = _retreat(
        flow, grad_rate, h2, h3, s2, r2, d2, g2, B, C, q2, n, rate, STATE, PART, WIDTH)  # fmt: skip
    flow, grad_rate, v1, a1, e1, b1 = _retreat(
        flow, grad_rate, h1, h2, s1, r1, d1, g1, B, C, q1, n, rate, STATE, PART, WIDTH)  # fmt: skip
    flow, grad_rate, v0, a0, e0, b0 = _retreat(
        flow, grad_rate, h, h1, s0, r0, d0, g0, B, C, q0, n, rate, STATE, PART, WIDTH)  # fmt: skip
    return flow, grad_rate, (v0, v1, v2, v3), (a0, a1, a2, a3), (e0, e1, e2, e3), (b0, b1, b2, b3)


@triton.jit
def _added(a, b):
    """Elementwise sums of two quadruples."""
    a0, a1, a2, a3 = a
    b0, b1, b2, b3 = b
    return a0 + b0, a1 + b1, a2 + b2, a3 + b3


@triton.jit
def _replay(h, steps, drives, places, B, n, rate, STATE: tl.constexpr):
    """The state four tokens later."""
    s0, s1, s2, s3 = steps
    d0, d1, d2, d3 = drives
    p0, p1, p2, p3 = places
    h = _advance(h, s0, d0, _vector(B, p0, n, STATE), rate)
    h = _advance(h, s1, d1, _vector(B, p1, n, STATE), rate)
    h = _advance(h, s2, d2, _vector(B, p2, n, STATE), rate)
    return _advance(h, s3, d3, _vector(B, p3, n, STATE), rate)


@triton.jit
def _drives(x, steps):
    """Steps times x of four tokens."""
    x0, x1, x2, x3 = x
    s0, s1, s2, s3 = steps
    return s0 * x0, s1 * x1, s2 * x2, s3 * x3


@triton.jit
def _wide(values):
    a, b, c, d = values
    return a.to(tl.float32), b.to(tl.float32), c.to(tl.float32), d.to(tl.float32)


@triton.jit
def _steps(raw, shift, masks, SHIFTED: tl.constexpr):
    t0, t1, t2, t3 = raw
    m0, m1, m2, m3 = masks
    return (
        _step(t0, shift, m0, SHIFTED),
        _step(t1, shift, m1, SHIFTED),
        _step(t2, shift, m2, SHIFTED),
        _step(t3, shift, m3, SHIFTED),
    )


@triton.jit
def _to_raw(grad_step, raw, shift, SHIFTED: tl.constexpr):
    """Gradient of dt from that of the step."""
    if SHIFTED:
        grad_step *= _sigmoid(raw.to(tl.float32) + shift)
    return grad_step


@triton.jit
def _gate_gradient(value, x, dy, gate, skip):
    """Gradient of the gate, from the output without its skip."""
    gate = gate.to(tl.float32)
    open_ = _sigmoid(gate)
    return dy.to(tl.float32) * (value + skip * x) * open_ * (1.0 + gate * (1.0 - open_))


@triton.jit
def differentiate(
    x, dt, rate, B, C, D, z, bias, perm, states, carry, dy, dx, ddt, dA, dBC, dD, dz, dbias,
    length, channels, span, segments,
    STATE: tl.constexpr, PAD: tl.constexpr, WIDTH: tl.constexpr, ORDERED: tl.constexpr, SHIFTED: tl.constexpr,
    SKIP: tl.constexpr, GATED: tl.constexpr, JOINED: tl.constexpr, PARTS: tl.constexpr, KEEP: tl.constexpr,
    TILE: tl.constexpr,
):  # fmt: skip
    """Gradients over one segment, tile by tile from its end; the states of a tile are replayed from `states`.

    dA: (batch, segments, blocks, PAD, WIDTH), dD, dbias: (batch, segments, channels), dBC: (batch, blocks, length,
    PARTS, 2, PAD / PARTS): slices that the caller adds up in order, so that results repeat exactly.
    PARTS: 1, or 2 to compute the states in two halves one after the other, which need fewer registers at once. KEEP:
    keep the decays rather than compute them twice. What four tokens read is read before any of their results is
    written: the reads are in flight at once.
    """
    PART: tl.constexpr = PAD // PARTS
    batch, segment = tl.program_id(1) // segments, tl.program_id(1) % segments
    cols = _columns(WIDTH)
    n, n_ = tl.arange(0, PART), PAD - PART + tl.arange(0, PART)
    inside = cols < channels
    rates = tl.load(_room(rate, 0, n, PAD, WIDTH))
    rates_ = tl.load(_room(rate, 0, n_, PAD, WIDTH)) if PARTS == 2 else rates
    base = (batch * length).to(tl.int64)
    x, dt, z, dy = x + base * channels, dt + base * channels, z + base * channels, dy + base * channels
    dx, ddt, dz = dx + base * channels, ddt + base * channels, dz + base * channels
    B, C = B + base * STATE, C + base * STATE
    dBC += (batch * tl.num_programs(0) + tl.program_id(0)).to(tl.int64) * length * (2 * PAD)
    home = (batch * segments + segment).to(tl.int64)
    tiles = tl.cdiv(span, TILE)
    flow = tl.zeros((PART, WIDTH), tl.float32)
    flow_, sums, sums_ = flow, flow, flow
    if JOINED:
        flow = tl.load(_room(carry, home, n, PAD, WIDTH))
    if PARTS == 2:
        if JOINED:
            flow_ = tl.load(_room(carry, home, n_, PAD, WIDTH))
    skip, shift = _parameter(D, cols, inside, SKIP), _parameter(bias, cols, inside, SHIFTED)
    grad_skip, grad_bias = tl.zeros((WIDTH,), tl.float32), tl.zeros((WIDTH,), tl.float32)
    begin = segment * span
    end = tl.minimum(begin + span, length)
    used = tl.cdiv(end - begin, TILE)
    # Always 0 and 1, but unknown to the compiler: what is computed from them is computed again, not kept in registers.
    none, one = tl.where(span > 0, 0, 1), tl.where(span > 0, 1.0, 0.0)
    for i in range(used):
        tile = used - 1 - i
        first = begin + tile * TILE
        saved, saved_ = (
            _room(states, home * tiles + tile, n, PAD, WIDTH),
            _room(states, home * tiles + tile, n_, PAD, WIDTH),
        )
        known = tile + n[:, None] * 0 + cols[None, :] * 0 > (-1 if JOINED else 0)
        places, masks = _places(perm, first, end, ORDERED), _masks(inside, first, end)
        steps = _steps(_read(dt, places, cols, channels, masks), shift, masks, SHIFTED)
        drives = _drives(_wide(_read(x, places, cols, channels, masks)), steps)
        h = _replay(tl.load(saved, mask=known, other=0.0), steps, drives, places, B, n, rates, STATE)
        h_ = h
        if PARTS == 2:
            h_ = _replay(tl.load(saved_, mask=known, other=0.0), steps, drives, places, B, n_, rates_, STATE)
        for group in range(2):
            k = first + 4 - 4 * group
            places, masks = _places(perm, k, end, ORDERED), _masks(inside, k, end)
            raw, xs = _read(dt, places, cols, channels, masks), _wide(_read(x, places, cols, channels, masks))
            dys = _read(dy, places, cols, channels, masks)
            zs = _read(z, places, cols, channels, masks) if GATED else dys
            x0, x1, x2, x3 = xs
            t0, t1, t2, t3 = raw
            o0, o1, o2, o3 = dys
            z0, z1, z2, z3 = zs
            m0, m1, m2, m3 = masks
            p0, p1, p2, p3 = places
            again = p0 + none, p1 + none, p2 + none, p3 + none
            steps = _steps(raw, shift, masks, SHIFTED)
            s0, s1, s2, s3 = steps
            decay_steps = steps if KEEP else _drives(steps, (one, one, one, one))
            drives = _drives(xs, steps)
            g0, g1 = _through_gate(o0, z0, GATED), _through_gate(o1, z1, GATED)
            g2, g3 = _through_gate(o2, z2, GATED), _through_gate(o3, z3, GATED)
            grads = g0, g1, g2, g3
            flow, sums, values, inner, decays, vectors = _part(
                h, flow, sums, rates, steps, decay_steps, drives, grads, places, again, B, C, n, STATE, PART, WIDTH
            )
            vectors_ = vectors
            if PARTS == 2:
                flow_, sums_, more_values, more_inner, more_decays, vectors_ = _part(
                    h_,
                    flow_,
                    sums_,
                    rates_,
                    steps,
                    decay_steps,
                    drives,
                    grads,
                    places,
                    again,
                    B,
                    C,
                    n_,
                    STATE,
                    PART,
                    WIDTH,
                )
                values, inner, decays = (
                    _added(values, more_values),
                    _added(inner, more_inner),
                    _added(decays, more_decays),
                )
            v0, v1, v2, v3 = values
            a0, a1, a2, a3 = inner
            e0, e1, e2, e3 = decays
            e0, e1 = _to_raw(e0 + a0 * x0, t0, shift, SHIFTED), _to_raw(e1 + a1 * x1, t1, shift, SHIFTED)
            e2, e3 = _to_raw(e2 + a2 * x2, t2, shift, SHIFTED), _to_raw(e3 + a3 * x3, t3, shift, SHIFTED)
            grad_bias += tl.where(m0, e0, 0.0) + tl.where(m1, e1, 0.0) + tl.where(m2, e2, 0.0) + tl.where(m3, e3, 0.0)
            grad_skip += g0 * x0 + g1 * x1 + g2 * x2 + g3 * x3
            _write(dx, places, cols, channels, masks, skip * g0 + a0 * s0, skip * g1 + a1 * s1, skip * g2 + a2 * s2,
                   skip * g3 + a3 * s3)  # fmt: skip
            _write(ddt, places, cols, channels, masks, e0, e1, e2, e3)
            if GATED:
                _write(dz, places, cols, channels, masks, _gate_gradient(v0, x0, o0, z0, skip),
                       _gate_gradient(v1, x1, o1, z1, skip), _gate_gradient(v2, x2, o2, z2, skip),
                       _gate_gradient(v3, x3, o3, z3, skip))  # fmt: skip
            _write_all(dBC, places, vectors, k, end, PAD, PART, WIDTH)
            if PARTS == 2:
                _write_all(dBC + 2 * PART, places, vectors_, k, end, PAD, PART, WIDTH)
            h = tl.load(saved, mask=known & (group == 0), other=0.0)
            if PARTS == 2:
                h_ = tl.load(saved_, mask=known & (group == 0), other=0.0)
    tl.store(_room(dA, home, n, PAD, WIDTH), sums)
    if PARTS == 2:
        tl.store(_room(dA, home, n_, PAD, WIDTH), sums_)
    tl.store(dD + home * channels + cols, grad_skip, mask=inside)
    tl.store(dbias + home * channels + cols, grad_bias, mask=inside)
