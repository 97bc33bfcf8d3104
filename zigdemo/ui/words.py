"""A picture below its prompt: the word under the pointer, or in focus, lights up the parts it acts on."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from ..explain.heat import upsampled
from .texts import data_url

MOST_WORDS = 48
MASK_PX = 128
VEIL = 0.82  # opacity of the veil where a word does not act


def veil_url(values: ArrayLike) -> str:
    """A map (rows, columns) as the data URL of a dark veil, clear where the values are largest."""
    values = np.asarray(values, np.float32)
    span = float(values.max() - values.min())
    share = upsampled((values - values.min()) / span if span > 0 else 0 * values, (MASK_PX, MASK_PX))
    pixels = np.zeros((MASK_PX, MASK_PX, 4), np.uint8)
    pixels[..., 3] = np.round(255 * VEIL * (1 - np.clip(share, 0, 1)))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def lit_html(picture: Image.Image, words: Sequence[tuple[str, ArrayLike | None]]) -> str:
    """The picture below its words. words: in order, each with its map, or None for a word without one."""
    spans, veils = [], []
    for place, (word, values) in enumerate(words):
        if values is None or place >= MOST_WORDS:
            spans.append(f"<span>{escape(word)}</span>")
            continue
        spans.append(f'<span class="word-{place}" tabindex="0">{escape(word)}</span>')
        veils.append(f'<img class="veil veil-{place}" alt="" src="{veil_url(values)}">')
    return (
        f'<div class="lit"><p>{" ".join(spans)}</p><figure><img alt="the picture" src="{data_url(picture)}">'
        f"{''.join(veils)}</figure></div>"
    )
