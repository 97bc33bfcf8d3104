"""Data sets: pictures and clips on disk, and portraits with known attributes."""

from __future__ import annotations

from .asked import asked_attributes
from .clips import ClipSet
from .figures import CLASSES
from .figures.captions import FIGURE_KINDS, figure_caption, held_out_figures
from .images import ImageSet
from .portrait_captions import held_out_caption, held_out_prompts, portrait_caption
from .portraits import KIND_NAMES, KINDS, Attributes, draw_attributes, visible
from .swaps import Swap, swaps

__all__ = [
    "Attributes",
    "CLASSES",
    "ClipSet",
    "FIGURE_KINDS",
    "ImageSet",
    "KINDS",
    "KIND_NAMES",
    "Swap",
    "asked_attributes",
    "draw_attributes",
    "figure_caption",
    "held_out_caption",
    "held_out_figures",
    "held_out_prompts",
    "portrait_caption",
    "swaps",
    "visible",
]
