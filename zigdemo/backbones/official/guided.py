"""The forward passes that the official DiT, SiT and DiG share."""

from __future__ import annotations

import torch
from torch import Tensor

GUIDED = 3  # channels that the official guidance acts on, of four


class Guided:
    """In front of a network of ours: the arguments' official names, and the official guided forward."""

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, *, scheme: str | None = None) -> Tensor:
        """x: (batch, channels, H, W); t: (batch,), the DDPM step 0 .. 999 for DiT and DiG, a time in [0, 1] for SiT;
        y: labels (batch,), the null label is num_classes, or None for a network without. Returns noise and variance
        for DiT and DiG, the velocity for SiT.
        """
        return super().forward(x, t, y, scheme=scheme)

    def forward_with_cfg(self, x: Tensor, t: Tensor, y: Tensor, cfg_scale: float) -> Tensor:
        """The guided forward: y holds the labels, then as many null labels; only the first half of x is read.

        Guidance acts on the first three channels alone, and both halves of the output have them; the others are as
        the plain forward gives them. Guidance of all channels is in `zigdemo.diffusion`.
        """
        half = x[: len(x) // 2]
        output = self(torch.cat([half, half]), t, y)
        wanted, plain = output[:, :GUIDED].chunk(2)
        guided = plain + cfg_scale * (wanted - plain)
        return torch.cat([torch.cat([guided, guided]), output[:, GUIDED:]], 1)
