"""Cost of a network by the formulas of its backbone, layer by layer; `counting` counts the same in a dry run."""

from __future__ import annotations

from typing import Any

from ..backbones import Cost, family_of

WORDS = 77  # tokens of a text in CLIP


def cost(config: Any, batch: int = 1, words: int = WORDS) -> dict[str, Cost]:
    """Cost of every layer of a config's network, by formula and without building it.

    batch: number of pictures or clips. words: length of the text, for networks with text. Raises ValueError for an
    unknown type of config.
    """
    return family_of(config)[1].cost(config, batch, words)
