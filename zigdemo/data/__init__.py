"""What models learn from: the portraits' attributes, the captions made of them, and what a prompt asks for."""

from __future__ import annotations

from .asked import asked_attributes
from .captions import held_out_caption, held_out_prompts, portrait_caption
from .portraits import KIND_NAMES, KINDS, Attributes, draw_attributes, visible
from .swaps import Swap, swaps

__all__ = [
    "Attributes",
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
