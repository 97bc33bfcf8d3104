"""The list of models says what each can do and how honest it is."""

import json
import re
from pathlib import Path

import pytest
from models import tiny_folder

from zigdemo import zoo
from zigdemo.ui.tabs import cards as tab
from zigdemo.ui.tabs.cards import models_html, official_html, percent

SHIPPED = Path(__file__).parents[3] / "weights"


def test_every_model_is_listed_with_its_origin_and_what_was_measured(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "first")
    tiny_folder(tmp_path / "second", family="dit")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    html = models_html()
    assert html.count("<article ") == 2 and html.count("<dd>Random weights") == 2 and html.count("Not measured") == 2
    assert "trained with zigzag-8" in html and "none; nothing to choose" in html and "by 3 labels" in html
    assert 'class="finder"' not in html and html.count("No samples") == 2


def test_what_a_folder_says_of_itself_is_text_and_never_markup(tmp_path, monkeypatch):
    folder = tiny_folder(tmp_path / "first")
    config = folder.path / "config.json"
    config.write_text(config.read_text().replace('"untrained"', '"\\"<script>alert(1)</script>"'))
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    html = models_html()
    assert "<script>" not in html and "&lt;script&gt;" in html and 'data-origin="&quot;&lt;' in html


def test_the_shipped_models_show_their_scores_and_samples_and_can_be_searched(monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", SHIPPED)
    html = models_html()
    assert (
        "For 99\N{NO-BREAK SPACE}% of 200 labels the generated picture is closest to the right original; chance "
        "0.06\N{NO-BREAK SPACE}%." in html
    )
    assert "prompts in new words" in html and "nearest real clip is of its class; chance" in html
    count = html.count("<article ")
    assert html.count('class="samples" aria-label') == html.count("data:image/webp") == count > tab.FEW
    assert f"{count} models" in html
    assert (
        '<option value="clips by label">clips by label</option>' in html and '<option value="DiT">DiT</option>' in html
    )
    assert "128 × 128 pixels" in html  # those of the picture, not of its latents


def test_a_card_draws_with_its_model_here_or_behind_a_link(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "tiny")
    tiny_folder(tmp_path / "tiny-clips", frames=3, scheme="factorized-st")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    live = models_html(live=True)
    assert re.findall('href="([^"]*)"', live) == ["?model=tiny", "?model=tiny-clips"]
    assert re.findall('data-draw="([^"]*)"', live) == ["tiny"] and "data-draw=" not in models_html()
    model, choice = tab._draw_with(Event("tiny"))
    assert model["value"] == "tiny" and json.loads(choice) == {"model": "tiny"}
    for event in (Event("gone"), Event(["tiny"]), object()):  # also one that a program sends with nothing in it
        assert "value" not in tab._draw_with(event)[0]


class Event:
    """What the script of the cards sends."""

    def __init__(self, model):
        self.model = model


@pytest.mark.parametrize(
    ("share", "text"), [(0.99, "99"), (0.9719, "97.2"), (0.00064, "0.06"), (1.0, "100"), (0.0, "0"), (0.1, "10")]
)
def test_percents_are_short(share, text):
    assert percent(share) == f"{text}\N{NO-BREAK SPACE}%"


def test_no_model_is_said_too(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    assert "No model is installed yet" in models_html()


def test_official_checkpoints_come_with_the_command_that_fetches_them():
    assert "python -m zigdemo.zoo import dit-xl-2-256" in official_html()
