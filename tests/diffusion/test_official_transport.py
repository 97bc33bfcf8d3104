"""Paths, losses, ODE and SDE runs against the ones recorded from the official transport code."""

import pytest
import torch
from diffusion.records import OUTPUTS, PATH_OF, close, record

from zigdemo.diffusion import (
    PATHS,
    SAMPLERS,
    Field,
    convert,
    diffusion_rate,
    interpolate,
    path_velocity,
    prediction_loss,
)

PATHS_FILE, _ = record("transport_paths")
LOSSES_FILE, LOSSES = record("transport_losses")


@pytest.mark.parametrize("name", PATH_OF)
def test_paths_and_their_conversions(name):
    path, t = PATHS[PATH_OF[name]], PATHS_FILE["in.t"]
    x, velocity, score = (PATHS_FILE[f"in.{key}"] for key in ("x", "velocity", "score"))
    x0, x1 = PATHS_FILE["in.x0"], PATHS_FILE["in.x1"]
    mine = {
        **{key: getattr(path, key)(t.double()) for key in ("alpha", "sigma", "d_alpha", "d_sigma")},
        "d_alpha_alpha_ratio": path.d_alpha(t.double()) / path.alpha(t.double()),
        "drift_var": path.forward_rate(t.double())[:, None],
        "drift_mean": -x * (path.d_alpha(t.double()) / path.alpha(t.double()))[:, None],
        "velocity_from_score": convert("velocity", "score", score, x, t, path),
        "score_from_velocity": convert("score", "velocity", velocity, x, t, path),
        "noise_from_velocity": convert("noise", "velocity", velocity, x, t, path),
        "xt": interpolate(x1, x0, t, path),
        "ut": path_velocity(x1, x0, t, path),
    }
    for key, value in mine.items():
        assert close(value, PATHS_FILE[f"out.{name}.{key}"]), key


@pytest.mark.parametrize("case", LOSSES["config"])
def test_losses(case):
    name, prediction, weighting = case.split(".")
    path = PATHS[PATH_OF[name]]
    start, end = LOSSES["config"][case]["t0"], LOSSES["config"][case]["t1"]
    t = start + (end - start) * LOSSES_FILE["in.u"]
    noise, clean = LOSSES_FILE["in.x0"], LOSSES_FILE["in.x1"]
    output = OUTPUTS[prediction](interpolate(clean, noise, t, path), t)
    loss = prediction_loss(prediction, output, clean, noise, t, path, {"None": "plain"}.get(weighting, weighting))
    assert close(loss, LOSSES_FILE[f"out.{case}.loss"])


ODE_FILE, ODE = record("transport_ode")
SDE_FILE, SDE = record("transport_sde")
OFFICIAL_SOLVERS = {"heun2": "heun", "rk4": "rk4-3/8"}
OFFICIAL_FORMS = {"inccreasing-decreasing": "increasing-decreasing", "SBDM": "sbdm"}


def field_of(settings):
    return Field(OUTPUTS[settings["prediction"]], settings["prediction"], PATHS[PATH_OF[settings["path_type"]]])


def grid(start, end, points):
    """The official grid: `points` of them, so one update fewer."""
    return torch.linspace(start, end, points, dtype=torch.float64).tolist()


@pytest.mark.parametrize("case", ODE["config"])
def test_whole_ode_trajectories(case):
    settings = ODE["config"][case]
    name = OFFICIAL_SOLVERS.get(settings["method"], settings["method"])
    times = grid(settings["t0"], settings["t1"], settings["num_steps"])
    solver, options = SAMPLERS[name], {}
    if name == "dopri5":
        pytest.importorskip("torchdiffeq")
        options = {"atol": settings["atol"], "rtol": settings["rtol"], "official": True}
    run = solver.function(field_of(settings), ODE_FILE["in.x"], times, **options)
    path = torch.stack([ODE_FILE["in.x"], *(step.x for step in run)])
    assert close(path, ODE_FILE[f"out.{case}"], 1e-3 if name == "dopri5" else 1e-4)


@pytest.mark.parametrize("case", SDE["config"])
def test_whole_sde_trajectories_with_the_recorded_noise(case):
    settings = SDE["config"][case]
    times = grid(settings["t0"], settings["t1"], settings["num_steps"])
    if settings["last_step"]:
        times.append(1.0)
    solver = {"Euler": "euler-maruyama", "Heun": "heun-sde"}[settings["method"]]
    draws = iter(SDE_FILE[f"in.noise_{settings['num_steps']}"])
    form = settings["diffusion_form"]
    run = SAMPLERS[solver].function(
        field_of(settings),
        SDE_FILE["in.x"],
        times,
        lambda: next(draws),
        form=OFFICIAL_FORMS.get(form, form),
        strength=settings["diffusion_norm"],
        last_step=(settings["last_step"] or "none").lower(),
        stable=False,
    )
    states = [step.x for step in run]
    if not settings["last_step"]:
        states.append(states[-1])  # the official run then lists its last state twice
    wanted = SDE_FILE[f"out.{case}"]
    assert close(torch.stack(states[-len(wanted) :]), wanted)


def test_diffusion_forms():
    for name, key in PATH_OF.items():
        for entry in [entry for entry in PATHS_FILE if entry.startswith(f"out.{name}.diffusion")]:
            kind, form = entry.split(".")[2:]
            strength = 2.0 if kind == "diffusion_norm2" else 1.0
            mine = [
                diffusion_rate(OFFICIAL_FORMS.get(form, form), PATHS[key], t, strength)
                for t in PATHS_FILE["in.t"].tolist()
            ]
            assert close(torch.tensor(mine)[:, None], PATHS_FILE[entry]), entry
