"""The oracle: selective scan and causal convolution in plain torch, one token at a time, on any device and dtype."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from .runs import apart, together

CHUNK = 32  # tokens whose states autograd may hold at once; between chunks only boundary states are kept


def _scan_chunk(h: Tensor, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """Advance the state h (batch, channels, state) over the tokens of one chunk."""
    outputs = []
    for k in range(x.shape[1]):
        decay = torch.exp(dt[:, k, :, None] * A)
        h = decay * h + (dt[:, k] * x[:, k])[..., None] * B[:, k, None, :]
        outputs.append((h * C[:, k, None, :]).sum(-1))
    return h, torch.stack(outputs, 1)


class _Chunk(torch.autograd.Function):
    """`_scan_chunk` recomputed in the backward pass.

    torch's own checkpoint also builds the graph in the forward pass; its many small nodes fragment the heap, which then
    grows as if the states were kept.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(*inputs)
        return _scan_chunk(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, dh: Tensor, dy: Tensor) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad
        with torch.enable_grad():
            leaves = [v.detach().requires_grad_(n) for v, n in zip(ctx.saved_tensors, needed, strict=True)]
            outputs = _scan_chunk(*leaves)
        gradients = iter(torch.autograd.grad(outputs, [v for v in leaves if v.requires_grad], (dh, dy)))
        return tuple(next(gradients) if n else None for n in needed)


def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    perm: Tensor | None,
    runs: int = 1,
) -> Tensor:
    """h_k = exp(dt_k A) h_(k-1) + dt_k B_k x_k; y_k = C_k h_k + D x_k, times SiLU(z_k); tokens in the order of perm.

    Shapes as in `zigdemo.ops.selective_scan`; perm: (length,) int64 or None; h is 0 before each of the runs.
    Half precision is computed in float32. In training the states of at most CHUNK tokens exist at a time.
    Source: Gu & Dao 2023 (arXiv 2312.00752), eq. 2.
    """
    kind = x.dtype
    wide = torch.float32 if kind in (torch.float16, torch.bfloat16) else kind
    x_, dt_, B_, C_ = (value.to(wide) for value in (x, dt, B, C))
    A_ = A.to(wide)
    if dt_bias is not None:
        dt_ = F.softplus(dt_ + dt_bias.to(wide))
    along = [apart(value, perm, runs) for value in (x_, dt_, B_, C_)]
    h = x_.new_zeros(len(along[0]), x.shape[2], A.shape[1])
    parts = []
    for xs, steps, Bs, Cs in zip(*(value.split(CHUNK, 1) for value in along), strict=True):
        h, part = _Chunk.apply(h, xs, steps, A_, Bs, Cs)
        parts.append(part)
    y = together(torch.cat(parts, 1), perm, runs)
    if D is not None:
        y = y + D.to(wide) * x_
    if z is not None:
        y = y * F.silu(z.to(wide))
    return y.to(kind)


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor, perm: Tensor | None, silu: bool, runs: int = 1) -> Tensor:
    """Depthwise causal convolution along perm: y_k = bias + sum_j weight_j x_(k - taps + 1 + j), then SiLU if asked."""
    taps, channels = weight.shape[-1], x.shape[2]
    padded = F.pad(apart(x, perm, runs).transpose(1, 2), (taps - 1, 0))
    y = F.conv1d(padded, weight.reshape(channels, 1, taps), bias, groups=channels).transpose(1, 2)
    return together(F.silu(y) if silu else y, perm, runs)
