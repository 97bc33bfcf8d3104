"""Scan, linear attention, attention and convolution as the matrices that they are, exact and a few rows at a time."""

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

MOST_NUMBERS = 2**22  # in a working tensor, 16 MiB in float32; one row of one lane is taken whatever its size

Part = Callable[[Tensor, slice], Tensor]
Made = tuple[Tensor, int, Part]  # values, inner and part, as in `Mixing`, for tokens as an operator is given them


@dataclass(frozen=True, eq=False)
class Mixing:
    """One call of an operator, for the first of the batch: output[i] = sum_j matrix[i, j] values[j] in every lane.

    Rows and columns are tokens: patches in raster order, whatever order they were read in, then those of a condition
    that are read beside them. lanes: matrices side by side, one a channel of a scan or convolution, one a head of an
    attention. values: (length, lanes, width), what the matrices multiply. inner: terms that make up one weight.
    part: (rows asked, lanes from, to) -> (rows, length, lanes), exact; use `rows` and `strength`, which stay within
    MOST_NUMBERS for a working tensor. runs: so many sequences of one length are mixed, each on its own; weights between
    them are 0.
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
        """Number of matrices side by side."""
        return self.values.shape[1]

    @property
    def terms(self) -> int:
        """Terms of all weights of all lanes, the work of making them."""
        return self.length**2 // self.runs * self.lanes * self.inner

    def rows(self, tokens: list[int]) -> Tensor:
        """Rows of the matrices, (rows asked, length, lanes), in the operator's own precision."""
        parts = [torch.cat(list(self._parts(asked)), -1) for asked in self._asked(tokens)]
        return torch.cat(parts)

    def strength(self, tokens: list[int]) -> Tensor:
        """The mean of the rows' absolute values over the lanes, (rows asked, length)."""
        parts = [sum(part.abs().sum(-1) for part in self._parts(asked)) for asked in self._asked(tokens)]
        return torch.cat(parts) / self.lanes

    @property
    def _at_once(self) -> int:
        """Rows times lanes that fit into a working tensor."""
        return max(1, MOST_NUMBERS // (self.length * max(1, self.inner)))

    def _asked(self, tokens: list[int]) -> tuple[Tensor, ...]:
        asked = torch.tensor(tokens, dtype=torch.int64, device=self.values.device)
        return asked.split(max(1, self._at_once // min(self.lanes, self._at_once)))

    def _parts(self, asked: Tensor) -> Iterator[Tensor]:
        step = max(1, min(self.lanes, self._at_once // len(asked)))
        for first in range(0, self.lanes, step):
            yield self.part(asked, slice(first, first + step))


def mixing_of(
    operator: Any, layer: int, patches: int, token_layout: ScanOrder | None, args: tuple, kwargs: dict[str, Any]
) -> Mixing:
    """The matrix of operator(*args, **kwargs). token_layout: how its patches lie, None for raster order.

    An order in runs means that it was given each run as an item of the batch, and nothing else. Where it was given more
    tokens than patches, those of the condition are in front.
    """
    make = _MATRICES[operator]
    kwargs = {name: value for name, value in kwargs.items() if name != "backend"}
    order = kwargs.get("order")
    runs = (1 if token_layout is None else token_layout.runs) * (1 if order is None else order.runs)
    if token_layout is None:
        values, inner, part = make(*args, **kwargs)
        length = len(values)
        places = torch.arange(length, device=values.device).roll(patches - length)  # of each token in what was given
        made = _named(places, (values, inner, part))
    else:
        batch = [make(*(value[i : i + 1] for value in args), **kwargs) for i in range(token_layout.runs)]
        made = _named(_indices(token_layout.inverse, batch[0][0]), _each_alone(batch))
    return Mixing(layer, *made, runs)


def _indices(order: NDArray[np.int64], like: Tensor) -> Tensor:
    return torch.from_numpy(order.copy()).to(like.device)


def _named(places: Tensor, made: Made) -> Made:
    """The same for tokens under other names. places: where each of them was."""
    values, inner, part = made
    return values[places], inner, lambda asked, lanes: part(places[asked], lanes)[:, places]


def _each_alone(sequences: list[Made]) -> Made:
    """Sequences of one length behind each other, none of which hears another: a block-diagonal matrix."""
    if len(sequences) == 1:
        return sequences[0]
    values, size = torch.cat([one[0] for one in sequences]), len(sequences[0][0])

    def part(asked: Tensor, lanes: slice) -> Tensor:
        rows = values.new_zeros(len(asked), len(values), len(range(values.shape[1])[lanes]))
        for number in (asked // size).unique().tolist():
            own, first = asked // size == number, number * size
            rows[own, first : first + size] = sequences[number][2](asked[own] - first, lanes)
        return rows

    return values, sequences[0][1], part


def _wide(value: Tensor) -> Tensor:
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def _passed(steps: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of steps (length, n) over the tokens after j up to and including i, for each i of ends: (rows, length, n).

    Beside it (rows, length, 1), whether j is at or before i; elsewhere the sum is 0. Summed from i backwards and not as
    a difference of totals, so that nothing cancels and a step may be infinite.
    """
    before = (torch.arange(len(steps), device=steps.device)[None] <= ends[:, None])[..., None]
    after = F.pad(torch.where(before, steps, 0)[:, 1:], (0, 0, 0, 1))
    return after.flip(1).cumsum(1).flip(1), before


def _scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None = None, z: Tensor | None = None, *,
    dt_bias: Tensor | None = None, order: ScanOrder | None = None,
) -> Made:  # fmt: skip
    """The matrix of each run of the order, and nothing between two of them."""
    if order is None:
        return _run(x, dt, A, B, C, D, z, dt_bias)
    runs = []
    for own in _indices(order.perm, x).chunk(order.runs):
        gate = None if z is None else z[:, own]
        runs.append(_run(x[:, own], dt[:, own], A, B[:, own], C[:, own], D, gate, dt_bias))
    return _named(_indices(order.inverse, x), _each_alone(runs))


def _run(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None, z: Tensor | None, dt_bias: Tensor | None
) -> Made:
    """silu(z_i) (sum_n C_in exp(A_n sum of dt after j up to i) B_jn dt_j + D at i = j), one matrix a channel.

    Source: Gu & Dao 2023 (arXiv 2312.00752), equation 2 unrolled; Ali et al. 2024 (arXiv 2403.01590), equation 5.
    """
    x, dt, B, C = (_wide(value[0]) for value in (x, dt, B, C))
    steps = dt if dt_bias is None else F.softplus(dt + dt_bias.to(dt))

    def part(asked: Tensor, lanes: slice) -> Tensor:
        own = steps[:, lanes]
        passed, before = _passed(own, asked)
        weights = torch.zeros_like(passed)
        for rate, b, c in zip(A[lanes].to(x).T, B.T, C[asked].T, strict=True):
            weights += (c[:, None] * b)[..., None] * torch.exp(rate * passed)
        weights = weights * own * before
        if D is not None:
            weights[torch.arange(len(asked)), asked] += D[lanes].to(x)
        return weights if z is None else weights * F.silu(_wide(z[0]))[asked, lanes][:, None]

    return x[..., None], A.shape[1], part


def _linear_attention(q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor) -> Made:
    """dim_k^(-1/2) q_i . exp(sum of log_gate after j up to i) k_j, one matrix a head.

    Source: Yang et al. 2023 (arXiv 2312.06635), section 4.1, parallel form.
    """
    q, k, v, log_gate = (_wide(value[0]) for value in (q, k, v, log_gate))
    width = q.shape[-1]

    def part(asked: Tensor, lanes: slice) -> Tensor:
        passed, before = _passed(log_gate[:, lanes].flatten(1), asked)
        faded = passed.exp().unflatten(-1, (-1, width)) * k[:, lanes]
        return (faded * q[asked, lanes][:, None]).sum(-1) * before * width**-0.5

    return v, width, part


def _attention(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, scale: float | None = None) -> Made:
    """The softmax of attention, one matrix a head; no mask."""
    if attn_mask is not None:
        raise ValueError("attention with a mask is not shown as a matrix; leave attn_mask out")
    q, k, v = (_wide(value[0]) for value in (q, k, v))
    factor = q.shape[-1] ** -0.5 if scale is None else scale

    def part(asked: Tensor, lanes: slice) -> Tensor:
        return (q[lanes, asked] @ k[lanes].mT * factor).softmax(-1).permute(1, 2, 0)

    return v.transpose(0, 1), 1, part


def _convolution(
    u: Tensor, log_dt: Tensor, A: Tensor, C: Tensor, D: Tensor | None = None, *, bidirectional: bool = False
) -> Made:
    """K_(i-j) at j <= i, K'_(j-i) at j >= i, and D at i = j, one matrix a channel, as `ops.s4d_convolution` says.

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

    def part(asked: Tensor, lanes: slice) -> Tensor:
        table, distance = kernels(lanes), asked[:, None] - along
        weights = table[0][distance.clamp_min(0)] * (distance >= 0)[..., None]
        if bidirectional:
            weights = weights + table[1][(-distance).clamp_min(0)] * (distance <= 0)[..., None]
        if D is not None:
            weights[torch.arange(len(asked)), asked] += D[lanes].to(u)
        return weights

    return u[..., None], 1, part


_MATRICES = {
    selective_scan: _scan,
    gated_linear_attention: _linear_attention,
    F.scaled_dot_product_attention: _attention,
    s4d_convolution: _convolution,
}
