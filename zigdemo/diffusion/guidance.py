"""Classifier-free guidance: one batched network call for the conditional and the unconditional half."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .fields import Field
from .interpolants import LINEAR, Interpolant

Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def guide(wanted: Tensor, plain: Tensor, scale: float, channels: int | None = None, rescale: float = 0.0) -> Tensor:
    """plain + scale (wanted - plain), from two outputs (batch, channels, ...).

    channels: guide the first so many alone and take the others from `wanted`; the official DiT and SiT have 3.
    rescale: from 0 to 1, how far each item's spread is put back to that of `wanted`, against burnt colours.
    Source: Ho & Salimans 2022 (arXiv 2207.12598), equation 6; rescale: Lin et al. 2023 (arXiv 2305.08891), section 3.4.
    """
    guided = plain + scale * (wanted - plain)
    if rescale:
        spread, mine = (part.flatten(1).std(1, correction=0) for part in (wanted, guided))
        factor = rescale * spread / mine.clamp_min(1e-6) + (1 - rescale)
        guided = guided * factor.reshape(-1, *[1] * (guided.ndim - 1))
    return guided if channels is None else torch.cat([guided[:, :channels], wanted[:, channels:]], 1)


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
    """The field of a network at `cond`, pushed away from `null` by `scale` while t lies in `interval`.

    cond, null: what the network takes as its third argument, with the batch's length, or None; null may be any
    condition to keep away from. A scale of 1, a time outside the interval or no null leaves one plain call. interval:
    None for every time, as a network that is given discrete steps in place of t needs.
    channels, rescale: see `guide`. Source: Ho & Salimans 2022 (arXiv 2207.12598), equation 6;
    interval: Kynkaanniemi et al. 2024 (arXiv 2404.07724).
    """

    def output(x: Tensor, t: Tensor) -> Tensor:
        within = interval is None or interval[0] <= float(t[0]) <= interval[1]
        if scale == 1 or null is None or cond is None or not within:
            return network(x, t, cond)
        both = network(torch.cat([x, x]), torch.cat([t, t]), torch.cat([cond, null]))
        return guide(*both.chunk(2), scale, channels, rescale)

    return Field(output, prediction, path)
