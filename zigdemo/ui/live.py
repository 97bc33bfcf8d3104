"""One live picture that follows the hand: quick while settings change, at full quality once they rest."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
import torch

from .. import zoo
from ..pipeline import Request
from . import texts
from .runs import QUIET, TURN, run_to_end
from .settings import QUICK

LIVE = {**QUICK, "count": 1, "guidance_interval": (0.0, 1.0), "solver_options": {}}
MOST_WEIGHTS_CPU = 30_000_000  # of a model whose four network calls take well below a second on two cores
REST_SECONDS = 0.6  # without a change before the picture is refined
MOST_PAGES = 1000


def usual() -> bool:
    """Whether it is on at first: on one's own machine; on a Space, strangers share the processors."""
    return "SPACE_ID" not in os.environ


def quick_enough(folder: zoo.ModelFolder) -> bool:
    """Whether a model draws a quick picture in well below a second here."""
    return torch.cuda.is_available() or folder.model.parameters <= MOST_WEIGHTS_CPU


class Latest:
    """The number of the newest change on every page, so that what is older can end; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: OrderedDict[str | None, int] = OrderedDict()

    def announce(self, page: gr.Request) -> int:
        """A change on a page; returns its number."""
        with self._lock:
            number = self._numbers.pop(page.session_hash, 0) + 1
            self._numbers[page.session_hash] = number
            while len(self._numbers) > MOST_PAGES:
                self._numbers.popitem(last=False)
            return number

    def is_newest(self, page: gr.Request, number: int) -> bool:
        """Whether nothing changed on the page since."""
        with self._lock:
            return self._numbers.get(page.session_hash) == number


LATEST = Latest()


def draw(request: Request, newest: Callable[[], bool]) -> tuple[Any, float] | None:
    """The first picture of a request and its seconds; None once `newest()` is false. Errors as in `Pipeline.stream`."""
    step = run_to_end(request, stopped=lambda: not newest())
    return None if step is None else (step.result.images[0], step.result.seconds)


def connect_live(
    switch: gr.Checkbox,
    triggers: Sequence[Any],
    inputs: Sequence[gr.components.Component],
    outputs: Sequence[gr.components.Component],
    ask: Callable[..., Request | None],
) -> None:
    """Draw a live picture after every trigger while the switch is on, and refine it once nothing changes.

    inputs: of `ask`, which returns the request, or None where there is nothing to draw live. outputs: the preview, the
    gallery it replaces, and the progress line.
    """
    number = gr.State(0)

    def shown(page: gr.Request, mine: int, request: Request, kind: str) -> tuple[Any, ...]:
        drawn = draw(request, lambda: LATEST.is_newest(page, mine))
        if drawn is None or not LATEST.is_newest(page, mine):
            return (gr.skip(),) * 3
        image, seconds = drawn
        line = f"{kind}: {request.solver}, {request.steps} steps, {seconds:.2f} s. Generate draws all pictures."
        return (
            gr.update(value=texts.pictures_html([image], live=True), visible=True),
            gr.update(visible=False),
            texts.line_html(line),
        )

    def follow(page: gr.Request, on: bool, mine: int, *values: Any) -> tuple[Any, ...]:
        return attempt(page, on, mine, values, "Live", LIVE)

    def refine(page: gr.Request, on: bool, mine: int, *values: Any) -> tuple[Any, ...]:
        return attempt(page, on, mine, values, "Refined", {"count": 1})

    def attempt(page: gr.Request, on: bool, mine: int, values: Any, kind: str, changes: dict) -> tuple[Any, ...]:
        nothing = (gr.skip(),) * 3
        if not on or not LATEST.is_newest(page, mine):
            return nothing
        try:
            request = ask(*values)
            return nothing if request is None else shown(page, mine, replace(request, **changes), kind)
        except ValueError as fault:  # half a word or an empty box, on the way to something that can be drawn
            return gr.skip(), gr.skip(), texts.line_html(str(fault))

    def rest(page: gr.Request, on: bool, mine: int) -> None:
        end = time.monotonic() + (REST_SECONDS if on else 0)
        while time.monotonic() < end and LATEST.is_newest(page, mine):
            time.sleep(0.05)

    announced = gr.on(list(triggers), LATEST.announce, None, number, queue=False, **QUIET)
    followed = announced.then(follow, [switch, number, *inputs], outputs, **TURN, **QUIET)
    rested = followed.then(rest, [switch, number], None, concurrency_limit=None, **QUIET)
    rested.then(refine, [switch, number, *inputs], outputs, **TURN, **QUIET)
