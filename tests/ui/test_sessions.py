"""What open pages keep is little, and in all no more than a bound: the oldest maps go first."""

import gc
from dataclasses import dataclass
from typing import ClassVar

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from zigdemo.ui.sessions import LARGE_BYTES, Kept, Session, Sessions, kept_bytes


@dataclass
class Maps:
    values: list
    picture: Image.Image | None = None
    can_go: ClassVar[bool] = True


@pytest.fixture
def page():
    """A page with one state, and the number of that state."""
    with gr.Blocks() as blocks:
        state = gr.State()
    return blocks, state._id


@pytest.fixture
def one_megabyte(monkeypatch):
    monkeypatch.setenv("ZIGDEMO_MAX_KEPT_MB", "1")


def half(value=0):
    return np.full(400_000, value, np.uint8)


@pytest.mark.parametrize(
    "value, nbytes",
    [
        (None, 0), ("x" * 10_000, 0), (np.zeros(10, np.float32), 40), (torch.zeros(3, 3), 36),
        (Image.new("RGB", (4, 5)), 60), ([np.zeros(5, np.uint8), {"a": np.zeros(7, np.uint8)}], 12),
        (Maps([np.zeros(5, np.uint8)], Image.new("L", (2, 2))), 9), (torch.nn.Linear(100, 100), 0),
    ],
)  # fmt: skip
def test_arrays_and_pictures_are_weighed_wherever_they_are(value, nbytes):
    assert kept_bytes(value) == nbytes


def test_what_is_met_twice_or_holds_itself_counts_once():
    array = half()
    loop = [array, (array, array)]
    loop.append(loop)
    assert kept_bytes(loop) == array.nbytes


def test_the_oldest_maps_go_when_all_are_too_large_together(page, one_megabyte):
    blocks, key = page
    sessions = [Session(blocks) for _ in range(4)]
    for session in sessions[:3]:
        session[key] = Maps([half()])
    assert [session.state_data[key] is None for session in sessions[:3]] == [True, False, False]
    assert sessions[1][key] is not None  # used again
    sessions[3][key] = Maps([half()])
    assert sessions[1].state_data[key] is not None and sessions[2].state_data[key] is None


def test_one_that_is_larger_than_the_bound_stays_alone_and_small_ones_never_go(page, one_megabyte):
    blocks, key = page
    small, large = Session(blocks), Session(blocks)
    small[key] = [1, 2, np.zeros(LARGE_BYTES // 2, np.uint8)]
    large[key] = Maps([np.zeros(3_000_000, np.uint8)])
    assert small.state_data[key] is not None and large.state_data[key] is not None


def test_what_its_page_cannot_do_without_stays(page, one_megabyte):
    blocks, key = page
    uploaded, maps = Session(blocks), [Session(blocks) for _ in range(3)]
    uploaded[key] = half()
    for session in maps:
        session[key] = Maps([half()])
    assert uploaded.state_data[key] is not None and maps[0].state_data[key] is None


def test_pages_that_are_gone_do_not_count(page, one_megabyte):
    blocks, key = page
    kept = Kept()
    gone, there = Session(blocks), Session(blocks)
    kept.set(gone, key, Maps([half()]))
    del gone
    gc.collect()
    kept.set(there, key, Maps([half()]))
    assert len(kept) == 1 and kept.nbytes == half().nbytes


def test_a_page_keeps_its_states_alone(page):
    blocks, key = page
    sessions = Sessions()
    sessions.set_blocks(blocks)
    sessions["a"][key] = 5
    assert sessions["a"].state_data == {key: 5} and sessions["a"].config_values == {}
