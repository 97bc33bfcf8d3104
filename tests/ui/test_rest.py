"""When nothing was drawn for a while, memory goes back: once, if the program has grown, and never amid work."""

import asyncio
import time
from types import SimpleNamespace

import psutil
import pytest
from waiting import PATIENCE, finished

from zigdemo.ui import rest
from zigdemo.ui.turns import Run, Turns


@pytest.fixture
def returned(monkeypatch):
    """The times at which memory was given back; the program seems to have `returned.rss` bytes."""

    class Times(list):
        rss = 100

    times = Times()
    monkeypatch.setattr(rest, "REST_SECONDS", 0.2)
    monkeypatch.setattr(rest, "TURNS", Turns())
    monkeypatch.setattr(rest, "return_freed_memory", lambda: times.append(times.rss) or True)
    monkeypatch.setattr(psutil.Process, "memory_info", lambda self: SimpleNamespace(rss=times.rss))
    return times


async def ended(one, returned, wanted, count=1):
    """Runs end; waits until memory went back as often as wanted, and as long as it would take once more."""
    for _ in range(count):
        one.run_ended()
    end = time.monotonic() + PATIENCE
    while len(returned) < wanted and time.monotonic() < end:
        await asyncio.sleep(0.02)
    await asyncio.sleep(2 * rest.REST_SECONDS)
    assert len(returned) == wanted


def test_memory_goes_back_once_after_many_runs_and_then_only_when_the_program_has_grown(returned):
    one = rest.Rest()
    finished(ended(one, returned, 1, count=5))
    finished(ended(one, returned, 1))
    returned.rss = 200
    finished(ended(one, returned, 2))


def test_it_waits_while_a_run_is_there(returned):
    one, run = rest.Rest(), Run("a", 1.0)
    rest.TURNS.join(run)
    finished(ended(one, returned, 0))
    rest.TURNS.leave(run)
    finished(ended(one, returned, 1))
