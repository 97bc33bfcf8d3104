"""Heat maps with their legends, and the requests and controls that the Attention and Influence tabs share."""

from __future__ import annotations

import logging
from html import escape
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from .. import zoo
from ..checks import as_whole
from ..explain import attends, heat
from ..pipeline import MOST_SEED, Request, Step, request_for
from . import texts
from .figures import Panel, Row, number
from .settings import MOST_STEPS, installed_model, installed_models

log = logging.getLogger(__name__)
SIDE_PX = 448
GAP_PX = 6  # between the frames of a clip


def panel_html(panel: Panel) -> str:
    """One map with its title, a sentence and its scale; without an image, only title and sentence."""
    title, about = escape(panel.title), escape(panel.about)
    if panel.image is None:
        return f'<figure><b>{title}</b><p class="none">{about}</p></figure>'
    ends = "" if panel.scale is None else "<span>{}</span><i></i><span>{}</span>".format(*map(number, panel.scale))
    return (
        f'<figure><b>{title}</b><span class="about">{about}</span>'
        f'<img alt="{title}" src="{texts.data_url(panel.image)}">'
        f'<div class="legend">{ends}<span>{escape(panel.note)}</span></div></figure>'
    )


def plain_html(image: Image.Image, name: str) -> str:
    """A picture without a map."""
    return (
        f'<div class="maps one"><img class="plain" alt="{escape(name)}" src="{texts.data_url(enlarged(image))}"></div>'
    )


def tiles_html(row: Row) -> str:
    """Small maps side by side, each above its name."""
    figures = "".join(
        f'<figure><img alt="{escape(row.title)}, {escape(one.title)}" src="{texts.data_url(one.image)}">'
        f"{escape(one.title)}</figure>"
        for one in row.panels
    )
    return f'<div class="tiles"><h3>{escape(row.title)}</h3>{figures}</div>'


def frames_of(step: Step) -> list[Image.Image]:
    """The frames of the clip of a pipeline step for one item, or its one picture."""
    return [Image.fromarray(frame) for frame in step.clips[0]] if step.clips else step.preview[:1]


def side_by_side(frames: list[Image.Image]) -> Image.Image:
    """Frames of one size in rows of four, clear between them; a picture alone is itself."""
    if len(frames) == 1:
        return frames[0]
    columns = min(4, len(frames))
    (width, height), rows = frames[0].size, -(-len(frames) // columns)
    page = Image.new("RGBA", (columns * (width + GAP_PX) - GAP_PX, rows * (height + GAP_PX) - GAP_PX))
    for place, frame in enumerate(frames):
        row, column = divmod(place, columns)
        page.paste(frame, (column * (width + GAP_PX), row * (height + GAP_PX)))
    return page


def enlarged(picture: Image.Image) -> Image.Image:
    """A picture at the size at which the page shows it, without smoothing."""
    return picture.resize(heat.sized(picture, SIDE_PX), Image.Resampling.NEAREST)


def places(count: int, **more: Any) -> dict[str, Any]:
    """The update of a slider that chooses one of `count` places, from 1; still where there is one alone.

    Gradio refuses a slider whose ends meet, so the maximum is at least 2.
    """
    return gr.update(maximum=max(count, 2), interactive=count > 1, **more)


def one_picture(model: str, prompt: str | None, label: str | None, scan: str | None, steps: Any, seed: Any) -> Request:
    """The request for one item of a model of the page, to look into. Raises ValueError with one sentence."""
    folder = installed_model(model)
    by_text = bool(getattr(folder.model, "text_width", 0))
    return request_for(
        folder,
        prompt=(prompt or None) if by_text else None,
        label=(label or None) if folder.labels else None,
        scan=(scan or None) if folder.schemes else None,
        steps=None if steps is None else as_whole("steps", steps, 1, MOST_STEPS),
        seed=as_whole("seed", seed, 0, MOST_SEED),
        count=1,
    )


def text_models() -> list[zoo.ModelFolder]:
    """The installed models that read prompts and attend to each word of them."""
    by_text = [entry for entry in installed_models() if getattr(entry.model, "text_width", 0)]
    return [entry for entry in by_text if entry.family == "ZigMa official" or attends(entry.model)]


def peak_of_others(values: np.ndarray, token: int) -> float:
    """The largest value of the other patches, as a patch's own would hide them; its own if all others are 0."""
    others = np.delete(values.ravel(), token)
    largest = float(others.max(initial=0))
    return largest if largest > 0 else float(values.max(initial=0))
