"""The numba kernels of the CPU backend: the recurrence itself, LANES channels at a time, channel-last.

A task is one block of LANES channels of one batch element. A chunk of its tokens is gathered into a small buffer; then
a few modes at a time step through the chunk with states, decays and weights in vector registers, and only the output
is loaded and stored. A direction that runs from the end gathers its tokens from the end.

One table holds what does not change, (blocks, modes, 2 + directions, 2, LANES): decay, `fix` and the weights of the
outputs, each as real and imaginary part. The decay in float32 is off by half a unit in the last place, an error that
would grow with every token that a state lives on; fix = exact decay^CHUNK - rounded decay^CHUNK takes it back at the
end of every chunk. Channels and modes that only fill up a block have zeros in the table.
Tasks [first, last) run in the calling thread with the interpreter lock released.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..kernel_cache import keeps_kernels
from ..vector_math import prefetch
from ..vectors import LANES, add, fma, fnma, load, mul, store, zeros

CHUNK = 64  # tokens in a buffer; the error of the decay in float32 is taken back after as many
MODES = 4  # that step together: states, decays, weights are 24 of AVX-512's 32 registers; half as many backward
DECAY, FIX, WEIGHT = 0, 1, 2  # rows of the table; the second direction's weights follow the first's

_FLAGS = {"nogil": True, "cache": keeps_kernels(), "error_model": "numpy"}


@njit(inline="always")
def _pair(rows, n, kind):
    return load(rows, (n, kind, 0, 0)), load(rows, (n, kind, 1, 0))


@njit(inline="always")
def _put(rows, n, kind, re, im):
    store(rows, (n, kind, 0, 0), re)
    store(rows, (n, kind, 1, 0), im)


@njit(inline="always")
def _add(rows, n, kind, re, im):
    _put(rows, n, kind, add(load(rows, (n, kind, 0, 0)), re), add(load(rows, (n, kind, 1, 0)), im))


@njit(inline="always")
def _step(decay_re, decay_im, re, im, u):
    """decay * h + u, u real."""
    return fnma(decay_im, im, fma(decay_re, re, u)), fma(decay_im, re, mul(decay_re, im))


@njit(inline="always")
def _step_both(decay_re, decay_im, re, im, u_re, u_im):
    """decay * h + u, u complex."""
    return fnma(decay_im, im, fma(decay_re, re, u_re)), fma(decay_im, re, fma(decay_re, im, u_im))


@njit(inline="always")
def _settle(table, states, n, kind, re, im):
    """Store the state at the end of a chunk, freed from the rounding of its decay."""
    fix_re, fix_im = _pair(table, n, FIX)
    old_re, old_im = _pair(states, n, kind)
    re, im = _step_both(fix_re, fix_im, old_re, old_im, re, im)
    _put(states, n, kind, re, im)


@njit(**_FLAGS)
def _gather(rows, b, begin, step, start, width, size, buffer):
    """buffer[i] = rows[b, begin + i * step, start : start + width], and ask the memory for the chunk after."""
    last = rows.shape[1] - 1
    for i in range(size):
        prefetch(rows, b, min(max(begin + (i + CHUNK) * step, 0), last), start)
        if width == LANES:
            store(buffer, (i, 0), load(rows, (b, begin + i * step, start)))
        else:
            for c in range(width):
                buffer[i, c] = rows[b, begin + i * step, start + c]


@njit(**_FLAGS)
def _scatter(rows, b, begin, step, start, width, size, buffer):
    """rows[b, begin + i * step, start : start + width] = buffer[i]."""
    for i in range(size):
        if width == LANES:
            store(rows, (b, begin + i * step, start), load(buffer, (i, 0)))
        else:
            for c in range(width):
                rows[b, begin + i * step, start + c] = buffer[i, c]


@njit(**_FLAGS)
def _advance(inputs, outputs, states, table, n, kind, size):
    """Step modes n .. n + 3 through a chunk and add their outputs, weighted by row `kind` of the table."""
    a_re, a_im = _pair(table, n, DECAY)
    b_re, b_im = _pair(table, n + 1, DECAY)
    c_re, c_im = _pair(table, n + 2, DECAY)
    d_re, d_im = _pair(table, n + 3, DECAY)
    v_re, v_im = _pair(table, n, kind)
    w_re, w_im = _pair(table, n + 1, kind)
    x_re, x_im = _pair(table, n + 2, kind)
    z_re, z_im = _pair(table, n + 3, kind)
    h_re, h_im = _pair(states, n, 0)
    i_re, i_im = _pair(states, n + 1, 0)
    j_re, j_im = _pair(states, n + 2, 0)
    l_re, l_im = _pair(states, n + 3, 0)
    for k in range(size):
        u, y = load(inputs, (k, 0)), load(outputs, (k, 0))
        h_re, h_im = _step(a_re, a_im, h_re, h_im, u)
        i_re, i_im = _step(b_re, b_im, i_re, i_im, u)
        j_re, j_im = _step(c_re, c_im, j_re, j_im, u)
        l_re, l_im = _step(d_re, d_im, l_re, l_im, u)
        y = fnma(v_im, h_im, fma(v_re, h_re, y))
        y = fnma(w_im, i_im, fma(w_re, i_re, y))
        y = fnma(x_im, j_im, fma(x_re, j_re, y))
        y = fnma(z_im, l_im, fma(z_re, l_re, y))
        store(outputs, (k, 0), y)
    _settle(table, states, n, 0, h_re, h_im)
    _settle(table, states, n + 1, 0, i_re, i_im)
    _settle(table, states, n + 2, 0, j_re, j_im)
    _settle(table, states, n + 3, 0, l_re, l_im)


@njit(**_FLAGS)
def _advance_and_correlate(inputs, outputs, others, states, sums, table, n, kind, size):
    """`_advance` for modes n and n + 1, which also adds up other * state and other * d state / d decay in `sums`.

    h_k = decay h_(k-1) + u_k has the derivative g_k = decay g_(k-1) + h_(k-1). states, sums: (modes, 2, 2, LANES),
    first h, then g. `fix` is enough for g: what it leaves out of g does not grow with the tokens.
    """
    a_re, a_im = _pair(table, n, DECAY)
    b_re, b_im = _pair(table, n + 1, DECAY)
    v_re, v_im = _pair(table, n, kind)
    w_re, w_im = _pair(table, n + 1, kind)
    h_re, h_im = _pair(states, n, 0)
    g_re, g_im = _pair(states, n, 1)
    i_re, i_im = _pair(states, n + 1, 0)
    j_re, j_im = _pair(states, n + 1, 1)
    p_re, p_im, q_re, q_im = zeros(), zeros(), zeros(), zeros()
    r_re, r_im, s_re, s_im = zeros(), zeros(), zeros(), zeros()
    for k in range(size):
        u, e, y = load(inputs, (k, 0)), load(others, (k, 0)), load(outputs, (k, 0))
        g_re, g_im = _step_both(a_re, a_im, g_re, g_im, h_re, h_im)
        j_re, j_im = _step_both(b_re, b_im, j_re, j_im, i_re, i_im)
        h_re, h_im = _step(a_re, a_im, h_re, h_im, u)
        i_re, i_im = _step(b_re, b_im, i_re, i_im, u)
        y = fnma(v_im, h_im, fma(v_re, h_re, y))
        y = fnma(w_im, i_im, fma(w_re, i_re, y))
        store(outputs, (k, 0), y)
        p_re, p_im, q_re, q_im = fma(e, h_re, p_re), fma(e, h_im, p_im), fma(e, g_re, q_re), fma(e, g_im, q_im)
        r_re, r_im, s_re, s_im = fma(e, i_re, r_re), fma(e, i_im, r_im), fma(e, j_re, s_re), fma(e, j_im, s_im)
    _settle(table, states, n, 0, h_re, h_im)
    _settle(table, states, n, 1, g_re, g_im)
    _settle(table, states, n + 1, 0, i_re, i_im)
    _settle(table, states, n + 1, 1, j_re, j_im)
    _add(sums, n, 0, p_re, p_im)
    _add(sums, n, 1, q_re, q_im)
    _add(sums, n + 1, 0, r_re, r_im)
    _add(sums, n + 1, 1, s_re, s_im)


@njit(**_FLAGS)
def s4d_forward(u, table, skip, y, first, last):
    """The S4D convolution of tasks [first, last).

    u, y: (batch, length, channels); table: as above; skip: (blocks, LANES), the weight of the token itself.
    """
    _, length, channels = u.shape
    blocks, modes, rows = table.shape[:3]
    states = np.zeros((modes, 1, 2, LANES), np.float32)
    inputs = np.zeros((CHUNK, LANES), np.float32)
    outputs = np.zeros((CHUNK, LANES), np.float32)
    for task in range(first, last):
        b, block = task // blocks, task % blocks
        start = block * LANES
        width = min(LANES, channels - start)
        inputs[:, width:] = 0.0
        through, fixed = load(skip, (block, 0)), table[block]
        for kind in range(WEIGHT, rows):
            step = 1 if kind == WEIGHT else -1
            states[:] = 0.0
            for done in range(0, length, CHUNK):
                size = min(CHUNK, length - done)
                begin = done if step == 1 else length - 1 - done
                _gather(u, b, begin, step, start, width, size, inputs)
                if kind == WEIGHT:
                    for k in range(size):
                        store(outputs, (k, 0), mul(through, load(inputs, (k, 0))))
                else:
                    _gather(y, b, begin, step, start, width, size, outputs)
                for n in range(0, modes, MODES):
                    _advance(inputs, outputs, states, fixed, n, kind, size)
                _scatter(y, b, begin, step, start, width, size, outputs)


@njit(**_FLAGS)
def s4d_backward(u, dy, table, skip, du, sums, dskip, first, last):
    """Gradients of `s4d_forward` for tasks [first, last).

    The gradient of u is dy convolved the other way, and the states h of that convolution are all that the others need:
    sums: (batch, blocks, directions, modes, 2, 2, LANES), the sum over the tokens of u h and of u dh/ddecay;
    dskip: (batch, blocks, LANES), that of u dy. One slice a task, so that the result does not depend on the spread of
    tasks over threads.
    """
    _, length, channels = u.shape
    blocks, modes, rows = table.shape[:3]
    states = np.zeros((modes, 2, 2, LANES), np.float32)
    inputs = np.zeros((CHUNK, LANES), np.float32)
    outputs = np.zeros((CHUNK, LANES), np.float32)
    others = np.zeros((CHUNK, LANES), np.float32)
    for task in range(first, last):
        b, block = task // blocks, task % blocks
        start = block * LANES
        width = min(LANES, channels - start)
        inputs[:, width:] = 0.0
        others[:, width:] = 0.0
        through, fixed, products = load(skip, (block, 0)), table[block], zeros()
        for kind in range(WEIGHT, rows):
            step = -1 if kind == WEIGHT else 1
            totals = sums[b, block, kind - WEIGHT]
            states[:] = 0.0
            totals[:] = 0.0
            for done in range(0, length, CHUNK):
                size = min(CHUNK, length - done)
                begin = done if step == 1 else length - 1 - done
                _gather(dy, b, begin, step, start, width, size, inputs)
                _gather(u, b, begin, step, start, width, size, others)
                if kind == WEIGHT:
                    part = zeros()
                    for k in range(size):
                        x = load(inputs, (k, 0))
                        store(outputs, (k, 0), mul(through, x))
                        part = fma(x, load(others, (k, 0)), part)
                    products = add(products, part)
                else:
                    _gather(du, b, begin, step, start, width, size, outputs)
                for n in range(0, modes, MODES // 2):
                    _advance_and_correlate(inputs, outputs, others, states, totals, fixed, n, kind, size)
                _scatter(du, b, begin, step, start, width, size, outputs)
        store(dskip, (b, block, 0), products)
