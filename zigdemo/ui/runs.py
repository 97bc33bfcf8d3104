"""Runs of the pipeline for the page: shown step by step, stopped on request, every fault told in one sentence."""

from __future__ import annotations

import logging
import math
import os
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from .. import media, zoo
from ..checks import shown
from ..pipeline import Pipeline, PipelineCache, Record, Request, Step
from . import texts, zero_gpu
from .bounds import bounds
from .estimates import SPEEDS
from .files import pictures_folder
from .settings import MATRIX, Kind, installed_model
from .turns import CURRENT, TURNS, Run, Stopped
from .worker import call_counter

log = logging.getLogger(__name__)
Result = TypeVar("Result")
PREVIEW_SECONDS = 0.15  # at least, between two previews, so that showing them does not slow fast models
PREVIEW_PICTURES = 4  # that a browser shows in that time, and still answers the Stop button
LONGEST_SENTENCE = 200
PLACES = 5  # of the code, in the log's line about a fault
STOP_SECONDS = 60.0  # at most, that Stop waits for the current step
STATE_SECONDS = 3600  # how long the state of a page is kept after it was closed
MODELS = PipelineCache()
QUIET = {"show_progress": "hidden", "api_visibility": "private"}


def steps_of(
    run: Run, request: Request, image: Image.Image | None = None, record: Record | None = None
) -> Iterator[Step]:
    """The steps to show, and the last, which has the result; ends without that one once the run is asked to stop.

    record: looks into the network at every step; then every step is yielded, as what it saw belongs to one each.
    Raises ValueError for an unknown model and for a request that its pipeline refuses.
    """
    last_shown = -math.inf
    pipe = _pipeline(request)
    warning = pipe.text and request.prompt and pipe.text.prompt(request.prompt).warning
    if warning:
        warn(warning)
    if pipe.text and request.prompt and (caution := pipe.text.caution(request.prompt)):
        gr.Info(escape(caution))
    with closing(_computed(pipe, request, run.stop.is_set, image=image, record=record)) as steps:
        for step in steps:
            if run.stop.is_set():
                return
            late = time.monotonic() - last_shown >= PREVIEW_SECONDS * max(1, request.count / PREVIEW_PICTURES)
            if record is not None or step.result is not None or late:
                yield step
                last_shown = time.monotonic()


def _computed(pipe: Pipeline, request: Request, stopped: Callable[[], bool], **more: Any) -> Iterator[Step]:
    """All steps of a run until it is `stopped()`; how long it took, without the time it rested, is learnt.

    more: as in `Pipeline.stream`.
    """
    run = CURRENT.get() or Run()
    rested = run.rested
    if zero_gpu.is_lent() and more["record"] is None and zero_gpu.is_worth_it(SPEEDS.seconds(request)):
        yield from _lent(pipe, request, stopped, more["image"], more.get("previews", True))
        return
    try:
        with closing(pipe.stream(request, before_call=call_counter(request, stopped), **more)) as steps:
            for step in steps:
                if step.result is not None:
                    SPEEDS.learn(request, step.result.seconds - (run.rested - rested))
                yield step
    except Stopped:
        return


def _lent(
    pipe: Pipeline, request: Request, stopped: Callable[[], bool], image: Image.Image | None, previews: bool
) -> Iterator[Step]:
    """All steps of a run on a GPU that is lent for it, while others have the turn here."""
    pipe.stream(request, image=image).close()  # refuses what the model refuses, before a GPU is asked for
    run = CURRENT.get() or Run()
    TURNS.let_go(run)
    try:
        with closing(zero_gpu.steps(pipe.folder, request, image, previews)) as steps:
            for step in steps:
                if stopped():
                    return
                yield step
    finally:
        TURNS.come_back(run)


def _pipeline(request: Request) -> Pipeline:
    """The pipeline of a request's model. Raises ValueError for more than this machine's bounds, or no such model."""
    for name, most in (("steps", bounds().steps), ("count", bounds().pictures)):
        if getattr(request, name) > most:
            raise ValueError(f"{name} may be {most} at most here, not {getattr(request, name)}")
    return MODELS.get(installed_model(request.model))


def last_step(request: Request, kind: Kind, image: Image.Image | None = None) -> Step:
    """Run a request of a program to its end, without previews. ValueError for a model of the other kind.

    Raises Stopped if the program is gone before.
    """
    kind.refuse(installed_model(request.model))
    return ended(run_to_end(request, image))


def ended(result: Result | None) -> Result:
    """What a run gave in the end. Raises Stopped if it gave nothing, as it was not wanted any more."""
    if result is None:
        raise Stopped
    return result


def run_to_end(
    request: Request,
    image: Image.Image | None = None,
    stopped: Callable[[], bool] = lambda: False,
    record: Record | None = None,
    watch: Callable[[Step], None] | None = None,
) -> Step | None:
    """The last step of a run; None once `stopped()`, which is asked before every network call.

    record: as in `steps_of`. watch: is given every step, which then has previews.
    """
    step = None
    for step in _computed(_pipeline(request), request, stopped, image=image, record=record, previews=watch is not None):
        if watch is not None:
            watch(step)
    return step if step is not None and step.result is not None else None


RUNS: dict[tuple[str | None, str], Run] = {}  # by page and tab


@contextmanager
def track(page: gr.Request, tab: str) -> Iterator[Run]:
    """The run of a tab of a page, which `stop` finds until it has ended: the one whose turn it is, or a new one."""
    key, current = (page.session_hash, tab), CURRENT.get()
    run = RUNS[key] = current or Run()
    try:
        yield run
    finally:
        if run is not current:
            run.ended.set()
        if RUNS.get(key) is run:
            del RUNS[key]


def stop(page: gr.Request, tab: str) -> None:
    """Stop the run of a tab in its next network call; what it showed last stays.

    Returns when the run has ended, so that no late progress can follow.
    """
    run = RUNS.get((page.session_hash, tab))
    if run is not None:
        run.stop.set()
        run.ended.wait(STOP_SECONDS)


def sentence(fault: Exception) -> str:
    """One sentence about a fault; faults of the program, rather than of the user, also go to the log."""
    if isinstance(fault, Stopped):
        return texts.STOPPED
    if isinstance(fault, ValueError):
        return shortened(str(fault))
    places = [f"{Path(one.filename).name}:{one.lineno}" for one in traceback.extract_tb(fault.__traceback__)]
    log.error(
        "a request of the page failed: %s: %s, at %s",
        type(fault).__name__, shown(str(fault)), " > ".join(places[-PLACES:]),
    )  # fmt: skip
    log.debug("in full", exc_info=fault)
    return f"Something went wrong inside ({type(fault).__name__}); please try again. The server's log has the details."


def shortened(text: str) -> str:
    """A sentence in one line of LONGEST_SENTENCE letters at most, without the folders of this machine."""
    text = " ".join(text.split())
    for folder in _own_folders():
        text = text.replace(f"{folder}{os.sep}", "")
    return text if len(text) <= LONGEST_SENTENCE else f"{text[: LONGEST_SENTENCE - 1].rpartition(' ')[0]}…"


@cache
def _own_folders() -> list[str]:
    """The folders of this machine that nobody has typed, the longest first."""
    found = {pictures_folder(), Path(get_upload_folder()), zoo.WEIGHTS, zoo.WEIGHTS.parent, Path(tempfile.gettempdir())}
    return sorted({form for folder in found for form in (str(folder), str(folder.resolve()))}, key=len, reverse=True)


def warn(text: str) -> None:
    """Show a sentence as a toast, escaped: toasts render HTML, and the sentence may quote a stranger's file or link."""
    gr.Warning(escape(text))


def toast(fault: Exception) -> str:
    """Show the sentence about a fault as a toast, and return it."""
    text = sentence(fault)
    if not isinstance(fault, Stopped):
        warn(text)
    return text


_READING = threading.Lock()  # catch_warnings changes the state of the whole process


def read_request(file: str | Path) -> tuple[Request, list[str]]:
    """The request inside a file of this program, and one sentence per warning. Raises ValueError if it has none."""
    with _READING, warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        if MATRIX in media.read_metadata(file)["request"]:
            raise ValueError(f"{Path(file).name} is a matrix of the Compare tab; drop it there")
        request = Request.from_metadata(file)
    return request, [str(warning.message) for warning in records if warning.category is UserWarning]
