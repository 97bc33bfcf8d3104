"""A model that is no longer shipped: whoever asks for it is told its successor, in one sentence."""

import pytest
from models import tiny_folder
from PIL import Image

from zigdemo import media, zoo
from zigdemo.pipeline import Pipeline, Request
from zigdemo.training.finetuning import finetune
from zigdemo.zoo.retired import RETIRED, Retired

SENTENCE = "old is no longer shipped: the new one is half as large; use tiny in its place"


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """One model, and an id whose place it took."""
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setitem(RETIRED, "old", Retired("old", "tiny", "the new one is half as large"))
    tiny_folder(tmp_path / "weights/tiny")
    return tmp_path / "weights"


@pytest.mark.parametrize("ask", [zoo.find, zoo.installed, Pipeline.load, finetune.tunable])
def test_the_sentence_names_the_successor(shelf, ask):
    with pytest.raises(ValueError) as fault:
        ask("old")
    assert str(fault.value) == SENTENCE


@pytest.mark.parametrize("ask", [zoo.find, zoo.read_folder, Pipeline.load])
def test_the_folder_it_had_is_its_name_too(shelf, ask, monkeypatch):
    monkeypatch.chdir(shelf.parent)
    for name in ("weights/old", shelf / "old"):
        with pytest.raises(ValueError) as fault:
            ask(name)
        assert str(fault.value) == SENTENCE
    with pytest.raises(ValueError, match="elsewhere"):
        zoo.find(shelf / "elsewhere/old")


def test_a_folder_that_is_still_here_wins(shelf):
    tiny_folder(shelf / "old")
    assert zoo.retired("old") is None and zoo.find("old").id == zoo.installed("old").id == "old"
    assert Pipeline.load("old").folder.path == Pipeline.load(shelf / "old").folder.path == shelf / "old"


def test_a_file_made_with_it_keeps_its_settings_and_warns(shelf, tmp_path):
    request = Request("old", label="hedgehog", steps=3)
    path = media.save_png(Image.new("RGB", (4, 4)), tmp_path / "a.png", request.settings, {})
    with pytest.warns(UserWarning, match="a.png was made with a model that is not here: old is no longer shipped"):
        assert Request.from_metadata(path) == request


def test_the_command_line_says_it_and_ends(shelf, capsys):
    assert finetune.main(["old", "pictures", "out"]) == 2
    assert capsys.readouterr().err == f"error: {SENTENCE}\n"


def test_no_shipped_entry_sends_anyone_to_a_model_that_is_gone():
    shipped = {folder.id for folder in zoo.available()}
    for name, entry in RETIRED.items():
        assert name == entry.id and name not in shipped and entry.successor in shipped
        assert entry.why and "\n" not in entry.why and not entry.why.endswith(".")
