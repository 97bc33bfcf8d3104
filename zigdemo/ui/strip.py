"""The film strip at the foot of every place: what this browser has drawn, kept over a reload, restored by a click."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

import gradio as gr

from ..pipeline import Result
from ..request import Request
from .settings import MORE, NAMES, installed_model, shown_values
from .texts import data_url
from .theme import mount_script

THUMBNAIL_PX = 72
MOST_AT_ONCE = 4  # pictures of a run
EVENTS = (  # of the strip's script, as events of its component
    'element.addEventListener("zigdemo-restore", (event) => trigger("select", { query: event.detail }));'
    'element.addEventListener("zigdemo-pair", (event) => trigger("apply", { queries: event.detail }));'
)
MOST_QUERY = 2**13  # characters


def make_strip() -> gr.HTML:
    """The strip, laid out later by `render`. Its value: the newest results, as `feed_json`.

    It selects one query, to be restored, and applies two, to be compared.
    """
    return gr.HTML(
        "",
        html_template='<div class="strip-of-results"></div>',
        js_on_load=mount_script("strip-of-results", "zigdemoStrip") + EVENTS,
        apply_default_css=False,
        elem_id="strip",
        render=False,
    )


def query(request: Request) -> str:
    """The settings of a request as the query of a link, as the page's own link has them."""
    values = shown_values(request)
    return urlencode(
        {n: "" if values[n] is None else values[n] for n in NAMES if n not in MORE or values[n] != MORE[n]}
    )


def read_query(text: object) -> dict[str, str]:
    """The parameters of a query; empty for one that is no text or far too long."""
    is_usable = isinstance(text, str) and len(text) <= MOST_QUERY
    return dict(parse_qsl(text, keep_blank_values=True)) if is_usable else {}


def caption(request: Request) -> str:
    """Model, scan, solver and seed of a request."""
    scan = request.scan or next(iter(installed_model(request.model).schemes), "")
    return " · ".join(filter(None, (request.model, scan, f"{request.solver} {request.steps}", f"seed {request.seed}")))


def feed_json(result: Result) -> str:
    """The pictures of a run for the strip, each with a caption, its words and the settings that draw it again."""
    items: list[dict[str, Any]] = []
    for number, image in enumerate(result.images[:MOST_AT_ONCE]):
        request = result.request
        one = Request(**{**request.settings, "seed": request.seed + number, "count": 1})
        small = image.convert("RGB")
        small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        items.append(
            {
                "thumbnail": data_url(small, "WEBP"),
                "caption": caption(one),
                "words": one.prompt or one.label or "",
                "query": query(one),
            }
        )
    return json.dumps(items)
