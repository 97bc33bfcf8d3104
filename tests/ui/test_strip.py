"""The film strip: captions, and settings that come back from its queries."""

import json
from types import SimpleNamespace

import pytest
from models import tiny_folder

from zigdemo import zoo
from zigdemo.pipeline import Pipeline, Request
from zigdemo.ui import strip
from zigdemo.ui.settings import from_link
from zigdemo.ui.tabs import pictures as tab


@pytest.fixture
def pipe(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "tiny", scheme="zigzag-8")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    return Pipeline.load(tmp_path / "tiny")


def test_every_picture_of_a_run_has_its_caption_and_its_own_seed(pipe):
    request = Request("tiny", label="hedgehog", solver="euler", steps=2, seed=5, count=2)
    first, second = json.loads(strip.feed_json(pipe(request)))
    assert first["caption"] == "tiny · zigzag-8 · euler 2 · seed 5" and second["caption"].endswith("seed 6")
    assert first["words"] == "hedgehog" and first["thumbnail"].startswith("data:image/webp")
    assert len(json.dumps(first)) < 10_000


@pytest.mark.parametrize(
    "settings",
    [{}, {"scan": "sweep", "guidance": 3.5}, {"negative": "red heart", "guidance_interval": (0.25, 0.5)},
     {"solver": "euler-maruyama", "solver_options": {"form": "linear", "shift": 2.0}}],
    ids=str,
)  # fmt: skip
def test_the_settings_of_a_picture_come_back(pipe, settings):
    request = Request("tiny", label="hedgehog", count=1, seed=7, **settings)
    again, left_out = from_link(strip.read_query(strip.query(request)))
    assert again == request and left_out == []


@pytest.mark.parametrize("text", ["", "model=nothing", "&&==", "seed=x", "a" * 10_000, None, 5, {"a": 1}])
def test_a_stranger_s_entry_changes_nothing_or_says_what_was_left_out(pipe, text, monkeypatch):
    said = []
    monkeypatch.setattr(tab.runs, "warn", said.append)
    updates = tab._restore_from_strip(SimpleNamespace(query=text))
    assert len(updates) == len(tab.NO_CHANGE) + 1
    assert all("\n" not in sentence for sentence in said)
