"""What is live follows the hand: quick while settings change, at full quality once they rest."""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from .. import zoo
from ..checks import as_whole
from ..devices import choose_device
from . import fields
from .address import is_shared
from .runs import QUIET, sentence
from .settings import MOST_STEPS, QUICK
from .turns import Stopped
from .worker import POLL_SECONDS, in_turn_while

MOST_WEIGHTS_CPU = 30_000_000  # of a model whose four network calls take well below a second on two cores
PAINT_MS = 100  # for the browser to show the picture
REST_SECONDS = 0.5  # without a change before what is shown is refined
LIVE_SECONDS = 0.5  # of work, about
MOST_PAGES = 1000
_OPEN = "(session) => { window.zigdemoLive.open(session); }"
_FOLLOW = "(on, ...values) => window.zigdemoLive.follow(%s, on, values)"
_REFINE = "() => window.zigdemoLive.refine(%s, %d)"


def usual() -> bool:
    """Whether it is on at first: on one's own machine; on a Space and in a class, many share the processors."""
    return not is_shared()


def quick_enough(folder: zoo.ModelFolder) -> bool:
    """Whether a model draws a quick picture in well below a second here."""
    return choose_device().type == "cuda" or (folder.model.parameters <= MOST_WEIGHTS_CPU and not folder.frames)


class Latest:
    """The number of the newest change on every page, so that what is older can end; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: OrderedDict[str | None, float] = OrderedDict()

    def announce(self, page: gr.Request, number: float) -> None:
        """A change on a page, which counts them."""
        with self._lock:
            self._set(page.session_hash, max(number, self._numbers.get(page.session_hash, 0)))

    def end(self, page: gr.Request) -> None:
        """End what is drawn live on a page, as something else is drawn now."""
        with self._lock:
            self._set(page.session_hash, self._numbers.get(page.session_hash, 0) + 0.5)

    def _set(self, name: str | None, number: float) -> None:
        self._numbers[name] = number
        self._numbers.move_to_end(name)
        while len(self._numbers) > MOST_PAGES:
            self._numbers.popitem(last=False)

    def is_newest(self, page: gr.Request, number: float) -> bool:
        """Whether nothing changed on the page since."""
        with self._lock:
            return self._numbers.get(page.session_hash, number) <= number


LATEST = Latest()


@dataclass(frozen=True)
class LiveRun:
    """A live run. quick: while settings change, rather than once they rest. stopped: whether it is unwanted by now."""

    quick: bool
    stopped: Callable[[], bool]

    @property
    def name(self) -> str:
        """What the run is called in its line."""
        return "Live" if self.quick else "Refined"


def steps_of(run: LiveRun, steps: Any) -> int:
    """How many steps a live run makes of those that are set. Raises ValueError if they are no whole number."""
    steps = as_whole("steps", steps, 1, MOST_STEPS)
    return min(steps, QUICK["steps"]) if run.quick else steps


def _number(value: Any) -> float:
    """The number of a change; 0 for anything else that a browser sends."""
    return value if isinstance(value, (int, float)) and math.isfinite(value) else 0


def _session(page: gr.Request) -> str | None:
    return page.session_hash


def open_live(page: gr.Blocks) -> None:
    """Tell the browser what Gradio knows the page by, as it asks for what is live without Gradio's help."""
    session = gr.Textbox("", visible="hidden")
    loaded = page.load(_session, None, session, queue=False, **QUIET)
    loaded.then(None, session, None, js=_OPEN, **QUIET)


def connect_live(
    switch: gr.Checkbox,
    triggers: Sequence[Any],
    inputs: Sequence[gr.components.Component],
    outputs: Sequence[gr.components.Component],
    show: Callable[..., tuple[Any, ...] | None],
    complain: Callable[[str], tuple[Any, ...]],
) -> None:
    """Follow every trigger while the switch is on, and refine what is shown once nothing changes.

    show: called with a LiveRun and the inputs; returns updates of the outputs, or None where there is nothing to draw
    live. complain: updates that show the sentence about a fault that it raises.
    """
    nothing = (gr.skip(),) * len(outputs)

    async def attempt(page: gr.Request, mine: float, quick: bool, values: Sequence[Any]) -> tuple[Any, ...]:
        turn = LiveRun(quick, lambda: not LATEST.is_newest(page, mine))
        try:
            updates = await in_turn_while(page, LIVE_SECONDS, turn.stopped, partial(show, turn, *values))
        except Stopped:
            return nothing
        except Exception as fault:  # often half a word or an empty box, on the way to something that can be drawn
            return complain(sentence(fault))
        return nothing if updates is None or turn.stopped() else updates

    async def follow(page: gr.Request, mine: Any, *values: Any) -> tuple[Any, ...]:
        mine = _number(mine)
        LATEST.announce(page, mine)
        return await attempt(page, mine, True, values)

    async def refine(page: gr.Request, mine: Any, *values: Any) -> tuple[Any, ...]:
        mine = _number(mine)
        end = time.monotonic() + REST_SECONDS
        while LATEST.is_newest(page, mine):
            if time.monotonic() >= end:
                return await attempt(page, mine, False, values)
            await asyncio.sleep(POLL_SECONDS)
        return nothing

    number = fields.Number(0, visible="hidden")
    quick, refined = (
        gr.on([], function, [number, *inputs], list(outputs), queue=False, trigger_mode="multiple", **QUIET)
        for function in (follow, refine)
    )
    event = json.dumps(
        {
            "quick": quick["id"],
            "refined": refined["id"],
            "first": [one.value for one in inputs if not isinstance(one, gr.State)],
            "outputs": len(outputs),
            "states": [place for place, one in enumerate(outputs) if isinstance(one, gr.State)],
        }
    )
    followed = gr.on(
        list(triggers), None, [switch, *inputs], list(outputs), js=_FOLLOW % event, trigger_mode="multiple",
        **QUIET,
    )  # fmt: skip
    followed.then(None, None, list(outputs), js=_REFINE % (event, PAINT_MS), trigger_mode="multiple", **QUIET)
