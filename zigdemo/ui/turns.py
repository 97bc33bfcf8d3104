"""Who may draw: short work before long, every visitor in turn, and nothing that nobody waits for any more.

Runs of an instant go first. Short ones go shortest first, but before those if they have waited long; long ones by what
their visitor has used. Where shorter work never ends, longer work still gets a quarter of the time.
One run computes at a time. It asks before every network call whether to go on, and rests there while a better one runs:
a picture of a second does not wait for a matrix of five minutes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from ..ops.threads import release_team
from .bounds import bounds

SHORT_SECONDS = 2.5  # of work, by the estimate; what takes longer is long
INSTANT_SECONDS = 0.5  # of work: what takes less is instant and goes first, until all others are owed very much
PATIENCE = 4.0  # seconds that a short run waits for shorter ones, per second of its work; then it goes first
SHARE = 1 / 3  # of the seconds of shorter runs, that long ones get beside them, and all others beside instant ones
OWED_SECONDS, OWED_MOST = 0.5, 5.0  # of that share, from which a long run goes before short, and others before instant
QUANTUM_SECONDS = 10.0  # that a run may be ahead of other visitors' before it lets them go first
VISITORS_PER_ADDRESS = 8  # whose runs may wait: a class shares one, a script could have any number of cookies
MOST_BEGUN = 4  # long runs that share the turn; each keeps its model in memory
HALF_LIFE_SECONDS = 60.0  # after which half of what a visitor used is forgotten
SILENT_SECONDS = 5.0  # after which a run that waits, but does not ask, is passed over
LOOK_SECONDS = 0.5


class Stopped(Exception):
    """Ends a run that is not wanted any more, in its next network call."""


@dataclass(eq=False)
class Run:
    """Work of one visitor, which waits for its turn, can be asked to stop and waited for.

    seconds: of work, estimated. address: of the visitor. skipped: parts of it that are not wanted. used, rested:
    seconds so far in which it computed, and in which it let others go first after it had begun.
    """

    visitor: str = ""
    seconds: float = 1.0
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    skipped: set[object] = field(default_factory=set)
    address: str = ""
    used: float = 0.0
    rested: float = 0.0
    has_begun: bool = False
    is_elsewhere: bool = False  # on a GPU that was lent for it: it needs no turn here
    joined: float = 0.0
    asked: float = 0.0  # for the turn, last

    @property
    def is_short(self) -> bool:
        """Whether it goes before long ones: by its estimate, until that proves wrong."""
        return self.seconds <= SHORT_SECONDS and self.used <= 2 * SHORT_SECONDS

    @property
    def is_instant(self) -> bool:
        """Whether it goes before all others: by its estimate, until that proves wrong."""
        return self.seconds <= INSTANT_SECONDS and self.used <= 2 * INSTANT_SECONDS

    @property
    def seconds_left(self) -> float:
        """Of work, estimated."""
        return max(0.0, self.seconds - self.used)


CURRENT: ContextVar[Run | None] = ContextVar("CURRENT", default=None)  # whose work this thread does


class Turns:
    """The runs that wait and the one that computes; thread-safe.

    most, most_each: how many may be there in all, and of one visitor.
    """

    def __init__(self, most: Callable[[], int] = lambda: 64, most_each: Callable[[], int] = lambda: 16) -> None:
        self._most, self._most_each = most, most_each
        self._changed = threading.Condition()
        self._runs: list[Run] = []  # in the order in which they came
        self._running: Run | None = None
        self._since = 0.0  # when the running one was charged last
        self._long_one: Run | None = None  # which had the turn last of the long ones
        self._usage: dict[str, tuple[float, float]] = {}  # of visitors: seconds, at that time
        self._owed_long = 0.0  # seconds to long runs
        self._owed_others = 0.0  # seconds to all but instant runs

    def __len__(self) -> int:
        return len(self._runs)

    def join(self, run: Run) -> None:
        """Wait at the end. Raises ValueError with one sentence if there are too many."""
        with self._changed:
            own = sum(other.visitor == run.visitor for other in self._runs)
            near = sum(bool(run.address) and other.address == run.address for other in self._runs)
            if own >= self._most_each() or near >= self._most_each() * VISITORS_PER_ADDRESS:
                raise ValueError(f"{own} runs of yours wait or draw already; stop one, or wait until one has ended")
            if len(self._runs) >= self._most():
                raise ValueError(f"{len(self._runs)} runs wait already, as many as may; try again in a minute")
            run.joined = run.asked = time.monotonic()
            self._runs.append(run)

    def leave(self, run: Run) -> None:
        """It has ended, or waits no longer; whoever waits for its end goes on."""
        with self._changed:
            if self._running is run:
                self._charge()
                self._running = None
            if run in self._runs:
                self._runs.remove(run)
            if self._long_one is run:
                self._long_one = None
            self._changed.notify_all()
        run.ended.set()

    def take(self, run: Run) -> bool:
        """Take the turn if it is this run's; whether it has it. Whoever waits asks again and again."""
        with self._changed:
            run.asked = time.monotonic()
            if self._running is not run and (self._running is not None or self._best() is not run):
                return False
            self._begin(run)
            return True

    def checkpoint(self, run: Run) -> None:
        """Called in the run's thread before every network call: rests while a better run computes.

        Raises Stopped once the run is asked to stop. A run that never joined is only asked that.
        """
        if run.stop.is_set():
            raise Stopped
        if run in self._runs and not run.is_elsewhere and not self.keeps(run):
            began = time.monotonic()
            release_team()
            self._wait(run)
            run.rested += time.monotonic() - began

    def let_go(self, run: Run) -> None:
        """It computes elsewhere until it comes back: others may have the turn."""
        with self._changed:
            run.is_elsewhere = True
            if self._running is run:
                self._charge()
                self._running = None
            self._changed.notify_all()

    def come_back(self, run: Run) -> None:
        """It computes here again, and waits for the turn at its next network call."""
        with self._changed:
            run.is_elsewhere = False

    def keeps(self, run: Run) -> bool:
        """Whether a run that asks between two network calls keeps the turn; else a better one may take it."""
        with self._changed:
            if self._running is not run:
                return False
            self._charge()
            if self._best() is run:
                return True
            self._running = None
            self._changed.notify_all()
            return False

    def _wait(self, run: Run) -> None:
        with self._changed:
            while True:
                if run.stop.is_set():
                    raise Stopped
                run.asked = time.monotonic()
                if self._running is None and self._best() is run:
                    break
                self._changed.wait(LOOK_SECONDS)
            self._begin(run)

    def _begin(self, run: Run) -> None:
        if self._running is not run:
            self._running, self._since = run, time.monotonic()
        run.has_begun = True
        if not run.is_short:
            self._long_one = run

    def _charge(self) -> None:
        """Add the seconds since the last time to the running one and to its visitor."""
        run, now = self._running, time.monotonic()
        seconds, self._since = now - self._since, now
        run.used += seconds
        self._usage[run.visitor] = self._used_by(run.visitor) + seconds, now
        if len(self._usage) > 10 * self._most() + 100:
            self._usage = {name: one for name, one in self._usage.items() if self._used_by(name) > 0.1}
        there = self._there()
        self._owed_long = self._debt(self._owed_long, seconds, run.is_short, [one.is_short for one in there])
        self._owed_others = self._debt(self._owed_others, seconds, run.is_instant, [one.is_instant for one in there])

    @staticmethod
    def _debt(owed: float, seconds: float, was_favoured: bool, favoured: list[bool]) -> float:
        """What is owed to runs that are not favoured, after one ran for some seconds. favoured: of those that wait."""
        if all(favoured):
            return 0.0
        return min(2 * OWED_MOST, owed + seconds * SHARE) if was_favoured else max(0.0, owed - seconds)

    def _used_by(self, visitor: str) -> float:
        seconds, at = self._usage.get(visitor, (0.0, 0.0))
        return seconds * 0.5 ** ((time.monotonic() - at) / HALF_LIFE_SECONDS)

    def _best(self) -> Run | None:
        """Whose turn it is."""
        order = self._order()
        return order[0] if order else None

    def _there(self) -> list[Run]:
        """Those that can run: none that computes elsewhere, or waits and does not ask any more."""
        now = time.monotonic()
        return [
            run for run in self._runs if not run.is_elsewhere and (run.has_begun or now - run.asked < SILENT_SECONDS)
        ]

    def _order(self) -> list[Run]:
        """Those that can run, the next one first."""
        now, there = time.monotonic(), self._there()
        begun = sum(run.has_begun and not run.is_short for run in there)
        instant, short = (
            sorted(
                (run for run in there if run.is_short and run.is_instant == is_instant),
                key=lambda run: PATIENCE * run.seconds_left - (now - run.joined),
            )
            for is_instant in (True, False)
        )
        long = sorted(
            (run for run in there if not run.is_short),
            key=lambda run: (
                begun >= MOST_BEGUN and not run.has_begun,
                self._used_by(run.visitor) - QUANTUM_SECONDS * (run is self._long_one),
                run.joined,
            ),
        )
        others = long + short if self._owed_long >= OWED_SECONDS else short + long
        return others + instant if self._owed_others >= OWED_MOST else instant + others

    def listed(self) -> list[tuple[Run, bool]]:
        """All runs in turn, each with whether it computes."""
        with self._changed:
            order = [run for run in self._runs if run.is_elsewhere] + self._order()
            pairs = [(run, run is self._running or run.is_elsewhere) for run in order]
            return sorted(pairs, key=lambda pair: not pair[1])

    def before(self, run: Run) -> tuple[int, float]:
        """How many come before a run that waits, the running one among them, and the seconds of work they have left."""
        with self._changed:
            order = self._order()
            ahead = order[: order.index(run)] if run in order else order
            seconds = sum(one.seconds_left for one in ahead)
            ends_its_call = self._running not in (None, run, *ahead)
            return len(ahead) + ends_its_call, seconds


TURNS = Turns(lambda: bounds().waiting_in_all, lambda: bounds().waiting)


def checkpoint() -> None:
    """Called before every network call of what is drawn for the page: lets better runs go first, ends unwanted ones.

    Raises Stopped.
    """
    run = CURRENT.get()
    if run is not None:
        TURNS.checkpoint(run)
