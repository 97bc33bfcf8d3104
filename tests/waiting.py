"""Waiting in tests: for a condition, never for a time, with a limit that only something broken reaches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

PATIENCE = 900  # seconds; no measure of speed, as other work may take a machine to itself for minutes
Seen = TypeVar("Seen")


def until(look: Callable[[], Seen], right: Callable[[Seen], bool] = bool) -> Seen:
    """What `look` gives once it is right. AssertionError with the last of it after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while not right(seen := look()):
        assert time.monotonic() < end, seen
        time.sleep(0.05)
    return seen


def finished(coroutine):
    """The result of a coroutine, run in a thread of its own, as the browser's tests keep a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
