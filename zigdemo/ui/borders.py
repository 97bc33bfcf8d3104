"""The borders of the program: where a fault of any kind becomes one sentence for whoever asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, TypeVar

import gradio as gr

from . import runs

Function = TypeVar("Function", bound=Callable[..., Any])


def endpoint(function: Function) -> Function:
    """An API function whose faults reach its caller as one sentence, and no traceback."""

    @wraps(function)
    def answered(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except Exception as fault:
            raise gr.Error(runs.sentence(fault), print_exception=False) from None

    return answered


def told(failed: Callable[[str], Any]) -> Callable[[Function], Function]:
    """A handler of the page, a function or a generator, whose faults are told as a toast.

    failed: what the handler's outputs become, given the sentence.
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def answered(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except Exception as fault:
                return failed(runs.warned(fault))

        @wraps(function)
        def yielded(*arguments: Any) -> Iterator[Any]:
            try:
                yield from function(*arguments)
            except Exception as fault:
                yield failed(runs.warned(fault))

        return yielded if inspect.isgeneratorfunction(function) else answered

    return decorate
