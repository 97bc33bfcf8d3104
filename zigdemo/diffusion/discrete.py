"""DDIM and DDPM for any field, from its clean sample and noise at each step."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from .fields import Noise, SolverStep, Steps, Velocity, as_field, at, number


def ddim(velocity: Velocity, x: Tensor, times: list[float], noise: Noise | None = None, eta: float = 0.0) -> Steps:
    """DDIM: split x into clean sample and noise, recombine them at the next time; one network call per step.

    eta: amount of fresh noise, from 0, none, to 1, as in DDPM. noise: needed if eta > 0, drawn in each step that uses
    it. In terms of signal-to-noise ratios this holds on every path. With eta 0, falling times invert a sample.
    Raises ValueError for an eta out of range, or without noise or rising times where it needs them.
    Source: Song et al. 2021 (arXiv 2010.02502), equations 12 and 16.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must be a number from 0, no fresh noise, to 1, as much as DDPM, not {eta!r}")
    if eta and (noise is None or times[-1] < times[0]):
        raise ValueError("eta above 0 needs `noise` to draw from and rising times; leave it at 0 otherwise")
    field = as_field(velocity)
    path = field.path
    for i, (now, after) in enumerate(pairwise(times)):
        clean, old = field.read(x, at(x, now), "clean", "noise")
        alpha, sigma = number(path.alpha, after), number(path.sigma, after)
        fresh = 0.0
        if eta:
            ratio = number(path.alpha, now) * sigma / (alpha * number(path.sigma, now))
            fresh = eta * sigma * math.sqrt(max(1 - ratio**2, 0))
        x = alpha * clean + math.sqrt(max(sigma**2 - fresh**2, 0)) * old
        if fresh:
            x = x + fresh * noise()
        yield SolverStep(i, after, x, clean, i + 1)


def ddpm(velocity: Velocity, x: Tensor, times: list[float], noise: Noise) -> Steps:
    """Ancestral sampling with the posterior variance, which is DDIM with eta 1; one network call per step.

    For networks with a learned variance use `gaussian.Gaussian.sample`.
    Source: Ho et al. 2020 (arXiv 2006.11239), algorithm 2; the equality: Song et al. 2021, section 4.1.
    """
    return ddim(velocity, x, times, noise, eta=1.0)
