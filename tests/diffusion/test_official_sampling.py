"""Whole sampling runs against the ones recorded from the official code."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from zigdemo.backbones.official import build_official
from zigdemo.diffusion import SOLVERS, guided_velocity, uniform_times
from zigdemo.ops import backends

FILE = Path(__file__).parents[1] / "golden" / "e2e_zigma_ode.safetensors"


@pytest.fixture(scope="module")
def run():
    """The class-conditional network and the recorded tensors."""
    with safe_open(FILE, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        config = json.loads(file.metadata()["json"])["config"]
    state = {key[3:]: value for key, value in tensors.items() if key.startswith("sd.")}
    return build_official("ZigMa", config, state).requires_grad_(False), tensors


@pytest.mark.parametrize("kernel", ["cpu", "reference"])
@pytest.mark.parametrize(("name", "recorded", "points"), [("euler", "euler_6", 6), ("heun", "heun2_4", 4)])
def test_fixed_step_solvers_end_where_the_official_ones_do(run, monkeypatch, kernel, name, recorded, points):
    if kernel == "cpu" and backends.numba_fault():
        pytest.skip(backends.numba_fault())
    monkeypatch.setenv(backends.ENVIRONMENT, kernel)
    network, tensors = run
    velocity = guided_velocity(network, "velocity", tensors["in.y"], None, 1.0)
    *_, last = SOLVERS[name].function(velocity, tensors["in.z"], uniform_times(points - 1))
    wanted = tensors[f"out.{recorded}"]
    assert (last.x - wanted).abs().max() <= 1e-4 * wanted.std()


def test_the_field_integrated_by_an_adaptive_solver_ends_at_the_official_latent(run):
    odeint = pytest.importorskip("torchdiffeq").odeint
    network, tensors = run
    velocity = guided_velocity(network, "velocity", tensors["in.y"], None, 1.0)
    path = odeint(
        lambda t, x: velocity(x, t.expand(len(x))),
        tensors["in.z"],
        torch.linspace(0, 1, 3),
        method="dopri5",
        atol=1e-6,
        rtol=1e-3,
    )
    wanted = tensors["out.dopri5_3"]
    assert (path[-1] - wanted).abs().max() <= 5e-3 * wanted.std()
