"""DDPM tables, sampling runs and losses against the ones recorded from the official diffusion code."""

import numpy as np
import pytest
import torch
from diffusion.records import close, record

from zigdemo.backbones import official
from zigdemo.diffusion import Gaussian, guided_velocity
from zigdemo.diffusion.interpolants import DDPM

TABLES, SCHEDULES = record("ddpm_schedules")
RUNS, SAMPLING = record("ddpm_ddim_sampling")
LOSSES_FILE, LOSSES = record("ddpm_losses")


def stand_in(learned):
    """The closed-form network of the recordings."""

    def network(x, step):
        t = step.to(x.dtype).reshape(-1, 1, 1, 1)
        noise = 0.9 * torch.tanh(0.8 * x + 0.3 * torch.sin(0.01 * t))
        return torch.cat([noise, 0.6 * torch.cos(x + 0.02 * t)], 1) if learned else noise

    return network


def variance_of(settings):
    if settings.get("learn_sigma", True):
        return "learned"
    return "fixed-small" if settings.get("sigma_small") else "fixed-large"


@pytest.mark.parametrize("case", SCHEDULES["config"])
def test_tables_in_double_precision(case):
    process = Gaussian(SCHEDULES["config"][case]["timestep_respacing"])
    names = [key.removeprefix(f"out.{case}.") for key in TABLES if key.startswith(f"out.{case}.")]
    assert len(names) == 10
    for name in names:
        mine, theirs = getattr(process, name), TABLES[f"out.{case}.{name}"].numpy()
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=0, err_msg=name)


@pytest.mark.parametrize("case", SAMPLING["config"])
def test_ancestral_and_ddim_runs_with_the_recorded_noise(case):
    settings = SAMPLING["config"][case]
    variance = variance_of(settings["create_diffusion"])
    process = Gaussian(settings["create_diffusion"]["timestep_respacing"], variance)
    draws = iter(RUNS[f"in.noise_{settings['num_steps']}"])
    steps = list(
        process.sample(
            stand_in(variance == "learned"),
            RUNS["in.x"],
            lambda: next(draws),
            eta=settings["eta"] if settings["mode"] == "ddim" else None,
            clamp=settings["clip_denoised"],
        )
    )
    states, clean = RUNS[f"out.{case}"], RUNS[f"out.{case}.pred_xstart"]
    assert close(torch.stack([step.x for step in steps])[-len(states) :], states)
    assert close(torch.stack([step.clean for step in steps])[-len(states) :], clean)
    assert steps[-1].nfe == settings["num_steps"] == len(steps)
    assert [step.time for step in steps] == sorted(step.time for step in steps) and steps[-1].time == 1


@pytest.mark.parametrize("case", LOSSES["config"])
def test_losses(case):
    settings = LOSSES["config"][case]
    variance = variance_of(settings)
    process = Gaussian(settings["timestep_respacing"], variance)
    clean, noise, step = LOSSES_FILE["in.x_start"], LOSSES_FILE["in.noise"], LOSSES_FILE[f"in.{case}.t"]
    kind = "kl" if settings.get("use_kl") else "mse"
    terms = process.losses(stand_in(variance == "learned"), clean, noise, step, kind)
    terms["q_sample"] = process.q_sample(clean, step, noise)
    assert set(terms) == {key.split(".")[2] for key in LOSSES_FILE if key.startswith(f"out.{case}.")}
    for name, value in terms.items():
        assert close(value, LOSSES_FILE[f"out.{case}.{name}"]), name


def test_the_bound_teaches_the_variance_and_not_the_noise():
    x, step = torch.zeros(2, 3, 4, 4), torch.tensor([0, 500])
    output = torch.randn(2, 6, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    Gaussian().losses(lambda x, step: output, x, torch.ones_like(x), step)["vb"].sum().backward()
    assert output.grad[:, :3].abs().max() == 0 and output.grad[:, 3:].abs().max() > 0


def test_the_smooth_path_runs_through_all_discrete_steps():
    path, kept = DDPM(), Gaussian().alphas_cumprod
    t = 1 - (torch.arange(1000, dtype=torch.float64) + 1) / 1000
    np.testing.assert_allclose(path.alpha(t).numpy() ** 2, kept, rtol=1e-6)
    np.testing.assert_allclose(path.sigma(t).numpy() ** 2, 1 - kept, rtol=1e-4)
    assert torch.allclose(path.step_at(t), torch.arange(1000.0, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize(("respacing", "word"), [("2000", "2000"), ("ddim700", "stride"), ("many", "respacing")])
def test_impossible_respacings_are_refused(respacing, word):
    with pytest.raises(ValueError, match=word):
        Gaussian(respacing)


def test_guided_dit_by_ddpm():
    tensors, about = record("e2e_dit_ddpm_cfg")
    state = {key[3:]: value for key, value in tensors.items() if key.startswith("sd.")}
    network = official.build_official("DiT", about["config"], state).requires_grad_(False)
    y = tensors["in.y"]
    null = torch.full_like(y, about["config"]["num_classes"])
    guided = guided_velocity(network, "noise", y, null, about["cfg_scale"], interval=None, channels=3)
    draws = iter(tensors["in.noise"][:, : len(y)])  # the first half of the doubled batch; the other half is dropped
    *_, last = Gaussian(about["timestep_respacing"]).sample(guided.output, tensors["in.z"], lambda: next(draws))
    assert close(last.x, tensors["out.samples"])
