"""The newest change wins: what is older ends at its next network call, on its own page only."""

from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from models import tiny_folder
from waiting import finished

from zigdemo import zoo
from zigdemo.pipeline import Request
from zigdemo.ui import live
from zigdemo.ui.runs import run_to_end


def page(name):
    return SimpleNamespace(session_hash=name)


def test_the_newest_change_of_a_page_wins_and_other_pages_are_left_alone():
    latest = live.Latest()
    latest.announce(page("a"), 1)
    latest.announce(page("b"), 1)
    latest.announce(page("a"), 2)
    assert not latest.is_newest(page("a"), 1) and latest.is_newest(page("a"), 2)
    assert latest.is_newest(page("b"), 1)


def test_a_change_that_is_announced_late_ends_nothing():
    latest = live.Latest()
    latest.announce(page("a"), 2)
    latest.announce(page("a"), 1)
    assert latest.is_newest(page("a"), 2) and not latest.is_newest(page("a"), 1)


def test_what_is_live_ends_for_a_run_of_its_page_and_goes_on_with_the_next_change():
    latest = live.Latest()
    latest.announce(page("a"), 4)
    latest.end(page("a"))
    assert not latest.is_newest(page("a"), 4) and latest.is_newest(page("a"), 5)


def test_pages_that_left_are_forgotten():
    latest = live.Latest()
    for name in range(live.MOST_PAGES + 1):
        latest.announce(page(str(name)), 7)
    assert latest.is_newest(page("0"), 1) and not latest.is_newest(page("1"), 1)


def test_an_older_run_ends_at_its_next_network_call(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "tiny")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    request, answers = Request("tiny", label="hedgehog", solver="euler", steps=9, count=1), iter([False, False, True])
    assert run_to_end(request, stopped=lambda: next(answers)) is None
    assert next(answers, None) is None  # it asked three times, not nine
    assert run_to_end(request).result.images[0].width > 0


@pytest.mark.parametrize(("space", "on"), [(None, True), ("someone/zigdemo", False)])
def test_it_is_on_at_first_on_one_s_own_machine_and_off_on_a_space(monkeypatch, space, on):
    monkeypatch.delenv("SPACE_ID", raising=False)
    if space:
        monkeypatch.setenv("SPACE_ID", space)
    assert live.usual() is on


def test_a_large_model_is_not_drawn_live_on_a_cpu(monkeypatch):
    monkeypatch.setattr(live, "choose_device", lambda: torch.device("cpu"))
    large = SimpleNamespace(model=SimpleNamespace(parameters=live.MOST_WEIGHTS_CPU + 1), frames=None)
    assert not live.quick_enough(large)
    monkeypatch.setattr(live, "choose_device", lambda: torch.device("cuda"))
    assert live.quick_enough(large)


def test_its_handlers_answer_by_number_without_an_event_and_only_the_newest_change(monkeypatch):
    """As the browser asks for them, by assets/live.js."""
    monkeypatch.setattr(live, "REST_SECONDS", 0.01)
    drawn = []

    def show(turn, text):
        drawn.append((turn.name, text))
        return (f"{turn.name}: {text}",)

    with gr.Blocks() as page:
        switch, text, line = gr.Checkbox(True), gr.Textbox("first"), gr.HTML()
        live.connect_live(switch, [text.input], [text], [line], show, lambda sentence: (sentence,))
    quick, refined = (one for one in page.fns.values() if one.fn is not None)
    assert quick.targets == refined.targets == [] and quick.api_visibility == refined.api_visibility == "private"
    follow, refine = quick.fn, refined.fn
    here = SimpleNamespace(session_hash="one", cookies={}, headers={}, client=None, request=None)
    assert finished(follow(here, 2, "new")) == ("Live: new",)
    assert finished(refine(here, 2, "new")) == ("Refined: new",)
    assert finished(refine(here, 1, "old")) == (gr.skip(),)
    assert drawn == [("Live", "new"), ("Refined", "new")]
    script = next(one.js for one in page.fns.values() if one.targets)
    assert f'"quick": {quick._id}' in script and '"first": ["first"]' in script
