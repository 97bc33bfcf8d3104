"""Runs work of the page and of programs in the turn, in threads of its own, until it ends or nobody wants it."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from contextvars import copy_context
from functools import wraps
from typing import Any, TypeVar

import gradio as gr
from gradio.context import LocalContext

from ..ops.threads import release_team
from ..request import Request
from .bounds import bounds
from .estimates import REFUSED_SECONDS, waiting_text
from .rest import REST
from .turns import CURRENT, TURNS, Run, Stopped, checkpoint
from .visitors import LISTENERS, address_of_page, visitor_of

POLL_SECONDS = 0.02  # between two questions for the turn, by who is next
FAR_SECONDS = 0.1  # and by others
LOOK_SECONDS = 0.25  # between two looks at whether a run is still wanted
ABANDONED_SECONDS = 5.0  # without a question for the next value; Gradio asks within milliseconds
MOST_THREADS = 64

# Few threads, as each keeps OpenMP threads; a run that rests for a better one keeps its own.
_THREADS = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="run")
_END = object()
# Of events that wait for the turn: Gradio's queue hands them on at once.
TURN = {"concurrency_limit": None}

Value = TypeVar("Value")


def call_counter(request: Request, stopped: Callable[[], bool] = lambda: False) -> Callable[[], None]:
    """What is called before every network call of a run: raises Stopped once it is unwanted, ValueError after too many.

    How many calls a solver with adaptive steps makes is not known before.
    """
    calls, most = 0, bounds().calls * request.count

    def before_call() -> None:
        nonlocal calls
        calls += 1
        if stopped():
            raise Stopped
        if calls > most:
            raise ValueError(
                f"{request.solver} made {most // request.count:,} network calls for a picture, as many as may be here; "
                "take a larger tolerance or another solver"
            )
        checkpoint()

    return before_call


def new_run(page: gr.Request | None, seconds: float) -> Run:
    """A run of who makes a request. seconds: of work, estimated."""
    return Run(visitor_of(page), seconds, address=address_of_page(page))


def _is_lost(page: gr.Request | None, run: Run) -> bool:
    """Whether the page or program that asked for a run is gone."""
    event = LocalContext.event_id.get(None)
    if event is None:  # of the page itself, outside Gradio's queue: it waits for its answer, and has no stream
        return False
    return LISTENERS.is_lost((getattr(page, "session_hash", None), event), run.joined)


async def _turn(page: gr.Request | None, run: Run, stopped: Callable[[], bool] = lambda: False) -> AsyncIterator[str]:
    """Wait for the turn, yielding the line about it whenever that changes. Raises Stopped if it is not wanted."""
    told, looked, before = None, 0.0, 0
    while not TURNS.take(run):
        if run.stop.is_set() or stopped() or _is_lost(page, run):
            raise Stopped
        if time.monotonic() - looked > LOOK_SECONDS:
            looked, (before, seconds) = time.monotonic(), TURNS.before(run)
            if (line := waiting_text(before, seconds)) != told:
                yield (told := line)
        await asyncio.sleep(POLL_SECONDS if before <= 1 else FAR_SECONDS)


async def _in_thread(page: gr.Request | None, run: Run, function: Callable[[], Value]) -> Value:
    """What a function returns that is called in a thread; the run is asked to stop once it is not wanted."""

    def call() -> Value:
        CURRENT.set(run)
        try:
            return function()
        finally:
            release_team()

    work = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(_THREADS, copy_context().run, call))
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=LOOK_SECONDS)
            if _is_lost(page, run):
                run.stop.set()
    except asyncio.CancelledError:  # by Stop, or by a program
        run.stop.set()
        await _ended(work)
        raise
    return work.result()


async def _ended(work: asyncio.Future[Any]) -> None:
    """Wait until work in a thread has ended, however often that is cancelled: nothing goes on outside the turn."""
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({work})
    with suppress(Exception):
        work.exception()


def _abandon(run: Run, steps: Iterator[Any]) -> None:
    """End a run that was left between two values, as Gradio may after a cancellation; it would keep the turn."""

    run.stop.set()
    _THREADS.submit(_close, run, steps)


def _close(run: Run, steps: Iterator[Any]) -> None:
    """End what a run yields, and give its turn back."""
    try:
        getattr(steps, "close", int)()
    finally:
        release_team()
        TURNS.leave(run)


async def in_turn_while(
    page: gr.Request | None, seconds: float, stopped: Callable[[], bool], function: Callable[[], Value]
) -> Value:
    """What a function returns that computes in the turn. Raises Stopped if it is `stopped()` before it begins."""
    run = new_run(page, seconds)
    TURNS.join(run)
    try:
        async for _ in _turn(page, run, stopped):
            pass
        return await _in_thread(page, run, function)
    finally:
        TURNS.leave(run)
        REST.run_ended()


async def steps_in_turn(
    page: gr.Request | None, run: Run, steps: Iterator[Value], waiting: Callable[[str], Value] | None = None,
    stopped: Value | None = None,
) -> AsyncIterator[Value]:  # fmt: skip
    """What an iterator yields that computes in the turn, which its caller has joined.

    waiting: what is yielded for a line about the wait. stopped: and for a run that is stopped before it begins.
    """
    try:
        try:
            async for line in _turn(page, run):
                if waiting is not None:
                    yield waiting(line)
        except Stopped:
            if stopped is not None:
                yield stopped
            return
        while (value := await _in_thread(page, run, lambda: next(steps, _END))) is not _END:
            watch = asyncio.get_running_loop().call_later(ABANDONED_SECONDS, _abandon, run, steps)
            try:
                yield value
            finally:
                watch.cancel()
    finally:
        run.stop.set()
        await _ended(asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(_THREADS, _close, run, steps)))
        REST.run_ended()


def in_turn(seconds: Callable[..., float] = lambda *inputs, **more: 1.0) -> Callable[[Callable[..., Any]], Any]:
    """A function for programs, or a generator of the page, that computes in the turn.

    seconds: of work, estimated from the arguments. The result is a coroutine function or an asynchronous generator
    with the same parameters after the request, which Gradio fills in.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        takes_page = "page" in inspect.signature(function).parameters

        def estimated(*args: Any, **kwargs: Any) -> float:
            try:
                return seconds(*args, **kwargs)
            except ValueError:
                return REFUSED_SECONDS  # the function says what is wrong

        async def call(page: gr.Request, *args: Any, **kwargs: Any) -> Any:
            try:
                estimate = estimated(*args, **kwargs)
                return await in_turn_while(page, estimate, lambda: False, lambda: function(*args, **kwargs))
            except Stopped:
                raise gr.Error("the run was stopped, as nobody waited for it any more", print_exception=False) from None
            except gr.Error:  # which is a ValueError, whose text would be in quotes
                raise
            except ValueError as fault:
                raise gr.Error(str(fault), print_exception=False) from None

        async def iterate(page: gr.Request, *args: Any) -> AsyncIterator[Any]:
            run = new_run(page, estimated(*args))
            TURNS.join(run)
            steps = function(page, *args) if takes_page else function(*args)
            async with aclosing(steps_in_turn(page, run, steps)) as values:
                async for value in values:
                    yield value

        outer = iterate if inspect.isgeneratorfunction(function) else call
        return _with_page(outer, function)

    return decorate


def _with_page(outer: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """`outer` under the name, the text and the parameters of a function, with the request before them."""
    result = wraps(function)(outer)
    signature = inspect.signature(function)
    others = [one for name, one in signature.parameters.items() if name != "page"]
    page = inspect.Parameter("page", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request)
    result.__signature__ = signature.replace(parameters=[page, *others])
    result.__annotations__ = {**function.__annotations__, "page": gr.Request}
    return result
