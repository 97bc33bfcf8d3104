"""Decorators of API endpoints and page handlers that turn any fault into one sentence for the caller."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
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
