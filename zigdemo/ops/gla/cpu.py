"""The CPU backend: autograd around the numba kernels. Importing this module imports numba."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from ..checks import needs_backward
from ..threads import run
from . import kernels

_EMPTY4 = np.empty((0, 0, 0, 0), np.float32)


def _array(value: Tensor | None) -> np.ndarray:
    """A contiguous float32 numpy view of a tensor, without a copy where it already is one; empty for None."""
    return _EMPTY4 if value is None else value.detach().to(torch.float32).contiguous().numpy()


def _blocks(values: int) -> int:
    return -(-values // kernels.WIDTH)


class _GatedLinearAttention(torch.autograd.Function):
    """Saves the inputs and the states at the boundaries of spans, nothing else."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        log_gate: Tensor,
        initial_state: Tensor | None,
        training: bool,
    ) -> tuple[Tensor, Tensor]:
        batch, length, heads, keys = q.shape
        values = v.shape[3]
        o, final = torch.empty(v.shape), torch.empty(batch, heads, keys, values)
        spans = -(-length // (kernels.CHUNK * kernels.SPAN)) if training else 0
        states = torch.empty(batch, heads, spans, keys, values)
        if training:
            ctx.save_for_backward(q, k, v, log_gate, initial_state, states)
            ctx.set_materialize_grads(False)
        inputs = map(_array, (q, k, v, log_gate, initial_state))
        outputs = (o.numpy(), final.numpy(), states.numpy())
        run(kernels.gla_forward, batch * heads * _blocks(values), *inputs, np.float32(keys**-0.5), *outputs)
        return o.to(v.dtype), final

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, do: Tensor | None, dfinal: Tensor | None) -> tuple[Tensor | None, ...]:
        q, k, v, log_gate, initial_state, states = ctx.saved_tensors
        batch, length, heads, keys = q.shape
        values = v.shape[3]
        blocks = _blocks(values)
        do = torch.zeros(v.shape) if do is None else do
        dq, dk, dgate = (torch.empty(batch, blocks, length, heads, keys) for _ in range(3))
        dv, dinitial = torch.empty(v.shape), torch.empty(batch, heads, keys, values)
        inputs = (*map(_array, (q, k, v, log_gate)), np.float32(keys**-0.5), states.numpy(), _array(do), _array(dfinal))
        outputs = (value.numpy() for value in (dq, dk, dv, dgate, dinitial))
        run(kernels.gla_backward, batch * heads * blocks, *inputs, *outputs)
        return (
            dq.sum(1).to(q.dtype),
            dk.sum(1).to(k.dtype),
            dv.to(v.dtype),
            dgate.sum(1).to(log_gate.dtype),
            None if initial_state is None else dinitial.to(initial_state.dtype),
            None,
        )


def gated_linear_attention(
    q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor, initial_state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The outputs and the last state of `reference.gated_linear_attention`, in float32."""
    tensors = (q, k, v, log_gate, initial_state)
    return _GatedLinearAttention.apply(*tensors, needs_backward(*tensors))


def warm_up() -> None:
    """Compile (or load from the disk cache) both kernels, on the smallest inputs."""
    x = torch.ones(1, 2, 1, 1, requires_grad=True)
    o, state = gated_linear_attention(x, x, x, -x, torch.ones(1, 1, 1, 1))
    (o.sum() + state.sum()).backward()
