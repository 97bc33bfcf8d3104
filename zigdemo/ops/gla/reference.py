"""The oracle: gated linear attention in plain torch, one token at a time, on any device and dtype."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK = 32  # tokens whose states autograd may hold at once; between chunks only boundary states are kept


def _attend_chunk(h: Tensor, q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor) -> tuple[Tensor, Tensor]:
    """Advance the state h (batch, heads, dim_k, dim_v) over the tokens of one chunk."""
    outputs = []
    for t in range(q.shape[1]):
        h = torch.exp(log_gate[:, t])[..., None] * h + k[:, t, ..., None] * v[:, t, :, None, :]
        outputs.append((q[:, t, ..., None] * h).sum(-2))
    return h, torch.stack(outputs, 1)


def gated_linear_attention(
    q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor, initial_state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """h_t = diag(exp(g_t)) h_(t-1) + k_t^T v_t; o_t = dim_k^(-1/2) q_t h_t; the outputs and the last state.

    Shapes as in `zigdemo.ops.gla`. Half precision is computed in float32, and so is the state returned.
    In training the states of at most CHUNK tokens exist at a time. Source: Yang et al. 2023 (arXiv 2312.06635), eq. 3.
    """
    wide = torch.float64 if q.dtype == torch.float64 else torch.float32
    q_, k_, v_, gate = (value.to(wide) for value in (q, k, v, log_gate))
    q_ = q_ * q.shape[-1] ** -0.5
    if initial_state is None:
        h = q_.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    else:
        h = initial_state.to(wide)
    parts = []
    for chunk in zip(*(value.split(CHUNK, 1) for value in (q_, k_, v_, gate)), strict=True):
        inputs = (h, *chunk)
        if torch.is_grad_enabled() and any(value.requires_grad for value in inputs):
            h, part = checkpoint(_attend_chunk, *inputs, use_reentrant=False, preserve_rng_state=False)
        else:
            h, part = _attend_chunk(*inputs)
        parts.append(part)
    return torch.cat(parts, 1).to(v.dtype), h
