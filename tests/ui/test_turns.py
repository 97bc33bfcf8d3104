"""Queued runs go first; a live run waits for them, and ends the wait when it is not wanted any more."""

import asyncio
import inspect
import threading

import pytest
from waiting import finished

from zigdemo.ui.turns import TURNS, Turns, in_turn


def live(turns, stopped=lambda: False):
    """Whether a live run gets its turn, and whether another could begin during it."""

    async def attempt():
        async with turns.live(stopped) as has_turn:
            return has_turn, turns._begin_live()

    return finished(attempt())


def test_a_live_run_takes_the_turn_when_nothing_is_drawn():
    turns = Turns()
    assert live(turns) == (True, False)
    assert live(turns)[0], "the turn was given back"


def test_a_live_run_waits_for_the_queued_one_and_ends_the_wait_when_it_is_stopped():
    turns, asked = Turns(), iter([False, False, True])
    with turns.queued():
        assert live(turns, lambda: next(asked)) == (False, False)
    assert live(turns)[0]


def test_a_queued_run_waits_for_the_live_one_and_comes_before_the_next():
    turns, order = Turns(), []

    def queued():
        with turns.queued():
            order.append("queued")

    async def first():
        async with turns.live(lambda: False):
            thread.start()
            while turns._queued == 0:
                await asyncio.sleep(0.001)
            assert order == []
        thread.join()

    thread = threading.Thread(target=queued)
    finished(first())
    assert order == ["queued"] and live(turns)[0]


@pytest.mark.parametrize("broken", [False, True])
def test_functions_and_generators_hold_the_turn_until_they_end(broken):
    @in_turn
    def one(value: int) -> int:
        assert TURNS._queued == 1
        return 1 // value

    @in_turn
    def many(value: int):
        yield TURNS._queued
        yield 1 // value

    assert list(inspect.signature(many).parameters) == ["value"]
    for call in (one, lambda value: list(many(value))):
        try:
            call(0 if broken else 1)
        except ZeroDivisionError:
            assert broken
        assert TURNS._queued == 0
    steps = many(1)
    assert next(steps) == 1
    steps.close()
    assert TURNS._queued == 0
