"""The Attention tab, with a tiny model that is drawn by words."""

import gradio as gr
import numpy as np
import pytest
from models import tiny_folder
from towers import small_tower

from zigdemo import zoo
from zigdemo.pipeline import Pipeline
from zigdemo.ui import texts
from zigdemo.ui.tabs import attention as tab

PROMPT = "a watermelon heart"


@pytest.fixture
def wordy(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    return tiny_folder(tmp_path / "tiny-text", text=small_tower(tmp_path / "tower"))


def page_of(build):
    with gr.Blocks(analytics_enabled=False) as page:
        build(None)
    return page


def updates(values):
    return [dict(zip(tab.OUTPUTS, one, strict=True)) for one in values]


def test_without_a_text_model_one_sentence_says_what_is_missing(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "tiny")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    page = page_of(tab.build_attention_tab)
    (said,) = (block.value for block in page.blocks.values() if isinstance(block, gr.Markdown))
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
    first, last = updates(tab._draw("tiny-text", PROMPT, 2, 0))
    assert first["go"]["interactive"] is False and last["go"]["interactive"] is True
    assert [name for name, _ in last["words"]["choices"]] == [name for name, _ in last["drawing"].tokens]
    assert last["words"]["value"] == ["3"] and "heart" in last["view"] and "steps 1 to 2" in last["view"]
    assert [one["visible"] for one in tab._kind_updates(tab.ATTENTION)] == [True] * 2
    assert [one["visible"] for one in tab._kind_updates(tab.EFFECT)] == [False] * 2
    assert last["head"]["maximum"] == 8 and last["step_to"]["value"] == 2


def test_layers_steps_and_heads_choose_what_is_shown(wordy):
    drawn = tab.draw("tiny-text", PROMPT, 3, 0)
    line, whole = tab._view(drawn, ["2"], tab.ATTENTION, 1, 2, 1, 3, 0)
    assert line == texts.ATTENTION_WORDS and "all heads" in whole
    _, part = tab._view(drawn, ["2"], tab.ATTENTION, 2, 2, 3, 2, 5)
    assert "layer 2 · steps 2 to 3 · head 5" in part and part != whole
    _, both = tab._view(drawn, ["2", "3"], tab.ATTENTION, 1, 2, 1, 3, 0)
    assert "watermelon + heart" in both
    _, effect = tab._view(drawn, ["2", "3"], tab.EFFECT, 1, 2, 2, 3, 0)
    assert "watermelon + heart" in effect and "steps 2 to 3" in effect and "layer" not in effect
    line, _ = tab._view(drawn, ["5"], tab.EFFECT, 1, 2, 1, 3, 0)
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
    drawn = tab.draw("tiny-text", PROMPT, 3, 0)
    assert tab._view(drawn, chosen, tab.ATTENTION, *numbers) == (sentence, tab.SKIP)


@pytest.mark.parametrize(
    ("prompt", "steps", "seed"),
    [("", 2, 0), ("  ", 2, 0), (None, 2, 0), (PROMPT, 0, 0), (PROMPT, 2, -1), ("x" * 2000, 2, 0)],
)
def test_a_wrong_setting_is_one_sentence(wordy, prompt, steps, seed):
    with pytest.raises(gr.Error) as fault:
        tab.attention("tiny-text", prompt, steps, seed)
    assert "Something went wrong" not in str(fault.value) and "\n" not in str(fault.value)
    last = updates(tab._draw("tiny-text", prompt, steps, seed))[-1]
    assert last["go"]["interactive"] is True and last["drawing"] == tab.SKIP


def test_a_clip_has_its_frames_as_a_strip_and_a_map_each(wordy, tmp_path, monkeypatch):
    tiny_folder(
        tmp_path / "tiny-clips", text=small_tower(tmp_path / "tower2"), frames=3, scheme="factorized-st", depth=2
    )
    drawn = tab.draw("tiny-clips", PROMPT, 2, 0)
    assert len(drawn.frames) == 3 and drawn.maps.grid == (3, 4, 4)
    for kind, images in ((tab.ATTENTION, 1 + 3 + 2 + 2), (tab.EFFECT, 1 + 3 + 2)):
        _, html = tab._view(drawn, ["2"], kind, 1, 2, 1, 2, 0)
        assert "By frame" in html and "frame 2" in html and html.count("<img") == images
    monkeypatch.setattr(tab, "FRAME_SECONDS", 0)
    assert all("By frame" in html for _, html in tab._play(drawn, ["2"], tab.EFFECT, 1, 2, 1, 2, 0))
    found, files = tab.attention("tiny-clips", PROMPT, steps=2)
    assert found["grid"] == [3, 4, 4] and np.shape(found["words"][0]["map"]) == (3, 4, 4)
    assert np.shape(found["words"][0]["effect"]) == (3, 4, 4) and len(files) == 4


def test_playing_shows_every_step_and_ends_as_it_was(wordy, monkeypatch):
    monkeypatch.setattr(tab, "FRAME_SECONDS", 0)
    drawn = tab.draw("tiny-text", PROMPT, 3, 0)
    for kind in (tab.EFFECT, tab.ATTENTION):
        choice = (["2"], kind, 1, 2, 1, 3, 0)
        *frames, last = tab._play(drawn, *choice)
        assert [f"step {i}" in html for i, (_, html) in enumerate(frames, 1)] == [True] * 3
    assert last == tab._view(drawn, *choice)
    assert list(tab._play(None, *choice)) == [(texts.ATTENTION_START, tab.SKIP)]


def test_a_word_is_text_and_never_markup(wordy):
    drawn = tab.draw("tiny-text", "<script>alert(1)</script>", 1, 0)
    assert "<script>" not in tab.view_html(drawn, ["1"], tab.EFFECT, range(2), range(1), 0)


def test_the_page_is_built_for_a_text_model(wordy):
    page = page_of(tab.build_attention_tab)
    labels = {getattr(block, "label", None) for block in page.blocks.values()}
    assert {"Prompt", "From layer", "To layer", "From step", "To step", "Head, 0 for all"} <= labels
