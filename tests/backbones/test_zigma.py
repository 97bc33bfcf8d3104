"""ZigMa with our own defaults."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, sampled_from

from zigdemo.backbones import FAMILIES, ZigMa, ZigMaConfig, build
from zigdemo.backbones.presets import preset
from zigdemo.backbones.zigma import drop_path
from zigdemo.scans import scan_scheme

KEYS = Path(__file__).parents[1] / "golden" / "keys"
TINY = ZigMaConfig(size=(8, 8), patch=2, width=16, depth=3, state_size=4, labels=5)


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
def test_a_new_network_predicts_zero():
    x, t = inputs()
    assert build(TINY)(x, t, torch.tensor([0, 4])).abs().max() == 0


@torch.no_grad()
def test_a_network_whose_last_layer_is_not_zero_starts_elsewhere():
    x, t = inputs()
    assert build(replace(TINY, zero_final=False))(x, t).abs().max() > 0


@torch.no_grad()
def test_no_label_is_the_null_label():
    net = network()
    x, t = inputs()
    null = torch.full((2,), TINY.labels)
    assert torch.equal(net(x, t), net(x, t, null))
    assert not torch.allclose(net(x, t), net(x, t, torch.tensor([0, 1])))


def test_without_a_null_label_a_label_is_asked_for():
    net = network(replace(TINY, null_label=False))
    assert len(net.y_embedder.embedding_table.weight) == TINY.labels
    with pytest.raises(ValueError, match="no null label; give a label"):
        net(*inputs())


def test_a_text_model_asks_for_text():
    with pytest.raises(ValueError, match="conditioned on text; give the text features"):
        network(replace(TINY, labels=0, text_width=12))(*inputs())


@torch.no_grad()
def test_labels_are_dropped_in_training_only():
    net = network(replace(TINY, label_dropout=1.0))
    x, t = inputs()
    label = torch.tensor([0, 1])
    wanted = net(x, t, label)
    assert not torch.allclose(net.train()(x, t, label), wanted)
    assert torch.equal(net(x, t, label), net.eval()(x, t))
    assert torch.equal(net(x, t, label), wanted)


@torch.no_grad()
def test_drop_path_acts_in_training_only():
    net = network(replace(TINY, labels=0, drop_path=0.9))
    x, t = inputs(batch=8)
    plain = net(x, t)
    assert torch.equal(net(x, t), plain)
    assert not torch.allclose(net.train()(x, t), plain)


@settings(deadline=None, max_examples=12)
@given(
    rows=integers(1, 5),
    columns=integers(1, 5),
    patch=sampled_from([1, 2, 4, 8]),
    position=sampled_from(["none", "sincos", "learned"]),
    text=booleans(),
)
@torch.no_grad()
def test_any_grid_and_patch_gives_an_output_like_the_input(rows, columns, patch, position, text):
    size = (rows * patch, columns * patch)
    config = replace(TINY, size=size, patch=patch, depth=2, position=position, labels=0, text_width=6 * text)
    x, t = inputs(config)
    output = network(config)(x, t, torch.randn(2, 3, 6) if text else None)
    assert output.shape == x.shape
    assert output.isfinite().all()


@torch.no_grad()
def test_every_item_of_a_batch_is_on_its_own():
    net = network()
    x, t = inputs(batch=3)
    label = torch.tensor([0, 3, 5])
    together = net(x, t, label)
    alone = torch.cat([net(x[i : i + 1], t[i : i + 1], label[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone)


@torch.no_grad()
def test_another_scheme_may_be_named_at_the_call():
    net = network()
    x, t = inputs()
    assert torch.equal(net(x, t, scheme="zigzag-8"), net(x, t))
    assert not torch.allclose(net(x, t, scheme="hilbert-8"), net(x, t))
    sweeping = network(replace(TINY, scheme="sweep"))
    torch.testing.assert_close(net(x, t, scheme="sweep"), sweeping(x, t))


@pytest.mark.parametrize(("built", "asked"), [("zigzag-8", "bidirectional"), ("bidirectional", "sweep")])
def test_a_scheme_for_another_kind_of_block_is_refused(built, asked):
    net = network(replace(TINY, scheme=built))
    with pytest.raises(ValueError, match=f"{asked!r} needs a .* choose another scheme or model"):
        net(*inputs(), scheme=asked)


def test_an_unknown_scheme_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown scan scheme 'zigzag-9'; choose one of"):
        network()(*inputs(), scheme="zigzag-9")


def test_layers_take_the_paths_in_turn():
    orders = network(replace(TINY, depth=9)).orders()
    assert orders[8] is orders[0]
    assert len({id(order) for order in orders[:8]}) == 8


@torch.no_grad()
def test_refine_starts_as_the_identity():
    refined = build(replace(TINY, refine=4, zero_final=False))
    plain = build(replace(TINY, zero_final=False))
    plain.load_state_dict({key: refined.state_dict()[key] for key in plain.state_dict()})
    x, t = inputs()
    assert torch.equal(refined(x, t), plain(x, t))


@pytest.mark.parametrize("name", ["zigma_zigzag8_b1_pe2", "zigma_coco_text_zigzag8_b1_pe2", "zigma_sweep2_b1_pe2"])
def test_weights_have_the_official_names(name):
    official = {entry["key"] for entry in json.loads((KEYS / f"{name}.json").read_text())["keys"]}
    config = preset("zigma", "B", in_channels=4, size=(32, 32), patch=1)
    if "text" in name:
        config = replace(config, text_width=768)
    if "sweep2" in name:
        config = replace(config, scheme="bidirectional")
    with torch.device("meta"):
        assert set(build(config).state_dict()) == official


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"text_width": 12, "labels": 0},
        {"position": "sincos", "depth": 1},
        {"scheme": "bidirectional", "rms_norm": False, "position": "none"},
        {"refine": 3, "null_label": False, "step_rank": 5, "taps": 2, "expand": 1},
    ],
)
def test_a_config_knows_its_number_of_weights(changes):
    config = replace(TINY, **changes)
    assert config.parameters == sum(parameter.numel() for parameter in build(config).parameters())


def test_weights_are_counted_without_allocating_any():
    config = ZigMaConfig(width=2**15, depth=2**20, size=(2**12, 2**12), patch=8)
    assert config.parameters > 10**15


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"width": 0}, "width must be a whole number from 1 to .*, not 0"),
        ({"depth": 2.0}, "depth must be a whole number"),
        ({"labels": -1}, "labels must be a whole number from 0"),
        ({"step_rank": -1}, "step_rank must be a whole number from 0"),
        ({"patch": True}, "patch must be a whole number"),
        ({"width": 2**21}, "width must be a whole number from 1 to"),
        ({"size": (8, 9)}, r"size \(8, 9\) must be two multiples of the patch size 2"),
        ({"size": 8}, "size must be two whole numbers"),
        ({"size": (8, 8, 8)}, "size must be two whole numbers"),
        ({"position": "rotary"}, "unknown position 'rotary'; choose one of none, sincos, learned"),
        ({"skip": "no"}, "unknown skip 'no'; choose one of plain, normalised"),
        ({"scheme": "nonsense"}, "unknown scan scheme 'nonsense'; choose one of"),
    ],
)
def test_a_bad_config_is_refused_in_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        replace(TINY, **changes)
    assert "\n" not in str(refusal.value)


def test_a_config_of_no_family_is_refused():
    with pytest.raises(ValueError, match="no backbone is known of a dict; use one of zigma, dit"):
        build({})


def test_an_input_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"x must be \(batch, 3, 8, 8\), not \(2, 3, 8, 16\)"):
        network()(torch.randn(2, 3, 8, 16), torch.rand(2))


@pytest.mark.parametrize(("size", "millions"), [("S", 31.3), ("B", 133.9), ("L", 472.5), ("M", 736.5), ("H", 1058.7)])
def test_presets_have_the_stated_number_of_weights(size, millions):
    config = preset("zigma", size, in_channels=4, size=(32, 32), patch=2, position="none")
    assert round(config.parameters / 1e6, 1) == millions


def test_a_preset_is_a_config_with_everything_else_as_asked():
    assert preset("zigma", "S", depth=2, size=(8, 16)) == ZigMaConfig(width=368, depth=2, size=(8, 16))
    assert isinstance(build(preset("zigma", "S", depth=1)), ZigMa)


@pytest.mark.parametrize(
    ("family", "name", "changes", "sentence"),
    [
        ("unet", "S", {}, f"unknown backbone family 'unet'; choose one of {', '.join(FAMILIES)}"),
        ("zigma", "XXL", {}, "unknown size 'XXL' of zigma; choose one of S, B, L, M, H"),
        ("zigma", "S", {"colour": 1}, "unknown setting 'colour' of zigma; choose one of in_channels"),
    ],
)
def test_an_unknown_preset_is_refused_with_the_known_ones(family, name, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        preset(family, name, **changes)


# Several scans in a block, and several schemes in a network


@pytest.mark.parametrize("count", [2, 3, 8])
@torch.no_grad()
def test_a_parallel_block_sums_the_scans_of_k_mixers(count):
    """Each scan with its own weights along its own path, the maps into and out of the block shared."""
    from zigdemo.backbones.mamba import Mamba

    torch.manual_seed(0)
    scheme = scan_scheme(f"parallel-{count}")
    names = ZigMaConfig(scheme=scheme.name).scans
    mixer = Mamba(16, state_size=3, scans=names)
    paths, tokens = scheme.scans(layer=0, grid=(3, 5)), torch.randn(2, 15, 16)
    total = torch.zeros(2, 15, 16)
    for name, path in zip(names, paths, strict=True):
        alone = Mamba(16, state_size=3)
        state = mixer.state_dict()
        renamed = {key: state[_of_scan(key, name)] for key in alone.state_dict()}
        alone.load_state_dict(renamed)
        total += alone(tokens, path)
    assert torch.allclose(mixer(tokens, *paths), total, atol=1e-5)


def _of_scan(key, name):
    stem, dot, rest = key.partition(".")
    if stem in ("in_proj", "out_proj"):
        return key
    return f"A{name}_log" if stem == "A_log" else f"{stem}{name}{dot}{rest}"


@torch.no_grad()
def test_a_parallel_network_trains_counts_its_weights_and_takes_no_other_number_of_scans():
    config = replace(TINY, scheme="parallel-4")
    net = build(config)
    assert sum(p.numel() for p in net.parameters()) == config.parameters
    x, t = torch.randn(2, config.in_channels, *config.size), torch.rand(2)
    label = torch.tensor([0, 1]) if config.labels else None
    assert net(x, t, label).shape == x.shape
    with pytest.raises(ValueError, match="blocks of 4"):
        net.orders("parallel-2")


@torch.no_grad()
def test_every_layer_may_have_a_scheme_of_its_own():
    names = ("sweep", "hilbert-2", "random-3")
    config = replace(TINY, depth=3, scheme=names)
    wanted = [scan_scheme(name).order(layer=i, grid=config.grid) for i, name in enumerate(names)]
    net = network(config)
    assert net.orders() == wanted and sum(p.numel() for p in net.parameters()) == config.parameters
    with pytest.raises(ValueError, match="depth is 3"):
        replace(config, scheme=("sweep",))
    with pytest.raises(ValueError, match="different blocks"):
        replace(config, scheme=("sweep", "bidirectional", "sweep"))


def test_dropped_paths_keep_the_mean_of_the_branch():
    torch.manual_seed(0)
    x = torch.ones(20_000, 1, 1)
    kept = drop_path(x, 0.25, training=True)
    assert kept.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.02)
    assert drop_path(x, 0.25, training=False) is x and drop_path(x, 0.0, training=True) is x
