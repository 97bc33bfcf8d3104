"""Toy runs of an ODE and an SDE, as assets/trajectories.js plays them."""

from __future__ import annotations

import base64
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import numpy as np
from torch import Tensor

from ..checks import as_whole, shown
from ..diffusion import SAMPLERS
from ..explain import EXTENT, ToyRun, toy_run

MOST_TOY_STEPS, MOST_SEED = 100, 2**31 - 1
SCALE = 2048  # states are sent as int16 in units of 1 / SCALE: up to 16, four times as far as any noise
FIRST = ("ring", "heun", "euler-maruyama", 20, "sigma", 0)  # what is played first


@lru_cache(maxsize=32)
def _cached_run(toy: str, ode: str, sde: str, steps: int, form: str | None, seed: int) -> ToyRun:
    return toy_run(toy, ode, sde, steps, seed=seed, **({} if form is None else {"form": form}))


def run_toy(toy: str, ode: str, sde: str, steps: float, form: str | None, seed: float) -> ToyRun:
    """The paths of both solvers. Raises ValueError with one sentence for a bad setting."""
    for setting, value in (("toy", toy), ("ODE solver", ode), ("SDE solver", sde), ("form", form or "")):
        if not isinstance(value, str):
            raise ValueError(f"{setting} must be a name, not {shown(value)}")
    steps = as_whole("steps", steps, 1, MOST_TOY_STEPS)
    return _cached_run(toy, ode, sde, steps, form or None, as_whole("seed", seed, 0, MOST_SEED))


def _pack(numbers: Tensor, dtype: str) -> str:
    return base64.b64encode(numbers.numpy().astype(dtype).tobytes()).decode("ascii")


def toy_data(toy: str, ode: str, sde: str, steps: float, form: str | None, seed: float) -> dict[str, Any]:
    """The data of the player, see assets/trajectories.js. Raises ValueError with one sentence for a bad setting."""
    run = run_toy(toy, ode, sde, steps, form, seed)
    limit = np.iinfo(np.int16).max
    return {
        "toy": toy,
        "points": run.ode.states.shape[1],
        "extent": EXTENT,
        "scale": SCALE,
        "cells": run.density.shape[-1],
        "frames": run.density_times,
        "density": _pack((255 * run.density).round(), "uint8"),
        "floor": asdict(run.floor),
        "noise_score": run.noise_score,
        "runs": [
            {
                "solver": path.solver,
                "kind": kind,
                "label": SAMPLERS[path.solver].label,
                "steps": len(path.times) - 1,
                "times": path.times,
                "nfe": path.nfe,
                "score": path.score,
                "states": _pack((SCALE * path.states).round().clamp(-limit, limit), "<i2"),
            }
            for kind, path in (("ODE", run.ode), ("SDE", run.sde))
        ],
    }
