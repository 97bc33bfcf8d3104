"""The Influence tab: the endpoint's numbers, the page's answers, one sentence for every fault."""

import inspect
import json
import math
import re
from types import SimpleNamespace
from urllib.parse import parse_qsl
from xml.etree import ElementTree

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
from zigdemo.ui import live, texts
from zigdemo.ui.maps import peak_of_others
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


class Page:
    """A visitor's page, for handlers that can be stopped."""

    session_hash = "a page"


def named(updates):
    """Updates of the page's outputs by name, each tuple as a dict."""
    return [dict(zip(tab.OUTPUTS, one, strict=True)) for one in updates]


def merged(updates):
    """What the outputs are after all updates."""
    shown = {}
    for one in updates:
        for name, value in one.items():
            if isinstance(value, dict) and isinstance(shown.get(name), dict):
                value = shown[name] | value
            if value != tab.SKIP:
                shown[name] = value
    return shown


def drawn(model="tiny", steps=3, earlier=None, linked=None, seed=0):
    """The page's drawing and what it showed last, after the Draw button."""
    label = tab.condition_of(model)[1]["value"]
    shown = merged(named(tab._draw(Page, model, None, label, None, steps, seed, earlier, linked)))
    return shown["drawing"], shown


def chosen(drawing, step, frame, row, column, layer):
    """What the page shows after another choice."""
    first = named([tab._want(drawing, step, frame, row, column, layer)])
    return first[0], merged(first + named(tab._refresh(Page, drawing)))


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
    for x, y, position in ((0, 0, (1, 1)), (side - 1, 0, (1, 4)), (side / 2, side, (4, 3))):
        (shown,) = named([tab._click(drawing, 1, 1, 1, Click(x, y))])
        assert (shown["row"], shown["column"]) == position
        assert (drawing.wanted.row + 1, drawing.wanted.column + 1) == position
    nothing_drawn = dict(zip(tab.OUTPUTS, tab._click(None, 1, 1, 1, Click(0, 0)), strict=True))
    assert nothing_drawn.pop("about") == texts.INFLUENCE_START
    assert set(map(str, nothing_drawn.values())) == {str(tab.SKIP)}


@pytest.mark.parametrize("place", [None, 3, [1], [1, 2, 3], "ab", [None, 1], ["1", 2], [float("nan"), 0], [True, 1]])
def test_a_click_without_a_place_in_the_picture_is_one_sentence(weights, place):
    tiny_folder(weights / "tiny")
    drawing, _ = drawn()
    with pytest.raises(ValueError, match="click on it, or choose row and column|must be a"):
        tab._click(drawing, 1, 1, 1, SimpleNamespace(index=place))
    with pytest.raises(ValueError, match="a click needs a place"):
        tab._click(drawing, 1, 1, 1, SimpleNamespace())


def test_another_layer_is_shown_from_what_was_computed(weights, monkeypatch):
    tiny_folder(weights / "tiny")
    drawing, shown = drawn()
    monkeypatch.setattr(tab, "influence_of", lambda *_: pytest.fail("it was computed again"))
    _, other = chosen(drawing, 2, 1, 3, 3, 2)
    assert "layer 2" in other["maps"] and "layers 1 to 2" in other["maps"] and other["maps"] != shown["maps"]


def test_another_patch_first_gets_its_frame_then_its_maps(weights):
    tiny_folder(weights / "tiny")
    drawing, shown = drawn()
    first, last = chosen(drawing, 3.0, 1.0, 1.0, 4.0, 2.0)
    assert first["picture"].size == tab.enlarged(drawing.pictures[2][0]).size and first["maps"] == tab.SKIP
    assert first["stop"]["interactive"] and not first["go"]["interactive"]
    assert "Row 1, column 4" in last["about"] and drawing.result.token == 3 and last["maps"] != shown["maps"]
    assert last["go"]["interactive"] and not last["stop"]["interactive"]


def test_a_slower_earlier_patch_never_comes_after_a_later_one(weights, monkeypatch):
    tiny_folder(weights / "tiny")
    drawing, _ = drawn()
    compute, computed = tab.influence_of, []

    def slow(drawing, position):
        computed.append(position)
        if len(computed) == 1:  # while the first is computed, another patch is clicked
            tab._want(drawing, 1, 1, 4, 4, 2)
        return compute(drawing, position)

    monkeypatch.setattr(tab, "influence_of", slow)
    tab._want(drawing, 1, 1, 1, 1, 1)
    updates = named(tab._refresh(Page, drawing))
    assert [one["maps"] for one in updates if "Row 1, column 1" in str(one["about"])] == []
    last = merged(updates)
    assert "Row 4, column 4" in last["about"] and "layer 2" in last["maps"]
    assert drawing.result.token == 15 and drawing.shown == drawing.wanted == tab.Position(0, 0, 3, 3, 1)
    assert [(position.row, position.column) for position in computed] == [(0, 0), (3, 3)]
    again = merged(named(tab._refresh(Page, drawing)))  # that of the second click, which finds nothing left to do
    assert again["maps"] == last["maps"] and len(computed) == 2 and again["go"]["interactive"]


def test_going_back_to_the_shown_patch_while_another_is_computed_shows_it_again(weights, monkeypatch):
    tiny_folder(weights / "tiny")
    drawing, shown = drawn()
    compute = tab.influence_of

    def slow(drawing, position):
        tab._want(drawing, 2, 1, 3, 3, 1)
        return compute(drawing, position)

    monkeypatch.setattr(tab, "influence_of", slow)
    tab._want(drawing, 1, 1, 1, 1, 1)
    last = merged(named(tab._refresh(Page, drawing)))
    assert last["maps"] == shown["maps"] and last["about"] == shown["about"]


def test_stop_leaves_maps_and_marked_patch_together(weights):
    tiny_folder(weights / "tiny")
    drawing, shown = drawn()
    tab._want(drawing, 1, 1, 1, 1, 1)
    assert drawing.wanted != drawing.shown
    last = named([tab._stop(Page, drawing)])[0]
    assert last["maps"] == shown["maps"] and (last["row"]["value"], last["column"]["value"]) == (3, 3)
    assert drawing.wanted == drawing.shown and "as before" in last["progress"]


def test_stop_while_drawing_leaves_no_maps_of_an_earlier_picture(weights):
    tiny_folder(weights / "tiny")
    earlier, _ = drawn()
    running = tab._draw(Page, "tiny", None, "hedgehog", None, 9, 0, earlier, None)
    shown = named([next(running), next(running)])
    tab.runs.RUNS[Page.session_hash, tab.TAB].stop.set()
    last = merged(shown + named(running))
    assert "appear here" in last["maps"] and last["drawing"] is None and "Stopped" in last["progress"]
    assert not last["row"]["interactive"] and last["model"]["interactive"] and last["go"]["interactive"]


def test_everything_a_drawing_was_started_with_is_locked_while_it_runs(weights):
    tiny_folder(weights / "tiny")
    first = named([next(tab._draw(Page, "tiny", None, "hedgehog", None, 3, 0, None, None))])[0]
    names = (*tab.SETTINGS, *tab.CHIP_NAMES, *tab.POSITION, "go", "save")
    assert [first[name]["interactive"] for name in names] == [False] * len(names) and first["stop"]["interactive"]


def test_another_drawing_of_the_same_grid_keeps_the_patch_as_far_through_the_steps(weights):
    tiny_folder(weights / "tiny")
    drawing, _ = drawn()
    chosen(drawing, 3, 1, 1, 4, 2)
    second, shown = drawn(earlier=drawing, seed=1)
    assert second.shown == tab.Position(2, 0, 0, 3, 1) and shown["column"]["value"] == 4
    other, _ = drawn(earlier=drawing, steps=6)
    assert other.shown == tab.Position(4, 0, 0, 3, 1)


class Opened:
    """A request that opened the page with a query."""

    def __init__(self, query):
        self.query_params = dict(parse_qsl(query))


def test_a_link_restores_the_settings_and_what_was_looked_at(weights):
    tiny_folder(weights / "tiny")
    drawing, _ = drawn()
    _, shown = chosen(drawing, 3, 1, 1, 4, 2)
    query = f"place=influence&model=tiny&label=hedgehog&steps=3&seed=7&{shown['query']}"
    model, prompt, label, scan, steps, seed, *_, linked, line = tab._open_link(Opened(query))
    assert (model, label["value"], steps, seed) == ("tiny", "hedgehog", 3, 7)
    assert prompt["visible"] is False and scan["value"] == "zigzag-8" and "Settings of the link" in line
    again, _ = drawn(linked=linked)
    assert again.shown == drawing.shown
    far, _ = drawn(linked=tab._open_link(Opened("place=influence&model=tiny&row=99&column=1"))[-2])
    assert far.shown == tab.Position(0, 0, 3, 0, 0)


def test_maps_follow_the_settings_by_four_steps_at_the_same_patch(weights):
    tiny_folder(weights / "tiny")
    earlier, _ = drawn(steps=8)
    chosen(earlier, 7, 1, 1, 4, 2)
    values = tab._live(live.LiveRun(True, lambda: False), "tiny", None, "hedgehog", None, 8, 5, earlier)
    shown = dict(zip(tab.OUTPUTS, values, strict=True))
    assert shown["drawing"].shown == tab.Position(3, 0, 0, 3, 1) and "Live: 4 steps" in shown["progress"]
    assert shown["step"]["value"] == 4 and shown["column"]["value"] == 4
    assert tab._live(live.LiveRun(True, lambda: True), "tiny", None, "hedgehog", None, 8, 5, None) is None


@pytest.mark.parametrize("query", ["model=tiny&row=1", "place=attention&model=tiny", "place=influence&model=gone", ""])
def test_a_link_to_another_place_changes_nothing_here(weights, query):
    tiny_folder(weights / "tiny")
    opened = tab._open_link(Opened(query))
    if "gone" not in query:
        assert all(one == tab.SKIP for one in opened)


def test_a_number_of_a_link_that_is_none_is_left_out(weights):
    tiny_folder(weights / "tiny")
    opened = tab._open_link(Opened("place=influence&model=tiny&row=x&column=-1&step=1e9"))
    assert opened[-2] is None and opened[0] == "tiny"


def test_the_figure_is_exported_with_real_text_and_all_numbers(weights):
    tiny_folder(weights / "tiny")
    drawing, _ = drawn()
    _, update = tab._export(drawing)
    png, svg, numbers = update["value"]
    with Image.open(png) as image:
        assert image.width == 1920
    tree = ElementTree.parse(svg)
    words = [one.text for one in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert "Which patches influence row 3, column 3" in words and any("itself" in str(one) for one in words)
    assert len(list(tree.iter("{http://www.w3.org/2000/svg}image"))) == 4
    with np.load(numbers) as kept:
        assert kept["gradient"].shape == (4, 4) and kept["composed"].shape == kept["field"].shape == (2, 4, 4)
        assert list(kept["patch"]) == [0, 2, 2] and json.loads(str(kept["settings"]))["model"] == "tiny"
    assert tab._export(None)[1] == tab.SKIP


@pytest.mark.parametrize("number", [None, 0, 99, 1.5, math.nan, "x"], ids=str)
def test_an_empty_or_wrong_box_is_one_sentence(weights, number):
    tiny_folder(weights / "tiny")
    drawing, _ = drawn()
    before = drawing.wanted
    (last,) = named([tab._want(drawing, 1, 1, number, 1, 1)])
    assert re.fullmatch(r"row must be a whole number from 1 to 4, not \S+", last["about"])
    assert drawing.wanted == before and last["maps"] == tab.SKIP


CLIPS = {"zigma": {"scheme": "factorized-st"}, "dit": {}, "dig": {}}


@pytest.mark.parametrize("family", CLIPS)
def test_a_clip_is_looked_into_frame_by_frame(weights, family):
    tiny_folder(weights / "tiny", family, frames=3, **CLIPS[family])
    drawing, shown = drawn()
    assert drawing.grid == (3, 4, 4) and [len(frames) for frames in drawing.pictures] == [3, 3, 3]
    assert shown["frame"]["maximum"] == 3 and shown["frame"]["visible"] and shown["about"].startswith("Frame 2, row 3")
    assert shown["maps"].count("<img") == 4 and ("Reach, layer 1" in shown["maps"]) == (family == "dit")
    assert "place in time" in shown["maps"] or family != "dit"
    first, last = chosen(drawing, 3, 1, 2, 4, 2)
    assert first["picture"].size == tab.enlarged(drawing.pictures[2][0]).size
    assert drawing.result.token == 7 and last["about"].startswith("Frame 1, row 2, column 4")
    found = tab.influence("tiny", "hedgehog", row=1, column=3, step=2, steps=3, frame=2)
    assert found["grid"] == [3, 4, 4] and np.shape(found["field"]) == (2, 3, 4, 4)
    with pytest.raises(gr.Error, match="frame must be a whole number from 0 to 2, not 3"):
        tab.influence("tiny", "hedgehog", steps=3, step=2, frame=3)


def test_what_others_hear_is_not_hidden_by_the_patch_itself():
    values = np.zeros((2, 2))
    values[0, 1], values[1, 1] = 9, 0.5
    assert peak_of_others(values, 1) == 0.5 and peak_of_others(np.diag([1.0, 0]), 0) == 1


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

    one, four = places(1, value=1), places(4, value=2)
    assert not one["interactive"] and four["interactive"] and (four["value"], four["maximum"]) == (2, 4)
    gr.Slider(1, **{key: value for key, value in one.items() if key != "__type__"})  # Gradio refuses 1 to 1


def test_a_click_on_a_picture_that_is_not_square_finds_its_row_and_column(weights):
    drawing = tab.Drawing(None, [None], [[Image.new("RGB", (64, 16))]], None, (1, 2, 8))  # wide: 2 rows, 8 columns
    width, height = tab.enlarged(drawing.pictures[0][0]).size
    assert width == 4 * height
    for x, y, position in ((0.95, 0.75, (2, 8)), (0.3, 0.25, (1, 3))):
        (shown,) = named([tab._click(drawing, 1, 1, 1, Click(width * x, height * y))])
        assert (shown["row"], shown["column"]) == position


def test_no_click_is_dropped_while_another_is_answered():
    import app

    page = app.build_app()
    events = [
        event
        for event in page.fns.values()
        if getattr(inspect.unwrap(event.fn), "__name__", "") in ("_click", "_refresh")
    ]
    assert len(events) >= 2
    assert {event.trigger_mode for event in events} == {"multiple"}
