"""DiT with our own defaults, conditioned in each of its four ways."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, sampled_from

from zigdemo.backbones import DiT, DiTConfig, build
from zigdemo.backbones.dit import CONDITIONINGS
from zigdemo.backbones.presets import preset

TINY = DiTConfig(size=(8, 8), patch=2, width=16, depth=3, heads=2, labels=5)
each_conditioning = pytest.mark.parametrize("conditioning", CONDITIONINGS)


def network(config=TINY, noise=0.1):
    """A network of which no branch is zero."""
    torch.manual_seed(0)
    net = build(config)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
    return net.eval()


def inputs(config=TINY, batch=2):
    torch.manual_seed(1)
    return torch.randn(batch, config.in_channels, *config.size), torch.rand(batch)


@each_conditioning
@torch.no_grad()
def test_a_new_network_predicts_zero(conditioning):
    x, t = inputs()
    assert build(replace(TINY, conditioning=conditioning, refine=4))(x, t, torch.tensor([0, 4])).abs().max() == 0


@torch.no_grad()
def test_a_new_block_hands_its_tokens_on_where_gates_start_at_zero():
    tokens, c = torch.randn(2, 16, 16), torch.randn(2, 16)
    assert torch.equal(build(TINY).blocks[0](tokens, c, c[:, None]), tokens)
    assert not torch.equal(build(replace(TINY, conditioning="adaln")).blocks[0](tokens, c, c[:, None]), tokens)


@each_conditioning
@torch.no_grad()
def test_time_and_label_reach_the_output(conditioning):
    net = network(replace(TINY, conditioning=conditioning))
    x, t = inputs()
    plain = net(x, t, torch.tensor([0, 0]))
    assert not torch.allclose(net(x, 1 - t, torch.tensor([0, 0])), plain, atol=1e-4)
    assert not torch.allclose(net(x, t, torch.tensor([1, 1])), plain, atol=1e-4)
    assert torch.equal(net(x, t), net(x, t, torch.tensor([5, 5])))


@each_conditioning
@torch.no_grad()
def test_text_is_a_set_of_words(conditioning):
    net = network(replace(TINY, conditioning=conditioning, labels=0, text_width=6))
    x, t = inputs()
    words = torch.randn(2, 4, 6)
    torch.testing.assert_close(net(x, t, words.flip(1)), net(x, t, words), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(net(x, t, words + 1), net(x, t, words), atol=1e-4)
    with pytest.raises(ValueError, match="conditioned on text"):
        net(x, t)


def test_without_a_null_label_a_label_is_asked_for():
    with pytest.raises(ValueError, match="no null label; give a label"):
        network(replace(TINY, null_label=False))(*inputs())


@torch.no_grad()
def test_labels_are_dropped_in_training_only():
    net = network(replace(TINY, label_dropout=1.0))
    x, t = inputs()
    label = torch.tensor([0, 1])
    wanted = net(x, t, label)
    assert not torch.allclose(net.train()(x, t, label), wanted)
    assert torch.equal(net(x, t, label), net.eval()(x, t))


@settings(deadline=None, max_examples=16)
@given(
    rows=integers(1, 5),
    columns=integers(1, 5),
    patch=sampled_from([1, 2, 4, 8]),
    conditioning=sampled_from(CONDITIONINGS),
    labels=integers(0, 3),
    sigma=booleans(),
)
@torch.no_grad()
def test_any_grid_and_patch_gives_an_output_like_the_input(rows, columns, patch, conditioning, labels, sigma):
    size = (rows * patch, columns * patch)
    changes = {"conditioning": conditioning, "labels": labels, "learn_sigma": sigma, "refine": 0 if sigma else 3}
    config = replace(TINY, size=size, patch=patch, depth=1, **changes)
    x, t = inputs(config)
    output = network(config)(x, t)
    assert output.shape == (2, 6 if sigma else 3, *size)
    assert output.isfinite().all()


@torch.no_grad()
def test_a_dropped_variance_is_the_second_half_of_the_channels():
    net = network(replace(TINY, learn_sigma=True))
    dropping = network(replace(TINY, learn_sigma=True, drop_sigma=True))
    x, t = inputs()
    assert torch.equal(dropping(x, t), net(x, t)[:, :3])


@each_conditioning
@torch.no_grad()
def test_every_item_of_a_batch_is_on_its_own(conditioning):
    net = network(replace(TINY, conditioning=conditioning))
    x, t = inputs(batch=3)
    label = torch.tensor([0, 3, 5])
    alone = torch.cat([net(x[i : i + 1], t[i : i + 1], label[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(net(x, t, label), alone)


@each_conditioning
@torch.no_grad()
def test_blocks_know_no_order_of_the_tokens(conditioning):
    block = network(replace(TINY, conditioning=conditioning)).blocks[0]
    tokens, c, shuffled = torch.randn(2, 16, 16), torch.randn(2, 16), torch.randperm(16)
    torch.testing.assert_close(block(tokens[:, shuffled], c, c[:, None]), block(tokens, c, c[:, None])[:, shuffled])


@torch.no_grad()
def test_the_time_scale_multiplies_the_time():
    x, t = inputs()
    torch.testing.assert_close(network(replace(TINY, time_scale=1.0))(x, 1000 * t), network()(x, t))


def test_a_scan_scheme_is_refused():
    with pytest.raises(ValueError, match="has no scan; leave scheme 'zigzag-8' out"):
        network()(*inputs(), scheme="zigzag-8")
    assert network().orders() == []


def test_the_position_table_is_fixed_and_saved():
    net = network()
    assert not net.pos_embed.requires_grad and "pos_embed" in net.state_dict()


@pytest.mark.parametrize(
    "changes",
    [{"conditioning": name, "labels": 3} for name in CONDITIONINGS]
    + [{"labels": 0, "text_width": 6}, {"labels": 0, "depth": 1, "refine": 4, "mlp_ratio": 2.5}]
    + [{"learn_sigma": True, "size": (4, 12), "null_label": False}],
)
def test_a_config_knows_its_number_of_weights(changes):
    config = replace(TINY, **changes)
    assert config.parameters == sum(parameter.numel() for parameter in build(config).parameters())


def test_weights_are_counted_without_allocating_any():
    assert DiTConfig(width=2**15, depth=2**20, size=(2**16, 2**16), patch=1, heads=1).parameters > 10**15


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"width": 0}, "width must be a whole number from 1 to .*, not 0"),
        ({"heads": 3}, "width 16 must be a multiple of 4 and of the 3 heads"),
        ({"width": 18}, "width 18 must be a multiple of 4"),
        ({"size": (8, 9)}, r"size \(8, 9\) must be two multiples of the patch size 2"),
        ({"conditioning": "film"}, "unknown conditioning 'film'; choose one of adaln-zero, adaln, cross-attention"),
        ({"mlp_ratio": 0}, "mlp_ratio must be a number above 0"),
        ({"mlp_ratio": 0.01}, "mlp_ratio 0.01 leaves nothing of width 16"),
        ({"time_scale": float("nan")}, "time_scale must be a number above 0"),
        ({"drop_sigma": True}, "set learn_sigma too"),
        ({"learn_sigma": True, "refine": 4}, "cannot mend a variance"),
    ],
)
def test_a_bad_config_is_refused_in_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        replace(TINY, **changes)
    assert "\n" not in str(refusal.value)


def test_an_input_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"x must be \(batch, 3, 8, 8\), not \(2, 3, 8, 16\)"):
        network()(torch.randn(2, 3, 8, 16), torch.rand(2))


@pytest.mark.parametrize(("size", "millions"), [("S/2", 33.0), ("B/2", 130.5), ("L/2", 458.1), ("XL/2", 675.1)])
def test_presets_have_the_number_of_weights_of_the_paper(size, millions):
    config = preset("dit", size, in_channels=4, size=(32, 32), labels=1000, learn_sigma=True)
    assert round(config.parameters / 1e6, 1) == pytest.approx(millions, abs=0.2)


def test_presets_name_their_patch():
    assert preset("dit", "XL/8", size=(64, 64)).grid == (8, 8)
    assert isinstance(build(preset("dit", "S/4", depth=1)), DiT)
