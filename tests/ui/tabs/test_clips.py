"""The Clips tab: what its values become, what its files give back."""

import gradio as gr
import numpy as np
import pytest
from models import tiny_folder
from pages import page_of

from zigdemo import media, zoo
from zigdemo.pipeline import Pipeline, Request
from zigdemo.ui import files, settings
from zigdemo.ui.stack import stack_html
from zigdemo.ui.tabs import clips as tab_of_clips

GOOD = {"model": "tiny-clips", "label": "hedgehog", "solver": "euler", "steps": 2, "seed": 3}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    root = tmp_path_factory.mktemp("weights")
    tiny_folder(root / "tiny")
    tiny_folder(root / "tiny-clips", frames=3, scheme="factorized-st", frame_position=True)
    tiny_folder(root / "no-scan", family="dit", frames=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "WEIGHTS", root)
        yield root


@pytest.fixture
def told(monkeypatch):
    """What toasts say."""
    found = []
    for kind in ("Warning", "Info"):
        monkeypatch.setattr(gr, kind, found.append)
    return found


def test_each_tab_lists_the_models_of_its_kind_and_refuses_the_others(shelf):
    assert [name for _, name in settings.model_choices(settings.PICTURES)] == ["tiny"]
    assert [name for _, name in settings.model_choices(settings.CLIPS)] == ["no-scan", "tiny-clips"]
    for name, kind, tab in (("tiny", settings.CLIPS, "Pictures"), ("tiny-clips", settings.PICTURES, "Clips")):
        with pytest.raises(ValueError, match=f"use Draw ▸ {tab}"):
            settings.check_shown(Request(name, label="hedgehog"), kind)


def test_clips_have_the_schemes_of_clips_and_pictures_those_of_pictures(shelf):
    choices = {name: text for text, name in settings.scheme_choices("tiny-clips")}
    assert choices["factorized-st"].endswith("trained with it") and "not trained" in choices["zigzag3d-8"]
    assert "zigzag-8" not in choices
    assert not {"sweep3d", "zigzag3d-8"} & {name for _, name in settings.scheme_choices("tiny")}


def test_a_link_to_clips_is_for_one_tab_alone(shelf):
    query = {"model": "tiny-clips", "label": "red heart", "count": "3", "scan": "zigzag3d-8"}
    request, left_out = settings.from_link(query, settings.CLIPS)
    assert request == Request("tiny-clips", label="red heart", count=3, scan="zigzag3d-8") and left_out == []
    assert settings.from_link(query, settings.PICTURES) == (None, [])
    assert settings.from_link({**query, "model": "tiny"}, settings.CLIPS) == (None, [])
    _, left_out = settings.from_link({**query, "count": "5"}, settings.CLIPS)
    assert len(left_out) == 1 and "from 1 to 4" in left_out[0]


@pytest.mark.parametrize("kind", media.CLIP_KINDS)
def test_every_kind_of_file_restores_its_settings(shelf, told, kind):
    if kind == "mp4":
        pytest.importorskip("av")
    request = Request(**GOOD, count=2, frames=3)
    made = files.save_clips(Pipeline.load("tiny-clips")(request), [kind])
    values = dict(zip(settings.MAIN, tab_of_clips._restore(made[1][kind]), strict=False))
    assert (values["seed"], values["steps"], values["count"], values["solver"]) == (3, 2, 2, "euler")
    assert values["label"]["value"] == "hedgehog" and told == [tab_of_clips.texts.CLIPS_RESTORED]


def test_a_file_that_this_tab_cannot_show_is_one_sentence(shelf, told, tmp_path):
    clip = np.zeros((3, 8, 8, 3), np.uint8)
    other = Request("tiny-clips", label="hedgehog", solver_options={"shift": 2.0})
    media.save_clip(clip, tmp_path / "other.gif", other.settings, {})
    media.save_clip(clip, tmp_path / "picture.gif", Request("tiny", label="hedgehog").settings, {})
    (tmp_path / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" * 4)
    for name in ("other.gif", "picture.gif", "broken.mp4"):
        assert tab_of_clips._restore(str(tmp_path / name)) == tab_of_clips.NO_CHANGE
    assert [len(said.split(". ")) for said in told] == [1, 1, 1] and "controls" in told[0]


def test_the_picture_of_the_scan_says_which_layers_go_where(shelf):
    html = stack_html(settings.installed_model("tiny-clips"))
    assert "Layer 1 scans every frame; layer 2 scans every place over time." in html and html.count("<svg") == 2
    assert "whole clip" in stack_html(settings.installed_model("tiny-clips"), "zigzag3d-8")
    assert "no scan" in stack_html(settings.installed_model("no-scan"))


def test_without_a_model_of_clips_the_tab_says_what_to_do(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "tiny")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    page = page_of(tab_of_clips.build_clips_tab)
    said = [block.value for block in page.blocks.values() if isinstance(block, gr.Markdown)][1:]
    assert said == [tab_of_clips.texts.NO_CLIP_WEIGHTS] and said[0].count(". ") == 0
