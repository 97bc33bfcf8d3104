"""Links, files and programs that name a model which is no longer shipped."""

import gradio as gr
import numpy as np
import pytest
from models import LABELS, tiny_folder
from PIL import Image
from towers import small_tower

from zigdemo import media, zoo
from zigdemo.pipeline import Request
from zigdemo.ui import api, controls, settings, texts, tuning
from zigdemo.ui.tabs import clips as clips_tab
from zigdemo.ui.tabs import pictures as pictures_tab
from zigdemo.zoo.retired import RETIRED, Retired

SUCCESSORS = {"old-labels": "labels", "old-words": "words", "emoji": "words", "sayings": "labels", "old-clips": "clips"}


@pytest.fixture(scope="module", autouse=True)
def shelf(tmp_path_factory):
    """A model of labels, one of prompts and one of clips, each the successor of one or two."""
    root = tmp_path_factory.mktemp("weights")
    tiny_folder(root / "words", text=small_tower(root / "tower"))
    tiny_folder(root / "labels")
    tiny_folder(root / "clips", frames=3, scheme="factorized-st", frame_position=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "WEIGHTS", root)
        for name, successor in SUCCESSORS.items():
            patch.setitem(RETIRED, name, Retired(name, successor, "it was smaller"))
        patch.setitem(RETIRED, "lost", Retired("lost", "nowhere", "it was smaller"))
        yield root


@pytest.fixture
def told(monkeypatch):
    """What toasts say."""
    sentences = []
    for kind in ("Warning", "Info"):
        monkeypatch.setattr(gr, kind, sentences.append)
    return sentences


def sentence(name):
    return f"{name} is no longer shipped: it was smaller; use {SUCCESSORS[name]} in its place"


def test_a_link_opens_with_the_successor_and_all_that_fits():
    link = {"model": "old-labels", "label": "hedgehog", "seed": "7", "solver": "euler", "steps": "3", "scan": "sweep"}
    request, left_out = settings.from_link(link)
    assert request == Request("labels", label="hedgehog", seed=7, solver="euler", steps=3, scan="sweep")
    assert left_out == [f"{sentence('old-labels')}."]
    request, left_out = settings.from_link({"model": "old-words", "prompt": "a cat", "strengths": "cat=2"})
    assert (request.model, request.prompt, request.strengths) == ("words", "a cat", {"cat": 2.0}) and len(left_out) == 1


def test_what_the_successor_does_not_take_is_left_out_and_said():
    request, left_out = settings.from_link({"model": "old-labels", "label": "unicorn", "scan": "magic", "seed": "7"})
    assert request == Request("labels", label=settings.first_label("labels"), seed=7)
    assert [text.split(":")[0] for text in left_out[1:]] == [f"The link's {n} was left out" for n in ("label", "scan")]


def test_a_label_is_no_prompt_and_a_prompt_no_label():
    link = {"model": "emoji", "prompt": "", "label": "hedgehog", "negative": "red heart", "seed": "7"}
    request, left_out = settings.from_link(link)
    assert request == Request("words", prompt=settings.first_prompt("words"), seed=7)
    assert left_out[1:] == [
        f"The link's {name} {link[name]!r} was left out: words is drawn by prompt, not by label."
        for name in ("label", "negative")
    ]
    link = {"model": "sayings", "prompt": LABELS[1], "strengths": "hedgehog=2", "label": ""}
    request, left_out = settings.from_link(link)
    assert request == Request("labels", label=settings.first_label("labels"))
    assert len(left_out) == 3 and "labels is drawn by label, not by prompt" in left_out[1]


def test_a_link_is_for_the_tab_of_the_successor_alone():
    link = {"model": "old-clips", "label": "hedgehog"}
    request, left_out = settings.from_link(link, settings.CLIPS)
    assert request == Request("clips", label="hedgehog") and left_out == [f"{sentence('old-clips')}."]
    assert settings.from_link(link) == (None, []) == settings.from_link({"model": "emoji"}, settings.CLIPS)
    assert settings.from_link({}) == (None, [])


def test_a_link_that_names_no_model_means_the_one_it_always_meant(monkeypatch):
    monkeypatch.setattr(settings, "LINKED", "old-labels")
    request, left_out = settings.from_link({"label": "hedgehog"})
    assert request == Request("labels", label="hedgehog") and left_out == [f"{sentence('old-labels')}."]
    assert settings.from_link({"utm_source": "mail"}) == (None, [])


def test_a_successor_that_is_not_installed_is_said_too():
    request, left_out = settings.from_link({"model": "lost", "seed": "7"})
    assert (
        request.seed == 7 and "use nowhere in its place" in left_out[0] and "'nowhere' is not installed" in left_out[1]
    )


def test_a_link_of_a_model_that_is_drawn_otherwise_leaves_its_words_out():
    request, left_out = settings.from_link({"model": "words", "label": "hedgehog", "seed": "7"})
    assert (request.label, request.seed) == (None, 7) and "words is drawn by prompt, not by label" in left_out[0]


def picture(path, **changes):
    request = Request(**{"label": "hedgehog", "seed": 7, "steps": 3, **changes})
    return media.save_png(Image.new("RGB", (4, 4)), path / "a.png", request.settings, {})


def test_a_file_opens_with_the_successor_and_says_so(tmp_path, told):
    updates = controls.restore(picture(tmp_path, model="old-labels", count=40), pictures_tab._show, lambda request: "")
    values = dict(zip(settings.NAMES, updates, strict=False))
    assert (values["model"], values["seed"], values["steps"], values["count"]) == ("labels", 7, 3, 4)
    assert values["label"]["value"] == "hedgehog"
    assert told[0].endswith(f"not here: {sentence('old-labels')}") and "count was left out" in told[1]
    assert told[2:] == [texts.RESTORED_WITH_SUCCESSOR]


def test_a_label_in_a_file_is_no_prompt(tmp_path, told):
    updates = controls.restore(picture(tmp_path, model="emoji"), pictures_tab._show, lambda request: "")
    values = dict(zip(settings.NAMES, updates, strict=False))
    assert values["prompt"]["value"] == settings.first_prompt("words") and values["label"]["value"] is None
    assert len(told) == 3 and "words is drawn by prompt, not by label" in told[1]


def test_a_clip_opens_with_the_successor(tmp_path, told):
    request = Request("old-clips", label="hedgehog", frames=16, count=2, seed=7)
    path = tmp_path / "a.gif"
    media.save_clip(np.zeros((3, 8, 8, 3), np.uint8), path, request.settings, {})
    values = dict(zip(settings.MAIN, clips_tab._restore(str(path)), strict=False))
    assert (values["model"], values["seed"], values["count"]) == ("clips", 7, 2)
    assert "frames was left out" in told[1] and told[2:] == [texts.RESTORED_WITH_SUCCESSOR]


def test_a_file_without_an_installed_successor_is_one_sentence(tmp_path, told):
    assert controls.restore(picture(tmp_path, model="lost"), pictures_tab._show, lambda request: "") is None
    assert told == ["lost is no longer shipped: it was smaller; use nowhere in its place"]


def test_a_retired_model_that_is_here_works_as_before(shelf, tmp_path, told, monkeypatch):
    tiny_folder(tmp_path / "old-labels")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    assert settings.from_link({"model": "old-labels", "label": "hedgehog"}) == (
        Request("old-labels", label="hedgehog"),
        [],
    )
    controls.restore(picture(tmp_path, model="old-labels"), pictures_tab._show, lambda request: "as before")
    assert told == ["as before"]


@pytest.mark.parametrize(
    "call",
    [lambda: api.generate("old-labels"), lambda: api.labels("old-labels"),
     lambda: clips_tab.generate_clip("old-labels")],
)  # fmt: skip
def test_a_program_gets_the_sentence(call):
    with pytest.raises(gr.Error) as fault:
        call()
    assert sentence("old-labels") in str(fault.value)


def test_fine_tuning_it_is_the_sentence(tmp_path):
    with pytest.raises(ValueError) as fault:
        tuning.read("old-labels", None, str(tmp_path), None)
    assert str(fault.value) == sentence("old-labels")
