"""Classifier-free guidance: one network call for the conditional and unconditional half of a batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .fields import Field
from .interpolants import LINEAR, Interpolant

Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def guide(cond: Tensor, uncond: Tensor, scale: float, channels: int | None = None, rescale: float = 0.0) -> Tensor:
    """uncond + scale (cond - uncond), from two outputs (batch, channels, ...).

    channels: guide only the first so many and take the others from `cond`; 3 in the official DiT and SiT.
    rescale: from 0 to 1, how far each item's standard deviation returns to that of `cond`, against oversaturation.
    Source: Ho & Salimans 2022 (arXiv 2207.12598), equation 6; rescale: Lin et al. 2023 (arXiv 2305.08891), section 3.4.
    """
    guided = uncond + scale * (cond - uncond)
    if rescale:
        cond_std, guided_std = (part.flatten(1).std(1, correction=0) for part in (cond, guided))
        factor = rescale * cond_std / guided_std.clamp_min(1e-6) + (1 - rescale)
        guided = guided * factor.reshape(-1, *[1] * (guided.ndim - 1))
    return guided if channels is None else torch.cat([guided[:, :channels], cond[:, channels:]], 1)


def guided_velocity(
    network: Network,
    prediction: str,
    cond: Tensor | None,
    null: Tensor | None,
    scale: float,
    interval: tuple[float, float] | None = (0.0, 1.0),
    channels: int | None = None,
    rescale: float = 0.0,
    path: Interpolant = LINEAR,
) -> Field:
    """The field of a network at `cond`, guided away from `null` by `scale` while t is in `interval`.

    cond, null: third argument of the network, one row per item, or None; null may be any condition to avoid. With a
    scale of 1, outside the interval or without null there is one unguided call. interval: None for all times, needed
    for networks that receive discrete steps instead of t. channels, rescale: see `guide`.
    Source: Ho & Salimans 2022 (arXiv 2207.12598), equation 6;
    interval: Kynkaanniemi et al. 2024 (arXiv 2404.07724).
    """

    def output(x: Tensor, t: Tensor) -> Tensor:
        within = interval is None or interval[0] <= float(t[0]) <= interval[1]
        if scale == 1 or null is None or cond is None or not within:
            return network(x, t, cond)
        both = network(torch.cat([x, x]), torch.cat([t, t]), torch.cat([cond, null]))
        return guide(*both.chunk(2), scale, channels, rescale)

    return Field(output, prediction, path)
