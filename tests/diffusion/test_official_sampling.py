"""Whole sampling runs against the ones recorded from the official code."""

import json
from pathlib import Path

import pytest
import torch
from diffusion.records import close, record
from safetensors import safe_open

from zigdemo.backbones.official import OFFICIAL, build_official
from zigdemo.diffusion import SAMPLERS, SOLVERS, guided_velocity, sde_times, uniform_times
from zigdemo.ops import backends

FILE = Path(__file__).parents[1] / "golden" / "e2e_zigma_ode.safetensors"


@pytest.fixture(scope="module")
def run():
    """The class-conditional network and the recorded tensors."""
    with safe_open(FILE, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
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


@pytest.mark.parametrize(("kind", "points"), [("sde", 6), ("ode", 6)])
def test_guided_sit(kind, points):
    if "SiT" not in OFFICIAL:
        pytest.skip("the official SiT cannot be built yet")
    tensors, about = record("e2e_sit_sde_cfg")
    state = {key[3:]: value for key, value in tensors.items() if key.startswith("sd.")}
    network = build_official("SiT", about["config"], state).requires_grad_(False)
    y = tensors["in.y"]
    null = torch.full_like(y, about["config"]["num_classes"])
    field = guided_velocity(network, "velocity", y, null, about["cfg_scale"], channels=3)
    if kind == "ode":
        run = SOLVERS["euler"].function(field, tensors["in.z"], uniform_times(points - 1))
    else:
        draws = iter(tensors["in.noise"][:, : len(y)])  # the first half of the doubled batch; the other is dropped
        times = sde_times(points, about["sde"]["last_step_size"])
        run = SAMPLERS["euler-maruyama"].function(field, tensors["in.z"], times, lambda: next(draws), stable=False)
    *_, last = run
    assert close(last.x, tensors[f"out.{kind}"])
