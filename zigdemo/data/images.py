"""Labelled images on disk: a folder with images.npy, samples.jsonl and info.json, read without copying."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .portraits import Attributes, check_attributes
from .prepared import Form, augmented, choose_rows, number_labels, read_set, rows_of

IMAGES = Form(
    noun="image",
    array_file="images.npy",
    axes=("count", "size", "size", "3"),
    how_to_make="run `python -m zigdemo.training.prepare fluent-emoji`",
)


@dataclass(frozen=True)
class ImageSet:
    """Square RGB images, each with one label.

    images: (count, size, size, 3) uint8, memory-mapped where nothing was left out.
    label_names: the distinct labels, in order of first appearance. labels: (count,) int64 indices into them.
    groups, keywords: one entry an image, for captions; attributes: what portraits show, empty for all others.
    """

    images: np.ndarray
    label_names: list[str]
    labels: np.ndarray
    groups: list[str] = field(default_factory=list)
    keywords: list[list[str]] = field(default_factory=list)
    attributes: list[Attributes] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @property
    def size(self) -> int:
        """Side of the images in pixels."""
        return self.images.shape[1]

    def draw(
        self, rows: np.ndarray, frames: int, seeds: Sequence[int], flip: bool = False, shift_px: int = 0
    ) -> np.ndarray:
        """The images of some rows, uint8 (n, size, size, 3), flipped and shifted each by its seed; frames: 0."""
        if not flip and not shift_px:
            return self.images[rows]
        chance = map(np.random.default_rng, seeds)
        return np.stack(
            [augmented(self.images[row], rng, flip, shift_px) for row, rng in zip(rows, chance, strict=True)]
        )

    @classmethod
    def load(
        cls,
        folder: str | Path,
        groups: Iterable[str] | None = None,
        labels: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
    ) -> ImageSet:
        """Read a prepared folder; of the named groups and labels only, where they are given.

        exclude: patterns of labels to leave out, with * for anything.

        Errors: FileNotFoundError where the folder is no image set; ValueError where its files do not fit
        together or a group or label is not in it.
        """
        folder = Path(folder)
        images, samples = read_set(folder, IMAGES)
        rows = choose_rows(folder, IMAGES, samples, groups, labels, exclude)
        chosen = [samples[row] for row in rows]
        return cls(rows_of(images, rows), *number_labels(chosen), *descriptions(chosen))


def descriptions(samples: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]], list[Attributes]]:
    """Groups, keywords and attributes of samples, as an ImageSet has them."""
    groups, keywords = [sample["group"] for sample in samples], [keywords_of(sample) for sample in samples]
    return groups, keywords, [attributes_of(sample) for sample in samples]


def attributes_of(sample: dict[str, Any]) -> Attributes:
    """What a portrait shows; nothing where a sample is none, or has what no portrait has."""
    try:
        return check_attributes(sample.get("attributes"))
    except ValueError:
        return {}


def keywords_of(sample: dict[str, Any]) -> list[str]:
    """The keywords of a sample; none where it has no list of them."""
    found = sample.get("keywords")
    return [key for key in found if isinstance(key, str)] if isinstance(found, list) else []
