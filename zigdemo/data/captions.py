"""A caption for training of any image: by a portrait's attributes, by an emoji's keywords, or as somebody wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .emoji_captions import GROUP_WORDS, training_caption
from .portrait_captions import portrait_caption

if TYPE_CHECKING:
    from .images import ImageSet
    from .latents import LatentSet


def image_caption(data: ImageSet | LatentSet, row: int, rng: np.random.Generator) -> str:
    """A caption for one image of a set, another one each time where there is something to vary."""
    if data.attributes and data.attributes[row]:
        return portrait_caption(data.attributes[row], rng)
    if data.groups[row] in GROUP_WORDS:
        return training_caption(data.label_names[data.labels[row]], data.groups[row], data.keywords[row], rng)
    return data.label_names[data.labels[row]]
