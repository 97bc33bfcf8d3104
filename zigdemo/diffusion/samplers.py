"""Every solver by name, what goes together, and the one door to a whole run: `sample`."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from .borrowed import dopri5, unipc
from .discrete import ddim, ddpm
from .fields import Field, Noise, Steps
from .interpolants import PATHS, PREDICTIONS
from .sde import FORMS, LAST_STEPS, euler_maruyama, heun_sde, sde_times
from .solvers import SOLVERS, Solver

_SDE_OPTIONS = {"form": "sigma", "strength": 1.0, "last_step": "mean", "last_size": 0.04}
SAMPLERS: dict[str, Solver] = {
    **SOLVERS,
    "dopri5": Solver(dopri5, "Dormand-Prince 5", None, 5, options={"atol": 1e-6, "rtol": 1e-3}, needs="torchdiffeq"),
    "ddim": Solver(ddim, "DDIM", 1, options={"eta": 0.0}),
    "unipc": Solver(unipc, "UniPC", 1, order=2, needs="diffusers"),
    "ddpm": Solver(ddpm, "DDPM", 1, stochastic=True),
    "euler-maruyama": Solver(euler_maruyama, "Euler-Maruyama", 1, stochastic=True, options=_SDE_OPTIONS),
    "heun-sde": Solver(heun_sde, "Heun SDE", 2, stochastic=True, options=_SDE_OPTIONS),
}


def refusal(
    solver: str, path: str, prediction: str, form: str | None = None, last_step: str | None = None
) -> str | None:
    """Why these do not go together, in one sentence, or None where they do and every result is finite.

    form, last_step: None for solvers that have none. A solver of the probability-flow ODE has no noise to shape; an
    SDE solver needs both. All predictions go with all paths, as each is converted into each other one.
    """
    named = (
        ("solver", solver, SAMPLERS),
        ("path", path, PATHS),
        ("prediction", prediction, PREDICTIONS),
        ("form", form, FORMS),
        ("last_step", last_step, LAST_STEPS),
    )
    for what, value, known in named:
        if value not in known and not (value is None and what in ("form", "last_step")):
            return f"unknown {what} {value!r}; choose one of {', '.join(known)}"
    entry = SAMPLERS[solver]
    if not entry.here:
        return f"{solver} runs on the package {entry.needs}, which is not installed"
    for what, value in (("form", form), ("last_step", last_step)):
        if what in entry.options and value is None:
            return f"{solver} is an SDE solver and needs a {what}"
        if what not in entry.options and value is not None:
            kind = "draws the noise of its own posterior" if entry.stochastic else "follows the ODE without noise"
            return f"{solver} {kind}, so it has no {what}; leave it empty"
    return None


def checked_options(solver: str, field: Field, options: dict[str, Any]) -> dict[str, Any]:
    """The solver's options over their defaults; ValueError for what it does not have or cannot do."""
    if solver not in SAMPLERS:
        raise ValueError(f"unknown solver {solver!r}; choose one of {', '.join(SAMPLERS)}")
    known = SAMPLERS[solver].options
    unknown = [name for name in options if name not in known and name not in ("form", "last_step")]
    if unknown:
        has = f"its options are {', '.join(known)}" if known else "it has none"
        raise ValueError(f"solver {solver!r} has no option {unknown[0]!r}; {has}")
    chosen = {**known, **options}
    reason = refusal(solver, field.path.name, field.prediction, chosen.get("form"), chosen.get("last_step"))
    if reason:
        raise ValueError(reason)
    chosen = {name: value for name, value in chosen.items() if name in known}
    for name, value in chosen.items():
        if name in ("form", "last_step"):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(f"{name} of solver {solver!r} must be a finite number of at least 0, not {value!r}")
    for name, most in (("eta", 1), ("last_size", 0.5)):
        if chosen.get(name, 0) > most:
            raise ValueError(f"{name} of solver {solver!r} must be at most {most}, not {chosen[name]!r}")
    for name in ("atol", "rtol"):
        if name in chosen and not chosen[name]:
            raise ValueError(f"{name} of solver {solver!r} must be above 0")
    return chosen


def check_options(solver: str, options: dict[str, Any], path: str = "linear", prediction: str = "velocity") -> None:
    """Raise ValueError, one sentence, for options of `sample` that this solver does not have or cannot do."""
    if path not in PATHS:
        raise ValueError(f"unknown path {path!r}; choose one of {', '.join(PATHS)}")
    checked_options(solver, Field(lambda x, t: x, prediction, PATHS[path]), options)


def shift_times(times: list[float], shift: float) -> list[float]:
    """Times moved towards the noise by a shift above 1, towards the data below 1; 0 and 1 stay.

    Source: Esser et al. 2024 (arXiv 2403.03206), equation 23, with time turned round.
    """
    if not 0 < shift < math.inf:
        raise ValueError(f"shift must be a finite number above 0, not {shift!r}")
    return [t / (t + shift * (1 - t)) for t in times]


def time_grid(
    solver: str, steps: int, *, start: float = 0.0, shift: float = 1.0, last_size: float = 0.0
) -> list[float]:
    """The steps + 1 times of a run from `start` to the data. steps: updates, at least 1; start: in [0, 1).

    last_size: length of an SDE's last step, 0 for even steps. Raises ValueError for an unknown solver or number.
    """
    if solver not in SAMPLERS:
        raise ValueError(f"unknown solver {solver!r}; choose one of {', '.join(SAMPLERS)}")
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"steps must be a whole number of at least 1, not {steps!r}")
    if not 0 <= start < 1:
        raise ValueError(f"start must be a number from 0, noise, to below 1, data, not {start!r}")
    return shift_times(sde_times(steps, last_size, start / (start + (1 - start) / shift)), shift)


def sample(
    solver: str,
    field: Field,
    x: Tensor,
    steps: int,
    *,
    noise: Noise | None = None,
    start: float = 0.0,
    shift: float = 1.0,
    **options: Any,
) -> Steps:
    """Run a solver of SAMPLERS from x at time `start` to the data, yielding a SolverStep an update.

    x: (batch, ...), standard noise for start 0. steps: updates. noise: for stochastic solvers, see `item_noise`.
    shift: see `shift_times`. options: the solver's own. Raises ValueError, one sentence, before any network call,
    for what `refusal` refuses, options the solver does not have, and missing noise.
    """
    chosen = checked_options(solver, field, options)
    size = chosen.pop("last_size", 0.0)
    times = time_grid(
        solver, steps, start=start, shift=shift, last_size=size if chosen.get("last_step") != "none" else 0
    )
    if SAMPLERS[solver].stochastic or chosen.get("eta"):
        if noise is None:
            raise ValueError(
                f"solver {solver!r} draws noise on its way; give `noise`, such as item_noise(generators, x)"
            )
        chosen["noise"] = noise
    return SAMPLERS[solver].function(field, x, times, **chosen)
