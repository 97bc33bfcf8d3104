"""Runs of few and of many steps along one Brownian path."""

import math

import pytest
import torch

from zigdemo.diffusion import TOYS, BrownianPath, sample, time_grid

PAIR = TOYS["pair"]()


def draws(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(count, 2, generator=generator, dtype=torch.float64)


def test_what_a_step_draws_is_standard_and_the_same_whatever_lies_between():
    times, few = [i / 12 for i in range(13)], [0.0, 0.25, 0.5, 1.0]
    path = BrownianPath([*few, *times], draws(4000))
    coarse, fine = path.noise(few), path.noise(times)
    found = [coarse() for _ in range(3)]
    for drawn in found:
        assert drawn.mean(0).abs().max() < 0.06 and (torch.cov(drawn.T) - torch.eye(2)).abs().max() < 0.08
    inside = sum(fine() for _ in range(3)) / math.sqrt(3)
    assert torch.allclose(inside, found[0])


@pytest.mark.parametrize("solver", ["euler-maruyama", "heun-sde", "ddpm"])
def test_shorter_steps_come_nearer_to_the_same_end(solver):
    size = 0.04 if solver != "ddpm" else 0.0
    grids = {steps: time_grid(solver, steps, last_size=size) for steps in (10, 40, 640)}
    path = BrownianPath([time for grid in grids.values() for time in grid], draws(200))
    ends = {}
    for steps, grid in grids.items():
        *_, last = sample(solver, PAIR.field(), draws(200, seed=1)(), steps, noise=path.noise(grid))
        ends[steps] = last.x
    few, some = ((ends[steps] - ends[640]).square().mean().sqrt() for steps in (10, 40))
    assert some < few / 1.5 and some < 0.25


def test_a_time_that_was_not_named_is_unknown():
    with pytest.raises(KeyError):
        BrownianPath([0.0, 1.0], draws(2)).noise([0.0, 0.5, 1.0])()
