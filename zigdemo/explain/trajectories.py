"""Where solvers go: on a 2-D mixture, where the answer is known, and on a model, by what it believes on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..checks import choice
from ..diffusion import PATHS, SAMPLERS, TOYS, BrownianPath, Field, Interpolant, Mixture, Noise, sample, time_grid
from ..pipeline import Pipeline, Request

ODE_STEPS, SDE_STEPS = 60, 400  # of the answers: Runge-Kutta 4 is then exact to 1e-5 on the linear path
EXTENT = 2.6  # half the side of the square that is shown, which holds every toy and nearly all of the noise


@dataclass(frozen=True)
class Trajectory:
    """A run from noise to data: times (steps + 1), states (steps + 1, points, 2), network calls.

    error: root mean square distance of its ends to `exact` (points, 2), where the same start leads without steps: along
    the ODE, or along the SDE on the same Brownian path.
    """

    solver: str
    times: list[float]
    states: Tensor
    nfe: int
    exact: Tensor
    error: float


@dataclass(frozen=True)
class ToyRun:
    """The same noise under an ODE and an SDE solver, and the true density at some times on a square of side 2 EXTENT.

    density: (times, rows, columns), each time's highest value 1; row 0 is at the top.
    """

    ode: Trajectory
    sde: Trajectory
    density_times: list[float]
    density: Tensor


def _normal(seed: int, count: int) -> Noise:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(count, 2, generator=generator, dtype=torch.float64)


def _follow(field: Field, solver: str, start: Tensor, steps: int, draw: Noise, options: dict[str, Any]) -> Trajectory:
    """One run beside its answer; an SDE's is the same solver with SDE_STEPS along the same Brownian path."""
    entry = SAMPLERS[solver]
    judge, most = (solver, SDE_STEPS) if entry.stochastic else ("rk4", ODE_STEPS)
    size = options.get("last_size", entry.options.get("last_size", 0.0))
    size = 0.0 if options.get("last_step") == "none" else size
    times, fine = (time_grid(solver, count, last_size=size) for count in (steps, most))
    brownian = BrownianPath([*times, *fine], draw) if entry.stochastic else None
    noise, same = (brownian.noise(grid) if brownian else None for grid in (times, fine))
    states = [start]
    for step in sample(solver, field, start, steps, noise=noise, **options):
        states.append(step.x)
    for last in sample(judge, field, start, most, noise=same, **options):
        exact = last.x
    error = (states[-1] - exact).square().sum(-1).mean().sqrt().item()
    return Trajectory(solver, times, torch.stack(states), step.nfe, exact, error)


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
    """Draw `points` points of a toy from the same noise by an ODE and by an SDE solver.

    toy: of TOYS; ode, sde: of SAMPLERS, of its kind; path: of PATHS; options: the SDE solver's. frames: times of the
    density, evenly spaced from 0 to 1; cells: its rows and columns. float64 on the CPU.
    Raises ValueError with one sentence for unknown names, a solver of the other kind, and options it does not have.
    """
    choice("toy", toy, TOYS)
    choice("path", path, PATHS)
    for what, solver, noisy in (("ODE solver", ode, False), ("SDE solver", sde, True)):
        choice(what, solver, [name for name, entry in SAMPLERS.items() if entry.stochastic == noisy])
    mixture, along, draw = TOYS[toy](), PATHS[path], _normal(seed, points)
    start, field = draw(), mixture.field(path=along)
    runs = [_follow(field, solver, start, steps, draw, own) for solver, own in ((ode, {}), (sde, options))]
    shown = [frame / (frames - 1) for frame in range(frames)]
    return ToyRun(*runs, shown, torch.stack([density(mixture, time, cells, along) for time in shown]))


def density(toy: Mixture, time: float, cells: int, path: Interpolant = PATHS["linear"]) -> Tensor:
    """p_t on the middles of cells x cells, (rows, columns) from the top, divided by its highest value."""
    side = EXTENT * (2 * torch.arange(cells, dtype=torch.float64) + 1 - cells) / cells
    x = torch.stack([side.expand(cells, cells), -side[:, None].expand(cells, cells)], -1)
    log = toy.log_density(x.reshape(-1, 2), time, path).reshape(cells, cells)
    return (log - log.max()).exp()


@dataclass(frozen=True)
class Strip:
    """One picture's predicted clean images through time, as far as the run has come; the last one is its result.

    times: when the network was asked, None where no step came near a column's time; done: steps made, of `total`.
    """

    solver: str
    times: list[float | None]
    images: list[Image.Image | None]
    done: int
    total: int
    nfe: int
    seconds: float


def clean_strip(pipe: Pipeline, request: Request, columns: int = 8) -> Iterator[Strip]:
    """Run a request for one picture, yielding its strip after every step. Closing the iterator stops the work.

    columns: at evenly spaced times from noise, 0, to data, 1; each has the step that asked nearest to its time.
    Raises ValueError with one sentence for a request that the model cannot do or that asks for several pictures.
    """
    if request.count != 1 or columns < 2:
        raise ValueError(f"a strip shows one picture in two columns or more, not {request.count} in {columns}")
    times: list[float | None] = [None] * columns
    images: list[Image.Image | None] = [None] * columns
    asked, began = 0.0, perf_counter()
    with closing(pipe.stream(request)) as steps:
        for step in steps:
            if step.result is None:
                column = min(round(asked * (columns - 1)), columns - 2)
                middle, held = column / (columns - 1), times[column]
                if held is None or abs(asked - middle) < abs(held - middle):
                    times[column], images[column] = asked, step.preview[0]
            else:
                times[-1], images[-1] = 1.0, step.result.images[0]
            asked = step.t
            seconds = perf_counter() - began
            yield Strip(request.solver, list(times), list(images), step.index + 1, step.total, step.nfe, seconds)
