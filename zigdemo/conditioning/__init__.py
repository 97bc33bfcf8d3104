"""Text towers, which turn prompts into features."""

from __future__ import annotations

from .text import CLIP_L, SHIPPED_TOWER, TextSpec, TextTower, hidden_states, write_tower
from .tokens import Prompt, Tokenizer

__all__ = ["CLIP_L", "SHIPPED_TOWER", "Prompt", "TextSpec", "TextTower", "Tokenizer", "hidden_states", "write_tower"]
