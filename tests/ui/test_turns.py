"""Short work goes before long, every visitor in turn; a run rests for a better one and ends when it is not wanted."""

import threading
import time

import pytest
from waiting import PATIENCE, until

from zigdemo.ui import turns
from zigdemo.ui.turns import Run, Stopped, Turns

SHORT, LONG = 0.5, 60.0


def joined(room, *runs):
    for run in runs:
        room.join(run)
    return runs


class Working:
    """A run that makes network calls in a thread, one whenever it is told to."""

    def __init__(self, room, run):
        self.room, self.run, self.calls, self.fault = room, run, 0, None
        self.more = threading.Semaphore(0)
        room.join(run)
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        try:
            while True:
                self.more.acquire()
                self.room.checkpoint(self.run)  # waits for the turn, if it is not its own
                self.calls += 1
        except Stopped as fault:
            self.fault = fault
        finally:
            self.room.leave(self.run)

    def call(self):
        self.more.release()
        return self

    def end(self):
        self.run.stop.set()
        self.more.release()
        self.thread.join(PATIENCE)


def test_short_work_goes_before_long_that_came_first_and_equals_in_the_order_in_which_they_came():
    room = Turns()
    long, first, second = joined(room, Run("a", LONG), Run("b", SHORT), Run("c", SHORT))
    assert not room.take(long) and not room.take(second)
    assert room.take(first) and not room.take(second)
    room.leave(first)
    assert not room.take(long) and room.take(second)
    room.leave(second)
    assert room.take(long)


def test_a_long_run_rests_at_its_next_call_while_a_short_one_draws_and_then_goes_on():
    room = Turns()
    long = Working(room, Run("a", LONG))
    until(lambda: long.call().calls > 2)
    short = Run("b", SHORT)
    room.join(short)
    long.call()
    until(lambda: room.take(short))
    before = long.calls
    for _ in range(3):
        long.call()
    time.sleep(0.05)
    assert long.calls == before
    room.leave(short)
    until(lambda: long.calls > before)
    long.end()
    assert isinstance(long.fault, Stopped) and len(room) == 0


def test_many_short_ones_do_not_keep_a_long_one_from_its_share(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: now[0])
    room, spent = Turns(), {True: 0.0, False: 0.0}
    (long,), current = joined(room, Run("a", LONG)), None
    for number in range(1000):
        if current is None:
            (current,) = joined(room, Run(f"b{number}", SHORT))
        run = long if room.take(long) else current
        assert room.take(run)
        now[0] += 0.1
        spent[run.is_short] += 0.1
        room.keeps(run)
        if run is current and run.used > 0.35:
            room.leave(run)
            current = None
    assert 0.2 < spent[False] / 100 < 0.35


def test_who_used_little_goes_before_who_used_much(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: now[0])
    room = Turns()
    (busy,) = joined(room, Run("a", LONG))
    assert room.take(busy)
    now[0] += 30
    room.leave(busy)
    again, other = joined(room, Run("a", LONG), Run("b", LONG))
    assert not room.take(again) and room.take(other)


def test_a_shorter_run_takes_over_from_a_short_one_unless_that_has_waited_for_long(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: now[0])
    room = Turns()
    (four,) = joined(room, Run("a", 2.0))
    assert room.take(four)
    now[0] += 0.2
    (one,) = joined(room, Run("b", 0.8))
    assert not room.keeps(four) and room.take(one)
    room.leave(one)
    now[0] += 4
    (late,) = joined(room, Run("c", 0.8))
    assert room.take(four) and room.keeps(four) and not room.take(late)


def test_a_run_that_proves_long_is_long(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: now[0])
    room = Turns()
    (liar,) = joined(room, Run("a", SHORT))
    room.take(liar)
    now[0] += 3 * turns.SHORT_SECONDS
    room.checkpoint(liar)
    assert not liar.is_short


def test_at_most_so_many_long_ones_are_begun_at_a_time():
    room = Turns()
    begun = [Working(room, Run(str(n), LONG)) for n in range(turns.MOST_BEGUN + 2)]
    until(lambda: len(room) == len(begun))
    for run in (one.run for one in begun[: turns.MOST_BEGUN]):
        run.has_begun = True
    order = [run for run in room._order() if not run.has_begun]
    assert order == room._order()[-2:]
    for one in begun:
        one.end()


def test_there_are_at_most_so_many_of_a_visitor_and_in_all():
    room = Turns(lambda: 3, lambda: 2)
    joined(room, Run("a"), Run("a"))
    with pytest.raises(ValueError, match="2 runs of yours wait or draw already"):
        room.join(Run("a"))
    (last,) = joined(room, Run("b"))
    with pytest.raises(ValueError, match="3 runs wait already, as many as may"):
        room.join(Run("c"))
    room.leave(last)
    room.join(Run("c"))


def test_whoever_stopped_asking_is_passed_over(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: now[0])
    room = Turns()
    _, second = joined(room, Run("a", SHORT), Run("b", SHORT))
    assert not room.take(second)
    now[0] += turns.SILENT_SECONDS + 1
    assert room.take(second)


def test_a_place_is_told_with_the_seconds_of_those_before():
    room = Turns()
    first, second, third = joined(room, Run("a", 1.0), Run("b", 2.0), Run("c", LONG))
    assert [room.before(run)[0] for run in (first, second, third)] == [0, 1, 2]
    assert room.before(third)[1] == pytest.approx(3.0)
    room.take(first)
    room.leave(second)
    assert room.before(third)[0] == 1


def test_a_run_outside_is_only_asked_whether_it_is_wanted():
    room, run = Turns(), Run()
    room.checkpoint(run)
    run.stop.set()
    with pytest.raises(Stopped):
        room.checkpoint(run)


def test_instant_work_goes_before_all_that_waited_until_the_others_are_owed_very_much(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: now[0])
    room = Turns()
    long, short = joined(room, Run("a", LONG), Run("b", 2.4))
    assert room.take(short)
    now[0] += 2.0  # of which the long one is owed a third
    (instant,) = joined(room, Run("c", 0.2))
    assert not room.keeps(short) and not room.take(long) and room.take(instant)
    room.leave(instant)
    assert not room.take(short) and room.take(long)
    now[0] += 4  # the short one has waited for long, and still an instant one may go before
    (instant,) = joined(room, Run("d", 0.2))
    assert not room.keeps(long) and not room.take(short) and room.take(instant)


def test_instant_runs_without_end_leave_others_their_share(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: now[0])
    room, seconds = Turns(), {True: 0.0, False: 0.0}
    (short,), instant = joined(room, Run("a", 1e9)), None
    short.seconds = 2.0
    for number in range(1000):
        if instant is None:
            (instant,) = joined(room, Run(f"b{number}", 0.4))
        run = short if room.take(short) else instant
        assert room.take(run)
        now[0] += 0.1
        seconds[run is instant] += 0.1
        room.keeps(run)
        if run is instant and run.used > 0.35:
            room.leave(run)
            instant = None
    assert 0.2 < seconds[False] / 100 < 0.35


def test_a_run_that_computes_elsewhere_lets_others_have_the_turn_and_is_still_asked_to_stop():
    room = Turns()
    lent, other = joined(room, Run("a", LONG), Run("b", LONG))
    assert room.take(lent)
    room.let_go(lent)
    room.checkpoint(lent)  # does not wait for the turn
    assert room.take(other) and room.before(other) == (0, 0.0)
    assert room.listed() == [(lent, True), (other, True)]
    lent.stop.set()
    with pytest.raises(Stopped):
        room.checkpoint(lent)
    lent.stop.clear()
    room.come_back(lent)
    assert not room.keeps(lent)  # it needs the turn again, which the other one has
    room.leave(lent)
    assert len(room) == 1 and lent.ended.is_set()


def test_nothing_is_owed_to_a_run_that_could_not_have_run_and_never_very_much(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: now[0])
    room = Turns()
    lent, short = joined(room, Run("a", LONG), Run("b", 2.0))
    assert not room.take(lent) and room.take(short)
    room.let_go(lent)
    now[0] += 100
    room.keeps(short)
    assert room._owed_long == room._owed_others == 0.0
    short.used = 0.0
    (long,) = joined(room, Run("c", LONG))
    now[0] += 100
    room.keeps(short)
    assert 0.0 <= room._owed_long <= 2 * turns.OWED_MOST
