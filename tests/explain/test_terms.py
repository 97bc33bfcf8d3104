"""The terms of a block add up to what the backbone's own formula counts, which dry runs of the networks confirm."""

import pytest
from hypothesis import given
from hypothesis.strategies import integers, sampled_from

from zigdemo.backbones.diffussm import DiffuSSMConfig
from zigdemo.backbones.dig import DiGConfig
from zigdemo.backbones.dit import DiTConfig
from zigdemo.backbones.zigma import ZigMaConfig
from zigdemo.explain import cost
from zigdemo.explain.terms import BLOCKS, SIZES, crossing

WIDTHS = integers(1, 6).map(lambda number: 192 * number)
STATES, SIDES = sampled_from([4, 8, 16]), sampled_from([8, 16, 32])


def block_macs(config, modulations):
    """Multiply-adds of the first block, without what turns the condition into factors and offsets."""
    return cost(config)["blocks.0"].macs - modulations * config.width**2


SCANS = sampled_from([("zigma", "zigzag-8"), ("bidirectional", "bidirectional")])


@given(width=WIDTHS, state=STATES, side=SIDES, scheme=SCANS)
def test_zigma_with_one_scan_and_with_two(width, state, side, scheme):
    name, scan = scheme
    config = ZigMaConfig(size=(side, side), patch=1, width=width, depth=2, state_size=state, scheme=scan)
    assert BLOCKS[name].value({"M": side**2, "D": width, "N": state}) == block_macs(config, 3)


@given(width=WIDTHS, side=SIDES)
def test_dit(width, side):
    config = DiTConfig(size=(side, side), patch=1, width=width, depth=2, heads=6)
    assert BLOCKS["dit"].value({"M": side**2, "D": width}) == block_macs(config, 6)


@given(width=WIDTHS, side=SIDES)
def test_dig(width, side):
    config = DiGConfig(size=(side, side), patch=1, width=width, depth=2, heads=6, conv="block")
    assert BLOCKS["dig"].value({"M": side**2, "D": width}) == block_macs(config, 6)


@given(width=WIDTHS, state=STATES, side=SIDES)
def test_diffussm(width, state, side):
    config = DiffuSSMConfig(size=(side, side), patch=1, width=width, depth=2, hourglass=4, modes=state)
    assert BLOCKS["diffussm"].value({"M": side**2, "D": width, "N": state}) == block_macs(config, 3)


@pytest.mark.parametrize("name", BLOCKS)
def test_only_attention_grows_with_the_square_of_the_tokens(name):
    growth = max(powers.get("M", 0) for term in BLOCKS[name].terms for _, powers in term.monomials)
    assert growth == (2 if name == "dit" else 1)
    assert all(set(powers) <= set(SIZES) for term in BLOCKS[name].terms for _, powers in term.monomials)


def test_the_papers_count_as_they_print_it():
    sizes = {"M": 64, "D": 32, "N": 8, "k": 2}
    assert sum(term.value(sizes) for term in BLOCKS["dit"].paper) == 4 * 64 * 32**2 + 2 * 64**2 * 32
    assert sum(term.value(sizes) for term in BLOCKS["zigma"].paper) == 2 * (3 * 64 * 64 * 8 + 64 * 64 * 8**2)


def test_attention_between_tokens_passes_the_scan_at_four_times_the_state_and_direction():
    sizes = {"D": 192, "N": 16}
    assert crossing("dit", "zigma", sizes, mixing=True) == pytest.approx(64)
    assert crossing("dit", "bidirectional", sizes, mixing=True) == pytest.approx(128)
    assert crossing("zigma", "bidirectional", sizes) is None


def test_two_blocks_cross_where_they_take_the_same():
    sizes = {"D": 48, "N": 64}
    tokens = crossing("dit", "bidirectional", sizes)
    values = [BLOCKS[name].value({**sizes, "M": tokens}) for name in ("dit", "bidirectional")]
    assert values[0] == pytest.approx(values[1])
