"""Scan, linear attention, attention and convolution as exact matrices, a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..ops import gated_linear_attention, s4d_convolution, selective_scan
from ..scans import ScanOrder

MOST_NUMBERS = 2**22  # in a working tensor, 16 MiB in float32; at least one row of one lane

Part = Callable[[Tensor, slice], Tensor]
Matrix = tuple[Tensor, int, Part]  # values, inner and part of a `Mixing`, for tokens in the operator's order


@dataclass(frozen=True, eq=False)
class Mixing:
    """One call of an operator, for the first of the batch: output[i] = sum_j matrix[i, j] values[j] in every lane.

    Rows and columns are tokens: patches in raster order, independent of the scan order, then tokens of the condition if
    they are mixed too. lanes: independent matrices, one per channel of a scan or convolution, one per head of an
    attention. values: (length, lanes, width), which the matrices multiply. inner: terms per weight. part: (rows, slice
    of lanes) -> (rows, length, lanes), exact; use `rows` and `strength`, which limit working tensors to MOST_NUMBERS.
    runs: number of independent sequences of equal length; weights between them are 0.
    """

    layer: int
    values: Tensor
    inner: int
    part: Part
    runs: int = 1

    @property
    def length(self) -> int:
        """Number of tokens."""
        return self.values.shape[0]

    @property
    def lanes(self) -> int:
        """Number of independent matrices."""
        return self.values.shape[1]

    @property
    def terms(self) -> int:
        """Total number of terms in all weights of all lanes, the cost of computing them."""
        return self.length**2 // self.runs * self.lanes * self.inner

    def rows(self, tokens: list[int]) -> Tensor:
        """Rows of the matrices, (tokens, length, lanes), in the precision of the operator."""
        parts = [torch.cat(list(self._parts(rows)), -1) for rows in self._row_chunks(tokens)]
        return torch.cat(parts)

    def strength(self, tokens: list[int]) -> Tensor:
        """Absolute values of the rows, averaged over lanes: (tokens, length)."""
        parts = [sum(part.abs().sum(-1) for part in self._parts(rows)) for rows in self._row_chunks(tokens)]
        return torch.cat(parts) / self.lanes

    @property
    def _at_once(self) -> int:
        """Rows times lanes that fit into a working tensor."""
        return max(1, MOST_NUMBERS // (self.length * max(1, self.inner)))

    def _row_chunks(self, tokens: list[int]) -> tuple[Tensor, ...]:
        rows = torch.tensor(tokens, dtype=torch.int64, device=self.values.device)
        return rows.split(max(1, self._at_once // min(self.lanes, self._at_once)))

    def _parts(self, rows: Tensor) -> Iterator[Tensor]:
        step = max(1, min(self.lanes, self._at_once // len(rows)))
        for first in range(0, self.lanes, step):
            yield self.part(rows, slice(first, first + step))


def mixing_of(
    operator: Any, layer: int, patches: int, token_layout: ScanOrder | None, args: tuple, kwargs: dict[str, Any]
) -> Mixing:
    """The matrix of operator(*args, **kwargs). token_layout: order of the patches in its input, None for raster order.

    A layout in runs means that the batch consists of these runs. If there are more tokens than patches, those of the
    condition come first.
    """
    make = MATRICES[operator]
    kwargs = {name: value for name, value in kwargs.items() if name != "backend"}
    order = kwargs.get("order")
    runs = (1 if token_layout is None else token_layout.runs) * (1 if order is None else order.runs)
    if token_layout is None:
        values, inner, part = make(*args, **kwargs)
        length = len(values)
        places = torch.arange(length, device=values.device).roll(patches - length)  # of each token in the input
        matrix = _reordered(places, (values, inner, part))
    else:
        batch = [make(*(value[i : i + 1] for value in args), **kwargs) for i in range(token_layout.runs)]
        matrix = _reordered(_indices(token_layout.inverse, batch[0][0]), _block_diagonal(batch))
    return Mixing(layer, *matrix, runs)


def _indices(order: NDArray[np.int64], like: Tensor) -> Tensor:
    """A numpy order as a tensor on the device of `like`; a copy, as torch takes no reversed views."""
    return torch.from_numpy(order.copy()).to(like.device)


def _reordered(places: Tensor, matrix: Matrix) -> Matrix:
    """A matrix with reordered tokens. places: previous index of each token."""
    values, inner, part = matrix
    return values[places], inner, lambda rows, lanes: part(places[rows], lanes)[:, places]


def _block_diagonal(sequences: list[Matrix]) -> Matrix:
    """The block-diagonal matrix of independent sequences of equal length."""
    if len(sequences) == 1:
        return sequences[0]
    values, size = torch.cat([matrix[0] for matrix in sequences]), len(sequences[0][0])

    def part(rows: Tensor, lanes: slice) -> Tensor:
        weights = values.new_zeros(len(rows), len(values), len(range(values.shape[1])[lanes]))
        for number in (rows // size).unique().tolist():
            in_block, first = rows // size == number, number * size
            weights[in_block, first : first + size] = sequences[number][2](rows[in_block] - first, lanes)
        return weights

    return values, sequences[0][1], part


def _wide(value: Tensor) -> Tensor:
    """Half precision as float32, in which sums over many tokens keep their digits; other types unchanged."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def _sums_between(steps: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of steps (length, n) over tokens j + 1 to i, for each i of ends: (rows, length, n), 0 for j > i.

    Also returns the mask j <= i, (rows, length, 1). Sums run backward from i instead of subtracting totals, to avoid
    cancellation and to allow infinite steps.
    """
    before = (torch.arange(len(steps), device=steps.device)[None] <= ends[:, None])[..., None]
    after = F.pad(torch.where(before, steps, 0)[:, 1:], (0, 0, 0, 1))
    return after.flip(1).cumsum(1).flip(1), before


def _scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None = None, z: Tensor | None = None, *,
    dt_bias: Tensor | None = None, order: ScanOrder | None = None,
) -> Matrix:  # fmt: skip
    """The matrix of a scan along an order, without weights between its runs."""
    if order is None:
        return _run(x, dt, A, B, C, D, z, dt_bias)
    runs = []
    for run in _indices(order.perm, x).chunk(order.runs):
        gate = None if z is None else z[:, run]
        runs.append(_run(x[:, run], dt[:, run], A, B[:, run], C[:, run], D, gate, dt_bias))
    return _reordered(_indices(order.inverse, x), _block_diagonal(runs))


def _run(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None, z: Tensor | None, dt_bias: Tensor | None
) -> Matrix:
    """silu(z_i) (sum_n C_in exp(A_n sum of dt over j + 1 .. i) B_jn dt_j + D at i = j), one matrix per channel.

    Source: Gu & Dao 2023 (arXiv 2312.00752), equation 2 unrolled; Ali et al. 2024 (arXiv 2403.01590), equation 5.
    """
    x, dt, B, C = (_wide(value[0]) for value in (x, dt, B, C))
    steps = dt if dt_bias is None else F.softplus(dt + dt_bias.to(dt))

    def part(rows: Tensor, lanes: slice) -> Tensor:
        lane_steps = steps[:, lanes]
        sums, before = _sums_between(lane_steps, rows)
        weights = torch.zeros_like(sums)
        for rate, b, c in zip(A[lanes].to(x).T, B.T, C[rows].T, strict=True):
            weights += (c[:, None] * b)[..., None] * torch.exp(rate * sums)
        weights = weights * lane_steps * before
        if D is not None:
            weights[torch.arange(len(rows)), rows] += D[lanes].to(x)
        return weights if z is None else weights * F.silu(_wide(z[0]))[rows, lanes][:, None]

    return x[..., None], A.shape[1], part


def _linear_attention(q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor) -> Matrix:
    """dim_k^(-1/2) q_i . exp(sum of log_gate over j + 1 .. i) k_j, one matrix per head.

    Source: Yang et al. 2023 (arXiv 2312.06635), section 4.1, parallel form.
    """
    q, k, v, log_gate = (_wide(value[0]) for value in (q, k, v, log_gate))
    width = q.shape[-1]

    def part(rows: Tensor, lanes: slice) -> Tensor:
        sums, before = _sums_between(log_gate[:, lanes].flatten(1), rows)
        faded = sums.exp().unflatten(-1, (-1, width)) * k[:, lanes]
        return (faded * q[rows, lanes][:, None]).sum(-1) * before * width**-0.5

    return v, width, part


def _attention(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, scale: float | None = None) -> Matrix:
    """The softmax of attention without mask, one matrix per head."""
    if attn_mask is not None:
        raise ValueError("attention with a mask cannot be shown as a matrix; leave attn_mask out")
    q, k, v = (_wide(value[0]) for value in (q, k, v))
    factor = q.shape[-1] ** -0.5 if scale is None else scale

    def part(rows: Tensor, lanes: slice) -> Tensor:
        return (q[lanes, rows] @ k[lanes].mT * factor).softmax(-1).permute(1, 2, 0)

    return v.transpose(0, 1), 1, part


def _convolution(
    u: Tensor, log_dt: Tensor, A: Tensor, C: Tensor, D: Tensor | None = None, *, bidirectional: bool = False
) -> Matrix:
    """K_(i-j) at j <= i, K'_(j-i) at j >= i, and D at i = j, one matrix per channel, see `ops.s4d_convolution`.

    Source: Gu et al. 2022 (arXiv 2206.11893), section 3.
    """
    u = _wide(u[0])
    length, sides = len(u), C if bidirectional else C[None]
    along = torch.arange(length, device=u.device)

    def kernels(lanes: slice) -> Tensor:
        """(directions, length, lanes): the weight at each distance."""
        rates = log_dt[lanes].exp()[:, None] * A[lanes]
        table = u.new_zeros(len(sides), length, len(rates))
        for mode, rate in enumerate(rates.T):
            hold = torch.expm1(rate) / A[lanes, mode]
            powers = torch.exp(along[:, None] * rate)
            table += 2 * (sides[:, None, lanes, mode] * hold * powers).real
        return table

    def part(rows: Tensor, lanes: slice) -> Tensor:
        table, distance = kernels(lanes), rows[:, None] - along
        weights = table[0][distance.clamp_min(0)] * (distance >= 0)[..., None]
        if bidirectional:
            weights = weights + table[1][(-distance).clamp_min(0)] * (distance <= 0)[..., None]
        if D is not None:
            weights[torch.arange(len(rows)), rows] += D[lanes].to(u)
        return weights

    return u[..., None], 1, part


MATRICES = {
    selective_scan: _scan,
    gated_linear_attention: _linear_attention,
    F.scaled_dot_product_attention: _attention,
    s4d_convolution: _convolution,
}
