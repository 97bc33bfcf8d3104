"""ODE solvers, one plain function each: solver(velocity, x, times) yields one SolverStep an update."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .interpolants import clean_of

Velocity = Callable[[Tensor, Tensor], Tensor]  # (x (batch, ...), t (batch,)) -> dx/dt like x


@dataclass(frozen=True)
class SolverStep:
    """One update: its index, the time it reached, the state there, and the clean sample predicted on the way."""

    index: int
    time: float
    x: Tensor
    clean: Tensor
    nfe: int


def _at(x: Tensor, time: float) -> Tensor:
    return torch.full((len(x),), time, dtype=torch.float32, device=x.device)


def euler(velocity: Velocity, x: Tensor, times: list[float]) -> Iterator[SolverStep]:
    """Euler's first-order ODE solver; one network call a step.

    x: (batch, ...) state at times[0]; times: steps + 1 strictly increasing values in [0, 1].
    Yields one SolverStep an update; closing the iterator stops the work.
    """
    for i, (now, after) in enumerate(pairwise(times)):
        slope = velocity(x, _at(x, now))
        clean = clean_of(slope, x, _at(x, now))
        x = x + (after - now) * slope
        yield SolverStep(i, after, x, clean, i + 1)


def heun(velocity: Velocity, x: Tensor, times: list[float]) -> Iterator[SolverStep]:
    """Heun's second-order ODE solver (explicit trapezoid); two network calls a step.

    Arguments and result as in `euler`. The published algorithm saves the last call because its velocity is
    singular at the end; ours is not, and the last step keeps its order.
    Source: Karras et al. 2022 (arXiv 2206.00364), algorithm 1 without churn.
    """
    for i, (now, after) in enumerate(pairwise(times)):
        slope = velocity(x, _at(x, now))
        clean = clean_of(slope, x, _at(x, now))
        ahead = velocity(x + (after - now) * slope, _at(x, after))
        x = x + (after - now) * (slope + ahead) / 2
        yield SolverStep(i, after, x, clean, 2 * (i + 1))


@dataclass(frozen=True)
class Solver:
    """A solver as the page, the request and the errors know it."""

    function: Callable[[Velocity, Tensor, list[float]], Iterator[SolverStep]]
    label: str
    calls: int  # network calls a step


SOLVERS = {
    "euler": Solver(euler, "Euler", 1),
    "heun": Solver(heun, "Heun", 2),
}


def uniform_times(steps: int) -> list[float]:
    """steps + 1 evenly spaced times from noise, 0, to data, 1."""
    return [i / steps for i in range(steps + 1)]
