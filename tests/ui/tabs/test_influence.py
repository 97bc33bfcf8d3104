"""The Influence tab: the endpoint's numbers, the page's answers, one sentence for every fault."""

import math
import re

import checkpoints
import gradio as gr
import numpy as np
import pytest
from autoencoders import small_autoencoder
from checkpoints import save, small_weights
from gradio_client import Client
from gradio_client.exceptions import AppError
from models import tiny_folder
from PIL import Image

from zigdemo import backbones, zoo
from zigdemo.latents import AUTOENCODERS
from zigdemo.ui.tabs import influence as tab
from zigdemo.zoo.official import import_checkpoint

GOOD = {"model": "tiny", "label": "hedgehog", "row": 1, "column": 2, "step": 1, "steps": 3}


@pytest.fixture(scope="module")
def client(served, tmp_path_factory):
    return Client(served, verbose=False, download_files=str(tmp_path_factory.mktemp("files")))


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    return tmp_path


def drawn(model="tiny", steps=3):
    """The page's drawing and what it showed last, after the Draw button."""
    label = tab.condition_of(model)[1]["value"]
    updates = [dict(zip(tab.OUTPUTS, one, strict=True)) for one in tab._draw(model, None, label, None, steps, 0)]
    return updates[-2]["drawing"], updates[-1]


def test_the_endpoint_gives_maps_of_the_grid(client):
    found = client.predict(**GOOD, api_name="/influence")
    assert found["grid"] == [4, 4] and np.shape(found["gradient"]) == (4, 4)
    for name in ("implicit", "composed", "field"):
        assert np.shape(found[name]) == (2, 4, 4), name
    heard = np.array(found["composed"]) > 0
    assert np.array_equal(heard, found["field"]) and heard[0, 1, 2]


def test_another_scheme_is_another_field(client):
    fields = [client.predict(**GOOD, scan=name, api_name="/influence")["field"] for name in ("sweep", "hilbert-2")]
    assert np.array(fields[0]).sum() == 2 * 7 and fields[0] != fields[1]


@pytest.mark.parametrize(
    "change",
    [
        {"model": "nothing"},
        {"label": "unicorn"},
        {"scan": "nonsense"},
        {"row": 4},
        {"row": -1},
        {"column": 9},
        {"step": 3},
        {"steps": 0},
        {"steps": 10_000},
        {"seed": -1},
    ],
    ids=str,
)
def test_a_wrong_choice_is_one_sentence(client, change):
    with pytest.raises(AppError) as fault:
        client.predict(**{**GOOD, **change}, api_name="/influence")
    sentence = str(fault.value)
    assert 10 < len(sentence) < 400 and "\n" not in sentence and "Something went wrong" not in sentence


@pytest.mark.parametrize("family", backbones.FAMILIES)
def test_every_backbone_shows_what_it_has(weights, family):
    tiny_folder(weights / "tiny", family)
    drawing, shown = drawn()
    images = shown["maps"].count("<img")
    assert images == 3 + backbones.FAMILIES[family].in_order and shown["maps"].count("<b>") == 4
    assert len(drawing.calls) == len(drawing.pictures) == 3
    assert shown["layer"]["maximum"] == 2 and shown["step"]["maximum"] == 3 and shown["go"]["interactive"]


@pytest.mark.parametrize("family", ["ZigMa", "SiT", "DiT"])
def test_official_models_are_looked_into_too(weights, tmp_path_factory, monkeypatch, family):
    folder = tmp_path_factory.mktemp("files")
    monkeypatch.setitem(AUTOENCODERS, "sd-vae-ft-ema", small_autoencoder(folder / "kl"))
    settings = {} if family == "ZigMa" else {"hidden_size": 24, "depth": 2, "input_size": 8, "num_heads": 2}
    state = (
        checkpoints.weights(num_classes=3)
        if family == "ZigMa"
        else {key: 0.2 * value for key, value in small_weights(family, {**settings, "num_classes": 3}).items()}
    )
    heads = {} if family == "ZigMa" else {"num_heads": 2}
    import_checkpoint(save(state, folder / "tiny.pt"), family=family, settings=heads)
    drawing, shown = drawn(steps=2)
    assert (
        shown["maps"].count("<b>") == 4
        and drawing.family is backbones.FAMILIES["zigma" if family == "ZigMa" else "dit"]
    )


class Click:
    """What a click on the picture sends."""

    def __init__(self, x, y):
        self.index = [x, y]


def test_a_click_is_the_patch_under_it_to_the_last_pixel(weights):
    tiny_folder(weights / "tiny")
    drawing, _ = drawn()
    side = tab.enlarged(drawing.pictures[0][0]).width
    assert tab._click(drawing, Click(0, 0)) == (1, 1)
    assert tab._click(drawing, Click(side - 1, 0)) == (1, 4)
    assert tab._click(drawing, Click(side / 2, side)) == (4, 3)
    assert tab._click(None, Click(0, 0)) == (tab.SKIP, tab.SKIP)


def test_another_layer_is_shown_from_what_was_computed(weights):
    tiny_folder(weights / "tiny")
    drawing, shown = drawn()
    html = tab._show_layer(drawing, shown["result"], 2, 2)
    assert "layer 2" in html and "layers 1 to 2" in html and html != shown["maps"]
    assert tab._show_layer(None, None, 2, 2) == tab.SKIP


def test_another_patch_first_gets_its_frame_then_its_maps(weights):
    tiny_folder(weights / "tiny")
    drawing, shown = drawn()
    frame, maps = (dict(zip(tab.OUTPUTS, one, strict=True)) for one in tab._refresh(drawing, 3.0, 1.0, 1.0, 4.0, 2.0))
    assert frame["picture"].size == tab.enlarged(drawing.pictures[2][0]).size and frame["maps"] == tab.SKIP
    assert "Row 1, column 4" in maps["line"] and maps["result"].token == 3 and maps["maps"] != shown["maps"]


@pytest.mark.parametrize("number", [None, 0, 99, 1.5, math.nan, "x"], ids=str)
def test_an_empty_or_wrong_box_is_one_sentence(weights, number):
    tiny_folder(weights / "tiny")
    drawing, _ = drawn()
    (last,) = (dict(zip(tab.OUTPUTS, one, strict=True)) for one in tab._refresh(drawing, 1, 1, number, 1, 1))
    assert re.fullmatch(r"row must be a whole number from 1 to 4, not \S+", last["line"])


CLIPS = {"zigma": {"scheme": "factorized-st"}, "dit": {}, "dig": {}}


@pytest.mark.parametrize("family", CLIPS)
def test_a_clip_is_looked_into_frame_by_frame(weights, family):
    tiny_folder(weights / "tiny", family, frames=3, **CLIPS[family])
    drawing, shown = drawn()
    assert drawing.grid == (3, 4, 4) and [len(frames) for frames in drawing.pictures] == [3, 3, 3]
    assert shown["frame"]["maximum"] == 3 and shown["frame"]["visible"] and shown["line"].startswith("Frame 2, row 3")
    assert shown["maps"].count("<img") == 4 and ("Reach, layer 1" in shown["maps"]) == (family == "dit")
    assert "place in time" in shown["maps"] or family != "dit"
    first, last = (dict(zip(tab.OUTPUTS, one, strict=True)) for one in tab._refresh(drawing, 3, 1, 2, 4, 2))
    assert first["picture"].size == tab.enlarged(drawing.pictures[2][0]).size
    assert last["result"].token == 7 and last["line"].startswith("Frame 1, row 2, column 4")
    found = tab.influence("tiny", "hedgehog", row=1, column=3, step=2, steps=3, frame=2)
    assert found["grid"] == [3, 4, 4] and np.shape(found["field"]) == (2, 3, 4, 4)
    with pytest.raises(gr.Error, match="frame must be a whole number from 0 to 2, not 3"):
        tab.influence("tiny", "hedgehog", steps=3, step=2, frame=3)


def test_what_others_hear_is_not_hidden_by_the_patch_itself():
    values = np.zeros((2, 2))
    values[0, 1], values[1, 1] = 9, 0.5
    assert tab.peak_of_others(values, 1) == 0.5 and tab.peak_of_others(np.diag([1.0, 0]), 0) == 1


def test_the_tab_is_there_with_no_model_at_all(weights):
    with gr.Blocks(analytics_enabled=False) as page:
        tab.build_influence_tab(None)
    assert any(
        "No model is installed" in str(block.value) for block in page.blocks.values() if isinstance(block, gr.Markdown)
    )
    assert list(page.get_api_info()["named_endpoints"]) == ["/influence"]


def test_a_slider_over_one_place_stands_still():
    import gradio as gr

    from zigdemo.ui.maps import places

    one, four = places(1, 1), places(4, 2)
    assert not one["interactive"] and four["interactive"] and (four["value"], four["maximum"]) == (2, 4)
    gr.Slider(1, **{key: value for key, value in one.items() if key != "__type__"})  # Gradio refuses 1 to 1


def test_a_click_on_a_picture_that_is_not_square_finds_its_row_and_column(weights):
    drawing = tab.Drawing(None, [], [[Image.new("RGB", (64, 16))]], None, (1, 2, 8))  # wide: 2 rows, 8 columns
    width, height = tab.enlarged(drawing.pictures[0][0]).size
    assert width == 4 * height
    assert tab._click(drawing, Click(width * 0.95, height * 0.75)) == (2, 8)
    assert tab._click(drawing, Click(width * 0.3, height * 0.25)) == (1, 3)
