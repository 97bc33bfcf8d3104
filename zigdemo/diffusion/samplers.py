"""All solvers by name, their valid combinations, and complete runs: `sample`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..checks import choice, number, whole
from .borrowed import dopri5, unipc
from .discrete import ddim, ddpm
from .fields import Field, Noise, Steps
from .interpolants import PATHS, PREDICTIONS
from .sde import FORMS, LAST_STEPS, euler_maruyama, heun_sde, sde_times
from .solvers import SOLVERS, Solver

_SDE_OPTIONS = {"form": "sigma", "strength": 1.0, "last_step": "mean", "last_size": 0.04}
_BOUNDS: dict[str, dict[str, float]] = {  # of options; others are of at least 0
    "eta": {"least": 0, "most": 1},
    "last_size": {"least": 0, "most": 0.5},
    "atol": {"above": 0},
    "rtol": {"above": 0},
}
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
    """Why these cannot be combined, in one sentence, or None if they can and every result is finite.

    form, last_step: required for SDE solvers, None for all others. Every prediction works on every path, as it can be
    converted to any other.
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
    choice("solver", solver, SAMPLERS)
    known = SAMPLERS[solver].options
    unknown = [name for name in options if name not in known and name not in ("form", "last_step")]
    if unknown:
        has = f"its options are {', '.join(known)}" if known else "it has none"
        raise ValueError(f"solver {solver!r} has no option {unknown[0]!r}; {has}")
    solver_options = {**known, **options}
    reason = refusal(
        solver, field.path.name, field.prediction, solver_options.get("form"), solver_options.get("last_step")
    )
    if reason:
        raise ValueError(reason)
    solver_options = {name: value for name, value in solver_options.items() if name in known}
    for name, value in solver_options.items():
        if name not in ("form", "last_step"):
            number(f"{name} of solver {solver!r}", value, **_BOUNDS.get(name, {"least": 0}))
    return solver_options


def check_options(solver: str, options: dict[str, Any], path: str = "linear", prediction: str = "velocity") -> None:
    """Raise ValueError, one sentence, for options of `sample` that this solver does not have or cannot do."""
    choice("path", path, PATHS)
    checked_options(solver, Field(lambda x, t: x, prediction, PATHS[path]), options)


def shift_times(times: list[float], shift: float) -> list[float]:
    """Times shifted towards noise by a shift above 1, towards data below 1; 0 and 1 are fixed points.

    Raises ValueError unless shift is finite and above 0.
    Source: Esser et al. 2024 (arXiv 2403.03206), equation 23, with reversed time.
    """
    number("shift", shift, above=0)
    return [t / (t + shift * (1 - t)) for t in times]


def time_grid(
    solver: str, steps: int, *, start: float = 0.0, shift: float = 1.0, last_size: float = 0.0
) -> list[float]:
    """The steps + 1 times of a run from `start` to the data. steps: number of updates; start: in [0, 1).

    last_size: length of the last step of an SDE, 0 for even steps. Raises ValueError for an unknown solver or a bad
    number.
    """
    choice("solver", solver, SAMPLERS)
    whole("steps", steps, 1)
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
    """Run a solver of SAMPLERS from x at time `start` to the data, yielding a SolverStep per update.

    x: (batch, ...), standard noise for start 0. steps: number of updates. noise: for stochastic solvers, see
    `item_noise`. shift: see `shift_times`. options: those of the solver. Raises ValueError with one sentence before any
    network call: for invalid combinations (see `refusal`), unknown options and missing noise.
    """
    solver_options = checked_options(solver, field, options)
    size = solver_options.pop("last_size", 0.0)
    times = time_grid(
        solver, steps, start=start, shift=shift, last_size=size if solver_options.get("last_step") != "none" else 0
    )
    if SAMPLERS[solver].stochastic or solver_options.get("eta"):
        if noise is None:
            raise ValueError(
                f"solver {solver!r} draws noise on its way; give `noise`, such as item_noise(generators, x)"
            )
        solver_options["noise"] = noise
    return SAMPLERS[solver].function(field, x, times, **solver_options)
