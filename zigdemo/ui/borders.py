"""The border of the program: every fault of an endpoint or of the page's events becomes one sentence for the caller."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial, wraps
from typing import Any, TypeVar

import gradio as gr

from . import runs
from .turns import Stopped

Function = TypeVar("Function", bound=Callable[..., Any])


def endpoint(function: Function) -> Function:
    """An API function whose faults reach the caller as a gr.Error of one sentence, without a traceback."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Stopped:
            raise
        except Exception as fault:
            raise gr.Error(runs.sentence(fault), print_exception=False) from None

    return call


def handler(failed: Callable[[str], Any]) -> Callable[[Function], Function]:
    """A handler of the page, function, coroutine or generator of either kind, whose faults are shown as a toast.

    failed: the handler's outputs after a fault, made from the sentence about it. A gr.Error, which ends a chain of
    events, is left as it is.
    """

    def outputs(fault: Exception) -> Any:
        if isinstance(fault, gr.Error):
            raise fault
        return failed(runs.toast(fault))

    def decorate(function: Function) -> Function:
        @wraps(function)
        def call(*args: Any) -> Any:
            try:
                return function(*args)
            except Exception as fault:
                return outputs(fault)

        @wraps(function)
        async def wait(*args: Any) -> Any:
            try:
                return await function(*args)
            except Exception as fault:
                return outputs(fault)

        @wraps(function)
        def iterate(*args: Any) -> Iterator[Any]:
            try:
                yield from function(*args)
            except Exception as fault:
                yield outputs(fault)

        @wraps(function)
        async def follow(*args: Any) -> AsyncIterator[Any]:
            try:
                async for value in function(*args):
                    yield value
            except Exception as fault:
                yield outputs(fault)

        if inspect.isasyncgenfunction(function):
            return follow
        if inspect.iscoroutinefunction(function):
            return wait
        return iterate if inspect.isgeneratorfunction(function) else call

    return decorate


def guard(page: gr.Blocks) -> None:
    """Show what is left of the faults of the page's own events as toasts; their outputs stay as they are.

    A browser may send anything, also values that no handler expects. Faults of endpoints reach their callers.
    """
    for event in page.fns.values():
        if event.fn is not None and event.api_visibility == "private":
            event.fn = _guarded(event.fn, len(event.outputs))


def _guarded(function: Any, outputs: int) -> Any:
    if isinstance(function, partial):  # Gradio reads the types of special arguments from the function inside
        return partial(_guarded(function.func, outputs), *function.args, **function.keywords)
    nothing = None if outputs == 0 else gr.skip() if outputs == 1 else (gr.skip(),) * outputs
    return handler(lambda sentence: nothing)(function)
