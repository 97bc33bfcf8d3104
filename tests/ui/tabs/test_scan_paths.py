"""What the scan player is given: orders, measures, and one sentence for every fault."""

import json
import re

import gradio as gr
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from, tuples
from pages import page_of

from zigdemo.scans import measure, scan_scheme
from zigdemo.ui.tabs.scan_paths import EXAMPLES, LAYERS, build_scan_paths_tab, scan_data, scan_order
from zigdemo.ui.theme import build_theme, head_html, page_css

sides = integers(1, 24)
IMAGES = [name for name in EXAMPLES if 2 in scan_scheme(name).dimensions]
VIDEOS = [name for name in EXAMPLES if 3 in scan_scheme(name).dimensions]


@given(scheme=sampled_from(IMAGES), height=sides, width=sides)
@settings(deadline=None, max_examples=60)
def test_the_player_gets_every_distinct_order_and_its_measures(scheme, height, width):
    data = json.loads(json.dumps(scan_data(scheme, height, width)))
    tokens = list(range(height * width))
    assert data["grid"] == [height, width] and data["scheme"] == scheme
    assert all(sorted(order) == tokens for order in data["orders"])
    assert len(data["measures"]) == len(data["orders"]) <= LAYERS
    assert len(data["orders"]) == (data["scans"] if data["scans"] > 1 else min(data["paths"], LAYERS))


@given(scheme=sampled_from(IMAGES), height=sides, width=sides, layer=integers(0, LAYERS - 1))
@settings(deadline=None, max_examples=60)
def test_the_interface_and_the_player_tell_the_same_order(scheme, height, width, layer):
    found, data = scan_order(scheme, height, width, layer), scan_data(scheme, height, width)
    shown = 0 if data["scans"] > 1 else layer % len(data["orders"])
    assert found["perm"] == data["orders"][shown]
    order = scan_scheme(scheme).order(layer=layer, grid=(height, width))
    assert found["measures"]["continuity"] == measure(order, (height, width)).continuity
    assert found["grid"] == [height, width] and found["layer"] == layer


@given(scheme=sampled_from(VIDEOS), grid=tuples(*[integers(2, 6)] * 3), layer=integers(0, LAYERS - 1))
@settings(deadline=None, max_examples=40)
def test_a_stack_of_frames_comes_with_the_runs_of_its_orders(scheme, grid, layer):
    frames, height, width = grid
    found, data = scan_order(scheme, height, width, layer, frames), scan_data(scheme, height, width, frames)
    order = scan_scheme(scheme).order(layer=layer, grid=grid)
    assert found["grid"] == list(data["grid"]) == list(grid)
    assert (found["perm"], found["runs"]) == (order.perm.tolist(), order.runs)
    assert len(data["runs"]) == len(data["axes"]) == len(data["orders"])
    if data["scans"] == 1:
        shown = layer % len(data["orders"])
        assert (data["runs"][shown], data["axes"][shown]) == (order.runs, scan_scheme(scheme).axis(layer))


def test_a_scheme_for_both_reads_one_frame_as_an_image_and_one_for_images_no_frames():
    assert scan_data("bidirectional", 4, 5)["grid"] == (4, 5)
    assert scan_data("bidirectional", 4, 5, 2)["grid"] == (2, 4, 5)
    assert scan_data("zigzag-8", 4, 5, None)["grid"] == (4, 5)
    assert scan_data("sweep3d", 4, 5)["grid"] == (1, 4, 5)


def test_too_many_or_no_frames_are_one_sentence():
    with pytest.raises(ValueError, match="the frames have 262144 tokens together, and at most 8192 are allowed"):
        scan_data("sweep3d", 64, 64, 64)
    with pytest.raises(ValueError, match="the number of frames must be a whole number from 1 to 64, not nothing$"):
        scan_data("sweep3d", 4, 4, None)


def test_a_scheme_with_more_paths_than_layers_shows_one_order_a_layer():
    data = scan_data("random-64", 4, 4)
    assert len(data["orders"]) == LAYERS and data["paths"] == 64


BAD_SIDES = [0, 65, -1, 2.5, 1e300, float("nan"), float("inf"), None, "8", True]


@pytest.mark.parametrize("side", BAD_SIDES, ids=str)
def test_a_side_outside_1_to_64_is_one_sentence(side):
    for height, width in ((side, 8), (8, side)):
        with pytest.raises(ValueError, match=r"must be a whole number from 1 to 64, not \S+$"):
            scan_data("sweep", height, width)
        with pytest.raises(gr.Error, match="must be a whole number"):
            scan_order("sweep", height, width, 0)


BAD_SCHEMES = ["nonsense", "", None, "zigzag-3", "hilbert-0", "random-1e9", "<b>", 7, []]


@pytest.mark.parametrize("scheme", BAD_SCHEMES, ids=str)
def test_an_unknown_scheme_is_one_sentence(scheme):
    with pytest.raises(ValueError, match="unknown scan scheme .* choose one of"):
        scan_data(scheme, 8, 8)
    with pytest.raises(gr.Error, match="unknown scan scheme"):
        scan_order(scheme, 8, 8, 0)


@pytest.mark.parametrize("layer", [-1, 0.5, 10_000, float("nan"), None], ids=str)
def test_a_layer_that_is_none_is_one_sentence(layer):
    with pytest.raises(gr.Error, match="layer must be a whole number from 0 to 9999"):
        scan_order("zigzag-8", 8, 8, layer)


def test_the_first_paint_has_data_and_the_interface_is_typed():
    page = page_of(build_scan_paths_tab)
    (player,) = (block for block in page.blocks.values() if block.elem_id == "scan-player")
    assert json.loads(player.value)["scheme"] == "zigzag-8"
    assert 'data-example="data:image/webp;base64,' in player.html_template
    endpoints = page.get_api_info()["named_endpoints"]
    assert list(endpoints) == ["/scan_order"]
    types = [parameter["python_type"]["type"] for parameter in endpoints["/scan_order"]["parameters"]]
    assert types == ["str", "int", "int", "int", "int"]


def test_theme_and_assets_name_no_address_outside():
    theme = build_theme()
    assert all(font.stylesheet()["url"] is None for font in [*theme._font, *theme._font_mono])
    assert "system-ui" in theme.font and "'system-ui'" not in theme.font
    for text in (head_html(), page_css()):
        assert set(re.findall(r"https?://([^/\"']+)", text)) <= {"www.w3.org"}, "only the name space of SVG"
    assert head_html().lower().count("</script") == 1
