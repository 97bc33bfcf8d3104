"""The list of models says what each can do and how honest it is."""

from pathlib import Path

from models import tiny_folder

from zigdemo import zoo
from zigdemo.ui.tabs.models import models_html, official_html


def test_every_model_is_listed_with_its_origin_and_what_was_measured(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "first")
    tiny_folder(tmp_path / "second", family="dit")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    html = models_html()
    assert html.count("<article>") == 2 and html.count("Random weights") == 2 and html.count("not measured") == 2
    assert "trained with zigzag-8" in html and "none; nothing to choose" in html and "by 3 labels" in html


def test_what_a_folder_says_of_itself_is_text_and_never_markup(tmp_path, monkeypatch):
    folder = tiny_folder(tmp_path / "first")
    config = folder.path / "config.json"
    config.write_text(config.read_text().replace('"untrained"', '"<script>alert(1)</script>"'))
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    assert "<script>" not in models_html() and "&lt;script&gt;" in models_html()


def test_the_shipped_models_show_their_scores_and_samples(monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", Path(__file__).parents[3] / "weights")
    html = models_html()
    assert (
        "of 200 labels the generated picture is closest to the right original" in html
        and "prompts in new words" in html
        and "data:image/webp" in html
    )


def test_no_model_is_said_too(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    assert "No model is installed yet" in models_html()


def test_official_checkpoints_come_with_the_command_that_fetches_them():
    assert "python -m zigdemo.zoo import dit-xl-2-256" in official_html()
