"""The loss on pictures that training never sees, by time: fixed pictures, times and noise, so that steps compare."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...diffusion import interpolate, velocity_loss

BUCKETS = 8


@torch.no_grad()
def bucket_losses(network: nn.Module, prediction: str, clean: Tensor, cond: Tensor, batch: int = 64) -> list[float]:
    """Mean velocity loss at the middle of each of BUCKETS parts of [0, 1], noise first.

    clean: (n, ...) in [-1, 1]; cond: what the network takes for each. The noise of a picture is the same every time.
    """
    device = next(network.parameters()).device
    noise = torch.stack(
        [torch.randn(clean.shape[1:], generator=torch.Generator().manual_seed(i)) for i in range(len(clean))]
    )
    found = []
    for bucket in range(BUCKETS):
        t = torch.full((len(clean),), (bucket + 0.5) / BUCKETS)
        total = 0.0
        for rows in torch.arange(len(clean)).split(batch):
            picture, start, time = (value[rows].to(device) for value in (clean, noise, t))
            x = interpolate(picture, start, time)
            output = network(x, time, cond[rows].to(device)).float()
            total += velocity_loss(prediction, output, picture, start, x, time).sum().item()
        found.append(total / len(clean))
    return found
