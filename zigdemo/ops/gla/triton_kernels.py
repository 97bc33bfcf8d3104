"""The Triton kernels of gated linear attention: chunks of 64 tokens as matrix products, the scan order as an index.

With b_t = g_1 + .. + g_t inside a chunk that starts from the state h, and e = exp:

    o_t = (q_t e(b_t)) h + sum_{j<=t} A_tj v_j,    A_tj = sum_key q_t k_j e(b_t - b_j),
    h'  = e(b_C) h + sum_j (k_j e(b_C - b_j))^T v_j.

No factor is above 1, so that gates of any strength neither overflow nor divide by nothing: between blocks of 16 tokens
A is a product of q_t e(b_t - r) and k_j e(r - b_j), with r the sum at the border between them; inside a block it is
formed element by element. Rows of tokens are (batch, length, heads, keys or values) in memory; the k-th token of the
path is row perm[k].
Settings are fixed: nothing is searched for at run time. Importing this module imports triton.
Source: Yang et al. 2023 (arXiv 2312.06635), section 4.
"""

from __future__ import annotations

import triton
import triton.language as tl

LOG2E: tl.constexpr = tl.constexpr(1.4426950408889634)
FORGOTTEN: tl.constexpr = tl.constexpr(-150.0)  # 2 to this power is 0 in float32; an infinite gate would give inf - inf


@triton.jit
def _tokens(perm, batch, head, begin, length, heads, COUNT: tl.constexpr, ORDERED: tl.constexpr):
    """Rows of COUNT tokens of the path for one head, as multiples of a row's width, and which of them exist."""
    k = begin + tl.arange(0, COUNT)
    exists = k < length
    if ORDERED:
        place = tl.load(perm + k, mask=exists, other=0)
    else:
        place = tl.where(exists, k, 0).to(tl.int64)
    return (batch * length + place) * heads + head, exists


@triton.jit
def _read(pointer, rows, exists, columns, width):
    """Columns of rows in float32, 0 outside."""
    mask = exists[:, None] & (columns < width)[None, :]
    return tl.load(pointer + rows[:, None] * width + columns[None, :], mask=mask, other=0.0).to(tl.float32)


@triton.jit
def _write(pointer, rows, exists, columns, width, values):
    mask = exists[:, None] & (columns < width)[None, :]
    tl.store(pointer + rows[:, None] * width + columns[None, :], values.to(pointer.dtype.element_ty), mask=mask)


@triton.jit
def _gates(pointer, rows, exists, columns, width):
    """Logarithms of the gates to base 2."""
    gates = _read(pointer, rows, exists, columns, width) * LOG2E
    return tl.where(gates < FORGOTTEN, FORGOTTEN, gates)  # NaN stays


@triton.jit
def _behind(gates):
    """The sum of the gates behind each token, to the end: not a difference of sums, which would lose small ones."""
    return tl.cumsum(gates, 0, reverse=True) - gates


@triton.jit
def _dot(a, b, EXACT: tl.constexpr):
    """A matrix product: in float32 where EXACT, else of TF32 numbers, which have no fewer digits than halves."""
    if EXACT:
        return tl.dot(a, b, input_precision="ieee")
    return tl.dot(a, b, input_precision="tf32")


@triton.jit
def _read_state(pointer, place, n, c, keys, values):
    """Columns of the state at a place, (keys, values) in memory, in float32, 0 outside."""
    mask = (n < keys)[:, None] & (c < values)[None, :]
    return tl.load(pointer + place * keys * values + n[:, None] * values + c[None, :], mask=mask, other=0.0).to(
        tl.float32
    )


@triton.jit
def _write_state(pointer, place, n, c, keys, values, state):
    mask = (n < keys)[:, None] & (c < values)[None, :]
    tl.store(pointer + place * keys * values + n[:, None] * values + c[None, :], state, mask=mask)


@triton.jit
def walk(
    k, v, g, perm, initial, states, final, length, heads, keys, values, chunks,
    CHUNK: tl.constexpr, PAD: tl.constexpr, WIDTH: tl.constexpr, ORDERED: tl.constexpr, INITIAL: tl.constexpr,
    EXACT: tl.constexpr,
):  # fmt: skip
    """The state before every chunk, (batch, heads, chunks, keys, values), and the last; a program has WIDTH values."""
    head = tl.program_id(1)
    n, c = tl.arange(0, PAD), tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    h = tl.zeros((PAD, WIDTH), tl.float32)
    if INITIAL:
        h = _read_state(initial, head.to(tl.int64), n, c, keys, values)
    for chunk in range(chunks):
        _write_state(states, head.to(tl.int64) * chunks + chunk, n, c, keys, values, h)
        rows, exists = _tokens(perm, head // heads, head % heads, chunk * CHUNK, length, heads, CHUNK, ORDERED)
        gates = _gates(g, rows, exists, n, keys)
        into = _read(k, rows, exists, n, keys) * tl.exp2(_behind(gates))
        h = h * tl.exp2(tl.sum(gates, 0))[:, None] + _dot(tl.trans(into), _read(v, rows, exists, c, values), EXACT)
    _write_state(final, head.to(tl.int64), n, c, keys, values, h)


@triton.jit
def walk_back(
    q, g, do, perm, dfinal, dstates, dinitial, scale, length, heads, keys, values, chunks,
    CHUNK: tl.constexpr, PAD: tl.constexpr, WIDTH: tl.constexpr, ORDERED: tl.constexpr, FINAL: tl.constexpr,
    EXACT: tl.constexpr,
):  # fmt: skip
    """The gradient in the state after every chunk, laid out as the states, and in the initial one."""
    head = tl.program_id(1)
    n, c = tl.arange(0, PAD), tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    dh = tl.zeros((PAD, WIDTH), tl.float32)
    if FINAL:
        dh = _read_state(dfinal, head.to(tl.int64), n, c, keys, values)
    for back in range(chunks):
        chunk = chunks - 1 - back
        _write_state(dstates, head.to(tl.int64) * chunks + chunk, n, c, keys, values, dh)
        rows, exists = _tokens(perm, head // heads, head % heads, chunk * CHUNK, length, heads, CHUNK, ORDERED)
        gates = _gates(g, rows, exists, n, keys)
        sums, whole = tl.cumsum(gates, 0), tl.sum(gates, 0)
        out = _read(q, rows, exists, n, keys) * scale * tl.exp2(sums)
        dh = dh * tl.exp2(whole)[:, None] + _dot(tl.trans(out), _read(do, rows, exists, c, values), EXACT)
    _write_state(dinitial, head.to(tl.int64), n, c, keys, values, dh)


@triton.jit
def score(
    q, k, g, perm, scores, scale, length, heads, keys, chunks,
    CHUNK: tl.constexpr, BLOCK: tl.constexpr, PAD: tl.constexpr, ORDERED: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """A of BLOCK tokens of a chunk with all of the chunk: scores is (batch, heads, chunks, CHUNK, CHUNK) float32."""
    chunk, block, head = tl.program_id(0) // (CHUNK // BLOCK), tl.program_id(0) % (CHUNK // BLOCK), tl.program_id(1)
    n, begin = tl.arange(0, PAD), chunk * CHUNK
    first = begin + block * BLOCK
    batch, place = head // heads, head % heads
    rows, exists = _tokens(perm, batch, place, first, length, heads, BLOCK, ORDERED)
    sums = tl.cumsum(_gates(g, rows, exists, n, keys), 0)  # from the border before this block
    queries = _read(q, rows, exists, n, keys) * scale
    others, other_exists = _tokens(perm, batch, place, begin, length, heads, CHUNK, ORDERED)
    before = tl.arange(0, CHUNK) < block * BLOCK
    gates = tl.where(before[:, None], _gates(g, others, other_exists, n, keys), 0.0)
    sources = _read(k, others, other_exists, n, keys) * tl.exp2(_behind(gates))  # until that border
    sources = tl.where(before[:, None], sources, 0.0)
    a = _dot(queries * tl.exp2(sums), tl.trans(sources), EXACT)
    t, columns = tl.arange(0, BLOCK), tl.arange(0, CHUNK)
    for j in range(BLOCK):
        row, exist = _tokens(perm, batch, place, first + j, length, heads, 1, ORDERED)
        source = _read(k, row, exist, n, keys)
        since = tl.sum(tl.where((t == j)[:, None], sums, 0.0), 0)[None, :]
        weights = tl.exp2(tl.minimum(sums - since, 0.0))
        column = tl.where(t >= j, tl.sum(queries * source * weights, 1), 0.0)
        a = tl.where((columns == block * BLOCK + j)[None, :], column[:, None], a)
    home = ((head.to(tl.int64) * chunks + chunk) * CHUNK + block * BLOCK + t) * CHUNK
    tl.store(scores + home[:, None] + columns[None, :], a)


@triton.jit
def attend(
    q, v, g, perm, states, scores, o, scale, length, heads, keys, values, chunks,
    CHUNK: tl.constexpr, PAD: tl.constexpr, WIDTH: tl.constexpr, ORDERED: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """The outputs of a chunk, WIDTH values of them."""
    chunk, head = tl.program_id(1), tl.program_id(2)
    n, c, t = tl.arange(0, PAD), tl.program_id(0) * WIDTH + tl.arange(0, WIDTH), tl.arange(0, CHUNK)
    rows, exists = _tokens(perm, head // heads, head % heads, chunk * CHUNK, length, heads, CHUNK, ORDERED)
    sums = tl.cumsum(_gates(g, rows, exists, n, keys), 0)
    home = head.to(tl.int64) * chunks + chunk
    h = _read_state(states, home, n, c, keys, values)
    out = _dot(_read(q, rows, exists, n, keys) * scale * tl.exp2(sums), h, EXACT)
    a = tl.load(scores + (home * CHUNK + t[:, None]) * CHUNK + t[None, :])
    out += _dot(a, _read(v, rows, exists, c, values), EXACT)
    _write(o, rows, exists, c, values, out)


@triton.jit
def differentiate_values(
    k, v, g, do, perm, scores, dstates, dv, dscores, length, heads, keys, values, chunks,
    CHUNK: tl.constexpr, PAD: tl.constexpr, WIDTH: tl.constexpr, ORDERED: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """The gradients in the values of a chunk, and in its scores, on and below the diagonal."""
    chunk, head = tl.program_id(0), tl.program_id(1)
    n, t = tl.arange(0, PAD), tl.arange(0, CHUNK)
    rows, exists = _tokens(perm, head // heads, head % heads, chunk * CHUNK, length, heads, CHUNK, ORDERED)
    gates = _gates(g, rows, exists, n, keys)
    into = _read(k, rows, exists, n, keys) * tl.exp2(_behind(gates))
    home = head.to(tl.int64) * chunks + chunk
    table = (home * CHUNK + t[:, None]) * CHUNK + t[None, :]
    a = tl.load(scores + table)
    da = tl.zeros((CHUNK, CHUNK), tl.float32)
    for start in range(0, values, WIDTH):
        c = start + tl.arange(0, WIDTH)
        dos = _read(do, rows, exists, c, values)
        dh = _read_state(dstates, home, n, c, keys, values)
        _write(dv, rows, exists, c, values, _dot(tl.trans(a), dos, EXACT) + _dot(into, dh, EXACT))
        da += _dot(dos, tl.trans(_read(v, rows, exists, c, values)), EXACT)
    tl.store(dscores + table, tl.where(t[:, None] >= t[None, :], da, 0.0))


@triton.jit
def differentiate_keys(
    q, k, v, g, do, perm, states, dstates, dscores, dq, dk, dsums, scale, length, heads, keys, values, chunks,
    CHUNK: tl.constexpr, BLOCK: tl.constexpr, PAD: tl.constexpr, WIDTH: tl.constexpr, ORDERED: tl.constexpr,
    EXACT: tl.constexpr,
):  # fmt: skip
    """The gradients in the queries, the keys and the running sums of gates of BLOCK tokens of a chunk.

    dsums: float32. It has q dq - k dk without what a token gives itself, which has no decay and would drown the rest;
    of a gradient in the last state the last token's share stays in, so beside one it is exact to that one's rounding.
    """
    chunk, block, head = tl.program_id(0) // (CHUNK // BLOCK), tl.program_id(0) % (CHUNK // BLOCK), tl.program_id(1)
    n, t, s = tl.arange(0, PAD), tl.arange(0, BLOCK), tl.arange(0, CHUNK)
    begin = chunk * CHUNK
    first = begin + block * BLOCK
    batch, place = head // heads, head % heads
    rows, exists = _tokens(perm, batch, place, first, length, heads, BLOCK, ORDERED)
    others, other_exists = _tokens(perm, batch, place, begin, length, heads, CHUNK, ORDERED)
    all_gates = _gates(g, others, other_exists, n, keys)
    before, behind = s < block * BLOCK, s >= (block + 1) * BLOCK
    own = _gates(g, rows, exists, n, keys)
    sums = tl.cumsum(own, 0)
    until_here = tl.where(before[:, None], all_gates, 0.0)
    from_here = tl.where(behind[:, None], all_gates, 0.0)
    earlier = tl.sum(until_here, 0)

    home = head.to(tl.int64) * chunks + chunk
    to_state, to_dstate = tl.zeros((BLOCK, PAD), tl.float32), tl.zeros((BLOCK, PAD), tl.float32)
    for start in range(0, values, WIDTH):
        c = start + tl.arange(0, WIDTH)
        h = _read_state(states, home, n, c, keys, values)
        to_state += _dot(_read(do, rows, exists, c, values), tl.trans(h), EXACT)
        dh = _read_state(dstates, home, n, c, keys, values)
        to_dstate += _dot(_read(v, rows, exists, c, values), tl.trans(dh), EXACT)

    table = (home * CHUNK + block * BLOCK + t[:, None]) * CHUNK
    across = tl.where(before[None, :], tl.load(dscores + table + s[None, :]), 0.0)
    sources = _read(k, others, other_exists, n, keys) * tl.exp2(_behind(until_here))
    sources = tl.where(before[:, None], sources, 0.0)
    dqs = (to_state * tl.exp2(earlier)[None, :] + _dot(across, sources, EXACT)) * tl.exp2(sums)

    down = (home * CHUNK + s[None, :]) * CHUNK + block * BLOCK + t[:, None]
    across = tl.where(behind[None, :], tl.load(dscores + down), 0.0)
    readers = _read(q, others, other_exists, n, keys) * scale * tl.exp2(tl.cumsum(from_here, 0))
    readers = tl.where(behind[:, None], readers, 0.0)
    rest = to_dstate * tl.exp2(tl.sum(from_here, 0))[None, :] + _dot(across, readers, EXACT)
    dks = rest * tl.exp2(_behind(own))

    for j in range(BLOCK):
        row, exist = _tokens(perm, batch, place, first + j, length, heads, 1, ORDERED)
        there = tl.sum(tl.where((t == j)[:, None], sums, 0.0), 0)[None, :]
        cell = (home * CHUNK + block * BLOCK) * CHUNK + block * BLOCK
        column = tl.where(t > j, tl.load(dscores + cell + t * CHUNK + j), 0.0)  # of readers t from token j
        dqs += column[:, None] * _read(k, row, exist, n, keys) * tl.exp2(tl.minimum(sums - there, 0.0))
        line = tl.where(t < j, tl.load(dscores + cell + j * CHUNK + t), 0.0)  # of reader j from tokens t
        dks += line[:, None] * _read(q, row, exist, n, keys) * scale * tl.exp2(tl.minimum(there - sums, 0.0))
    queries, sources = _read(q, rows, exists, n, keys) * scale, _read(k, rows, exists, n, keys)
    _write(dsums, rows, exists, n, keys, queries * dqs - sources * dks)
    itself = tl.load(dscores + (home * CHUNK + block * BLOCK + t) * CHUNK + block * BLOCK + t)[:, None]
    _write(dq, rows, exists, n, keys, (dqs + itself * sources) * scale)
    _write(dk, rows, exists, n, keys, dks + itself * queries)
