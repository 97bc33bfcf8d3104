"""The oracle: the S4D state-space model stepped through time, one token at a time, on any device and dtype."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK = 32  # tokens whose states autograd may hold at once; between chunks only boundary states are kept


def _step_chunk(h: Tensor, u: Tensor, decay: Tensor, hold: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """Advance the state h (batch, channels, modes) over the tokens of one chunk."""
    outputs = []
    for k in range(u.shape[1]):
        h = decay * h + hold * u[:, k, :, None]
        outputs.append(2 * (C * h).sum(-1).real)
    return h, torch.stack(outputs, 1)


def _forward_pass(u: Tensor, decay: Tensor, hold: Tensor, C: Tensor) -> Tensor:
    h = torch.zeros(u.shape[0], *decay.shape, dtype=decay.dtype, device=u.device)
    outputs = []
    for chunk in u.split(CHUNK, 1):
        inputs = (h, chunk, decay, hold, C)
        if torch.is_grad_enabled() and any(value.requires_grad for value in inputs):
            h, part = checkpoint(_step_chunk, *inputs, use_reentrant=False, preserve_rng_state=False)
        else:
            h, part = _step_chunk(*inputs)
        outputs.append(part)
    return torch.cat(outputs, 1)


def s4d_convolution(u: Tensor, log_dt: Tensor, A: Tensor, C: Tensor, D: Tensor | None) -> Tensor:
    """h_k = Abar h_(k-1) + Bbar u_k; y_k = 2 Re sum_n C_n h_(k,n) + D u_k; C[1], if present, runs from the end.

    Shapes as in `zigdemo.ops.s4d_convolution`, C: (directions, channels, modes). In training the states of at most
    CHUNK tokens exist at a time.
    """
    wide = A.real.dtype
    u_ = u.to(wide)
    rate = log_dt.to(wide).exp()[:, None] * A
    decay, hold = torch.exp(rate), torch.expm1(rate) / A
    y = _forward_pass(u_, decay, hold, C[0])
    if C.shape[0] == 2:
        y = y + _forward_pass(u_.flip(1), decay, hold, C[1]).flip(1)
    if D is not None:
        y = y + D.to(wide) * u_
    return y.to(u.dtype)
