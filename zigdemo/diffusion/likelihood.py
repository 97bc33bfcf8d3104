"""The ODE in reverse: likelihood of a sample, the noise it came from, and redrawing from an intermediate time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..checks import number
from .fields import Field, Noise, Steps, Velocity, as_field, item_noise
from .interpolants import LINEAR, Interpolant, interpolate
from .samplers import SAMPLERS, checked_options, time_grid

INVERTIBLE = ("euler", "heun", "midpoint", "rk4", "rk4-3/8", "dopri5", "ddim")
INVERSION_EDGE = 0.01  # closer to the data, a network's error in the clean sample would be amplified too much


@dataclass(frozen=True)
class Likelihood:
    """log_p: (batch,) in nats; latent: the noise at t = 0, like x; nfe: network calls, each with gradients."""

    log_p: Tensor
    latent: Tensor
    nfe: int


def item_signs(generators: Sequence[torch.Generator], like: Tensor) -> Noise:
    """Rademacher probes, +-1 with equal probability, from one CPU generator per item; see `item_noise`."""
    draw = item_noise(generators, like)
    return lambda: torch.where(draw() < 0, -1.0, 1.0).to(like)


def log_likelihood(
    velocity: Velocity, x: Tensor, times: list[float], probe: Noise | None, solver: str = "heun", **options: Any
) -> Likelihood:
    """log density of samples x (batch, ...), by the change of variables along the ODE to standard noise.

    times: falling, from 1 to 0. probe: the next Hutchinson probe, like x, drawn once per network call; constant for an
    adaptive solver; None computes the exact divergence by one gradient per dimension. solver: an ODE solver of
    INVERTIBLE. Raises ValueError for other solvers and for rising times.
    Source: Grathwohl et al. 2019 (arXiv 1810.01367), section 3.1; Song et al. 2021 (arXiv 2011.13456), section 4.3.
    """
    if solver not in INVERTIBLE or solver == "ddim":
        raise ValueError(f"solver must be an ODE solver such as {', '.join(INVERTIBLE[:-1])}, not {solver!r}")
    if len(times) < 2 or times[0] <= times[-1]:
        raise ValueError("times must fall, from the data at 1 to the noise at 0")
    follow, shape = as_field(velocity), x.shape

    def with_divergence(state: Tensor, t: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            here = state[:, :-1].reshape(shape).clone().requires_grad_()
            slope = follow(here, t.clone())
            divergence = _divergence(slope, here, probe)
        return torch.cat([slope.detach().flatten(1), divergence[:, None]], 1)

    state = torch.cat([x.flatten(1), x.new_zeros(len(x), 1)], 1)
    for step in SAMPLERS[solver].function(with_divergence, state, times, **options):
        state, nfe = step.x, step.nfe
    latent, change = state[:, :-1], state[:, -1]
    log_noise = -0.5 * latent.square().sum(1) - 0.5 * latent.shape[1] * math.log(2 * math.pi)
    return Likelihood(log_noise + change, latent.reshape(shape), nfe)


def _divergence(slope: Tensor, x: Tensor, probe: Noise | None) -> Tensor:
    if probe is not None:
        direction = probe()
        return (torch.autograd.grad(slope, x, direction)[0] * direction).flatten(1).sum(1)
    total, flat = x.new_zeros(len(x)), slope.flatten(1)
    for i in range(flat.shape[1]):
        row = torch.autograd.grad(flat[:, i].sum(), x, retain_graph=True)[0]
        total = total + row.flatten(1)[:, i]
    return total.detach()


def bits_per_dimension(log_p: Tensor, dimensions: int, bin_width: float = 1.0) -> Tensor:
    """log_p (batch,) in nats as bits per dimension.

    bin_width: of the quantisation, with dequantisation noise of that width: 2 / 255 for 8-bit pixels in [-1, 1]; 1 for
    the density itself. Source: Theis et al. 2016 (arXiv 1511.01844), section 3.1.
    """
    return -(log_p / dimensions + math.log(bin_width)) / math.log(2)


def invert(field: Field, x: Tensor, steps: int, solver: str = "heun", **options: Any) -> Steps:
    """From samples x (batch, ...) back to the noise this solver would draw them from; yields a SolverStep per update.

    steps: number of updates. The same solver and steps in the forward direction approximately give x again, better with
    more steps. A field that is singular at the data is evaluated INVERSION_EDGE before it. Raises ValueError for
    solvers that draw noise or use previous steps.
    """
    if solver not in INVERTIBLE or options.get("eta"):
        raise ValueError(f"solver must be one of {', '.join(INVERTIBLE)}, without eta, to be run backwards")
    solver_options = checked_options(solver, field, options)
    edged = replace(field, nearest=INVERSION_EDGE)
    return SAMPLERS[solver].function(edged, x, time_grid(solver, steps)[::-1], **solver_options)


def renoise(clean: Tensor, noise: Tensor, strength: float, path: Interpolant = LINEAR) -> tuple[Tensor, float]:
    """The state and the time from which `sample(..., start=time)` redraws this share of the path.

    clean, noise: (batch, ...); strength: from 0 (excluded), the sample itself, to 1, pure noise. Raises ValueError for
    any other strength.
    Source: Meng et al. 2022, SDEdit (arXiv 2108.01073), section 3.
    """
    number("strength", strength, above=0, most=1)
    start = 1.0 - strength
    return interpolate(clean, noise, torch.full((len(clean),), start, device=clean.device), path), start
