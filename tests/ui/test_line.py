"""Who waits is told how many come before, and whoever leaves is no longer counted."""

import pytest
from waiting import finished

from zigdemo.ops import backends
from zigdemo.ui import line, texts

ONE, TWO, THREE = (("a page", "progress"), ("a page", "clip-progress"), ("another", "progress"))


def test_places_move_up_as_runs_start_and_end():
    queue = line.Line()
    for ticket in (ONE, TWO, THREE, TWO):
        queue.join(ticket)
    assert [queue.before(ticket) for ticket in (ONE, TWO, THREE)] == [0, 1, 2]
    queue.start(ONE)
    assert queue.before(ONE) is None and queue.before(THREE) == 2
    queue.leave(TWO)
    assert queue.before(THREE) == 1
    queue.leave(ONE)
    assert queue.before(THREE) == 0


def test_whoever_waits_is_told_every_change_and_no_more_once_it_starts(monkeypatch):
    monkeypatch.setattr(line, "LOOK_SECONDS", 0.001)
    queue = line.Line()
    for ticket in (ONE, TWO, THREE):
        queue.join(ticket)

    async def follow():
        told = []
        async for text in queue.watch(THREE):
            told.append(text)
            queue.leave((ONE, TWO)[len(told) - 1]) if len(told) < 3 else queue.start(THREE)
        return told

    told = finished(follow())
    assert ["2 runs are" in told[0], "one run is" in told[1], told[2]] == [True, True, texts.WAITING]


def test_a_page_that_is_closed_while_it_waits_leaves():
    queue = line.Line()
    queue.join(ONE)

    async def close():
        watching = queue.watch(ONE)
        await anext(watching)
        await watching.aclose()

    finished(close())
    assert queue.before(ONE) is None


@pytest.mark.parametrize(("warming", "text"), [(False, texts.STARTING), (True, texts.COMPILING)])
def test_a_run_that_waits_for_kernels_says_so(monkeypatch, warming, text):
    monkeypatch.setattr(backends, "is_warming_up", lambda: warming)
    assert line.starting_text() == text
