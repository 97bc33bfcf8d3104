"""The numba kernels of the CPU backend: one pass over the tokens in scan order, channel-last, no permuted copy.

A task is one block of channels of one batch element. In the forward pass a block has `WIDTH` channels: its state is a
(state, WIDTH) array that stays in the first-level cache. The backward pass holds the states of a whole chunk, in the
second-level cache anyway, and takes blocks up to twice as wide, as every start of its inner loops is dear. A path is
made of runs of `span` tokens; state and convolution start afresh in each. A forward task does the runs of one of
`parts` pieces of the path. Tasks [first, last) run in the calling thread with the interpreter lock released.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..kernel_cache import keeps_kernels
from ..vector_math import LN2, LOG2E, exp2, prefetch, sigmoid, softplus

WIDTH = 128  # channels in a task: eight AVX-512 or sixteen AVX registers a row of the state
WIDE = 256  # most channels in a task of the backward pass
CHUNK = 16  # tokens between two saved states; the backward pass replays one chunk at a time

_FLAGS = {"nogil": True, "cache": keeps_kernels(), "fastmath": {"contract", "reassoc", "nsz"}, "error_model": "numpy"}
ONE = np.float32(1.0)
LINE = 16  # float32 in a cache line, and in the widest vector register
AHEAD = 2  # tokens between asking the memory for a row and reading it: a path jumps, so no prefetcher foresees it


@njit(inline="always")
def _fetch(rows, b, p, start, stop):
    for c in range(start, stop, LINE):
        prefetch(rows, b, p, c)


@njit(**_FLAGS)
def scan_forward(x, dt, A, B, C, D, z, bias, perm, span, parts, y, states, suspect, first, last):
    """Selective scan of tasks [first, last).

    x, dt, y: (batch, length, channels); A: (state, channels); B, C: (batch, length, state); D, bias: (channels,);
    z: like x, or empty for no gate; bias: empty for dt as given; perm: (length,);
    states: (batch, chunks, state, channels) filled with the state before every chunk but the first of a run, or empty;
    suspect: (tasks,), true where the last state of a run holds NaN, which any NaN in dt leads to.
    """
    batch, length, channels = x.shape
    state = A.shape[0]
    runs, kept = length // span, (span - 1) // CHUNK
    blocks = (channels + WIDTH - 1) // WIDTH
    gated, shifted, saved = z.size > 0, bias.size > 0, states.size > 0
    rate = np.zeros((state, WIDTH), np.float32)
    h = np.zeros((state, WIDTH), np.float32)
    step = np.zeros(WIDTH, np.float32)
    drive = np.zeros(WIDTH, np.float32)
    total = np.zeros(WIDTH, np.float32)
    for task in range(first, last):
        b, part, start = task // (blocks * parts), task // blocks % parts, (task % blocks) * WIDTH
        stop = min(start + WIDTH, channels)
        width = stop - start
        skip, shift = D[start:stop], bias[start:stop]
        for n in range(state):
            for c in range(WIDTH):
                rate[n, c] = 0.0
                h[n, c] = 0.0
            for c in range(width):
                rate[n, c] = A[n, start + c] * LOG2E
        final = np.float32(0.0)
        for k in range(runs * part // parts * span, runs * (part + 1) // parts * span):
            p, later = perm[k], perm[min(k + AHEAD, length - 1)]
            _fetch(x, b, later, start, stop)
            _fetch(dt, b, later, start, stop)
            _fetch(y, b, later, start, stop)
            if gated:
                _fetch(z, b, later, start, stop)
            xs, ts, ys = x[b, p, start:stop], dt[b, p, start:stop], y[b, p, start:stop]
            since = k % span
            if since == 0:
                for n in range(state):
                    for c in range(width):
                        final += h[n, c]
                    for c in range(WIDTH):
                        h[n, c] = 0.0
            elif saved and since % CHUNK == 0:
                for n in range(state):
                    row = states[b, k // span * kept + since // CHUNK - 1, n, start:stop]
                    for c in range(width):
                        row[c] = h[n, c]
            if shifted:
                for c in range(width):
                    step[c] = softplus(ts[c] + shift[c])
            else:
                for c in range(width):
                    step[c] = ts[c]
            for c in range(width):
                drive[c] = step[c] * xs[c]
                total[c] = skip[c] * xs[c]
            for n in range(state):
                into, out = B[b, p, n], C[b, p, n]
                for c in range(WIDTH):
                    value = exp2(step[c] * rate[n, c]) * h[n, c] + drive[c] * into
                    h[n, c] = value
                    total[c] += value * out
            if gated:
                zs = z[b, p, start:stop]
                for c in range(width):
                    ys[c] = total[c] * zs[c] * sigmoid(zs[c])
            else:
                for c in range(width):
                    ys[c] = total[c]
        for n in range(state):
            for c in range(width):
                final += h[n, c]
        suspect[task] = final != final


@njit(**_FLAGS)
def scan_backward(
    x,
    dt,
    A,
    B,
    C,
    D,
    z,
    bias,
    perm,
    span,
    states,
    dy,
    dx,
    ddt,
    dA,
    dB,
    dC,
    dD,
    dz,
    dbias,
    first,
    last,
):
    """Gradients of `scan_forward` for tasks [first, last); the chunk's states are replayed from `states`.

    dy, dx, ddt, dz: like x (dz empty where there is no gate); dA: (batch, state, channels) and dD, dbias:
    (batch, channels), one slice a batch element; dB, dC: (batch, blocks, length, state), one slice a task, which tells
    how wide a block is. Summing the slices in order makes the result independent of the spread of tasks over threads.
    """
    batch, length, channels = x.shape
    state = A.shape[0]
    kept = (span - 1) // CHUNK
    blocks = dB.shape[1]
    wide = ((channels + blocks - 1) // blocks + LINE - 1) // LINE * LINE
    gated, shifted = z.size > 0, bias.size > 0
    rate = np.zeros((state, wide), np.float32)
    grad_rate = np.zeros((state, wide), np.float32)
    carry = np.zeros((state, wide), np.float32)
    history = np.zeros((CHUNK + 1, state, wide), np.float32)
    decays = np.zeros((CHUNK, state, wide), np.float32)
    steps = np.zeros((CHUNK, wide), np.float32)
    slope = np.zeros((CHUNK, wide), np.float32)
    totals = np.zeros((CHUNK, wide), np.float32)
    drive = np.zeros(wide, np.float32)
    grad = np.zeros(wide, np.float32)
    grad_drive = np.zeros(wide, np.float32)
    grad_step = np.zeros(wide, np.float32)
    grad_skip = np.zeros(wide, np.float32)
    grad_bias = np.zeros(wide, np.float32)
    for task in range(first, last):
        b, block = task // blocks, task % blocks
        start = min(block * wide, channels)
        stop = min(start + wide, channels)
        width = stop - start
        skip, shift = D[start:stop], bias[start:stop]
        for n in range(state):
            for c in range(wide):
                rate[n, c] = 0.0
                grad_rate[n, c] = 0.0
            for c in range(width):
                rate[n, c] = A[n, start + c] * LOG2E
        for c in range(wide):
            grad[c] = 0.0
            drive[c] = 0.0
            grad_skip[c] = 0.0
            grad_bias[c] = 0.0
        steps[:, :] = 0.0
        for piece in range(length // span * (kept + 1) - 1, -1, -1):
            run, chunk = piece // (kept + 1), piece % (kept + 1)
            begin = run * span + chunk * CHUNK
            size = min(CHUNK, (run + 1) * span - begin)
            if chunk == kept:
                for n in range(state):
                    for c in range(wide):
                        carry[n, c] = 0.0
            if chunk == 0:
                for n in range(state):
                    for c in range(wide):
                        history[0, n, c] = 0.0
            else:
                for n in range(state):
                    row = states[b, run * kept + chunk - 1, n, start:stop]
                    for c in range(width):
                        history[0, n, c] = row[c]
            for i in range(size):
                p, later = perm[begin + i], perm[begin + min(i + AHEAD, size - 1)]
                _fetch(x, b, later, start, stop)
                _fetch(dt, b, later, start, stop)
                xs, ts = x[b, p, start:stop], dt[b, p, start:stop]
                if shifted:
                    for c in range(width):
                        steps[i, c] = softplus(ts[c] + shift[c])
                        slope[i, c] = sigmoid(ts[c] + shift[c])
                else:
                    for c in range(width):
                        steps[i, c] = ts[c]
                        slope[i, c] = 1.0
                for c in range(width):
                    drive[c] = steps[i, c] * xs[c]
                    totals[i, c] = skip[c] * xs[c]
                for n in range(state):
                    into, out = B[b, p, n], C[b, p, n]
                    for c in range(wide):
                        decay = exp2(steps[i, c] * rate[n, c])
                        value = decay * history[i, n, c] + drive[c] * into
                        decays[i, n, c] = decay
                        history[i + 1, n, c] = value
                        totals[i, c] += value * out
            for i in range(size - 1, -1, -1):
                p, sooner = perm[begin + i], perm[max(begin + i - AHEAD, 0)]
                _fetch(dy, b, sooner, start, stop)
                _fetch(dx, b, sooner, start, stop)
                _fetch(ddt, b, sooner, start, stop)
                if gated:
                    _fetch(z, b, sooner, start, stop)
                    _fetch(dz, b, sooner, start, stop)
                xs, gs = x[b, p, start:stop], dy[b, p, start:stop]
                dxs, dts = dx[b, p, start:stop], ddt[b, p, start:stop]
                if gated:
                    zs, dzs = z[b, p, start:stop], dz[b, p, start:stop]
                    for c in range(width):
                        open_ = sigmoid(zs[c])
                        grad[c] = gs[c] * zs[c] * open_
                        dzs[c] = gs[c] * totals[i, c] * open_ * (ONE + zs[c] * (ONE - open_))
                else:
                    for c in range(width):
                        grad[c] = gs[c]
                for c in range(width):
                    drive[c] = steps[i, c] * xs[c]
                    grad_skip[c] += grad[c] * xs[c]
                for c in range(wide):
                    grad_drive[c] = 0.0
                    grad_step[c] = 0.0
                for n in range(state):
                    into, out = B[b, p, n], C[b, p, n]
                    sum_in, sum_out = np.float32(0.0), np.float32(0.0)
                    for c in range(wide):
                        flow = carry[n, c] + out * grad[c]
                        sum_out += history[i + 1, n, c] * grad[c]
                        sum_in += flow * drive[c]
                        grad_drive[c] += flow * into
                        flow *= decays[i, n, c]
                        carry[n, c] = flow
                        change = flow * history[i, n, c]
                        grad_step[c] += change * rate[n, c]
                        grad_rate[n, c] += change * steps[i, c]
                    dB[b, block, p, n] = sum_in
                    dC[b, block, p, n] = sum_out
                for c in range(width):
                    dxs[c] = skip[c] * grad[c] + grad_drive[c] * steps[i, c]
                    change = (grad_drive[c] * xs[c] + grad_step[c] * LN2) * slope[i, c]
                    dts[c] = change
                    grad_bias[c] += change
        for n in range(state):
            for c in range(width):
                dA[b, n, start + c] = grad_rate[n, c]
        for c in range(width):
            dD[b, start + c] = grad_skip[c]
            dbias[b, start + c] = grad_bias[c]


@njit(**_FLAGS)
def conv_forward(x, weight, bias, perm, span, parts, silu, y, first, last):
    """Depthwise causal convolution in scan order, of tasks [first, last).

    x, y: (batch, length, channels); weight: (taps, channels), the last tap on the token itself; bias: (channels,);
    silu: apply SiLU to the result.
    """
    batch, length, channels = x.shape
    taps = weight.shape[0]
    runs = length // span
    blocks = (channels + WIDTH - 1) // WIDTH
    total = np.zeros(WIDTH, np.float32)
    for task in range(first, last):
        b, part, start = task // (blocks * parts), task // blocks % parts, (task % blocks) * WIDTH
        stop = min(start + WIDTH, channels)
        width = stop - start
        shift = bias[start:stop]
        for k in range(runs * part // parts * span, runs * (part + 1) // parts * span):
            ys = y[b, perm[k], start:stop]
            for c in range(width):
                total[c] = shift[c]
            for tap in range(max(0, taps - 1 - k % span), taps):
                xs, w = x[b, perm[k - taps + 1 + tap], start:stop], weight[tap, start:stop]
                for c in range(width):
                    total[c] += w[c] * xs[c]
            if silu:
                for c in range(width):
                    ys[c] = total[c] * sigmoid(total[c])
            else:
                for c in range(width):
                    ys[c] = total[c]


@njit(**_FLAGS)
def conv_backward(x, weight, bias, perm, span, silu, dy, dx, dweight, dbias, first, last):
    """Gradients of `conv_forward` for tasks [first, last).

    dx: like x, zero on entry; dweight: (batch, taps, channels) and dbias: (batch, channels), zero on entry.
    """
    batch, length, channels = x.shape
    taps = weight.shape[0]
    blocks = (channels + WIDTH - 1) // WIDTH
    grad = np.zeros(WIDTH, np.float32)
    for task in range(first, last):
        b, start = task // blocks, (task % blocks) * WIDTH
        stop = min(start + WIDTH, channels)
        width = stop - start
        shift, dbs = bias[start:stop], dbias[b, start:stop]
        for k in range(length):
            gs = dy[b, perm[k], start:stop]
            for c in range(width):
                grad[c] = shift[c]
            for tap in range(max(0, taps - 1 - k % span), taps):
                xs, w = x[b, perm[k - taps + 1 + tap], start:stop], weight[tap, start:stop]
                for c in range(width):
                    grad[c] += w[c] * xs[c]
            if silu:
                for c in range(width):
                    open_ = sigmoid(grad[c])
                    grad[c] = gs[c] * open_ * (ONE + grad[c] * (ONE - open_))
            else:
                for c in range(width):
                    grad[c] = gs[c]
            for c in range(width):
                dbs[c] += grad[c]
            for tap in range(max(0, taps - 1 - k % span), taps):
                q = perm[k - taps + 1 + tap]
                xs, dxs = x[b, q, start:stop], dx[b, q, start:stop]
                w, dws = weight[tap, start:stop], dweight[b, tap, start:stop]
                for c in range(width):
                    dxs[c] += w[c] * grad[c]
                    dws[c] += xs[c] * grad[c]
