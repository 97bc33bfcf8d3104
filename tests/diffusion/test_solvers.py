"""Solvers against equations whose answer is known."""

import math

import pytest
import torch

from zigdemo.diffusion import SOLVERS, guided_velocity, shift_times, uniform_times


def grow(x, t):
    """dx/dt = x cos(t), so x(1) = x(0) exp(sin 1)."""
    return x * torch.cos(t.double())[:, None]


def error(name, steps):
    x = torch.ones(2, 3, dtype=torch.float64)
    for step in SOLVERS[name].function(grow, x, uniform_times(steps)):
        x = step.x
    return abs(x[0, 0].item() - math.exp(math.sin(1.0)))


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solver_converges_at_its_order(name):
    slope = math.log2(error(name, 32) / error(name, 64))
    assert abs(slope - SOLVERS[name].order) < 0.15


@pytest.mark.parametrize("name", SOLVERS)
def test_a_straight_path_is_followed_exactly_and_its_end_is_seen_at_every_step(name):
    start, end = torch.zeros(1, 4), torch.arange(4.0)[None]
    for step in SOLVERS[name].function(lambda x, t: end - start, start, uniform_times(7)):
        assert torch.allclose(step.clean, end, atol=1e-6)
    assert torch.allclose(step.x, end, atol=1e-6)
    assert step.time == 1.0


@pytest.mark.parametrize("name", SOLVERS)
def test_network_calls_are_counted_and_stop_with_the_iterator(name):
    calls = []

    def velocity(x, t):
        calls.append(float(t[0]))
        return x

    run = SOLVERS[name].function(velocity, torch.ones(1, 1), uniform_times(10))
    for _ in range(3):
        step = next(run)
    run.close()
    assert len(calls) == step.nfe == 3 * SOLVERS[name].calls
    assert min(calls) >= 0 and max(calls) <= 1


def test_guidance_pushes_away_from_the_null_condition_only_in_its_interval():
    seen = []

    def network(x, t, cond):
        seen.append(len(x))
        return cond[:, None].float().expand_as(x)

    x, cond, null = torch.zeros(2, 3), torch.tensor([5, 6]), torch.tensor([1, 1])
    velocity = guided_velocity(network, "velocity", cond, null, 2.0, (0.25, 0.75))
    assert torch.equal(velocity(x, torch.full((2,), 0.5))[:, 0], torch.tensor([9.0, 11.0]))
    assert torch.equal(velocity(x, torch.full((2,), 0.9))[:, 0], torch.tensor([5.0, 6.0]))
    assert seen == [4, 2]
    plain = guided_velocity(network, "velocity", cond, null, 1.0)
    assert torch.equal(plain(x, torch.full((2,), 0.5))[:, 0], torch.tensor([5.0, 6.0]))


def test_a_shift_above_one_spends_more_steps_in_the_noise():
    times = [0.0, 0.25, 0.5, 0.75, 1.0]
    assert shift_times(times, 1.0) == times
    late, early = shift_times(times, 3.0), shift_times(times, 1 / 3)
    assert late[0] == early[0] == 0 and late[-1] == early[-1] == 1
    assert late[2] == pytest.approx(0.25) and early[2] == pytest.approx(0.75)
    assert all(a < b < c for a, b, c in zip(late[1:-1], times[1:-1], early[1:-1], strict=True))
