"""What a network costs, layer by layer: by the formulas of its backbone; `counting` counts the same on a run."""

from __future__ import annotations

from typing import Any

from ..backbones import Cost, family_of

WORDS = 77  # tokens of a text, as CLIP gives them


def cost(config: Any, batch: int = 1, words: int = WORDS) -> dict[str, Cost]:
    """Cost of every layer of the network of a config, by formula; nothing is built.

    batch: pictures or clips in a pass. words: length of the text, for a network with text. Raises ValueError for a
    config of no known backbone.
    """
    return family_of(config)[1].cost(config, batch, words)
