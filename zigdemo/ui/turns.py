"""One run at a time: those of Gradio's queue among each other, and live ones, which stand in no queue, between them."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from typing import Any, TypeVar

TURN = {"concurrency_limit": 1, "concurrency_id": "generate"}  # of events whose function is `in_turn`
POLL_SECONDS = 0.02
LIVE_SECONDS = 5.0  # at most, that a queued run waits for a live one, which takes well below a second

Function = TypeVar("Function", bound=Callable[..., Any])


class Turns:
    """Who may draw; thread-safe. A queued run goes before every live one that has not begun."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queued = 0
        self._live = threading.Lock()

    @contextmanager
    def queued(self) -> Iterator[None]:
        """The turn of a queued run: no live run begins meanwhile."""
        with self._lock:
            self._queued += 1
        try:
            if self._live.acquire(timeout=LIVE_SECONDS):
                self._live.release()
            yield
        finally:
            with self._lock:
                self._queued -= 1

    @asynccontextmanager
    async def live(self, stopped: Callable[[], bool]) -> AsyncIterator[bool]:
        """The turn of a live run: True once nothing else is drawn; False if it is `stopped()` before."""
        while not (has_turn := self._begin_live()) and not stopped():
            await asyncio.sleep(POLL_SECONDS)
        try:
            yield has_turn
        finally:
            if has_turn:
                self._live.release()

    def _begin_live(self) -> bool:
        with self._lock:
            return self._queued == 0 and self._live.acquire(blocking=False)


TURNS = Turns()


def in_turn(function: Function) -> Function:
    """A function or generator that draws from Gradio's queue, in an event with the settings of TURN."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with TURNS.queued():
            return function(*args, **kwargs)

    @wraps(function)
    def iterate(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with TURNS.queued():
            yield from function(*args, **kwargs)

    return iterate if inspect.isgeneratorfunction(function) else call
