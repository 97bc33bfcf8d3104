"""When nothing was drawn for a while, memory goes back: once, if the program has grown, and never amid work."""

import asyncio
from types import SimpleNamespace

import psutil
import pytest
from waiting import finished

from zigdemo.ui import rest
from zigdemo.ui.turns import TURNS, Run


@pytest.fixture
def returned(monkeypatch):
    """The times at which memory was given back; the program seems to have `returned.rss` bytes."""

    class Times(list):
        rss = 100

    times = Times()
    monkeypatch.setattr(rest, "REST_SECONDS", 0.2)
    monkeypatch.setattr(rest, "return_freed_memory", lambda: times.append(times.rss) or True)
    monkeypatch.setattr(psutil.Process, "memory_info", lambda self: SimpleNamespace(rss=times.rss))
    return times


async def ended(one, count=1, seconds=0.6):
    for _ in range(count):
        one.run_ended()
    await asyncio.sleep(seconds)


def test_memory_goes_back_once_after_many_runs_and_then_only_when_the_program_has_grown(returned):
    one = rest.Rest()
    finished(ended(one, 5))
    assert len(returned) == 1
    finished(ended(one))
    assert len(returned) == 1
    returned.rss = 200
    finished(ended(one))
    assert len(returned) == 2


def test_it_waits_while_a_run_is_there(returned):
    one, run = rest.Rest(), Run("a", 1.0)
    TURNS.join(run)
    try:
        finished(ended(one))
        assert returned == []
    finally:
        TURNS.leave(run)
    finished(ended(one))
    assert len(returned) == 1
