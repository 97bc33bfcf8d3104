"""Solvers from other packages, imported when called: dopri5 from torchdiffeq, UniPC from diffusers."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from .fields import SolverStep, Steps, Velocity, as_field, at, number
from .interpolants import NEAREST_END, clean_of

LEAST_STEP = 1e-4  # minimum step of dopri5: at a kink no step is short enough for its error estimate
LEAST_ALPHA = 1e-6  # UniPC works in log alpha, which must be finite at the start


def _worst_item(error: Tensor) -> Tensor:
    """Root mean square of the worst item, so that no item loses accuracy because of the rest of the batch."""
    return error.flatten(1).square().mean(1).max().sqrt()


def _whole_batch(error: Tensor) -> Tensor:
    return error.square().mean().sqrt()


def dopri5(
    velocity: Velocity,
    x: Tensor,
    times: list[float],
    atol: float = 1e-6,
    rtol: float = 1e-3,
    official: bool = False,
) -> Steps:
    """Dormand and Prince's adaptive fifth-order solver; it chooses its steps and interpolates at the given times.

    atol, rtol: tolerated error per step. The whole batch shares the steps, so an item may differ within the tolerance
    depending on the rest of the batch. The last step ends at the last time; if the field is singular there, NEAREST_END
    before it, followed by an Euler step with one more network call. official: as in the official runs, use the mean
    error of the batch and step past the end; the network must then accept times outside [0, 1].
    Source: torchdiffeq, method "dopri5", by its solver class because `odeint` cannot be observed or stopped.
    """
    from torchdiffeq._impl.dopri5 import Dopri5Solver

    follow, nfe, sign = as_field(velocity), 0, 1 if times[-1] > times[0] else -1
    latest: tuple[Tensor, ...] = ()

    def slope(time: Tensor, x: Tensor, perturb: object = None) -> Tensor:
        nonlocal nfe, latest
        nfe += 1
        t = (sign * time).to(at(x, 0.0).dtype).expand(len(x))
        latest = (follow(x, t), x, t)
        return sign * latest[0]

    slope.callback_step = slope.callback_accept_step = slope.callback_reject_step = lambda time, x, step: None
    edge = follow.is_singular_at(times[-1]) and times[-2] < 1 - NEAREST_END and not official
    stops = [*times[:-1], 1 - NEAREST_END] if edge else times
    grid = sign * torch.tensor(stops, dtype=torch.float64, device=x.device)
    land = {} if official else {"step_t": grid[-1:], "min_step": LEAST_STEP}
    norm = _whole_batch if official else _worst_item
    solver = Dopri5Solver(func=slope, y0=x, rtol=rtol, atol=atol, norm=norm, **land)
    solver._before_integrate(grid)
    for i, time in enumerate(grid[1:]):
        x = solver._advance(time)
        if edge and i + 2 == len(grid):
            x = x + NEAREST_END * slope(time, x)
        yield SolverStep(i, times[i + 1], x, clean_of(*latest, follow.path), nfe)


def unipc(velocity: Velocity, x: Tensor, times: list[float]) -> Steps:
    """UniPC of order 2 from diffusers: a multistep predictor-corrector; one network call per step.

    Rescaling x / (alpha + sigma) and reparametrising time turn every path into the linear one, so one scheduler in
    flow form serves all paths. Source: Zhao et al. 2023 (arXiv 2302.04867).
    """
    from diffusers import UniPCMultistepScheduler

    field = as_field(velocity)
    path = field.path
    scales = [number(path.alpha, time) + number(path.sigma, time) for time in times]
    sigmas = [number(path.sigma, time) / scale for time, scale in zip(times, scales, strict=True)]
    scheduler = UniPCMultistepScheduler(prediction_type="sample", use_flow_sigmas=True)
    scheduler.set_timesteps(len(times) - 1)
    scheduler.set_begin_index(0)
    # The scheduler takes log alpha at the start, where alpha may be 0.
    scheduler.sigmas = torch.tensor(sigmas, dtype=torch.float64).clamp(0, 1 - LEAST_ALPHA)
    scheduler.sigmas = scheduler.sigmas if x.dtype == torch.float64 else scheduler.sigmas.float()
    x = x / scales[0]
    for i, (now, after) in enumerate(pairwise(times)):
        clean = field.read(x * scales[i], at(x, now), "clean")[0]
        x = scheduler.step(clean, scheduler.timesteps[i], x, return_dict=False)[0]
        yield SolverStep(i, after, x * scales[i + 1], clean, i + 1)
