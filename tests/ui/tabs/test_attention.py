"""The Attention tab, with a tiny model that is drawn by words."""

from pathlib import Path
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import gradio as gr
import numpy as np
import pytest
from models import tiny_folder
from pages import page_of
from towers import small_tower

from zigdemo import zoo
from zigdemo.pipeline import Pipeline
from zigdemo.ui import live, texts
from zigdemo.ui.tabs import attention as tab

PROMPT = "a watermelon heart"


@pytest.fixture
def wordy(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    return tiny_folder(tmp_path / "tiny-text", text=small_tower(tmp_path / "tower"))


class Page:
    """A visitor's page, for handlers that can be stopped."""

    session_hash = "a page"


def updates(values):
    return [dict(zip(tab.OUTPUTS, one, strict=True)) for one in values]


def drawn(prompt=PROMPT, steps=3, model="tiny-text", kind=tab.EFFECT, earlier=None, linked=None, seed=0):
    """The drawing and what the page shows after the Draw button."""
    run = updates(tab._draw(Page, model, prompt, steps, seed, kind, earlier, linked))
    shown = {name: value for one in run for name, value in one.items() if value != tab.SKIP}
    return shown.get("drawing"), shown


def viewed(drawing, *choice):
    """The line and the maps after another choice."""
    (shown,) = updates([tab._view(drawing, *choice)])
    return shown["about"], shown["view"]


def test_without_a_text_model_one_sentence_says_what_is_missing(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "tiny")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    page = page_of(tab.build_attention_tab)
    _, said = (block.value for block in page.blocks.values() if isinstance(block, gr.Markdown))
    assert said == texts.NO_TEXT_MODEL and said.count(". ") == 0
    assert list(page.get_api_info()["named_endpoints"]) == ["/attention"]
    with pytest.raises(gr.Error, match="attends to no words; choose a text model"):
        tab.attention("tiny", PROMPT)


def test_the_endpoint_gives_two_maps_a_word_and_four_files(wordy):
    found, files = tab.attention("tiny-text", PROMPT, steps=2)
    names = [one["word"] for one in found["words"]]
    assert names == ["<start>", "a", "watermelon", "heart", "<end>", "other tokens"]
    words = dict(Pipeline(wordy).words(PROMPT))
    assert found["words"][2]["tokens"] == words["watermelon"] and len(words["watermelon"]) > 1
    assert np.allclose(sum(np.array(one["map"]) for one in found["words"]), 1, atol=1e-5)
    assert [one["effect"] is None for one in found["words"]] == [False] * 5 + [True]
    assert np.shape(found["words"][3]["effect"]) == (4, 4)
    paths = [file.path for file in files]
    assert [path.rsplit("/", 1)[1] for path in paths] == ["effect.png", "attention.png", "effect.npz", "attention.npz"]
    with np.load(paths[2]) as kept:
        assert kept["values"].shape == (2, 5, 4, 4) and kept["words"][3] == "heart"
    with np.load(paths[3]) as kept:
        assert kept["probabilities"].shape == (2, 2, 8, 16, 16) and kept["tokens"][3] == "watermelon"


def test_drawing_offers_every_word_and_starts_with_the_last(wordy):
    first = updates([next(tab._draw(Page, "tiny-text", PROMPT, 2, 0, tab.EFFECT, None, None))])[0]
    locked = (*tab.SETTINGS, *tab.CHIP_NAMES, *tab.SPANS, "go", "play", "save")
    assert [first[name]["interactive"] for name in locked] == [False] * len(locked) and first["stop"]["interactive"]
    drawing, last = drawn(steps=2)
    assert last["go"]["interactive"] and not last["stop"]["interactive"]
    assert [name for name, _ in last["words"]["choices"]] == [name for name, _ in drawing.tokens]
    assert last["words"]["value"] == ["3"] and "heart" in last["view"] and "steps 1 to 2" in last["view"]
    assert [one["visible"] for one in tab._kind_updates(tab.ATTENTION)] == [True] * 2
    assert [one["visible"] for one in tab._kind_updates(tab.EFFECT)] == [False] * 2
    assert last["head"]["maximum"] == 8 and last["step_to"]["value"] == 2


def test_layers_steps_and_heads_choose_what_is_shown(wordy):
    drawing, _ = drawn()
    line, whole = viewed(drawing, ["2"], tab.ATTENTION, 1, 2, 1, 3, 0)
    assert line == texts.ATTENTION_POINT and "all heads" in whole
    _, part = viewed(drawing, ["2"], tab.ATTENTION, 2, 2, 3, 2, 5)
    assert "layer 2 · steps 2 to 3 · head 5" in part and part != whole
    _, both = viewed(drawing, ["2", "3"], tab.ATTENTION, 1, 2, 1, 3, 0)
    assert "watermelon + heart" in both
    _, effect = viewed(drawing, ["2", "3"], tab.EFFECT, 1, 2, 2, 3, 0)
    assert "watermelon + heart" in effect and "steps 2 to 3" in effect and "layer" not in effect
    line, _ = viewed(drawing, ["5"], tab.EFFECT, 1, 2, 1, 3, 0)
    assert "only a word can be left out" in line


@pytest.mark.parametrize(
    ("chosen", "numbers", "sentence"),
    [
        ([], (1, 2, 1, 3, 0), "choose a word to see where it acts"),
        (["99"], (1, 2, 1, 3, 0), "choose a word to see where it acts"),
        (["1"], (0, 2, 1, 3, 0), "first layer must be a whole number from 1 to 2, not 0"),
        (["1"], (1, 2, 1, None, 0), "last step must be a whole number from 1 to 3, not nothing"),
        (["1"], (1, 2, 1, 3, 9), "head must be a whole number from 0 to 8, not 9"),
    ],
    ids=str,
)
def test_a_wrong_choice_is_one_sentence_and_the_maps_stay(wordy, chosen, numbers, sentence):
    drawing, _ = drawn()
    before = drawing.choice
    assert viewed(drawing, chosen, tab.ATTENTION, *numbers) == (sentence, tab.SKIP) and drawing.choice is before


@pytest.mark.parametrize(
    ("prompt", "steps", "seed"),
    [("", 2, 0), ("  ", 2, 0), (None, 2, 0), (PROMPT, 0, 0), (PROMPT, 2, -1), ("x" * 2000, 2, 0)],
)
def test_a_wrong_setting_is_one_sentence(wordy, prompt, steps, seed):
    with pytest.raises(gr.Error) as fault:
        tab.attention("tiny-text", prompt, steps, seed)
    assert "Something went wrong" not in str(fault.value) and "\n" not in str(fault.value)
    drawing, last = drawn(prompt, steps, seed=seed)
    assert last["go"]["interactive"] is True and drawing is None


def test_a_clip_has_its_frames_as_a_strip_and_a_map_each(wordy, tmp_path, monkeypatch):
    tiny_folder(
        tmp_path / "tiny-clips", text=small_tower(tmp_path / "tower2"), frames=3, scheme="factorized-st", depth=2
    )
    drawing, shown = drawn(steps=2, model="tiny-clips")
    assert len(drawing.frames) == 3 and drawing.maps.grid == (3, 4, 4) and shown["about"] == texts.ATTENTION_CLIP
    for kind, images in ((tab.ATTENTION, 1 + 3 + 2 + 2), (tab.EFFECT, 1 + 3 + 2)):
        _, html = viewed(drawing, ["2"], kind, 1, 2, 1, 2, 0)
        assert "By frame" in html and "frame 2" in html and html.count("<img") == images
    monkeypatch.setattr(tab, "FRAME_SECONDS", 0)
    frames = [one["view"] for one in updates(tab._play(Page, drawing)) if one["view"] != tab.SKIP]
    assert len(frames) == 3 and all("By frame" in html for html in frames)
    found, files = tab.attention("tiny-clips", PROMPT, steps=2)
    assert found["grid"] == [3, 4, 4] and np.shape(found["words"][0]["map"]) == (3, 4, 4)
    assert np.shape(found["words"][0]["effect"]) == (3, 4, 4) and len(files) == 4


def test_playing_shows_every_step_and_ends_as_it_was(wordy, monkeypatch):
    monkeypatch.setattr(tab, "FRAME_SECONDS", 0)
    drawing, _ = drawn()
    for kind in (tab.EFFECT, tab.ATTENTION):
        _, before = viewed(drawing, ["2"], kind, 1, 2, 1, 3, 0)
        first, *frames, last = updates(tab._play(Page, drawing))
        assert first["stop"]["interactive"] and not first["play"]["interactive"]
        assert [f"step {i}" in one["view"] for i, one in enumerate(frames, 1)] == [True] * 3
        assert last["view"] == before and last["play"]["interactive"]
    assert texts.ATTENTION_START in updates(tab._play(Page, None))[-1]["progress"]


def test_what_is_chosen_while_playing_is_what_stays(wordy, monkeypatch):
    drawing, _ = drawn()
    monkeypatch.setattr(tab, "FRAME_SECONDS", 0)
    playing = tab._play(Page, drawing)
    next(playing), next(playing)
    _, chosen = viewed(drawing, ["2"], tab.ATTENTION, 1, 1, 1, 3, 0)
    (last,) = updates(playing)
    assert last["view"] == chosen and "layer 1 · steps 1 to 3" in chosen


def test_stop_ends_playing_and_drawing(wordy):
    drawing, shown = drawn()
    (last,) = updates([tab._stop(Page, drawing)])
    assert last["view"] == shown["view"] and last["go"]["interactive"]
    running = tab._draw(Page, "tiny-text", PROMPT, 9, 0, tab.EFFECT, drawing, None)
    first = updates([next(running), next(running)])
    tab.runs.RUNS[Page.session_hash, tab.TAB].stop.set()
    rest = updates(running)
    assert "appear here" in first[0]["view"] and first[0]["drawing"] is None and "Stopped" in rest[-1]["progress"]


def test_the_same_prompt_keeps_what_was_looked_at_and_a_link_restores_it(wordy):
    drawing, _ = drawn()
    (shown,) = updates([tab._view(drawing, ["1", "2"], tab.ATTENTION, 2, 2, 1, 2, 3)])
    again, _ = drawn(earlier=drawing, seed=1, kind=tab.ATTENTION)
    assert again.choice == drawing.choice
    other, _ = drawn("a heart", earlier=drawing)
    assert other.choice.words == ("2",)
    query = f"place=attention&model=tiny-text&prompt=a+watermelon+heart&steps=3&seed=5&{shown['query']}"
    opened = tab._open_link(Opened(query))
    assert opened[:5] == ("tiny-text", PROMPT, 3, 5, tab.ATTENTION)
    linked, last = drawn(linked=opened[-2], kind=tab.ATTENTION)
    assert linked.choice == drawing.choice and last["words"]["value"] == ["1", "2"] and last["head"]["value"] == 3
    far = tab._open_link(Opened("place=attention&model=tiny-text&words=99&layer_from=90&head=99&kind=x"))
    some, _ = drawn(linked=far[-2])
    assert some.choice == tab.Choice(("3",), tab.EFFECT, range(2), range(3), 8)
    assert set(map(str, tab._open_link(Opened("place=influence&model=tiny-text")))) == {str(tab.SKIP)}


def test_maps_follow_the_words_by_four_steps_and_are_refined_at_rest(wordy):
    earlier, _ = drawn()
    for quick, steps in ((True, 4), (False, 6)):
        turn = live.LiveRun(quick, lambda: False)
        (shown,) = updates([tab._live(turn, "tiny-text", "a heart", 6, 0, tab.ATTENTION, earlier)])
        assert shown["drawing"].request.steps == steps and f"{turn.name}: {steps} steps" in shown["progress"]
        assert shown["play"]["interactive"] and shown["words"]["value"] == ["2"]
    assert tab._live(live.LiveRun(True, lambda: True), "tiny-text", "a heart", 6, 0, tab.ATTENTION, None) is None


def test_another_tab_s_choice_is_shown_where_its_model_takes_words(wordy):
    tiny_folder(wordy.path.parent / "tiny")
    query = {"place": tab.TAB, "model": "tiny-text", "prompt": "a heart", "seed": 3, "scan": "sweep"}
    model, prompt, steps, seed, kind, *_ = tab._follow(query, {"model": "other"})
    assert (model, prompt, seed, kind) == ("tiny-text", "a heart", 3, tab.EFFECT) and steps == 25
    assert tab._follow(query, {"model": "tiny-text"})[4] == tab.SKIP
    assert tab._follow({**query, "model": "tiny"}, {}) is None


class Opened:
    """A request that opened the page with a query."""

    def __init__(self, query):
        self.query_params = dict(parse_qsl(query))


def test_what_is_shown_is_exported_as_a_figure_with_real_text(wordy):
    drawing, _ = drawn()
    _, update = tab._export(drawing)
    names = [path.rsplit("/", 1)[1] for path in update["value"]]
    assert names[:2] == ["words-tiny-text.png", "words-tiny-text.svg"] and len(names) == 6
    words = [one.text for one in ElementTree.parse(update["value"][1]).iter("{http://www.w3.org/2000/svg}text")]
    assert PROMPT in words and {"heart", "The picture", "By step"} <= set(words)


def test_a_word_is_text_and_never_markup(wordy):
    drawing, shown = drawn("<script>alert(1)</script>", 1)
    assert "<script>" not in viewed(drawing, ["1"], tab.EFFECT, 1, 2, 1, 1, 0)[1] + shown["picture"]
    tab._view(drawing, ["1"], tab.EFFECT, 1, 2, 1, 1, 0)
    assert "<script>" not in Path(tab.export(drawing)[1]).read_text()


def test_the_page_is_built_for_a_text_model(wordy):
    page = page_of(tab.build_attention_tab)
    labels = {getattr(block, "label", None) for block in page.blocks.values()}
    assert {"Prompt", "From layer", "To layer", "From step", "To step", "Head, 0 for all"} <= labels
