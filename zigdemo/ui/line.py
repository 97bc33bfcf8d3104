"""What a run of the page waits for: those before it, or kernels that are being compiled."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

from ..ops import backends
from . import texts

LOOK_SECONDS = 0.5  # between two looks at who is before
GONE_SECONDS = 10.0  # without a look, after which nobody waits any more

Ticket = tuple[str | None, str]  # a page and the id of its line


class Line:
    """Those who wait for the turn of runs, in order, and the one whose turn it is; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Ticket, float] = {}  # when it was looked at last
        self._running: set[Ticket] = set()

    def join(self, ticket: Ticket) -> None:
        """Wait at the end."""
        with self._lock:
            self._waiting.setdefault(ticket, time.monotonic())

    def start(self, ticket: Ticket) -> None:
        """Its turn has come."""
        self.leave(ticket)
        with self._lock:
            self._running.add(ticket)

    def leave(self, ticket: Ticket) -> None:
        """It has ended, or waits no longer."""
        with self._lock:
            self._running.discard(ticket)
            self._waiting.pop(ticket, None)

    def before(self, ticket: Ticket) -> int | None:
        """How many come before it, the running one among them; None if it does not wait."""
        with self._lock:
            now = time.monotonic()
            if ticket in self._waiting:
                self._waiting[ticket] = now
            for other in [one for one, looked in self._waiting.items() if now - looked > GONE_SECONDS]:
                del self._waiting[other]  # its page was closed
            return list(self._waiting).index(ticket) + len(self._running) if ticket in self._waiting else None

    async def watch(self, ticket: Ticket) -> AsyncIterator[str]:
        """Yield the line about who is before, whenever that changes, until the turn has come."""
        last = -1
        try:
            while (before := self.before(ticket)) is not None:
                if before != last:
                    yield waiting_text(before)
                last = before
                await asyncio.sleep(LOOK_SECONDS)
        finally:  # also when the page was closed
            if self.before(ticket) is not None:
                self.leave(ticket)


LINE = Line()


def waiting_text(before: int) -> str:
    """The line of a run that has some before it."""
    if before == 0:
        return texts.WAITING
    return f"Waiting: {'one run is' if before == 1 else f'{before} runs are'} before this one; one runs at a time."


def starting_text() -> str:
    """The line of a run until its first step."""
    return texts.COMPILING if backends.is_warming_up() else texts.STARTING
