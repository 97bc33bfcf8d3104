"""Labelled images on disk: a folder with images.npy, samples.jsonl and info.json, read without copying."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

IMAGES_FILE = "images.npy"
SAMPLES_FILE = "samples.jsonl"
INFO_FILE = "info.json"
HOW_TO_MAKE = "run `python -m zigdemo.training.prepare fluent-emoji`"


@dataclass(frozen=True)
class ImageSet:
    """Square RGB images, each with one label.

    images: (count, size, size, 3) uint8, memory-mapped where nothing was left out.
    label_names: the distinct labels, in order of first appearance. labels: (count,) int64 indices into them.
    groups, keywords: one entry an image, for captions.
    """

    images: np.ndarray
    label_names: list[str]
    labels: np.ndarray
    groups: list[str] = field(default_factory=list)
    keywords: list[list[str]] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @property
    def size(self) -> int:
        """Side of the images in pixels."""
        return self.images.shape[1]

    def draw(self, rows: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
        """The images of some rows, uint8 (n, size, size, 3). frames: 0; rng: not used, as nothing is left to chance."""
        return self.images[rows]

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
        images, samples = _read(folder)
        keep = np.ones(len(samples), dtype=bool)
        for name, wanted in (("group", groups), ("label", labels)):
            if wanted is not None:
                keep &= _chosen(folder, name, [sample[name] for sample in samples], wanted)
        for pattern in exclude:
            keep &= [not fnmatchcase(sample["label"], pattern) for sample in samples]
        rows = np.flatnonzero(keep)
        if not len(rows):
            raise ValueError(f"no image of {folder} is in the chosen groups and labels; choose more of them")
        names = list(dict.fromkeys(samples[row]["label"] for row in rows))
        index = {name: number for number, name in enumerate(names)}
        numbers = np.array([index[samples[row]["label"]] for row in rows], dtype=np.int64)
        described = [samples[row]["group"] for row in rows], [_keywords(samples[row]) for row in rows]
        return cls(images if keep.all() else images[rows], names, numbers, *described)


def _read(folder: Path) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """The memory-mapped images and the samples of a folder, checked against each other."""
    missing = [name for name in (IMAGES_FILE, SAMPLES_FILE) if not (folder / name).is_file()]
    if missing:
        lacks = " and no ".join(missing)
        raise FileNotFoundError(f"{folder} is no prepared image set (no {lacks}); {HOW_TO_MAKE}")
    try:
        images = np.lib.format.open_memmap(folder / IMAGES_FILE, mode="r")
        with (folder / SAMPLES_FILE).open(encoding="utf-8") as lines:
            samples = [json.loads(line) for line in lines]
    except (OSError, EOFError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _broken(folder, f"unreadable: {error}") from error
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (images.shape[1],) * 2 + (3,):
        raise _broken(folder, f"{images.dtype} {images.shape} where uint8 (count, size, size, 3) belongs")
    if len(samples) != len(images):
        raise _broken(folder, f"{len(images)} images but {len(samples)} samples")
    for number, sample in enumerate(samples, 1):
        values = [sample.get(name) for name in ("label", "group")] if isinstance(sample, dict) else [None]
        if not all(isinstance(value, str) for value in values):
            raise _broken(folder, f"no label and group in line {number} of {SAMPLES_FILE}")
    return images, samples


def _keywords(sample: dict[str, Any]) -> list[str]:
    """The keywords of a sample; none where it has no list of them."""
    found = sample.get("keywords")
    return [key for key in found if isinstance(key, str)] if isinstance(found, list) else []


def _broken(folder: Path, problem: str) -> ValueError:
    """The error for a folder whose files are no image set any more."""
    return ValueError(f"the image set {folder} is broken ({problem}); {HOW_TO_MAKE} again")


def _chosen(folder: Path, field: str, values: list[str], wanted: Iterable[str]) -> np.ndarray:
    """Which values are wanted, as (count,) bool; ValueError where one that is wanted does not occur."""
    chosen = {wanted} if isinstance(wanted, str) else set(wanted)
    known = list(dict.fromkeys(values))
    for name in sorted(chosen.difference(known)):
        raise ValueError(f"unknown {field} {name!r} in {folder}; {choices(field, name, known)}")
    return np.array([value in chosen for value in values], dtype=bool)


def choices(field: str, name: str, known: list[str]) -> str:
    """What can be chosen instead of an unknown name: everything where that is little, else the nearest."""
    if len(known) <= 12:
        return f"choose from {', '.join(known)}"
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.0)
    return f"choose from its {len(known)} {field}s, such as {', '.join(near)}"
