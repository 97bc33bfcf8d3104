"""Training captions: from the attributes of a portrait or a drawn person, an emoji's keywords, or the given label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .emoji_captions import GROUP_WORDS, training_caption
from .figures.captions import figure_caption
from .portrait_captions import portrait_caption

if TYPE_CHECKING:
    from .clips import ClipSet
    from .images import ImageSet
    from .latents import LatentSet


def image_caption(data: ImageSet | ClipSet | LatentSet, row: int, rng: np.random.Generator) -> str:
    """A random caption for one image or clip of a set; always the label if nothing else is known."""
    if data.attributes and data.attributes[row]:
        caption = figure_caption if "scene" in data.attributes[row] else portrait_caption
        return caption(data.attributes[row], rng)
    if data.groups[row] in GROUP_WORDS:
        return training_caption(data.label_names[data.labels[row]], data.groups[row], data.keywords[row], rng)
    return data.label_names[data.labels[row]]
