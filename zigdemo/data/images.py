"""Labelled images on disk: a folder with images.npy, samples.jsonl and info.json, read without copying."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .figures.captions import check_figure
from .portraits import Attributes, check_attributes
from .prepared import Form, augmented, choose_samples, number_labels, read_set, rows_of

IMAGES = Form(
    noun="image",
    array_file="images.npy",
    axes=("count", "size", "size", "3"),
    how_to_make="run `python -m zigdemo.training.prepare fluent-emoji`",
)


@dataclass(frozen=True)
class ImageSet:
    """Square RGB images, each with one label.

    images: (count, size, size, 3) uint8, memory-mapped if nothing was left out.
    label_names: the distinct labels, in order of first appearance. labels: (count,) int64 indices into them.
    groups, keywords: one entry per image, for captions. attributes: those of portraits, or of drawn people in clips;
    empty for all others.
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
        """The images of some rows, uint8 (n, size, size, 3), each augmented by its own seed; frames: 0."""
        if not flip and not shift_px:
            return self.images[rows]
        generators = map(np.random.default_rng, seeds)
        return np.stack(
            [augmented(self.images[row], rng, flip, shift_px) for row, rng in zip(rows, generators, strict=True)]
        )

    @classmethod
    def load(
        cls,
        folder: str | Path,
        groups: Iterable[str] | None = None,
        labels: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
    ) -> ImageSet:
        """Read a prepared folder, optionally only some groups and labels of it.

        exclude: patterns of labels to leave out; * matches anything.
        Raises FileNotFoundError if the folder is not an image set, ValueError if its files are damaged or inconsistent,
        or a group or label is not in it.
        """
        folder = Path(folder)
        images, samples = read_set(folder, IMAGES)
        rows, samples = choose_samples(folder, IMAGES, samples, groups, labels, exclude)
        return cls(rows_of(images, rows), **annotations(samples))


def annotations(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The fields that all sets take from their samples."""
    label_names, labels = number_labels(samples)
    return {
        "label_names": label_names,
        "labels": labels,
        "groups": [sample["group"] for sample in samples],
        "keywords": [keywords_of(sample) for sample in samples],
        "attributes": [attributes_of(sample) for sample in samples],
    }


def attributes_of(sample: dict[str, Any]) -> Attributes:
    """The attributes of a portrait or a drawn person; empty if they are missing or invalid."""
    for check in (check_attributes, check_figure):
        try:
            return check(sample.get("attributes"))
        except (ValueError, TypeError):
            continue
    return {}


def keywords_of(sample: dict[str, Any]) -> list[str]:
    """The keywords of a sample; empty if it has no list of them."""
    keywords = sample.get("keywords")
    return [key for key in keywords if isinstance(key, str)] if isinstance(keywords, list) else []
