"""Laws of the linear interpolant; time 0 is noise, time 1 is data."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import floats, integers

from zigdemo.diffusion import clean_of, convert, draw_times, interpolate, velocity_loss


def pair(seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(3, 2, 4, 4, generator=generator, dtype=torch.float64) for _ in range(2))


def test_the_path_runs_from_noise_to_data():
    clean, noise = pair(0)
    assert torch.equal(interpolate(clean, noise, torch.zeros(3)), noise)
    assert torch.allclose(interpolate(clean, noise, torch.ones(3)), clean)


@settings(deadline=None, max_examples=25)
@given(seed=integers(0, 1000), t=floats(0, 0.94))
def test_a_perfect_clean_prediction_has_the_velocity_of_the_path_and_leads_to_the_data(seed, t):
    clean, noise = pair(seed)
    times = torch.full((3,), t, dtype=torch.float64)
    x = interpolate(clean, noise, times)
    velocity = convert("velocity", "clean", clean, x, times)
    assert torch.allclose(velocity, clean - noise, atol=1e-9)
    assert torch.allclose(clean_of(velocity, x, times), clean, atol=1e-9)


@settings(deadline=None, max_examples=25)
@given(seed=integers(0, 1000), t=floats(0, 0.94))
def test_both_predictions_are_judged_by_the_same_velocity(seed, t):
    clean, noise = pair(seed)
    guess = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    times = torch.full((3,), t, dtype=torch.float64)
    x = interpolate(clean, noise, times)
    by_clean = velocity_loss("clean", guess, clean, noise, x, times)
    by_velocity = velocity_loss("velocity", convert("velocity", "clean", guess, x, times), clean, noise, x, times)
    assert torch.allclose(by_clean, by_velocity, rtol=1e-8)


def test_the_loss_stays_finite_at_the_data():
    clean, noise = pair(1)
    ones = torch.ones(3, dtype=torch.float64)
    assert torch.isfinite(velocity_loss("clean", noise, clean, noise, clean, ones)).all()


def test_a_negative_mean_leans_to_the_noisy_half():
    generator = torch.Generator().manual_seed(0)
    times = draw_times(4000, -0.8, 1.0, generator)
    assert times.min() > 0 and times.max() < 1
    assert (times < 0.5).float().mean() > 0.7
    uniform = draw_times(4000, 0.0, 0.0, generator)
    assert abs(uniform.mean() - 0.5) < 0.02 and abs(uniform.var() - 1 / 12) < 0.01


def test_a_clean_prediction_is_judged_no_nearer_to_the_data_than_a_twentieth():
    clean, noise = torch.zeros(1, 1), torch.ones(1, 1)
    output = torch.full((1, 1), 0.1)
    for t, distance in ((0.5, 0.5), (0.95, 0.05), (0.99, 0.05), (0.9999, 0.05)):
        time = torch.tensor([t])
        loss = velocity_loss("clean", output, clean, noise, interpolate(clean, noise, time), time)
        assert float(loss) == pytest.approx((0.1 / distance) ** 2, rel=1e-3)
