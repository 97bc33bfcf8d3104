"""Runs of the pipeline for the page: watched step by step, stopped when asked, every fault one sentence."""

from __future__ import annotations

import logging
import math
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import gradio as gr
from PIL import Image

from ..pipeline import PipelineCache, Request, Step
from .settings import Kind, model_here

log = logging.getLogger(__name__)
PREVIEW_SECONDS = 0.15  # least time between two previews, so that fast models are not slowed by showing them
STOP_SECONDS = 60.0  # most that Stop waits for the step under way
STATE_SECONDS = 3600  # how long what a page looks into is kept after it was closed
MODELS = PipelineCache()
TURN = {"concurrency_limit": 1, "concurrency_id": "generate"}  # one run at a time, whatever tab it is of
QUIET = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Run:
    """A run under way: someone may ask it to stop, and wait until it has ended."""

    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def steps(self, request: Request, image: Image.Image | None = None) -> Iterator[Step]:
        """Steps worth showing, and the last, which has the result; once asked to stop it ends without that one."""
        shown = -math.inf
        pipe = MODELS.get(model_here(request.model))
        cut = pipe.text and request.prompt and pipe.text.prompt(request.prompt).warning
        if cut:
            warn(cut)
        if pipe.text and request.prompt and (caution := pipe.text.caution(request.prompt)):
            gr.Info(escape(caution))
        with closing(pipe.stream(request, image=image)) as steps:
            for step in steps:
                if self.stop.is_set():
                    return
                if step.result is not None or time.monotonic() - shown >= PREVIEW_SECONDS:
                    yield step
                    shown = time.monotonic()


def last_step(request: Request, kind: Kind, image: Image.Image | None = None) -> Step:
    """Run a request of a program to its end, without previews. ValueError for a model of the other kind."""
    folder = model_here(request.model)
    kind.refuse(folder)
    for step in MODELS.get(folder).stream(request, previews=False, image=image):
        last = step
    return last


RUNS: dict[tuple[str | None, str], Run] = {}  # by page and tab


@contextmanager
def under_way(page: gr.Request, tab: str) -> Iterator[Run]:
    """The run of a tab of a page, which `stop` finds until it has ended."""
    key = (page.session_hash, tab)
    run = RUNS[key] = Run()
    try:
        yield run
    finally:
        run.ended.set()
        if RUNS.get(key) is run:
            del RUNS[key]


def stop(page: gr.Request, tab: str) -> None:
    """Stop the run of a tab after the step under way; what it showed last stays.

    Returns when the run has ended, so that no late progress can follow.
    """
    run = RUNS.get((page.session_hash, tab))
    if run is not None:
        run.stop.set()
        run.ended.wait(STOP_SECONDS)


def sentence(fault: Exception) -> str:
    """One sentence about a fault; what is no one's mistake but ours goes to the log."""
    if isinstance(fault, ValueError):
        return str(fault)
    log.error("a request of the page failed", exc_info=fault)
    return f"Something went wrong inside ({type(fault).__name__}); the server's log says more. Please try again."


def warn(text: str) -> None:
    """A sentence as a toast, which shows HTML: the sentence may quote a stranger's file or link."""
    gr.Warning(escape(text))


def warned(fault: Exception) -> str:
    """The sentence about a fault, shown as a toast too."""
    said = sentence(fault)
    warn(said)
    return said


_READING = threading.Lock()  # catching warnings swaps state of the whole process


def read_request(file: str | Path) -> tuple[Request, list[str]]:
    """The request inside a file made here, and warnings in a sentence each. ValueError where it carries none."""
    with _READING, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = Request.from_metadata(file)
    return found, [str(warning.message) for warning in caught if warning.category is UserWarning]
