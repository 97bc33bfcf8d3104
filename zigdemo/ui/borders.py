"""The border of the program: every fault of an endpoint or of the page's events becomes one sentence for the caller."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any, TypeVar

import gradio as gr

from . import runs

Function = TypeVar("Function", bound=Callable[..., Any])


def endpoint(function: Function) -> Function:
    """An API function whose faults reach the caller as a gr.Error of one sentence, without a traceback."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as fault:
            raise gr.Error(runs.sentence(fault), print_exception=False) from None

    return call


def handler(failed: Callable[[str], Any]) -> Callable[[Function], Function]:
    """A handler of the page, function or generator, whose faults are shown as a toast.

    failed: the handler's outputs after a fault, made from the sentence about it.
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def call(*args: Any) -> Any:
            try:
                return function(*args)
            except Exception as fault:
                return failed(runs.toast(fault))

        @wraps(function)
        def iterate(*args: Any) -> Iterator[Any]:
            try:
                yield from function(*args)
            except Exception as fault:
                yield failed(runs.toast(fault))

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
    if isinstance(function, partial):
        return partial(_guarded(function.func, outputs), *function.args, **function.keywords)
    nothing = None if outputs == 0 else gr.skip() if outputs == 1 else (gr.skip(),) * outputs

    # Gradio reads the types of special arguments from annotations: these wrappers have those of the function alone.
    @wraps(function)
    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as fault:
            runs.toast(fault)
            return nothing

    @wraps(function)
    def iterate(*args, **kwargs):
        try:
            yield from function(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as fault:
            runs.toast(fault)
            yield nothing

    @wraps(function)
    async def wait(*args, **kwargs):
        try:
            return await function(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as fault:
            runs.toast(fault)
            return nothing

    if inspect.isasyncgenfunction(function):
        return function  # of `Line.watch` alone, which takes nothing from the browser
    return wait if inspect.iscoroutinefunction(function) else iterate if inspect.isgeneratorfunction(function) else call
