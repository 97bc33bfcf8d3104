"""Changes of one attribute of a prompt with a click, at the same seed, and what they change in the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from ..data import Swap, swaps
from ..explain import heat
from ..pipeline import Request
from .texts import data_url

MOST_SWAPS = 6
MOST_SHOWN = 4  # pictures of a run whose change is shown, at most
TILE_PX = 128


def offers(request: Request) -> list[Swap]:
    """The changes to offer after a request was drawn; none without a prompt that `data.swaps` understands."""
    return swaps(request.prompt, MOST_SWAPS) if request.prompt else []


def buttons(changes: list[Swap]) -> tuple[Any, ...]:
    """Updates of the row of swaps and of its MOST_SWAPS buttons."""
    visible = [gr.update(value=swap.label, visible=True) for swap in changes]
    return gr.update(visible=bool(changes)), *visible, *[gr.update(visible=False)] * (MOST_SWAPS - len(changes))


def change_html(before: list[str], after: list[Image.Image]) -> str:
    """Pictures before and after a change, and where they differ; empty if they do not match in number and size."""
    paths = [Path(path) for path in before]
    if len(paths) != len(after) or not all(path.is_file() for path in paths):
        return ""
    cells = []
    for path, new in list(zip(paths, after, strict=True))[:MOST_SHOWN]:
        with Image.open(path) as file:
            old = file.convert("RGB")
        if old.size != new.size:
            return ""
        for name, image in (("before", old), ("after", new), ("what changed", difference(old, new))):
            cells.append(f'<img alt="{name}" src="{data_url(image, "PNG")}">')
    return f'<div class="change"><b>Before</b><b>After</b><b>What changed</b>{"".join(cells)}</div>'


def difference(old: Image.Image, new: Image.Image) -> Image.Image:
    """Where two pictures of one size differ: the mean over the colours as a heat map over the new picture."""
    apart = np.abs(np.asarray(old, np.float32) - np.asarray(new.convert("RGB"), np.float32)).mean(-1)
    return heat.overlay(new.convert("RGB"), apart, max(new.size), peak=max(float(apart.max()), 1.0))
