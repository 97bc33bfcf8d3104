"""The forward passes shared by the official DiT, SiT and DiG."""

from __future__ import annotations

import torch
from torch import Tensor

GUIDED = 3  # channels that the official guidance acts on, of four


class Guided:
    """Mixin for our networks: official argument names, and the official guided forward."""

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, *, scheme: str | None = None) -> Tensor:
        """x: (batch, channels, H, W); t: (batch,), the DDPM step 0 .. 999 for DiT and DiG, a time in [0, 1] for SiT;
        y: labels (batch,), the null label is num_classes, or None for a network without labels. Returns noise and
        variance for DiT and DiG, the velocity for SiT. Raises ValueError as our networks do.
        """
        return super().forward(x, t, y, scheme=scheme)

    def forward_with_cfg(self, x: Tensor, t: Tensor, y: Tensor, cfg_scale: float) -> Tensor:
        """The guided forward. y: labels, followed by as many null labels; only the first half of x is used.

        Guidance acts on the first three channels only, with the result in both halves; the other channels are those of
        the plain forward. For guidance of all channels see `zigdemo.diffusion`.
        """
        half = x[: len(x) // 2]
        output = self(torch.cat([half, half]), t, y)
        cond, uncond = output[:, :GUIDED].chunk(2)
        guided = uncond + cfg_scale * (cond - uncond)
        return torch.cat([torch.cat([guided, guided]), output[:, GUIDED:]], 1)
