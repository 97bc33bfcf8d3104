"""The settings that all places share: what is chosen in one stands in every other, and in the page's address."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import gradio as gr

from . import fields
from .frame import Frame
from .runs import QUIET
from .settings import MORE, NAMES

MOST_LETTERS = 2**14  # of a choice
_CHANGED = "(choice, ...values) => window.zigdemoAddress.changed(%s, %s, %s, %s, choice, values)"
_OPENED = "async (choice, ...values) => [await window.zigdemoAddress.choiceFor(%s, %s, choice), ...values]"
_SHOWN = "(query) => { window.zigdemoAddress.showing(%s, query); }"

Query: TypeAlias = dict[str, Any]  # settings by name, as in a link; values may be numbers
Show: TypeAlias = Callable[[Query, Query], tuple[Any, ...] | None]


def make_choice() -> gr.Textbox:
    """Where the browser keeps the choice, a JSON object; empty until something is chosen."""
    return gr.Textbox("", visible="hidden", elem_id="choice")


def read_choice(text: object) -> Query:
    """The settings in a choice; empty for anything else."""
    try:
        settings = json.loads(text) if isinstance(text, str) and len(text) <= MOST_LETTERS else None
    except (ValueError, RecursionError):
        return {}
    if not isinstance(settings, dict) or not isinstance(settings.get("model", ""), str):
        return {}
    return {name: value for name, value in settings.items() if _is_single(value)}


def _is_single(value: object) -> bool:
    return value is None or isinstance(value, (str, float, int))


def choice_json(query: Query) -> str:
    """The choice that a query of settings makes."""
    return json.dumps({name: value for name, value in query.items() if name in NAMES})


def share(
    frame: Frame,
    tab: str,
    controls: Mapping[str, gr.components.Component],
    outputs: Sequence[gr.components.Component],
    show: Show,
) -> None:
    """Let a tab set the choice and the address when a control changes, and follow the choice when it is opened.

    controls: by the names of settings. show: for the settings of a link and those that the tab has, updates of outputs
    that show the first, or None if the tab cannot.
    """
    names, inputs = list(controls), list(controls.values())
    usual = {name: control.value for name, control in controls.items()}

    def follow(choice: str, *values: Any) -> tuple[Any, ...]:
        own = {name: value for name, value in zip(names, values, strict=True) if _is_single(value)}
        return _followed(read_choice(choice), own, tab, show) or skipped

    skipped = (gr.skip(),) * len(outputs)
    script = _CHANGED % tuple(json.dumps(one) for one in (tab, names, usual, MORE))
    opened = _OPENED % (json.dumps(tab), json.dumps(NAMES))
    changed = fields.later(partial(gr.on, [one.change for one in inputs]), 0)
    changed(None, [frame.choice, *inputs], frame.choice, js=script, trigger_mode="multiple", **QUIET)
    gr.on(frame.opened, follow, [frame.choice, *inputs], list(outputs), js=opened, queue=False, **QUIET)


def _followed(choice: Query, own: Query, tab: str, show: Show) -> tuple[Any, ...] | None:
    """Updates that show the choice in a tab; None if it shows it already, or cannot."""
    if all(choice.get(name) == value for name, value in own.items() if name in choice):
        return None
    kept = own if choice.get("model", own.get("model")) == own.get("model") else {"count": own.get("count", 1)}
    try:
        return show({"place": tab, **kept, **choice}, own)
    except ValueError:
        return None


def show_in_address(tab: str, query: gr.Textbox) -> None:
    """Keep what a tab shows of a drawing, the query of a link, in the page's address."""
    query.change(None, query, None, js=_SHOWN % json.dumps(tab), **QUIET)
