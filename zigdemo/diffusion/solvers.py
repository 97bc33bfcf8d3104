"""ODE solvers with fixed steps, one function each: solver(velocity, x, times) yields one SolverStep per update.

velocity: a Field, or a function (x (batch, ...), t (batch,)) -> dx/dt on the linear path. x: state at times[0].
times: steps + 1 values in [0, 1], rising to generate, falling to find the noise of a sample. Closing the iterator
stops the work; `nfe` of the last step is the total number of network calls.

Some fields cannot be evaluated at t = 1, where their velocity is 0 / 0 (`Field.is_singular_at`). A last step that needs
it is replaced by midpoint steps with as many calls, which is exact once the clean sample no longer changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

from torch import Tensor

from .fields import Field, SolverStep, Steps, Velocity, as_field, at
from .interpolants import clean_of


def euler(velocity: Velocity, x: Tensor, times: list[float]) -> Steps:
    """Euler's first-order ODE solver; one network call per step."""
    follow = as_field(velocity)
    for i, (now, after) in enumerate(pairwise(times)):
        slope = follow(x, at(x, now))
        clean = clean_of(slope, x, at(x, now), follow.path)
        x = x + (after - now) * slope
        yield SolverStep(i, after, x, clean, i + 1)


def _through_middle(follow: Field, slope: Tensor, x: Tensor, now: float, after: float) -> Tensor:
    """The state after a midpoint step with this initial slope; one network call."""
    return x + (after - now) * follow(x + (after - now) / 2 * slope, at(x, (now + after) / 2))


def _through_quarters(follow: Field, slope: Tensor, x: Tensor, now: float, after: float) -> Tensor:
    """The state after two midpoint steps of half the length; three network calls."""
    half = (now + after) / 2
    x = _through_middle(follow, slope, x, now, half)
    return _through_middle(follow, follow(x, at(x, half)), x, half, after)


def midpoint(velocity: Velocity, x: Tensor, times: list[float]) -> Steps:
    """The second-order midpoint rule; two network calls per step, none at its end."""
    follow = as_field(velocity)
    for i, (now, after) in enumerate(pairwise(times)):
        slope = follow(x, at(x, now))
        clean = clean_of(slope, x, at(x, now), follow.path)
        x = _through_middle(follow, slope, x, now, after)
        yield SolverStep(i, after, x, clean, 2 * (i + 1))


def heun(velocity: Velocity, x: Tensor, times: list[float]) -> Steps:
    """Heun's second-order ODE solver (explicit trapezoid); two network calls per step.

    The published algorithm ends with an Euler step because its velocity is singular there; ours keeps its order, see
    above. Source: Karras et al. 2022 (arXiv 2206.00364), algorithm 1 without churn.
    """
    follow = as_field(velocity)
    for i, (now, after) in enumerate(pairwise(times)):
        slope = follow(x, at(x, now))
        clean = clean_of(slope, x, at(x, now), follow.path)
        if follow.is_singular_at(after):
            x = _through_middle(follow, slope, x, now, after)
        else:
            ahead = follow(x + (after - now) * slope, at(x, after))
            x = x + (after - now) * (slope + ahead) / 2
        yield SolverStep(i, after, x, clean, 2 * (i + 1))


def rk4(velocity: Velocity, x: Tensor, times: list[float]) -> Steps:
    """The classic fourth-order Runge-Kutta solver; four network calls per step."""
    follow = as_field(velocity)
    for i, (now, after) in enumerate(pairwise(times)):
        step, middle = after - now, at(x, (now + after) / 2)
        k1 = follow(x, at(x, now))
        clean = clean_of(k1, x, at(x, now), follow.path)
        if follow.is_singular_at(after):
            x = _through_quarters(follow, k1, x, now, after)
        else:
            k2 = follow(x + step / 2 * k1, middle)
            k3 = follow(x + step / 2 * k2, middle)
            k4 = follow(x + step * k3, at(x, after))
            x = x + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        yield SolverStep(i, after, x, clean, 4 * (i + 1))


def rk4_38(velocity: Velocity, x: Tensor, times: list[float]) -> Steps:
    """Kutta's 3/8 rule, fourth order, what torchdiffeq calls rk4; four network calls per step."""
    follow = as_field(velocity)
    for i, (now, after) in enumerate(pairwise(times)):
        step = after - now
        k1 = follow(x, at(x, now))
        clean = clean_of(k1, x, at(x, now), follow.path)
        if follow.is_singular_at(after):
            x = _through_quarters(follow, k1, x, now, after)
        else:
            k2 = follow(x + step / 3 * k1, at(x, now + step / 3))
            k3 = follow(x + step * (k2 - k1 / 3), at(x, now + 2 * step / 3))
            k4 = follow(x + step * (k1 - k2 + k3), at(x, after))
            x = x + step / 8 * (k1 + 3 * k2 + 3 * k3 + k4)
        yield SolverStep(i, after, x, clean, 4 * (i + 1))


@dataclass(frozen=True)
class Solver:
    """A solver with what the page, requests and error messages need to know.

    calls: network calls per step, None if adaptive; a noiseless last step of an SDE needs one. order: of convergence,
    weak for an SDE. stochastic: takes `noise`. options: further keyword arguments with their defaults. needs: an
    optional package it requires.
    """

    function: Callable[..., Steps]
    label: str
    calls: int | None
    order: int = 1
    stochastic: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    needs: str | None = None

    @property
    def here(self) -> bool:
        """Whether the package it needs is installed."""
        return self.needs is None or find_spec(self.needs) is not None


# The solvers that need only a velocity and times; `samplers.SAMPLERS` has all solvers.
SOLVERS = {
    "euler": Solver(euler, "Euler", 1),
    "heun": Solver(heun, "Heun", 2, order=2),
    "midpoint": Solver(midpoint, "Midpoint", 2, order=2),
    "rk4": Solver(rk4, "Runge-Kutta 4", 4, order=4),
    "rk4-3/8": Solver(rk4_38, "Runge-Kutta 4, 3/8 rule", 4, order=4),
}


def uniform_times(steps: int) -> list[float]:
    """steps + 1 evenly spaced times from noise, 0, to data, 1."""
    return [i / steps for i in range(steps + 1)]
