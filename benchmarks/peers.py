"""Other implementations of the same operators, written from their published formulas."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mamba_ssm_formula(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor, bias: Tensor
) -> Tensor:
    """The reference computation of mamba_ssm: discretise all tokens at once, then scan token by token.

    Channel-last arguments as in `zigdemo.ops.selective_scan`; it holds (batch, length, channels, state) tensors.
    """
    step = F.softplus(dt + bias)
    decay = torch.exp(torch.einsum("bld,dn->bldn", step, A))
    inputs = torch.einsum("bld,bln->bldn", step * x, B)
    state = x.new_zeros(x.shape[0], x.shape[2], A.shape[1])
    outputs = []
    for k in range(x.shape[1]):
        state = decay[:, k] * state + inputs[:, k]
        outputs.append(torch.einsum("bdn,bn->bd", state, C[:, k]))
    return (torch.stack(outputs, 1) + D * x) * F.silu(z)


def mambapy_scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor, bias: Tensor) -> Tensor:
    """The same with mambapy's parallel scan in plain torch."""
    from mambapy.pscan import pscan

    step = F.softplus(dt + bias)
    decay = torch.exp(step[..., None] * A)
    inputs = (step * x)[..., None] * B[:, :, None, :]
    states = pscan(decay, inputs)
    return (torch.einsum("bldn,bln->bld", states, C) + D * x) * F.silu(z)


def transformers_mixer(width: int) -> torch.nn.Module | None:
    """The Mamba mixer of transformers on its slow path, or None if the package is not installed."""
    try:
        from transformers import MambaConfig
        from transformers.models.mamba.modeling_mamba import MambaMixer
    except ImportError:
        return None
    return MambaMixer(MambaConfig(hidden_size=width, state_size=16, expand=2, conv_kernel=4, use_bias=False), 0)


def naive_gla(q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor) -> Tensor:
    """Gated linear attention by fla's naive recurrence: token by token, in float32.

    Arguments as in `zigdemo.ops.gated_linear_attention`; in training autograd keeps the states of all tokens.
    """
    q, k, v, log_gate = (value.transpose(1, 2).float() for value in (q, k, v, log_gate))
    state = q.new_zeros(*q.shape[:2], q.shape[3], v.shape[3])
    o = torch.zeros_like(v)
    for t in range(q.shape[2]):
        outer = k[:, :, t, :, None] * v[:, :, t, None, :]
        state = state * log_gate[:, :, t, :, None].exp() + outer
        o[:, :, t] = (q[:, :, t, :, None] * q.shape[3] ** -0.5 * state).sum(-2)
    return o.transpose(1, 2)
