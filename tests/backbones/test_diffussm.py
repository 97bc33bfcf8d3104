"""DiffuSSM: folded dense layers around a state-space model that sees every token, from both sides."""

from dataclasses import replace

import pytest
import torch

from zigdemo.backbones import DiffuSSM, DiffuSSMConfig, DiTConfig, build
from zigdemo.backbones.layers import time_and_condition
from zigdemo.backbones.presets import preset

TINY = DiffuSSMConfig(size=(4, 8), patch=1, width=16, depth=2, modes=3, labels=5)


def network(config=TINY):
    """A network of which no branch is zero."""
    torch.manual_seed(0)
    net = build(config)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.eval()


def inputs(config=TINY, batch=2):
    torch.manual_seed(1)
    return torch.randn(batch, config.in_channels, *config.size), torch.rand(batch)


@torch.no_grad()
def test_a_new_network_predicts_zero_and_a_new_block_hands_its_tokens_on():
    net, (x, t) = build(replace(TINY, refine=4)), inputs()
    assert net(x, t, torch.tensor([0, 4])).abs().max() == 0
    tokens = torch.randn(2, 16, 16)
    assert torch.equal(net.blocks[0](tokens, torch.randn(2, 16)), tokens)


@pytest.mark.parametrize("hourglass", [1, 2, 4])
def test_every_pixel_depends_on_every_pixel_already_in_one_block(hourglass):
    config = replace(TINY, hourglass=hourglass, depth=1)
    net, (x, t) = network(config), inputs()
    x.requires_grad_()
    for row, column in ((0, 0), (3, 7), (1, 4)):
        (grad,) = torch.autograd.grad(net(x, t, torch.tensor([0, 1]))[:, :, row, column].sum(), x)
        assert grad.abs().amin() > 0


def test_without_the_way_back_a_token_sees_only_what_is_before_it():
    net, (x, t) = network(replace(TINY, depth=1, hourglass=1)), inputs()
    with torch.no_grad():
        net.blocks[0].mixer.C[1].zero_()
    x.requires_grad_()
    (grad,) = torch.autograd.grad(net(x, t, torch.tensor([0, 1]))[:, :, 1, 4].sum(), x)
    seen = grad.abs().amax((0, 1)).flatten() > 0
    assert seen[: 8 + 5].all() and not seen[8 + 5 :].any()


@torch.no_grad()
def test_time_and_label_enter_every_block():
    net, (_, t) = network(), inputs()
    for block in net.blocks:
        tokens = torch.randn(2, 16, 16)
        outputs = [block(tokens, time_and_condition(net, time, label)[0]) for time, label in
                   ((t, torch.tensor([0, 0])), (t, torch.tensor([1, 1])), (t / 2, torch.tensor([0, 0])))]  # fmt: skip
        assert (outputs[0] - outputs[1]).abs().max() > 1e-4 and (outputs[0] - outputs[2]).abs().max() > 1e-4


@torch.no_grad()
def test_an_item_does_not_depend_on_its_batch():
    net, (x, t) = network(), inputs(batch=3)
    label = torch.tensor([0, 1, 2])
    assert torch.allclose(net(x, t, label)[1:2], net(x[1:2], t[1:2], label[1:2]), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("changes", [{"labels": 0}, {"labels": 0, "text_width": 7}, {"learn_sigma": True}])
def test_conditions_and_outputs_of_every_kind(changes):
    config = replace(TINY, **changes)
    net, (x, t) = network(config), inputs(config)
    cond = torch.tensor([0, 1]) if config.labels else torch.randn(2, 3, 7) if config.text_width else None
    assert net(x, t, cond).shape == (2, config.out_channels, 4, 8)
    assert sum(p.numel() for p in net.parameters()) == config.parameters


@torch.no_grad()
def test_weights_of_the_state_space_model_are_real_and_survive_half_precision():
    net, (x, t) = network(), inputs()
    assert not any(p.is_complex() for p in net.parameters())
    label, wanted = torch.tensor([0, 1]), net(x, t, torch.tensor([0, 1]))
    net.load_state_dict({key: value.half().float() for key, value in net.state_dict().items()})
    assert (net(x, t, label) - wanted).abs().max() < 0.02 * wanted.std()


@pytest.mark.parametrize("size", ["S", "B", "L", "XL"])
def test_published_sizes_have_the_weights_of_dit_within_three_percent(size):
    given = {"in_channels": 4, "size": (32, 32), "labels": 1000, "learn_sigma": True}
    ours, dit = preset("diffussm", f"{size}/2", **given), preset("dit", f"{size}/2", **given)
    assert isinstance(dit, DiTConfig) and ours.parameters == pytest.approx(dit.parameters, rel=0.03)
    assert preset("diffussm", f"{size}/1", **given).patch == 1


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"hourglass": 0}, "hourglass"),
        ({"hourglass": 3}, "12"),
        ({"size": (3, 3), "hourglass": 2}, "cannot be folded"),
        ({"modes": 0}, "modes"),
        ({"width": 18}, "multiple of 4 times"),
        ({"drop_sigma": True}, "learn_sigma"),
        ({"time_scale": 0}, "time_scale"),
        ({"depth": 2**40}, "depth"),
    ],
)
def test_settings_that_make_no_sense_are_one_sentence(changes, word):
    with pytest.raises(ValueError, match=word) as fault:
        replace(TINY, **changes)
    assert "\n" not in str(fault.value)


def test_a_scheme_is_refused():
    with pytest.raises(ValueError, match="leave scheme 'zigzag-8' out"):
        DiffuSSM(TINY).orders("zigzag-8")
