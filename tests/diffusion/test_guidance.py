"""Guidance: what is pushed where, and how far it may go."""

import torch
from hypothesis import given, settings
from hypothesis.strategies import floats, integers

from zigdemo.diffusion import guide, guided_velocity


def outputs(seed, shape=(3, 5, 4, 4)):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator) for _ in range(2))


@settings(deadline=None, max_examples=20)
@given(seed=integers(0, 1000), scale=floats(0, 10))
def test_the_line_through_both_outputs_is_followed(seed, scale):
    wanted, plain = outputs(seed)
    assert torch.allclose(guide(wanted, plain, scale), (1 - scale) * plain + scale * wanted, atol=1e-4)


def test_three_channels_are_guided_and_the_others_stay_conditional():
    wanted, plain = outputs(0)
    guided = guide(wanted, plain, 4.0, channels=3)
    assert torch.equal(guided[:, :3], guide(wanted, plain, 4.0)[:, :3])
    assert torch.equal(guided[:, 3:], wanted[:, 3:])


@settings(deadline=None, max_examples=20)
@given(seed=integers(0, 1000), scale=floats(1.5, 20))
def test_a_full_rescale_has_the_spread_of_the_conditional_output(seed, scale):
    wanted, plain = outputs(seed)
    guided = guide(wanted, plain, scale, rescale=1.0)
    assert torch.allclose(guided.flatten(1).std(1), wanted.flatten(1).std(1), rtol=1e-4)
    half = guide(wanted, plain, scale, rescale=0.5)
    assert torch.allclose(half, (guided + guide(wanted, plain, scale)) / 2, atol=1e-4)


def test_a_constant_output_survives_rescaling():
    same = torch.zeros(1, 3, 2, 2)
    assert torch.isfinite(guide(same, same, 3.0, rescale=1.0)).all()


def test_a_negative_condition_takes_the_place_of_none_and_both_halves_share_a_call():
    calls = []

    def network(x, t, cond):
        calls.append(cond.tolist())
        return cond[:, None].float().expand_as(x)

    x, t = torch.zeros(2, 3), torch.full((2,), 0.5)
    field = guided_velocity(network, "velocity", torch.tensor([5, 6]), torch.tensor([2, 2]), 3.0)
    assert field(x, t)[:, 0].tolist() == [11.0, 14.0]
    assert calls == [[5, 6, 2, 2]]
