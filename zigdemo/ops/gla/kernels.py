"""The numba kernels of the CPU backend: chunks of 16 tokens as small matrix products around a state held in cache.

With d_t = exp(g_t) per key, inside one chunk that starts from the state h (every product over s):

    o_t = (q_t prod_{s<=t} d_s) h + sum_{j<=t} A_tj v_j,    A_tj = sum_key q_t k_j prod_{j<s<=t} d_s,
    h'  = (prod_s d_s) h + sum_j (k_j prod_{s>j} d_s)^T v_j.

All factors are running products of decays, at most 1: nothing is divided by a cumulated gate, so strong decay can
underflow to 0 but never overflow. A task is one head of one batch element and a block of `WIDTH` values; rows of
values are the vector loops. Tasks [first, last) run in the calling thread with the interpreter lock released.
Source: Yang et al. 2023 (arXiv 2312.06635), section 4; the products by running decays are ours.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..kernel_cache import keeps_kernels
from ..vector_math import LOG2E, exp2, prefetch
from .products import LANES, TILE, add_narrow_tile, add_tile

WIDTH = 128  # values in a task
CHUNK = 16  # tokens whose products are formed at once
LINE = 16  # numbers in a cache line
SPAN = 4  # chunks between two saved states; the backward pass replays them from the first

_FLAGS = {"nogil": True, "cache": keeps_kernels(), "fastmath": {"contract", "reassoc", "nsz"}, "error_model": "numpy"}
ZERO, ONE = np.float32(0.0), np.float32(1.0)
# From the last token of a chunk to the first. Read from memory: around a loop that counts down, LLVM hoists its checks
# for overlapping rows with the wrong sign and falls back to scalar code, ten times slower.
_DOWN = np.arange(CHUNK)[::-1].copy()


@njit(**_FLAGS)
def _copy(rows, count, width, out):
    """out[:count, :width] = rows; loops, since numba's slices copy ten times slower."""
    for n in range(count):
        given, line = rows[n], out[n]
        for c in range(width):
            line[c] = given[c]


@njit(**_FLAGS)
def _ask(rows, token, head, start, width):
    """Ask the memory for a row of the next chunk: rows of one head lie apart, and no prefetcher foresees them."""
    if token < rows.shape[0]:
        for c in range(start, start + width, LINE):
            prefetch(rows, token, head, c)


@njit(**_FLAGS)
def _load(rows, b, begin, size, head, start, width, scale, out):
    """out (CHUNK, at least width) = scale * rows[b, begin : begin + size, head, start : start + width], then zeros."""
    for t in range(CHUNK):
        line = out[t]
        for c in range(line.size):
            line[c] = ZERO
        if t < size:
            _ask(rows[b], begin + CHUNK + t, head, start, width)
            given = rows[b, begin + t, head, start : start + width]
            for c in range(width):
                line[c] = given[c] * scale


@njit(**_FLAGS)
def _load_decay(gates, b, begin, size, head, out):
    """out (CHUNK, keys) = exp(gates) of the chunk's tokens, 1 where there is no token or key."""
    for t in range(CHUNK):
        line = out[t]
        for n in range(line.size):
            line[n] = ONE
        if t < size:
            given = gates[b, begin + t, head]
            _ask(gates[b], begin + CHUNK + t, head, 0, given.size)
            for n in range(given.size):
                line[n] = exp2(given[n] * LOG2E)


@njit(**_FLAGS)
def _add_matrix(weights, across, along, rows, terms, out, height, lanes):
    """out (height, lanes) += w (height, terms) @ rows (terms, lanes), w[i, n] = weights.flat[i * across + n * along].

    height is a multiple of four, lanes of sixteen.
    """
    wide = lanes - lanes % TILE
    for i in range(0, height, 4):
        for c in range(0, wide, TILE):
            add_tile(out, i, c, weights, across, along, rows, terms)
        for c in range(wide, lanes, LANES):
            add_narrow_tile(out, i, c, weights, across, along, rows, terms)


@njit(**_FLAGS)
def _add_product(weights, rows, count, lanes, out):
    """out (CHUNK, lanes) += weights (CHUNK, count) @ rows (count, lanes)."""
    _add_matrix(weights, weights.shape[1], 1, rows, count, out, CHUNK, lanes)


@njit(**_FLAGS)
def _advance(h, decay, left, rows, count, lanes):
    """h (count, lanes) = decay[:, None] * h + left (CHUNK, count) transposed @ rows (CHUNK, lanes)."""
    for n in range(count):
        line, fade = h[n], decay[n]
        for c in range(lanes):
            line[c] *= fade
    _add_matrix(left, 1, left.shape[1], rows, CHUNK, h, count, lanes)


@njit(**_FLAGS)
def _dot_rows(left, right, count, lanes, out):
    """out (CHUNK, count) = left (CHUNK, lanes) @ right (count, lanes) transposed."""
    for t in range(0, CHUNK, 4):
        for n in range(0, count, 4):
            s00, s01, s02, s03 = ZERO, ZERO, ZERO, ZERO
            s10, s11, s12, s13 = ZERO, ZERO, ZERO, ZERO
            s20, s21, s22, s23 = ZERO, ZERO, ZERO, ZERO
            s30, s31, s32, s33 = ZERO, ZERO, ZERO, ZERO
            for c in range(lanes):
                l0, l1, l2, l3 = left[t, c], left[t + 1, c], left[t + 2, c], left[t + 3, c]
                r0, r1, r2, r3 = right[n, c], right[n + 1, c], right[n + 2, c], right[n + 3, c]
                s00 += l0 * r0
                s01 += l0 * r1
                s02 += l0 * r2
                s03 += l0 * r3
                s10 += l1 * r0
                s11 += l1 * r1
                s12 += l1 * r2
                s13 += l1 * r3
                s20 += l2 * r0
                s21 += l2 * r1
                s22 += l2 * r2
                s23 += l2 * r3
                s30 += l3 * r0
                s31 += l3 * r1
                s32 += l3 * r2
                s33 += l3 * r3
            out[t, n], out[t, n + 1], out[t, n + 2], out[t, n + 3] = s00, s01, s02, s03
            out[t + 1, n], out[t + 1, n + 1], out[t + 1, n + 2], out[t + 1, n + 3] = s10, s11, s12, s13
            out[t + 2, n], out[t + 2, n + 1], out[t + 2, n + 2], out[t + 2, n + 3] = s20, s21, s22, s23
            out[t + 3, n], out[t + 3, n + 1], out[t + 3, n + 2], out[t + 3, n + 3] = s30, s31, s32, s33


@njit(**_FLAGS)
def _attend(qs, ks, decay, A):
    """A (CHUNK, CHUNK), its lower triangle filled; ks ends as k_j prod_{s>j} d_s."""
    keys = ks.shape[1]
    for t in range(CHUNK):
        query, fade = qs[t], decay[t]
        for j in range(t):
            key, total = ks[j], ZERO
            for n in range(keys):
                faded = key[n] * fade[n]
                key[n] = faded
                total += query[n] * faded
            A[t, j] = total
        key, total = ks[t], ZERO
        for n in range(keys):
            total += query[n] * key[n]
        A[t, t] = total


@njit(**_FLAGS)
def _fade_queries(qs, decay, whole):
    """qs_t *= prod_{s<=t} d_s, in place; whole (keys,) = the product over the chunk."""
    for n in range(whole.size):
        whole[n] = ONE
    for t in range(CHUNK):
        query, fade = qs[t], decay[t]
        for n in range(whole.size):
            whole[n] *= fade[n]
            query[n] *= whole[n]


@njit(**_FLAGS)
def gla_forward(q, k, v, gates, initial, scale, o, final, states, first, last):
    """Outputs and last states of tasks [first, last).

    q, k, gates: (batch, length, heads, keys); v, o: (batch, length, heads, values); initial, final: (batch, heads,
    keys, values), initial may be empty for zeros; states: (batch, heads, spans, keys, values), filled with the state
    before every span of SPAN chunks, or empty.
    """
    batch, length, heads, keys = q.shape
    values = v.shape[3]
    blocks = (values + WIDTH - 1) // WIDTH
    count = (keys + 3) // 4 * 4
    qs, ks = np.zeros((CHUNK, count), np.float32), np.zeros((CHUNK, count), np.float32)
    decay, whole = np.zeros((CHUNK, count), np.float32), np.zeros(count, np.float32)
    vs, os = np.zeros((CHUNK, WIDTH), np.float32), np.zeros((CHUNK, WIDTH), np.float32)
    A = np.zeros((CHUNK, CHUNK), np.float32)
    h = np.zeros((count, WIDTH), np.float32)
    for task in range(first, last):
        b, head, start = task // (heads * blocks), task // blocks % heads, task % blocks * WIDTH
        width = min(WIDTH, values - start)
        lanes = (width + 15) // 16 * 16
        h[:, :] = ZERO
        if initial.size > 0:
            _copy(initial[b, head, :, start : start + width], keys, width, h)
        for chunk in range((length + CHUNK - 1) // CHUNK):
            begin = chunk * CHUNK
            size = min(CHUNK, length - begin)
            if states.size > 0 and chunk % SPAN == 0:
                _copy(h, keys, width, states[b, head, chunk // SPAN, :, start : start + width])
            _load(q, b, begin, size, head, 0, keys, scale, qs)
            _load(k, b, begin, size, head, 0, keys, ONE, ks)
            _load(v, b, begin, size, head, start, width, ONE, vs)
            _load_decay(gates, b, begin, size, head, decay)
            _attend(qs, ks, decay, A)
            _fade_queries(qs, decay, whole)
            os[:, :] = ZERO
            _add_product(A, vs, CHUNK, lanes, os)
            _add_product(qs, h, count, lanes, os)
            _advance(h, whole, ks, vs, count, lanes)
            for t in range(size):
                out = o[b, begin + t, head, start : start + width]
                for c in range(width):
                    out[c] = os[t, c]
        _copy(h, keys, width, final[b, head, :, start : start + width])


@njit(**_FLAGS)
def _fade_keys(ks, decay, whole):
    """ks_j *= prod_{s>j} d_s, in place; whole (keys,) = the product over the chunk."""
    for n in range(whole.size):
        whole[n] = ONE
    for t in _DOWN:
        key, fade = ks[t], decay[t]
        for n in range(whole.size):
            key[n] *= whole[n]
            whole[n] *= fade[n]


@njit(**_FLAGS)
def _query_gradient(qs, faded_k, decay, dA, A, dq):
    """From dA (CHUNK, CHUNK), d loss / d A of `_attend`, the pairs j < t: A transposed, and dq; faded_k as there."""
    keys = qs.shape[1]
    for t in range(CHUNK):
        query, fade, grad = qs[t], decay[t], dq[t]
        for n in range(keys):
            grad[n] = ZERO
        for j in range(t):
            key, weight, total = faded_k[j], dA[t, j], ZERO
            for n in range(keys):
                faded = key[n] * fade[n]
                key[n] = faded
                total += query[n] * faded
                grad[n] += weight * faded
            A[j, t] = total


@njit(**_FLAGS)
def _key_gradient(faded_q, decay, dA, dk):
    """The same pairs' dk; faded_q ends as q_t prod_{s<=t} d_s."""
    keys = faded_q.shape[1]
    for j in _DOWN:
        fade, grad = decay[min(j + 1, CHUNK - 1)], dk[j]
        for n in range(keys):
            grad[n] = ZERO
        for t in range(j + 1, CHUNK):
            query, weight = faded_q[t], dA[t, j]
            for n in range(keys):
                faded = query[n] * fade[n]
                query[n] = faded
                grad[n] += weight * faded
    for t in range(CHUNK):
        query, fade = faded_q[t], decay[0]
        for n in range(keys):
            query[n] *= fade[n]


@njit(**_FLAGS)
def _gate_gradient(qs, ks, dA, A, dq, dk, dg):
    """The pairs' share dg of the gates' gradient; then a token's pair with itself is added to A, dq and dk.

    That pair has no decay. Without it every term is small wherever decay is strong, so that dg, a difference of
    sums over pairs, is not one of large numbers.
    """
    keys = qs.shape[1]
    after = np.zeros(keys, np.float32)
    for t in _DOWN:
        query, key, query_grad, key_grad, gate_grad = qs[t], ks[t], dq[t], dk[t], dg[t]
        for n in range(keys):
            after[n] += query[n] * query_grad[n] - key[n] * key_grad[n]
            gate_grad[n] = after[n]
        total, weight = ZERO, dA[t, t]
        for n in range(keys):
            total += query[n] * key[n]
            query_grad[n] += weight * key[n]
            key_grad[n] += weight * query[n]
        A[t, t] = total


@njit(**_FLAGS)
def _join_state(faded_q, faded_k, decay, dqs, dks, h, dh, lanes, whole, dq, dk, dg):
    """Add what passes through the states before (h) and after (gradient dh) the chunk.

    dqs, dks (CHUNK, keys): gradients of faded_q and faded_k; whole (keys,) ends as the decay of the chunk. What is
    added to dg is the sum of all paths across a gate: from an earlier key or from h to dh, from h to a later query.
    """
    keys = whole.size
    for n in range(keys):
        whole[n] = ONE
    for t in range(CHUNK):
        fade, grad, query_grad = decay[t], dqs[t], dq[t]
        for n in range(keys):
            whole[n] *= fade[n]
            query_grad[n] += grad[n] * whole[n]
    paths = np.zeros(keys, np.float32)
    for n in range(keys):
        state, state_grad, total = h[n], dh[n], ZERO
        for c in range(lanes):
            total += state[c] * state_grad[c]
        paths[n] = total * whole[n]
    for t in range(CHUNK):
        key, grad, gate_grad = faded_k[t], dks[t], dg[t]
        for n in range(keys):
            gate_grad[n] += paths[n]
            paths[n] += grad[n] * key[n]
    paths[:] = ZERO
    left = np.ones(keys, np.float32)
    for t in _DOWN:
        query, grad, gate_grad = faded_q[t], dqs[t], dg[t]
        for n in range(keys):
            paths[n] += query[n] * grad[n]
            gate_grad[n] += paths[n]
        fade, grad, key_grad = decay[t], dks[t], dk[t]
        for n in range(keys):
            key_grad[n] += grad[n] * left[n]
            left[n] *= fade[n]


@njit(**_FLAGS)
def gla_backward(q, k, v, gates, scale, states, do, dfinal, dq, dk, dv, dgates, dinitial, first, last):
    """Gradients of `gla_forward` for tasks [first, last); states inside a span are replayed from `states`.

    do: like o; dfinal, dinitial: (batch, heads, keys, values), dfinal may be empty for zeros; dv: like v; dq, dk,
    dgates: (batch, blocks, length, heads, keys), one slice a block of values, to be summed by the caller in order.
    """
    batch, length, heads, keys = q.shape
    values = v.shape[3]
    blocks = (values + WIDTH - 1) // WIDTH
    count = (keys + 3) // 4 * 4
    by_key, by_value = (CHUNK, count), (CHUNK, WIDTH)
    qs, ks, decay = np.zeros(by_key, np.float32), np.zeros(by_key, np.float32), np.zeros(by_key, np.float32)
    faded_q, faded_k = np.zeros(by_key, np.float32), np.zeros(by_key, np.float32)
    dqs, dks = np.zeros(by_key, np.float32), np.zeros(by_key, np.float32)
    gq, gk, gg = np.zeros(by_key, np.float32), np.zeros(by_key, np.float32), np.zeros(by_key, np.float32)
    vs, gs, gv = np.zeros(by_value, np.float32), np.zeros(by_value, np.float32), np.zeros(by_value, np.float32)
    whole = np.zeros(count, np.float32)
    A, dA = np.zeros((CHUNK, CHUNK), np.float32), np.zeros((CHUNK, CHUNK), np.float32)
    history = np.zeros((SPAN, count, WIDTH), np.float32)
    dh = np.zeros((count, WIDTH), np.float32)
    chunks = (length + CHUNK - 1) // CHUNK
    for task in range(first, last):
        b, head, block = task // (heads * blocks), task // blocks % heads, task % blocks
        start = block * WIDTH
        width = min(WIDTH, values - start)
        lanes = (width + 15) // 16 * 16
        history[:, :, :] = ZERO
        dh[:, :] = ZERO
        if dfinal.size > 0:
            _copy(dfinal[b, head, :, start : start + width], keys, width, dh)
        for span in range((chunks - 1) // SPAN, -1, -1):
            _copy(states[b, head, span, :, start : start + width], keys, width, history[0])
            stop = min(SPAN, chunks - span * SPAN)
            for i in range(stop - 1):
                begin = (span * SPAN + i) * CHUNK
                _load(k, b, begin, CHUNK, head, 0, keys, ONE, ks)
                _load(v, b, begin, CHUNK, head, start, width, ONE, vs)
                _load_decay(gates, b, begin, CHUNK, head, decay)
                _fade_keys(ks, decay, whole)
                _copy(history[i], count, lanes, history[i + 1])
                _advance(history[i + 1], whole, ks, vs, count, lanes)
            for i in range(stop - 1, -1, -1):
                begin = (span * SPAN + i) * CHUNK
                size = min(CHUNK, length - begin)
                _load(q, b, begin, size, head, 0, keys, scale, qs)
                _load(k, b, begin, size, head, 0, keys, ONE, ks)
                _load(v, b, begin, size, head, start, width, ONE, vs)
                _load(do, b, begin, size, head, start, width, ONE, gs)
                _load_decay(gates, b, begin, size, head, decay)
                _dot_rows(gs, vs, CHUNK, lanes, dA)
                _dot_rows(gs, history[i], count, lanes, dqs)
                _dot_rows(vs, dh, count, lanes, dks)
                _copy(qs, CHUNK, count, faded_q)
                _copy(ks, CHUNK, count, faded_k)
                _query_gradient(qs, faded_k, decay, dA, A, gq)
                _key_gradient(faded_q, decay, dA, gk)
                _gate_gradient(qs, ks, dA, A, gq, gk, gg)
                _join_state(faded_q, faded_k, decay, dqs, dks, history[i], dh, lanes, whole, gq, gk, gg)
                gv[:, :] = ZERO
                _add_product(A, gs, CHUNK, lanes, gv)
                _add_product(faded_k, dh, count, lanes, gv)
                _advance(dh, whole, faded_q, gs, count, lanes)
                for t in range(size):
                    for n in range(keys):
                        dq[b, block, begin + t, head, n] = gq[t, n] * scale
                        dk[b, block, begin + t, head, n] = gk[t, n]
                        dgates[b, block, begin + t, head, n] = gg[t, n]
                    for c in range(width):
                        dv[b, begin + t, head, start + c] = gv[t, c]
        _copy(dh, keys, width, dinitial[b, head, :, start : start + width])
