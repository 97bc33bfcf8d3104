"""The border of the program: every fault of an endpoint or of the page's events becomes one sentence for the caller."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from functools import partial, wraps
from typing import Any, TypeVar, get_type_hints

import gradio as gr
import orjson
from gradio.exceptions import InvalidPathError
from gradio.processing_utils import check_all_files_in_cache

from . import runs
from .turns import Stopped

log = logging.getLogger(__name__)
NO_UPLOAD = "a file must be uploaded first; drop it into its box, or send it with gradio_client.handle_file"
UNREADABLE = "these values are not what is asked for here; reload the page, or see docs/api.md"

Function = TypeVar("Function", bound=Callable[..., Any])


def endpoint(function: Function) -> Function:
    """An API function whose faults reach the caller as a gr.Error of one sentence, without a traceback."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (Stopped, gr.Error):
            raise
        except Exception as fault:
            raise gr.Error(runs.sentence(fault), print_exception=False) from None

    call.__signature__ = with_types(function)
    return call


def with_types(function: Callable[..., Any]) -> inspect.Signature:
    """A function's signature with its types instead of their names, as Gradio describes an endpoint by it."""
    types, signature = get_type_hints(function), inspect.signature(function)
    return signature.replace(
        parameters=[one.replace(annotation=types.get(name, Any)) for name, one in signature.parameters.items()],
        return_annotation=types.get("return", inspect.Signature.empty),
    )


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
                async with aclosing(function(*args)) as values:
                    async for value in values:
                        yield value
            except Exception as fault:
                yield outputs(fault)

        if inspect.isasyncgenfunction(function):
            return follow
        if inspect.iscoroutinefunction(function):
            return wait
        return iterate if inspect.isgeneratorfunction(function) else call

    return decorate


class Page(gr.Blocks):
    """Gradio's page; its own faults, before and after our handlers, are one sentence without a traceback or a path."""

    async def preprocess_data(self, *args: Any, **kwargs: Any) -> Any:
        """As Gradio's: a browser or a program has sent something else than what a handler takes."""
        _check_values(kwargs.get("inputs", args[1] if len(args) > 1 else None))
        try:
            return await super().preprocess_data(*args, **kwargs)
        except gr.Error as fault:
            fault.print_exception = False
            raise
        except InvalidPathError:
            raise gr.Error(NO_UPLOAD, print_exception=False) from None
        except Exception as fault:
            log.info("values of a request could not be read: %s", type(fault).__name__)
            raise gr.Error(UNREADABLE, print_exception=False) from None

    async def process_api(self, *args: Any, **kwargs: Any) -> Any:
        """As Gradio's; what is no mistake of who asks is a fault of the program, and goes to the log."""
        event, handler = kwargs.get("event_data"), kwargs.get("block_fn", args[0] if args else None)
        if getattr(handler, "collects_event_data", False) and not isinstance(getattr(event, "_data", None), dict):
            raise gr.Error(UNREADABLE, print_exception=False)
        _check_event(getattr(event, "_data", None))
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error as fault:
            fault.print_exception = False
            raise
        except Exception as fault:
            raise gr.Error(runs.sentence(fault), print_exception=False) from None


def _check_values(values: Any) -> None:
    """Refuse what Gradio would misread if a handler gave it back as it came.

    Numbers of more than 64 bits would end without an answer, and some objects would be updates of a component.
    """
    try:
        written = orjson.dumps(values)
    except TypeError:
        raise gr.Error(UNREADABLE, print_exception=False) from None
    if b'"__type__":' in written:
        raise gr.Error(UNREADABLE, print_exception=False)


def _check_event(data: Any) -> None:
    """Refuse an event of the browser with files that nobody has uploaded, or that are none: Gradio would fail."""
    _check_values(data)
    try:
        check_all_files_in_cache(data)
    except gr.Error:
        raise gr.Error(NO_UPLOAD, print_exception=False) from None
    except Exception:
        raise gr.Error(UNREADABLE, print_exception=False) from None


def guard(page: gr.Blocks) -> None:
    """Show what is left of the faults of the page's own events as toasts; their outputs stay as they are.

    A browser may send anything, also values that no handler expects. Faults of endpoints reach their callers.
    """
    for event in page.fns.values():
        if event.show_progress == "hidden":
            event.show_progress_on = []  # else the browser goes over all that any event changed, at each of them
        if event.fn is not None and event.api_visibility == "private":
            event.fn = _guarded(event.fn, len(event.outputs))


def _guarded(function: Any, outputs: int) -> Any:
    if isinstance(function, partial):  # Gradio reads the types of special arguments from the function inside
        return partial(_guarded(function.func, outputs), *function.args, **function.keywords)
    nothing = None if outputs == 0 else gr.skip() if outputs == 1 else (gr.skip(),) * outputs
    return handler(lambda sentence: nothing)(function)
