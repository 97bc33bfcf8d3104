"""DiG's mixer as part of a graph: gated linear attention of all tokens at once, without a division by a decay."""

from __future__ import annotations

import torch

from ..backbones.dig import GATE_SHARE, GatedLinearAttention
from ..backbones.layers import EPSILON
from .builder import Graph, Value


def gated_attention(graph: Graph, x: Value, layer: GatedLinearAttention, length: int) -> Value:
    """The output of a layer on tokens (batch, length, width) in scan order; see `backbones.dig`."""

    def heads(value: Value, channels: int) -> Value:
        return value.reshape(0, 0, layer.heads, channels // layer.heads).transpose(0, 2, 1, 3)

    keys, values = layer.k_proj.out_features, layer.v_proj.out_features
    logit = graph.linear(graph.linear(x, layer.gk_proj[0]), layer.gk_proj[1])
    log_gate = graph.node("Softplus", logit * -1.0) * (-1.0 / GATE_SHARE)
    q = graph.linear(x, layer.q_proj) * (keys // layer.heads) ** -0.5
    k, v = graph.linear(x, layer.k_proj), graph.linear(x, layer.v_proj)
    o = decayed_attention(graph, heads(q, keys), heads(k, keys), heads(v, values), heads(log_gate, keys), length)
    o = graph.rms_norm(o.transpose(0, 2, 1, 3), layer.g_norm_swish_gate.weight, EPSILON).reshape(0, 0, values)
    return graph.linear(o * graph.silu(graph.linear(x, layer.g_proj)), layer.o_proj)


def decayed_attention(graph: Graph, q: Value, k: Value, v: Value, log_gate: Value, length: int) -> Value:
    """o_t = sum_(j <= t) (q_t k_j prod_(j < s <= t) exp(log_gate_s)) v_j, for each head; o like v.

    q, k, log_gate: (batch, heads, length, keys), log_gate at most 0; v: (batch, heads, length, values). Blocks of 2, 4,
    8 tokens and so on: within each, the second half attends to the first, with what decays before the middle in the
    keys and what decays after it in the queries. Every exponent is a sum of log gates, so nothing can overflow, and
    what vanishes is as small as that. Source: Yang et al. 2023 (arXiv 2312.06635), section 4; the halving is ours.
    """
    size = 1 << (length - 1).bit_length()  # of the largest block
    if size > length:
        q, k, v, log_gate = (graph.node("Pad", one, [0] * 6 + [size - length, 0]) for one in (q, k, v, log_gate))
    q, k, v, log_gate = (one.unsqueeze(3) for one in (q, k, v, log_gate))  # (batch, heads, blocks, tokens, channels)
    o = graph.sum(q * k, -1, keep=True) * v
    half = 1
    while half < size:
        q, k, v, log_gate, o = (one.reshape(0, 0, -1, 2 * half, 0) for one in (q, k, v, log_gate, o))
        fade = graph.node("Exp", graph.table(up_to_the_middle(half)) @ log_gate)
        second = torch.arange(2 * half) >= half
        across = graph.table((second[:, None] & ~second).float())
        o = o + (((q * fade) @ (k * fade).transpose(0, 1, 2, 4, 3)) * across) @ v
        half *= 2
    o = o.reshape(0, 0, size, -1)
    return o.slice(2, 0, length) if size > length else o


def up_to_the_middle(half: int) -> torch.Tensor:
    """(2 half, 2 half): row t adds up the tokens between t and the middle, from half to t or from t + 1 to half - 1."""
    t, s = torch.arange(2 * half)[:, None], torch.arange(2 * half)
    return (((half <= s) & (s <= t)) | ((t < s) & (s < half))).float()
