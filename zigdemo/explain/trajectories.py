"""Trajectories of solvers: on 2-D mixtures with known answers, and on models by their clean predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..checks import choice
from ..diffusion import (
    PATHS,
    SAMPLERS,
    TOYS,
    BrownianPath,
    Field,
    Interpolant,
    Mixture,
    Noise,
    cloud_distance,
    sample,
    time_grid,
)
from ..pipeline import Pipeline, Request

ODE_STEPS, SDE_STEPS = 60, 400  # of the reference runs; Runge-Kutta 4 is exact to 1e-5 on the linear path
EXTENT = 2.6  # half the side of the visible square, which contains all toys and nearly all of the noise
TRUE_PER_POINT = 64  # points of the true density, for each point of a cloud, that the cloud is scored against
FLOOR_DRAWS = 200
SAME_TIME = 1e-9


@dataclass(frozen=True)
class Trajectory:
    """A run from noise to data: times (steps + 1), states (steps + 1, points, 2), network calls.

    exact: (points, 2), end points of the exact ODE, or of the exact SDE on the same Brownian path, from the same start.
    error: root mean square distance of the final states to them. score: `cloud_distance` of the final states to the
    true density, the same for both kinds of solver.
    """

    solver: str
    times: list[float]
    states: Tensor
    nfe: int
    exact: Tensor
    error: float
    score: float


@dataclass(frozen=True)
class Floor:
    """Scores of what a perfect sampler draws, as many true points: their mean and the middle 90 % of them."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class ToyRun:
    """The same noise under an ODE and an SDE solver, and the true density over time on a square of side 2 EXTENT.

    density: (times, rows, columns), with a maximum of 1 at each time; row 0 is at the top. noise_score: the score of
    the noise that both start from.
    """

    ode: Trajectory
    sde: Trajectory
    density_times: list[float]
    density: Tensor
    floor: Floor
    noise_score: float


def _normal(seed: int, count: int) -> Noise:
    """A seeded source of noise, (count, 2) float64 at each call."""
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(count, 2, generator=generator, dtype=torch.float64)


@lru_cache(maxsize=16)
def _truth(toy: str, points: int) -> tuple[Tensor, Floor]:
    """Points of a toy to score clouds of `points` points against, and what such clouds of true points score."""
    mixture, generator = TOYS[toy](), torch.Generator().manual_seed(0)
    truth = mixture.sample(TRUE_PER_POINT * points, generator)
    draws = torch.stack([cloud_distance(mixture.sample(points, generator), truth) for _ in range(FLOOR_DRAWS)])
    low, high = torch.quantile(draws, torch.tensor([0.05, 0.95], dtype=draws.dtype)).tolist()
    return truth, Floor(draws.mean().item(), low, high)


def _follow(
    field: Field, solver: str, start: Tensor, steps: int, draw: Noise, options: dict[str, Any], truth: Tensor
) -> Trajectory:
    """A run and its reference; for an SDE the same solver with SDE_STEPS on the same Brownian path."""
    entry = SAMPLERS[solver]
    reference, reference_steps = (solver, SDE_STEPS) if entry.stochastic else ("rk4", ODE_STEPS)
    size = options.get("last_size", entry.options.get("last_size", 0.0))
    size = 0.0 if options.get("last_step") == "none" else size
    times, reference_times = (time_grid(solver, count, last_size=size) for count in (steps, reference_steps))
    brownian = BrownianPath([*times, *reference_times], draw) if entry.stochastic else None
    noise, reference_noise = (brownian.noise(grid) if brownian else None for grid in (times, reference_times))
    states = [start]
    for step in sample(solver, field, start, steps, noise=noise, **options):
        states.append(step.x)
    for last in sample(reference, field, start, reference_steps, noise=reference_noise, **options):
        exact = last.x
    error = (states[-1] - exact).square().sum(-1).mean().sqrt().item()
    score = cloud_distance(states[-1], truth).item()
    return Trajectory(solver, times, torch.stack(states), step.nfe, exact, error, score)


def toy_run(
    toy: str,
    ode: str,
    sde: str,
    steps: int,
    *,
    path: str = "linear",
    points: int = 128,
    seed: int = 0,
    frames: int = 25,
    cells: int = 48,
    **options: Any,
) -> ToyRun:
    """Sample `points` points of a toy from the same noise with an ODE and an SDE solver.

    toy: of TOYS; ode, sde: deterministic and stochastic solver of SAMPLERS; path: of PATHS; options: of the SDE solver.
    frames: number of evenly spaced times of the density; cells: its rows and columns. float64 on the CPU. Raises
    ValueError with one sentence for unknown names, the wrong kind of solver, and unknown options.
    """
    choice("toy", toy, TOYS)
    choice("path", path, PATHS)
    for what, solver, noisy in (("ODE solver", ode, False), ("SDE solver", sde, True)):
        choice(what, solver, [name for name, entry in SAMPLERS.items() if entry.stochastic == noisy])
    mixture, along, draw = TOYS[toy](), PATHS[path], _normal(seed, points)
    start, field = draw(), mixture.field(path=along)
    truth, floor = _truth(toy, points)
    solvers = ((ode, {}), (sde, options))
    runs = [_follow(field, solver, start, steps, draw, settings, truth) for solver, settings in solvers]
    shown = [frame / (frames - 1) for frame in range(frames)]
    densities = torch.stack([density(mixture, time, cells, along) for time in shown])
    return ToyRun(*runs, shown, densities, floor, cloud_distance(start, truth).item())


def density(toy: Mixture, time: float, cells: int, path: Interpolant = PATHS["linear"]) -> Tensor:
    """The density at a time from 0, noise, to 1, data, at the centres of cells x cells, divided by its maximum.

    Returns (rows, columns) float64, row 0 at the top.
    """
    side = EXTENT * (2 * torch.arange(cells, dtype=torch.float64) + 1 - cells) / cells
    x = torch.stack([side.expand(cells, cells), -side[:, None].expand(cells, cells)], -1)
    log = toy.log_density(x.reshape(-1, 2), time, path).reshape(cells, cells)
    return (log - log.max()).exp()


@dataclass(frozen=True)
class Strip:
    """One picture's clean predictions over time, up to the current step; the last one is the result.

    times: t of the columns, which no solver changes. images: the latest prediction at that time; None where the run has
    not been yet, and within its last step, whose end is the result. called: t of the network call that made it.
    done: completed steps of `total`.
    """

    solver: str
    times: list[float]
    called: list[float | None]
    images: list[Image.Image | None]
    done: int
    total: int
    nfe: int
    seconds: float


def clean_strip(
    pipe: Pipeline, request: Request, columns: int = 8, before_call: Callable[[], None] | None = None
) -> Iterator[Strip]:
    """Run a request for one picture, yielding its strip after every step. Closing the iterator stops the work.

    columns: number of evenly spaced times from noise, 0, to data, 1. before_call: as in `Pipeline.stream`.
    Raises ValueError with one sentence for several pictures, and as `Pipeline.stream` does.
    """
    if request.count != 1 or columns < 2:
        raise ValueError(f"a strip shows one picture in two columns or more, not {request.count} in {columns}")
    times = [column / (columns - 1) for column in range(columns)]
    called: list[float | None] = [None] * columns
    images: list[Image.Image | None] = [None] * columns
    call_time, start = 0.0, perf_counter()
    with closing(pipe.stream(request, decoded=True, before_call=before_call)) as steps:
        for step in steps:
            if step.result is None:
                for column, at in enumerate(times):
                    if call_time - SAME_TIME <= at < step.t - SAME_TIME:
                        called[column], images[column] = call_time, step.preview[0]
            else:
                called[-1], images[-1] = 1.0, step.result.images[0]
            call_time = step.t
            seconds = perf_counter() - start
            yield Strip(
                request.solver, times, list(called), list(images), step.index + 1, step.total, step.nfe, seconds
            )
