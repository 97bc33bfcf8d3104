"""Formulas of weights, multiply-adds and kept activations against counted runs, real runs and the papers."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, sampled_from

from zigdemo.backbones import FAMILIES, DiffuSSMConfig, DiGConfig, DiTConfig, ZigMaConfig, build
from zigdemo.backbones.checks import item_shape
from zigdemo.backbones.costs import GLA_SPAN, SCAN_CHUNK
from zigdemo.backbones.dig import CONVOLUTIONS, DIRECTIONS
from zigdemo.backbones.dit import CONDITIONINGS
from zigdemo.backbones.presets import preset
from zigdemo.explain import Cost, cost, counted_cost
from zigdemo.explain.__main__ import PUBLISHED, main, rows
from zigdemo.ops import backends

DIT = DiTConfig(size=(16, 16), patch=2, width=32, depth=3, heads=2, labels=5)
ZIGMA = ZigMaConfig(size=(16, 16), patch=2, width=32, depth=3, state_size=4, labels=5)
DIG = DiGConfig(size=(16, 16), patch=2, width=32, depth=4, heads=2, labels=5)
DIFFUSSM = DiffuSSMConfig(size=(16, 16), patch=2, width=32, depth=3, modes=4, labels=5)
few = settings(deadline=None, max_examples=12)


def assert_agree(config, batch, words):
    """Within 2 % in every layer and every number."""
    formula, counted = cost(config, batch, words), counted_cost(config, batch, words)
    assert formula.keys() == counted.keys()
    for name, found in counted.items():
        assert formula[name].weights == found.weights, name
        assert formula[name].macs == pytest.approx(found.macs, rel=0.02), name
        assert formula[name].activation_bytes == pytest.approx(found.activation_bytes, rel=0.02), name
    assert Cost.total(formula.values()).weights == config.parameters


@few
@given(
    conditioning=sampled_from(CONDITIONINGS),
    rows=integers(1, 6),
    columns=integers(1, 6),
    heads=sampled_from([1, 2, 4]),
    condition=sampled_from([{}, {"labels": 3}, {"text_width": 6}]),
    ratio=sampled_from([1.0, 2.5, 4.0]),
    sigma=booleans(),
    batch=integers(1, 3),
)
def test_formulas_of_dit_agree_with_the_count(conditioning, rows, columns, heads, condition, ratio, sigma, batch):
    config = DiTConfig(
        size=(2 * rows, 2 * columns), patch=2, width=24, depth=2, heads=heads, conditioning=conditioning,
        mlp_ratio=ratio, learn_sigma=sigma, refine=0 if sigma else 3, **condition,
    )  # fmt: skip
    assert_agree(config, batch, words=4)


@few
@given(
    rows=integers(1, 6),
    columns=integers(1, 6),
    heads=sampled_from([1, 2, 4]),
    condition=sampled_from([{}, {"labels": 3}, {"text_width": 6}]),
    directions=sampled_from(DIRECTIONS),
    skip=booleans(),
    conv=sampled_from(CONVOLUTIONS),
    rms=booleans(),
    expand=sampled_from([(0.5, 1.0), (1, 2), (2.0, 0.5)]),
    sigma=booleans(),
    batch=integers(1, 3),
)
def test_formulas_of_dig_agree_with_the_count(
    rows, columns, heads, condition, directions, skip, conv, rms, expand, sigma, batch
):
    config = DiGConfig(
        size=(2 * rows, 2 * columns), patch=2, width=24, depth=6, heads=heads, directions=directions, skip=skip,
        conv=conv, rms_norm=rms, expand_k=expand[0], expand_v=expand[1], learn_sigma=sigma,
        refine=0 if sigma else 3, **condition,
    )  # fmt: skip
    assert_agree(config, batch, words=4)


@few
@given(
    rows=integers(1, 6),
    columns=integers(1, 3),
    hourglass=sampled_from([1, 2, 4]),
    modes=integers(1, 9),
    condition=sampled_from([{}, {"labels": 3}, {"text_width": 6}]),
    sigma=booleans(),
    batch=integers(1, 3),
)
def test_formulas_of_diffussm_agree_with_the_count(rows, columns, hourglass, modes, condition, sigma, batch):
    config = DiffuSSMConfig(
        size=(2 * rows, 8 * columns), patch=2, width=32, depth=2, hourglass=hourglass, modes=modes, learn_sigma=sigma,
        refine=0 if sigma else 3, **condition,
    )  # fmt: skip
    assert_agree(config, batch, words=4)


@few
@given(
    scheme=sampled_from(["zigzag-8", "bidirectional", "parallel-3"]),
    rows=integers(1, 6),
    columns=integers(1, 6),
    condition=sampled_from([{}, {"labels": 3}, {"text_width": 6}]),
    state=integers(1, 9),
    rank=integers(0, 5),
    rms=booleans(),
    skip=sampled_from(["plain", "normalised"]),
    position=sampled_from(["none", "sincos", "learned"]),
    batch=integers(1, 3),
)
def test_formulas_of_zigma_agree_with_the_count(
    scheme, rows, columns, condition, state, rank, rms, skip, position, batch
):
    config = ZigMaConfig(
        size=(2 * rows, 2 * columns), patch=2, width=24, depth=2, scheme=scheme, state_size=state, step_rank=rank,
        rms_norm=rms, skip=skip, position=position, taps=3, refine=3, **condition,
    )  # fmt: skip
    assert_agree(config, batch, words=4)


CLIPS = {
    "dit": replace(DIT, size=(8, 12), frames=5, refine=3),
    "dit attending to the condition": replace(DIT, size=(8, 12), frames=5, conditioning="cross-attention"),
    "dig": replace(DIG, size=(8, 12), frames=70),
    "dig with joints": replace(DIG, size=(24, 24), frames=3, skip=True, conv="inside", rms_norm=True),
    "zigma": replace(ZIGMA, size=(8, 12), frames=5, scheme="factorized-sst", refine=3),
    "zigma with words": replace(ZIGMA, size=(8, 12), frames=5, scheme="zigzag3d-8", labels=0, text_width=6),
    "one place for all frames": replace(
        ZIGMA, size=(8, 12), frames=5, scheme="bidirectional", position="shared", frame_position=True
    ),
}


@pytest.mark.parametrize("config", CLIPS.values(), ids=CLIPS)
def test_formulas_of_clips_agree_with_the_count(config):
    assert_agree(config, batch=2, words=4)


def test_attention_by_turns_over_frames_and_time_is_cheaper_than_over_all():
    clip, picture = replace(DIT, frames=16), replace(DIT, size=(16, 16 * 16))
    space, time = cost(clip)["blocks.0"].macs, cost(clip)["blocks.1"].macs
    assert space - time == 2 * 16 * 64 * (64 - 16) * clip.width
    assert time < space < cost(picture)["blocks.0"].macs


@pytest.mark.parametrize(
    "config",
    [*(replace(DIT, conditioning=name) for name in CONDITIONINGS), ZIGMA, replace(ZIGMA, scheme="bidirectional"), DIG]
    + [replace(DIG, conv="inside", rms_norm=True, skip=True), DIFFUSSM, replace(DIFFUSSM, hourglass=4)]
    + [replace(DIT, frames=3), replace(DIG, frames=3), replace(ZIGMA, frames=3, scheme="factorized-st")],
    ids=lambda config: getattr(config, "conditioning", config.scheme) or config.mixing,
)
def test_a_real_training_step_keeps_what_the_formula_says(config):
    if not isinstance(config, DiTConfig) and backends.numba_fault():
        pytest.skip(backends.numba_fault())
    network, kept = build(config).eval(), {}
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}

    def keep(value):
        if value.untyped_storage().data_ptr() not in own:
            kept[value.untyped_storage().data_ptr()] = value  # held, so that the address is not given out again
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        network(torch.randn(2, *item_shape(config)), torch.rand(2), torch.tensor([0, 1]))
    wanted = Cost.total(cost(config, batch=2).values()).activation_bytes
    assert sum(value.untyped_storage().nbytes() for value in kept.values()) == pytest.approx(wanted, rel=0.02)


def test_the_scan_keeps_a_state_as_often_as_its_kernels_do():
    if backends.numba_fault():
        pytest.skip(backends.numba_fault())
    from zigdemo.ops.selective_scan.kernels import CHUNK

    assert SCAN_CHUNK == CHUNK


def test_gated_linear_attention_keeps_a_state_as_often_as_its_kernels_do():
    if backends.numba_fault():
        pytest.skip(backends.numba_fault())
    from zigdemo.ops.gla.kernels import CHUNK, SPAN

    assert GLA_SPAN == CHUNK * SPAN


@pytest.mark.parametrize(
    ("conditioning", "gflops"),
    [("in-context", 119.4), ("cross-attention", 137.6), ("adaln", 118.6), ("adaln-zero", 118.6)],
)
def test_dit_xl_2_costs_what_the_paper_says(conditioning, gflops):
    config = preset(
        "dit", "XL/2", in_channels=4, size=(32, 32), labels=1000, learn_sigma=True, conditioning=conditioning
    )
    for found in (cost(config), counted_cost(config)):
        assert Cost.total(found.values()).macs / 1e9 == pytest.approx(gflops, rel=0.02)


@pytest.mark.parametrize("named", PUBLISHED, ids=str)
def test_every_published_size_costs_what_the_paper_says(named):
    total = Cost.total(cost(preset(*named, in_channels=4, size=(32, 32), labels=1000, learn_sigma=True)).values())
    weights, gflops = PUBLISHED[named]
    assert total.macs / 1e9 == pytest.approx(gflops, rel=0.02) and abs(total.weights / 1e6 - weights) < 1


def test_the_table_has_every_size_and_refuses_a_side_that_no_patch_fits(capsys, monkeypatch):
    names = [f"{family} {size}" for family, entry in FAMILIES.items() for size in entry.sizes]
    assert [row[0] for row in rows(8)] == names
    monkeypatch.setattr("sys.argv", ["explain", "--side", "12"])
    with pytest.raises(SystemExit):
        main()
    assert "multiple of 8" in capsys.readouterr().err


def test_the_page_of_costs_is_what_the_command_writes(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["explain"])
    main()
    page = Path(__file__).parents[2] / "docs" / "costs.md"
    assert capsys.readouterr().out == page.read_text(encoding="utf-8")


def test_a_dit_block_has_twelve_squared_widths_beside_its_modulation():
    plain = cost(replace(DIT, width=1024, heads=16, conditioning="in-context"))["blocks.1"]
    assert plain.weights == pytest.approx(12 * 1024**2, rel=0.002)


@pytest.mark.parametrize("hourglass", [1, 2, 4])
def test_a_diffussm_block_has_the_weights_the_paper_counts(hourglass):
    config = DiffuSSMConfig(size=(32, 32), patch=2, width=64, depth=1, hourglass=hourglass, modes=2)
    block, width = build(config).blocks[0], config.width
    maps = [block.enter, block.up.linear, *block.down.linears, block.gate, block.out]
    assert sum(layer.weight.numel() for layer in maps) == 9 * width**2 + 2 * hourglass * width**2
    tokens, outside = 256, 2 * 6 * 256 * 2 * width * config.modes + 3 * width**2
    found = counted_cost(config)["blocks.0"].macs - outside
    assert found == tokens // hourglass * (9 + 2 * hourglass) * width**2
    if hourglass == 2:  # the paper says 13 (L / M) D^2, and L D^2 more, which no map of these weights accounts for
        assert found == 13 * (tokens / 2) * width**2


def test_a_scan_is_linear_in_the_tokens_and_attention_is_not():
    def mixing(config):
        return cost(config)["blocks.1"].macs - cost(replace(config, size=(4, 4)))["blocks.1"].macs

    for config, linear in ((ZIGMA, True), (DIG, True), (DIFFUSSM, True), (DIT, False)):
        config = replace(config, size=(64, 64))
        ratio = mixing(replace(config, size=(128, 128))) / mixing(config)
        assert (ratio == pytest.approx(4, rel=0.01)) == linear
        assert linear or ratio > 4.5


def test_a_larger_batch_costs_as_many_times_more_and_nothing_is_built():
    config = preset("dit", "XL/2", in_channels=4, size=(2**13, 2**13), labels=1000)
    one, two = (Cost.total(cost(config, batch).values()) for batch in (1, 2))
    assert (two.weights, two.macs, two.activation_bytes) == (one.weights, 2 * one.macs, 2 * one.activation_bytes)


def test_a_config_without_formulas_is_refused():
    with pytest.raises(ValueError, match="no backbone is known of a dict; use one of zigma, dit, dig, diffussm"):
        cost({})
