"""The Pictures tab with a text-conditional model."""

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, floats, from_regex
from models import LABELS, tiny_folder
from towers import small_tower

from zigdemo import zoo
from zigdemo.ui import settings
from zigdemo.ui.tabs import pictures as tab


@pytest.fixture(scope="module", autouse=True)
def shelf(tmp_path_factory):
    root = tmp_path_factory.mktemp("weights")
    tiny_folder(root / "words", text=small_tower(root / "tower"))
    tiny_folder(root / "labels")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "WEIGHTS", root)
        yield


def test_a_text_model_shows_a_prompt_and_no_label():
    prompt, strengths, label, *_ = tab._model_updates("words", "heun", 25, 2.0)
    assert prompt["visible"] and strengths["visible"] and not label["visible"] and label["value"] is None
    prompt, strengths, label, *_ = tab._model_updates("labels", "heun", 25, 2.0)
    assert not prompt["visible"] and not strengths["visible"] and label["visible"] and prompt["value"] == ""


def test_examples_fill_what_the_model_reads():
    assert tab._example("pizza", "words")[0] == "pizza" and tab._example("pizza", "labels")[1] == "pizza"
    assert isinstance(tab._surprise("words")[0], str) and tab._surprise("labels")[1] in LABELS


@given(dictionaries(from_regex("[a-z]{1,8}", fullmatch=True), floats(0, 5).map(lambda x: round(x, 2)), max_size=4))
def test_strengths_survive_their_text(strengths):
    assert settings.read_strengths(settings.show_strengths(strengths)) == strengths


@pytest.mark.parametrize("text", ["red", "red=", "red=much", "=;"])
def test_strengths_that_make_no_sense_are_one_sentence(text):
    with pytest.raises(ValueError, match="red=1.5, heart=0.5"):
        settings.read_strengths(text)


def test_a_link_restores_prompt_strengths_and_negative():
    query = {"model": "words", "prompt": "a blue cat", "strengths": "cat=2", "negative": "dog"}
    request, left_out = settings.from_link(query)
    assert (request.prompt, request.strengths, request.negative, left_out) == ("a blue cat", {"cat": 2.0}, "dog", [])
    assert settings.to_request(**settings.shown_values(request)) == request
    tab._show(request)
