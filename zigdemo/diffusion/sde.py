"""SDE solvers: the marginals of the ODE, reached with fresh noise in every step.

dX = (velocity + w score) dt + sqrt(2 w) dW has the ODE's marginals for every w(t) >= 0, so w is a free choice.
Source: Ma et al. 2024, SiT (arXiv 2401.08740), sections 2.3 and 3.4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from torch import Tensor

from ..checks import choice
from .fields import Field, Noise, SolverStep, Steps, Velocity, as_field, at, number
from .interpolants import Interpolant

FORMS: dict[str, Callable[[Interpolant, float, float], float]] = {
    "constant": lambda path, t, strength: strength,
    "sbdm": lambda path, t, strength: strength * number(path.forward_rate, t),
    "sigma": lambda path, t, strength: strength * number(path.sigma, t),
    "linear": lambda path, t, strength: strength * (1 - t),
    "decreasing": lambda path, t, strength: 0.25 * (strength * math.cos(math.pi * t) + 1) ** 2,
    "increasing-decreasing": lambda path, t, strength: strength * math.sin(math.pi * t) ** 2,
}
LAST_STEPS = ("none", "mean", "tweedie", "euler")
STABLE = 0.5  # upper bound of w step / sigma^2; at 2 a step would not reduce the noise in x


def diffusion_rate(form: str, path: Interpolant, time: float, strength: float = 1.0) -> float:
    """w(t) of one of FORMS; strength 1 is the published one. Source: Ma et al. 2024, section 3.4 and its code."""
    return FORMS[form](path, time, strength)


def _limited_rate(form: str, path: Interpolant, time: float, strength: float, step: float, stable: bool) -> float:
    """w(t), limited so that a step of this length does not overshoot.

    Near the data the slope of the score is about -1 / sigma^2; near the noise "sbdm" is unbounded. A smaller w is also
    valid: the marginals stay the same, with less noise on the way.
    """
    rate = diffusion_rate(form, path, time, strength)
    return min(rate, STABLE * number(path.sigma, time) ** 2 / step) if stable else rate


def _check(times: list[float], form: str, last_step: str) -> None:
    choice("diffusion form", form, FORMS)
    choice("last_step", last_step, LAST_STEPS)
    if any(after <= now for now, after in pairwise(times)):
        raise ValueError("times must rise, from noise to data: an SDE cannot be run backwards by its own noise")


def _last_update(
    field: Field, x: Tensor, now: float, after: float, rate: float, last_step: str
) -> tuple[Tensor, Tensor]:
    """The state after a noiseless last step, and the clean sample; one network call."""
    velocity, score, clean = field.read(x, at(x, now), "velocity", "score", "clean")
    if last_step == "tweedie":
        return clean, clean
    drift = velocity + rate * score if last_step == "mean" else velocity
    return x + (after - now) * drift, clean


def euler_maruyama(
    velocity: Velocity,
    x: Tensor,
    times: list[float],
    noise: Noise,
    form: str = "sigma",
    strength: float = 1.0,
    last_step: str = "mean",
    stable: bool = True,
) -> Steps:
    """Euler-Maruyama; one network call per step, weak order 1.

    times: steps + 1 rising values, see `sde_times`. form: of FORMS. last_step: "none" (noisy like the others), "mean"
    (its drift only), "tweedie" (the clean prediction) or "euler" (the ODE). noise: drawn once per noisy step. stable:
    limit w so that steps do not overshoot; without it w is the published one and may diverge. Raises ValueError for
    unknown names and for times that do not rise.
    """
    _check(times, form, last_step)
    field = as_field(velocity)
    for i, (now, after) in enumerate(pairwise(times)):
        step = after - now
        rate = _limited_rate(form, field.path, now, strength, step, stable)
        if i + 2 == len(times) and last_step != "none":
            x, clean = _last_update(field, x, now, after, rate, last_step)
        else:
            slope, score, clean = field.read(x, at(x, now), "velocity", "score", "clean")
            x = x + step * (slope + rate * score) + math.sqrt(2 * rate * step) * noise()
        yield SolverStep(i, after, x, clean, i + 1)


def heun_sde(
    velocity: Velocity,
    x: Tensor,
    times: list[float],
    noise: Noise,
    form: str = "sigma",
    strength: float = 1.0,
    last_step: str = "mean",
    stable: bool = True,
) -> Steps:
    """Heun's method on the drift, after the noise; two network calls per step, one in a noiseless last step.

    Arguments and errors as in `euler_maruyama`. If the field is singular at the end, a noisy last step uses the drift
    at its midpoint. Source: Ma et al. 2024, SiT, appendix and its code.
    """
    _check(times, form, last_step)
    field, nfe = as_field(velocity), 0
    for i, (now, after) in enumerate(pairwise(times)):
        step = after - now
        rate = _limited_rate(form, field.path, now, strength, step, stable)
        if i + 2 == len(times) and last_step != "none":
            x, clean = _last_update(field, x, now, after, rate, last_step)
            nfe += 1
        else:
            x = x + math.sqrt(2 * rate * step) * noise()
            slope, score, clean = field.read(x, at(x, now), "velocity", "score", "clean")
            drift = slope + rate * score
            ahead = (now + after) / 2 if field.is_singular_at(after) else after
            slope, score = field.read(x + (ahead - now) * drift, at(x, ahead), "velocity", "score")
            other = slope + _limited_rate(form, field.path, ahead, strength, step, stable) * score
            x = x + step * (other if ahead < after else (drift + other) / 2)
            nfe += 2
        yield SolverStep(i, after, x, clean, nfe)


def sde_times(steps: int, last_size: float = 0.04, start: float = 0.0) -> list[float]:
    """steps + 1 times from `start` to 1: evenly spaced up to 1 - last_size, then the last step; 0 for even steps.

    The last step is never longer than an even one. The official sampler's num_steps includes it too.
    """
    last = min(last_size or 1.0, (1 - start) / steps)
    return [start + (1 - last - start) * i / max(steps - 1, 1) for i in range(steps)] + [1.0]
