"""A fault of any kind is one sentence for whoever asked, and buttons are live again."""

import inspect
import logging

import gradio as gr
import pytest
from waiting import finished

from zigdemo.ui import borders, runs


@pytest.fixture
def toasts(monkeypatch):
    said = []
    monkeypatch.setattr(runs, "warn", said.append)
    return said


def test_a_program_gets_the_sentence_of_a_mistake_and_a_plain_one_of_a_fault_of_ours(caplog):
    @borders.endpoint
    def half(number: int = 4) -> int:
        """Half of it."""
        if number % 2:
            raise ValueError("number must be even")
        return {4: 2}[number]

    assert half() == 2 and inspect.signature(half).parameters["number"].default == 4 and half.__doc__ == "Half of it."
    with pytest.raises(gr.Error, match="number must be even"):
        half(3)
    assert not caplog.records
    with caplog.at_level(logging.ERROR), pytest.raises(gr.Error, match="Something went wrong inside .KeyError."):
        half(6)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("fault", [ValueError("not so"), IndexError("list index out of range"), RuntimeError("x")])
def test_a_handler_ends_with_what_was_asked_for_its_outputs(toasts, fault):
    @borders.handler(lambda sentence: (sentence, "live"))
    def plain(value):
        raise fault

    @borders.handler(lambda sentence: (sentence, "live"))
    def steps(value):
        yield value, "busy"
        raise fault

    sentence, button = plain(1)
    assert button == "live" and toasts == [sentence] and "\n" not in sentence
    assert [button for _, button in steps(1)] == ["busy", "live"]


def test_nothing_is_told_where_nothing_went_wrong(toasts):
    assert borders.handler(lambda sentence: None)(lambda value: value + 1)(1) == 2 and toasts == []


def test_what_is_left_of_a_fault_of_the_page_is_a_toast_and_its_outputs_stay(toasts):
    async def later(value: int):
        return 1 // value

    def steps(value: int):
        yield 1 // value

    with gr.Blocks(analytics_enabled=False) as page:
        one, two = gr.Number(), gr.Number()
        for function in (lambda value: 1 // value, later, steps):
            one.change(function, one, two, api_visibility="private")
        one.change(lambda value: (1 // value, 2), one, [one, two], api_visibility="private")
        one.change(lambda value: 1 // value, one, two, api_name="for_programs")
    borders.guard(page)
    plain, waiting, many, pair, public = (event.fn for event in page.fns.values())
    assert plain(0) == gr.skip() and list(many(0)) == [gr.skip()] and pair(0) == (gr.skip(), gr.skip())
    assert finished(waiting(0)) == gr.skip() and finished(waiting(1)) == plain(1) == 1
    assert len(toasts) == 4
    with pytest.raises(ZeroDivisionError):
        public(0)
