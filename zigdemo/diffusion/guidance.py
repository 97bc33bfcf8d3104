"""Classifier-free guidance: one batched network call for the conditional and the unconditional half."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .interpolants import velocity_of
from .solvers import Velocity

Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def guided_velocity(
    network: Network,
    prediction: str,
    cond: Tensor | None,
    null: Tensor | None,
    scale: float,
    interval: tuple[float, float] = (0.0, 1.0),
) -> Velocity:
    """Velocity of a network at `cond`, pushed away from `null` by `scale` while t lies in `interval`.

    cond, null: what the network takes as its third argument, with the batch's length, or None. A scale of 1, a time
    outside the interval or no null leaves one plain call. Source: Ho & Salimans 2022 (arXiv 2207.12598), equation 6;
    interval: Kynkaanniemi et al. 2024 (arXiv 2404.07724).
    """

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        low, high = interval
        if scale == 1 or null is None or cond is None or not low <= float(t[0]) <= high:
            return velocity_of(prediction, network(x, t, cond), x, t)
        both_x, both_t = torch.cat([x, x]), torch.cat([t, t])
        output = network(both_x, both_t, torch.cat([cond, null]))
        wanted, plain = velocity_of(prediction, output, both_x, both_t).chunk(2)
        return plain + scale * (wanted - plain)

    return velocity
