"""Toy trajectories: the same noise, the right ends, and one sentence for what cannot be."""

import pytest
import torch

from zigdemo.diffusion import SAMPLERS, TOYS, cloud_distance
from zigdemo.explain import EXTENT, toy_run, trajectories
from zigdemo.explain.trajectories import density

FEW = {"points": 40, "frames": 3, "cells": 16}


@pytest.mark.parametrize("sde", [name for name, entry in SAMPLERS.items() if entry.stochastic])
def test_both_start_from_the_same_noise_and_more_steps_come_nearer_to_the_exact_end(sde):
    errors = []
    for steps in (4, 64):
        run = toy_run("gaussian", "heun", sde, steps, **FEW)
        assert torch.equal(run.ode.states[0], run.sde.states[0])
        for path in (run.ode, run.sde):
            assert path.states.shape == (steps + 1, 40, 2) and len(path.times) == steps + 1
            assert path.times[0] == 0 and path.times[-1] == 1 and torch.isfinite(path.states).all()
        assert run.ode.nfe == 2 * steps
        errors.append((run.ode.error, run.sde.error))
    assert errors[1][0] < errors[0][0] / 20 and errors[1][1] < errors[0][1] / 2


@pytest.mark.parametrize("toy", TOYS)
def test_both_ends_are_scored_against_the_same_density_and_its_own_points(toy):
    good, bad = (toy_run(toy, "heun", "euler-maruyama", steps, **{**FEW, "points": 128}) for steps in (60, 2))
    floor = good.floor
    assert floor == bad.floor and 0 < floor.low < floor.mean < floor.high
    assert max(good.ode.score, good.sde.score) < 1.5 * floor.high, "being random is no error"
    assert good.noise_score > 2 * floor.mean and bad.sde.score > floor.high
    own = TOYS[toy]().sample(128, torch.Generator().manual_seed(5))
    assert floor.low / 1.5 < cloud_distance(own, trajectories._truth(toy, 128)[0]) < floor.high * 1.5


def test_another_seed_is_other_noise_and_the_same_seed_the_same_run():
    first, again, other = (toy_run("pair", "euler", "ddpm", 5, seed=seed, **FEW) for seed in (1, 1, 2))
    assert torch.equal(first.sde.states, again.sde.states)
    assert not torch.equal(first.ode.states[0], other.ode.states[0])


@pytest.mark.parametrize("name", TOYS)
def test_the_density_is_highest_where_the_samples_are(name):
    toy, cells = TOYS[name](), 32
    shown = density(toy, 1.0, cells)
    assert shown.max() == 1 and shown.min() >= 0
    x = toy.sample(4000, torch.Generator().manual_seed(0))
    assert (x.abs().amax(1) < EXTENT).double().mean() > 0.99, "the square holds the toy"
    column, row = ((x * torch.tensor([1, -1]) / EXTENT + 1) / 2 * cells).long().clamp(0, cells - 1).unbind(1)
    counts = torch.zeros(cells, cells, dtype=torch.float64)
    counts.index_put_((row, column), torch.ones(4000, dtype=torch.float64), accumulate=True)
    assert torch.corrcoef(torch.stack([counts.flatten(), shown.flatten()]))[0, 1] > 0.8


def test_the_forms_of_an_sde_are_its_options():
    quiet, loud = (toy_run("pair", "euler", "heun-sde", 8, form=form, **FEW) for form in ("linear", "constant"))
    assert not torch.equal(quiet.sde.states, loud.sde.states) and torch.equal(quiet.ode.states, loud.ode.states)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"toy": "cube"}, "unknown toy 'cube'; choose one of gaussian"),
        ({"path": "bent"}, "unknown path"),
        ({"ode": "ddpm"}, "unknown ODE solver 'ddpm'"),
        ({"sde": "heun"}, "unknown SDE solver 'heun'"),
        ({"sde": "ddpm", "form": "sigma"}, "has no form"),
        ({"form": "loud"}, "unknown form"),
        ({"steps": 0}, "steps must be"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_one_sentence(change, word):
    with pytest.raises(ValueError, match=word):
        toy_run(**{"toy": "pair", "ode": "heun", "sde": "euler-maruyama", "steps": 4, **FEW, **change})


@pytest.mark.parametrize("ode", [name for name, entry in SAMPLERS.items() if not entry.stochastic])
def test_every_ode_solver_comes_near_the_same_exact_ends(ode):
    if SAMPLERS[ode].needs:
        pytest.importorskip(SAMPLERS[ode].needs)
    run = toy_run("pair", ode, "ddpm", 60, **FEW)
    assert run.ode.error < (0.1 if SAMPLERS[ode].order == 1 else 0.01) and run.ode.times[-1] == 1
