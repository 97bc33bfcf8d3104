"""DiG with our own defaults: four directions over any grid, and a picture that comes out upright."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, sampled_from

from zigdemo.backbones import DiG, DiGConfig, build
from zigdemo.backbones.dig import CONVOLUTIONS, DIRECTIONS, log_sigmoid, reoriented
from zigdemo.backbones.presets import preset
from zigdemo.scans import scan_scheme

TINY = DiGConfig(size=(6, 8), patch=2, width=16, depth=4, heads=2, labels=5)


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


@torch.no_grad()
def test_a_new_network_predicts_zero_and_a_new_block_hands_its_tokens_on():
    x, t = inputs()
    net = build(replace(TINY, refine=4, skip=True))
    assert net(x, t, torch.tensor([0, 4])).abs().max() == 0
    tokens = torch.randn(2, 12, 16)
    assert torch.equal(net.blocks[0](tokens, torch.randn(2, 16), (3, 4)), tokens)


# Directions


@settings(deadline=None, max_examples=30)
@given(
    rows=integers(1, 5),
    columns=integers(1, 5),
    depth=integers(1, 9),
    directions=sampled_from(DIRECTIONS),
    transpose=booleans(),
)
@torch.no_grad()
def test_the_picture_is_upright_at_any_depth(rows, columns, depth, directions, transpose):
    """Blocks that change nothing leave the picture of a network that moves no token."""
    size = (2 * rows, 2 * columns)
    config = replace(TINY, size=size, depth=depth, directions=directions, transpose=transpose)
    still = build(replace(config, depth=1, directions="seq", transpose=False))
    moving = build(config)
    torch.nn.init.normal_(still.final_layer.linear.weight)
    missing, unexpected = moving.load_state_dict(still.state_dict(), strict=False)
    assert not unexpected and all(name.startswith("blocks.") for name in missing)
    x, t = inputs(config)
    assert torch.equal(moving(x, t), still(x, t))


@settings(deadline=None, max_examples=20)
@given(
    rows=integers(1, 4),
    columns=integers(1, 4),
    block=integers(0, 3),
    directions=sampled_from(DIRECTIONS),
    transpose=booleans(),
)
@torch.no_grad()
def test_a_block_scans_the_tokens_in_its_order(rows, columns, block, directions, transpose):
    """With the token at place k of a block's order changed, its output changes at places k and later alone."""
    config = replace(
        TINY, size=(2 * rows, 2 * columns), conv="none", directions=directions, transpose=transpose, labels=0
    )
    net = network(config)
    order = net.orders()[block]
    for i, other in enumerate(net.blocks):  # the others hand their tokens on
        if i != block:
            torch.nn.init.zeros_(other.adaLN_modulation[1].weight)
            torch.nn.init.zeros_(other.adaLN_modulation[1].bias)
    x, t = inputs(config, batch=1)
    plain, last = net(x, t), rows * columns - 1
    for place in {0, last // 2, last}:
        row, column = divmod(int(order.perm[place]), columns)
        changed = x.clone()
        changed[..., 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] += 1
        moved = (net(changed, t) - plain).abs().amax(1)[0].reshape(rows, 2, columns, 2).amax((1, 3)).flatten()
        assert (moved[order.perm.copy()] > 0).tolist() == [k >= place for k in range(last + 1)]


def test_the_four_directions_are_rows_and_columns_each_way():
    net = build(replace(TINY, depth=5))
    sweep = scan_scheme("sweep").order(layer=0, grid=(3, 4)).perm.tolist()
    columns = [row * 4 + column for column in range(4) for row in range(3)]
    paths = [order.perm.tolist() for order in net.orders()]
    assert paths == [sweep, sweep[::-1], columns, columns[::-1], sweep]


@given(rows=integers(1, 5), columns=integers(1, 5), start=integers(0, 3), end=integers(0, 3))
def test_turning_leads_from_any_orientation_to_any_other(rows, columns, start, end):
    orders = build(replace(TINY, size=(2 * rows, 2 * columns), width=4, heads=1)).orders()
    cells = torch.arange(rows * columns)[None, :, None]
    lying = reoriented(cells, (rows, columns), (False, False), TINY.orientation(start))
    assert lying.flatten().tolist() == orders[start].perm.tolist()
    again = reoriented(lying, (rows, columns), TINY.orientation(start), TINY.orientation(end))
    assert again.flatten().tolist() == orders[end].perm.tolist()


@torch.no_grad()
def test_a_skip_joins_what_belongs_to_the_same_place():
    """Where joints take the skip alone and blocks change nothing, the picture is what went into the first of them."""
    config = replace(TINY, depth=6, skip=True)
    net, still = build(config), build(replace(TINY, depth=1))
    torch.nn.init.normal_(still.final_layer.linear.weight)
    net.load_state_dict(still.state_dict(), strict=False)
    for block in list(net.blocks)[4:]:
        torch.nn.init.zeros_(block.skip_linear.bias)
        block.skip_linear.weight.copy_(torch.cat([torch.zeros(16, 16), torch.eye(16)], 1))
    x, t = inputs(config)
    assert torch.equal(net(x, t), still(x, t))
    crooked = build(replace(config, size=(8, 8), restore=False))
    assert crooked.config.orientation(4) != crooked.config.orientation(2)


@torch.no_grad()
def test_the_convolution_sees_neighbours_of_the_grid():
    config = replace(TINY, depth=1, conv="block")
    net = network(config)
    torch.nn.init.zeros_(net.blocks[0].adaLN_modulation[1].weight)
    torch.nn.init.zeros_(net.blocks[0].adaLN_modulation[1].bias)
    x, t = inputs(config, batch=1)
    changed = x.clone()
    changed[..., 2:4, 2:4] += 1
    moved = (net(changed, t) - net(x, t)).abs().amax(1)[0].reshape(3, 2, 4, 2).amax((1, 3)) > 0
    assert moved.tolist() == [[True, True, True, False]] * 3


# Conditions, sizes, batches


@torch.no_grad()
def test_time_and_label_reach_the_output():
    net = network()
    x, t = inputs()
    plain = net(x, t, torch.tensor([0, 0]))
    assert not torch.allclose(net(x, 1 - t, torch.tensor([0, 0])), plain, atol=1e-4)
    assert not torch.allclose(net(x, t, torch.tensor([1, 1])), plain, atol=1e-4)
    assert torch.equal(net(x, t), net(x, t, torch.tensor([5, 5])))


@torch.no_grad()
def test_text_is_a_set_of_words():
    net = network(replace(TINY, labels=0, text_width=6))
    x, t = inputs()
    words = torch.randn(2, 4, 6)
    torch.testing.assert_close(net(x, t, words.flip(1)), net(x, t, words), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(net(x, t, words + 1), net(x, t, words), atol=1e-4)


def test_the_last_layer_is_shifted_where_there_is_a_condition():
    assert hasattr(build(TINY).final_layer, "adaLN_modulation")
    assert not hasattr(build(replace(TINY, labels=0)).final_layer, "adaLN_modulation")


@settings(deadline=None, max_examples=20)
@given(
    rows=integers(1, 5),
    columns=integers(1, 5),
    patch=sampled_from([1, 2, 4, 8]),
    depth=sampled_from([1, 2, 6]),
    conv=sampled_from(CONVOLUTIONS),
    rms=booleans(),
    expand=sampled_from([0.5, 1, 2.0]),
    labels=integers(0, 3),
    sigma=booleans(),
)
@torch.no_grad()
def test_any_grid_and_patch_gives_an_output_like_the_input(
    rows, columns, patch, depth, conv, rms, expand, labels, sigma
):
    size = (rows * patch, columns * patch)
    changes = {"labels": labels, "learn_sigma": sigma, "refine": 0 if sigma else 3, "skip": depth == 6}
    changes |= {"conv": conv, "rms_norm": rms, "expand_k": expand, "expand_v": expand}
    config = replace(TINY, size=size, patch=patch, depth=depth, **changes)
    x, t = inputs(config)
    output = network(config)(x, t)
    assert output.shape == (2, 6 if sigma else 3, *size)
    assert output.isfinite().all()


@torch.no_grad()
def test_every_item_of_a_batch_is_on_its_own():
    net = network(replace(TINY, skip=True))
    x, t = inputs(batch=3)
    label = torch.tensor([0, 3, 5])
    alone = torch.cat([net(x[i : i + 1], t[i : i + 1], label[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(net(x, t, label), alone)


def test_the_network_computes_in_double_precision_too():
    net, exact = network(), network().double()
    x, t = inputs()
    with torch.no_grad():
        wanted = exact(x.double(), t.double())
        torch.testing.assert_close(net(x, t).double(), wanted, rtol=1e-4, atol=1e-5)


def test_a_gate_is_the_logarithm_of_a_sigmoid_however_large():
    x = torch.tensor([-1e4, -100.0, -80.1, -79.0, -1.0, 0.0, 1.0, 20.0, 1e4], requires_grad=True)
    wanted = torch.nn.functional.logsigmoid(x.detach().double().requires_grad_())
    found = log_sigmoid(x)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-6, atol=1e-7)
    found.sum().backward()
    torch.testing.assert_close(x.grad, torch.sigmoid(-x.detach()), rtol=1e-6, atol=1e-6)


def test_a_scan_scheme_is_refused():
    with pytest.raises(ValueError, match="directions are fixed and no scheme can be chosen; leave 'zigzag-8' out"):
        network()(*inputs(), scheme="zigzag-8")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"skip": True, "depth": 6, "conv": "none"},
        {"labels": 0, "text_width": 6, "rms_norm": True},
        {"labels": 0, "depth": 1, "refine": 4, "kernel": 5, "conv": "inside"},
        {"learn_sigma": True, "size": (4, 12), "null_label": False, "expand_k": 1, "expand_v": 2, "width": 100},
    ],
)
def test_a_config_knows_its_number_of_weights(changes):
    config = replace(TINY, **changes)
    assert config.parameters == sum(parameter.numel() for parameter in build(config).parameters())


def test_weights_are_counted_without_allocating_any():
    config = DiGConfig(width=2**15, depth=2**20, size=(2**16, 2**16), patch=1, heads=1, skip=True)
    assert config.parameters > 10**15


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"width": 0}, "width must be a whole number from 1 to .*, not 0"),
        ({"width": 18}, "width 18 must be a multiple of 4"),
        ({"heads": 3}, "expand_k 0.5 makes 8 channels of width 16, which 3 heads cannot share"),
        ({"heads": 16}, "expand_k 0.5 makes 8 channels of width 16, which 16 heads cannot share"),
        ({"expand_v": 1.0625}, "expand_v 1.0625 makes 17 channels"),
        ({"expand_k": 1e-9}, "expand_k 1e-09 makes 0 channels"),
        ({"expand_k": float("inf")}, "expand_k must be a number above 0 and at most 64, not inf"),
        ({"expand_v": "wide"}, "expand_v must be a number above 0"),
        ({"size": (8, 9)}, r"size \(8, 9\) must be two multiples of the patch size 2"),
        ({"directions": "spiral"}, "unknown directions 'spiral'; choose one of layer, seq"),
        ({"directions": ["layer"]}, r"unknown directions \['layer'\]; choose one of layer, seq"),
        ({"conv": True}, "unknown conv True; choose one of block, inside, none"),
        ({"kernel": 4}, "kernel must be odd, so that it has a middle, not 4"),
        ({"skip": True, "depth": 5}, "depth 5 must be even"),
        ({"skip": 1}, "skip must be true or false, not 1"),
        ({"restore": None}, "restore must be true or false, not nothing"),
        ({"restore": False}, r"without restore a transposed grid must be square, not \(3, 4\); set restore"),
        ({"time_scale": float("nan")}, "time_scale must be a number above 0"),
        ({"drop_sigma": True}, "set learn_sigma too"),
        ({"learn_sigma": True, "refine": 4}, "cannot mend a variance"),
    ],
)
def test_a_bad_config_is_refused_in_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        replace(TINY, **changes)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("size", "millions"), [("S/2", 33.1), ("B/2", 130.7), ("L/2", 465.0), ("XL/2", 676.0)])
def test_presets_have_the_number_of_weights_of_the_published_networks(size, millions):
    config = preset("dig", size, in_channels=4, size=(32, 32), labels=1000, learn_sigma=True)
    assert round(config.parameters / 1e6, 1) == millions


def test_presets_name_their_patch():
    assert preset("dig", "XL/8", size=(64, 64)).grid == (8, 8)
    assert isinstance(build(preset("dig", "S/4", depth=1)), DiG)
