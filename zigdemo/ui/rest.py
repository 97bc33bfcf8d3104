"""When nothing has been drawn for a while, memory that heavy requests took goes back to the system."""

from __future__ import annotations

import asyncio
import gc
import threading

import psutil

from ..ops.heap import return_freed_memory
from .turns import TURNS

REST_SECONDS = 5.0  # without a run
GROWTH = 1.05  # times the memory after the last time, from which it is worth the fresh pages of the next run


class Rest:
    """Notices that nothing is drawn; for the thread of an event loop."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._usual = 0  # bytes that stayed the last time

    def run_ended(self) -> None:
        """A run has ended, in the thread of the event loop."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(REST_SECONDS, self._look)

    def _look(self) -> None:
        if len(TURNS) == 0:
            threading.Thread(target=self.return_memory, daemon=True, name="rest").start()

    def return_memory(self) -> None:
        """Give free memory back, if the program has grown."""
        process = psutil.Process()
        if process.memory_info().rss > GROWTH * self._usual:
            gc.collect()  # what refers to itself, as faults and closed pages do
            return_freed_memory()
            self._usual = process.memory_info().rss


REST = Rest()
