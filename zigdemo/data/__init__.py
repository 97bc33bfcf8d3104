"""Data sets: pictures and clips on disk, and portraits with known attributes."""

from __future__ import annotations

from .asked import asked_attributes
from .clips import ClipSet
from .images import ImageSet
from .portrait_captions import held_out_caption, held_out_prompts, portrait_caption
from .portraits import KIND_NAMES, KINDS, Attributes, draw_attributes, visible
from .swaps import Swap, swaps

__all__ = [
    "Attributes",
    "ClipSet",
    "ImageSet",
    "KINDS",
    "KIND_NAMES",
    "Swap",
    "asked_attributes",
    "draw_attributes",
    "held_out_caption",
    "held_out_prompts",
    "portrait_caption",
    "swaps",
    "visible",
]
