"""The Triton backend: autograd around `triton_kernels`. Importing this module imports triton."""

from __future__ import annotations

import torch
import triton
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from ..checks import needs_backward
from ..selective_scan.triton_kernels import device_of
from . import triton_kernels

CHUNK, BLOCK = 64, 16  # tokens
LEAST = 16  # rows and columns of a matrix product
WARPS = 8  # with these, heads of 64 need no more registers than there are (`benchmarks.kernel_resources`)
NARROW = 32  # values at a time where two products are summed


def _sizes(q: Tensor, v: Tensor, perm: Tensor | None) -> tuple[tuple[int, ...], dict[str, object], int]:
    """The sizes that kernels take, their settings, and the number of programs over values."""
    _, length, heads, keys = q.shape
    values = v.shape[3]
    pad = max(LEAST, triton.next_power_of_2(keys))
    width = max(LEAST, min(triton.next_power_of_2(values), 64 if pad <= 64 else 32))
    settings = {"CHUNK": CHUNK, "PAD": pad, "ORDERED": perm is not None, "EXACT": q.dtype == torch.float32}
    sizes = (length, heads, keys, values, triton.cdiv(length, CHUNK))
    return sizes, {**settings, "WIDTH": width, "num_warps": WARPS}, triton.cdiv(values, width)


def _states(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, initial: Tensor | None, perm: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The state before every chunk, the last one, and the scores inside every chunk."""
    sizes, settings, blocks = _sizes(q, v, perm)
    (batch, _, heads, keys), (values, chunks) = q.shape, sizes[3:]
    states = q.new_empty((batch, heads, chunks, keys, values), dtype=torch.float32)
    final = q.new_empty((batch, heads, keys, values), dtype=torch.float32)
    scores = q.new_empty((batch, heads, chunks, CHUNK, CHUNK), dtype=torch.float32)
    start, order = _or(initial, q), _or(perm, q)
    triton_kernels.walk[(blocks, batch * heads)](
        k, v, g, order, start, states, final, *sizes, INITIAL=initial is not None, **settings
    )
    without_width = {name: value for name, value in settings.items() if name != "WIDTH"}
    triton_kernels.score[(chunks * (CHUNK // BLOCK), batch * heads)](
        q, k, g, order, scores, keys**-0.5, *sizes[:3], chunks, BLOCK=BLOCK, **without_width
    )
    return states, final, scores


class _GatedLinearAttention(torch.autograd.Function):
    """Saves the inputs alone; states and scores are computed again in the backward pass."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, q: Tensor, k: Tensor, v: Tensor, g: Tensor, initial: Tensor | None, perm: Tensor | None,
        saves: bool,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        q, k, v, g = (value.contiguous() for value in (q, k, v, g))
        initial = None if initial is None else initial.contiguous()
        sizes, settings, blocks = _sizes(q, v, perm)
        o = torch.empty_like(v)
        with device_of(q):
            states, final, scores = _states(q, k, v, g, initial, perm)
            triton_kernels.attend[(blocks, sizes[4], q.shape[0] * q.shape[2])](
                q, v, g, _or(perm, q), states, scores, o, q.shape[3] ** -0.5, *sizes, **settings
            )
        if saves:
            ctx.save_for_backward(q, k, v, g, initial, perm, final)
            ctx.set_materialize_grads(False)
        return o, final

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, do: Tensor | None, dfinal: Tensor | None) -> tuple[Tensor | None, ...]:
        q, k, v, g, initial, perm, final = ctx.saved_tensors
        do = torch.zeros_like(v) if do is None else do.contiguous()
        dfinal = None if dfinal is None else dfinal.contiguous()
        sizes, settings, blocks = _sizes(q, v, perm)
        narrow = {**settings, "WIDTH": min(NARROW, settings["WIDTH"])}
        batch, heads, chunks, scale = q.shape[0], q.shape[2], sizes[4], q.shape[3] ** -0.5
        order, pieces = _or(perm, q), chunks * (CHUNK // BLOCK)
        dv, dinitial = torch.empty_like(v), torch.empty_like(final)
        dq, dk, dsums = torch.empty_like(q), torch.empty_like(k), q.new_empty(q.shape, dtype=torch.float32)
        with device_of(q):
            states, _, scores = _states(q, k, v, g, initial, perm)
            dstates, dscores = torch.empty_like(states), torch.empty_like(scores)
            triton_kernels.walk_back[(blocks, batch * heads)](
                q, g, do, order, _or(dfinal, q), dstates, dinitial, scale, *sizes, FINAL=dfinal is not None, **settings
            )
            triton_kernels.differentiate_values[(chunks, batch * heads)](
                k, v, g, do, order, scores, dstates, dv, dscores, *sizes, **narrow
            )
            triton_kernels.differentiate_keys[(pieces, batch * heads)](
                q, k, v, g, do, order, states, dstates, dscores, dq, dk, dsums, scale, *sizes, BLOCK=BLOCK, **narrow
            )
        last = None if dfinal is None else (final * dfinal).sum(3)
        return (
            dq,
            dk,
            dv,
            _gate_gradient(dsums, last, perm).to(g.dtype),
            None if initial is None else dinitial.to(initial.dtype),
            None,
            None,
        )


def _gate_gradient(dsums: Tensor, last: Tensor | None, perm: Tensor | None) -> Tensor:
    """The gradient in the gates of that in their running sums, (batch, length, heads, keys), along the path.

    last: of the sum over all tokens, (batch, heads, keys).
    """
    along = dsums if perm is None else dsums[:, perm]
    total = along.flip(1).cumsum(1).flip(1)
    if last is not None:
        total += last[:, None]
    return total if perm is None else torch.empty_like(total).index_copy_(1, perm, total)


def _or(value: Tensor | None, stand_in: Tensor) -> Tensor:
    """A tensor for a kernel argument; even one that is never read needs an address."""
    return stand_in if value is None else value


def gated_linear_attention(
    q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor, initial_state: Tensor | None, perm: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The outputs and the last state of `reference.gated_linear_attention`, states in float32.

    perm: (length,) int64, the k-th token of the path is perm[k]. Keys of at most 128, as states are held in registers.
    """
    tensors = (q, k, v, log_gate, initial_state)
    return _GatedLinearAttention.apply(*tensors, perm, needs_backward(*tensors))
