"""What the Influence and Attention tabs share: runs that Stop ends, example chips, links to what is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any, TypeAlias

import gradio as gr

from ..checks import shown
from . import runs, texts
from .settings import examples

CHIPS = 4  # examples of a model, at most
MOST_LETTERS = 12  # of a number in a link
CHIP_NAMES = tuple(f"chip {place}" for place in range(CHIPS))

Updates: TypeAlias = Iterator[tuple[Any, ...]]

_LINK = """(...values) => {
  const url = new URL(window.location.href);
  url.search = "";
  url.searchParams.set("place", "%s");
  const names = %s, shown = values[names.length] || "";
  names.forEach((name, i) => { if (values[i] || values[i] === 0) url.searchParams.set(name, values[i]); });
  new URLSearchParams(shown).forEach((value, name) => url.searchParams.set(name, value));
  window.history.replaceState(null, "", url);
  if (navigator.clipboard) navigator.clipboard.writeText(url.href).catch(() => {});
  return values;
}"""  # formatted with %, since scripts are full of braces


def link_script(place: str, names: tuple[str, ...]) -> str:
    """The script that puts a tab and its settings into the address and on the clipboard.

    Its inputs are the values of the settings, and the query of what is shown of a drawing, empty if there is none.
    """
    return _LINK % (place, json.dumps(names))


def numbers_in(query: Mapping[str, str], names: tuple[str, ...]) -> dict[str, int]:
    """The whole numbers from 0 that a link has under some names; what is no number is left out, with a toast."""
    numbers = {}
    for name in names:
        text = query.get(name)
        if text is None:
            continue
        if text.isascii() and text.isdigit() and len(text) <= MOST_LETTERS:
            numbers[name] = int(text)
        else:
            runs.warn(f"The link's {name} was left out: it must be a whole number, not {shown(text)}.")
    return numbers


def busy_html(text: str) -> str:
    """A line in place of the progress of work whose end cannot be told."""
    return f'<div class="run busy"><progress></progress><span role="status">{escape(text)}</span></div>'


def stoppable(tab: str, updates: Callable[..., tuple[Any, ...]]) -> Callable[[Callable[..., Updates]], Any]:
    """A handler that runs until it ends or Stop is pressed; its faults are shown as a toast.

    It is called with its Run, and its inputs. updates: (running, line) -> updates of the outputs.
    """

    def decorate(function: Callable[..., Updates]) -> Callable[..., Updates]:
        def handle(page: gr.Request, *inputs: Any) -> Updates:
            with runs.track(page, tab) as run:
                try:
                    yield from function(run, *inputs)
                    if run.stop.is_set():
                        yield updates(False, texts.STOPPED)
                except Exception as fault:
                    yield updates(False, runs.toast(fault))

        handle.__name__, handle.__doc__ = function.__name__, function.__doc__
        return handle

    return decorate


def chips_of(model: str) -> tuple[Any, ...]:
    """Updates of the row of chips and of each chip: examples of prompts or labels for a model."""
    names = examples(model)[:CHIPS]
    chips = [gr.update(value=name, visible=True) for name in names]
    return gr.update(visible=bool(names)), *chips, *[gr.update(visible=False)] * (CHIPS - len(names))


def build_chips(model: str) -> tuple[gr.Row, list[gr.Button]]:
    """The row of chips for a model, and its CHIPS buttons, of which those without an example are hidden."""
    names = examples(model)[:CHIPS]
    with gr.Row(elem_classes=["chip-row", "prompts"], visible=bool(names)) as row:
        names += [""] * (CHIPS - len(names))
        return row, [gr.Button(name, size="sm", visible=bool(name)) for name in names]
