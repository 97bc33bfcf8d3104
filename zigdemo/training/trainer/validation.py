"""The loss on held-out images by time, with fixed images, times and noise so that steps are comparable."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...diffusion import interpolate, velocity_loss

BUCKETS = 8


@torch.no_grad()
def bucket_losses(network: nn.Module, prediction: str, clean: Tensor, cond: Tensor, batch: int = 64) -> list[float]:
    """Mean velocity loss at the middle of each of BUCKETS equal parts of [0, 1], noise first.

    clean: (n, ...) in [-1, 1]; cond: the condition of each. The noise of an image is the same at every call.
    """
    device = next(network.parameters()).device
    noise = torch.stack(
        [torch.randn(clean.shape[1:], generator=torch.Generator().manual_seed(i)) for i in range(len(clean))]
    )
    losses = []
    for bucket in range(BUCKETS):
        t = torch.full((len(clean),), (bucket + 0.5) / BUCKETS)
        total = 0.0
        for rows in torch.arange(len(clean)).split(batch):
            image, start, time = (value[rows].to(device) for value in (clean, noise, t))
            x = interpolate(image, start, time)
            output = network(x, time, cond[rows].to(device)).float()
            total += velocity_loss(prediction, output, image, start, x, time).sum().item()
        losses.append(total / len(clean))
    return losses
