"""Anybody's pictures as a data set: from folders, archives, single files or a Hugging Face data set.

The files are untrusted: nothing is unpacked to disk, every size has a limit, and whatever cannot be used is left out
and named with its reason.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .caption_files import CAPTION_KEYS, LABEL_KEYS, clean
from .images import ImageSet
from .named_files import decodable, named_files
from .sources import LIMITS, LeftOut, Limits, one_line

HUB = "hf:"  # before the id of a Hugging Face data set


@dataclass
class Pictures:
    """What was read: images (count, size, size, 3) uint8 with a label each, and sentences about what was not.

    groups: the folder of each picture. skipped: names with reasons. notes: what to know before training on it.
    """

    images: np.ndarray
    labels: list[str]
    groups: list[str]
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def image_set(self) -> ImageSet:
        """The same, ready to train on."""
        names = list(dict.fromkeys(self.labels))
        rows = np.array([names.index(label) for label in self.labels], np.int64)
        return ImageSet(self.images, names, rows, self.groups, [[] for _ in self.labels])

    def samples(self) -> list[dict[str, Any]]:
        """Their lines for `write_image_set`."""
        rows = enumerate(zip(self.labels, self.groups, strict=True))
        return [{"key": str(row), "label": label, "group": group, "keywords": []} for row, (label, group) in rows]


def read_pictures(
    source: str | Path | Sequence[str | Path], size: int, label: str | None = None, limits: Limits = LIMITS
) -> Pictures:
    """Read pictures with their labels or captions, each cropped to the square in its middle and resized to `size` px.

    source: a folder, archive or picture, several of them, or hf:OWNER/NAME. A picture's label is `label` where given,
    else its caption (see `CaptionFiles`), its class, the name of its folder, or its file name without numbers. It is
    turned upright, brought to 8 bits and laid on white (see `open_picture`); of an animation the first frame is used.
    Raises ValueError with one sentence where nothing can be used, or where a limit is passed by the whole.
    """
    pictures = Pictures(np.empty((0, size, size, 3), np.uint8), [], [])
    images: list[np.ndarray] = []
    names: dict[bytes, str] = {}
    left_out: list[LeftOut] = []
    for name, picture, text, group in _candidates(source, limits, left_out, pictures.notes):
        try:
            image = square(picture, size, limits.pixels)
        except ValueError as fault:
            left_out.append(LeftOut(name, str(fault)))
            continue
        digest = hashlib.sha256(image.tobytes() + text.encode()).digest()
        if digest in names:
            left_out.append(LeftOut(name, f"the same as {names[digest]}"))
            continue
        names[digest] = name
        images.append(image)
        pictures.labels.append(label or text)
        pictures.groups.append(group)
    pictures.skipped = [str(one) for one in left_out]
    if not images:
        why = f"; the first of {len(left_out)} that could not be used is {left_out[0]}" if left_out else ""
        raise ValueError(f"{_shown(source)} has no picture that can be used (PNG, JPEG, WebP and others){why}")
    pictures.images = np.stack(images)
    pictures.notes = _notes(pictures) + pictures.notes
    return pictures


def _notes(found: Pictures) -> list[str]:
    """Sentences on what was read."""
    counts, total = Counter(found.labels), len(found.labels)
    notes = [f"{total} picture{'s' * (total > 1)} with {len(counts)} label{'s' * (len(counts) > 1)}"]
    if found.skipped:
        notes.append(f"{len(found.skipped)} left out, the first is {found.skipped[0]}")
    if total == 1:
        notes.append("one picture alone is learned by heart: every sample will be that picture")
    shared = [label for label, count in counts.items() if count > 1]
    if shared and len(counts) > 1:
        notes.append(f"{len(shared)} label{'s' * (len(shared) > 1)} of several pictures, such as {shared[0]!r}")
    return notes


def square(picture: bytes | Path | Any, size: int, most_pixels: int = LIMITS.pixels) -> np.ndarray:
    """The middle square of a picture (encoded, a file or a PIL image), on white, as (size, size, 3) uint8.

    Raises ValueError with the reason where it is no picture, broken or too large.
    """
    from ..media.opening import middle_square, open_picture

    return np.asarray(middle_square(open_picture(picture, most_pixels).image, size))


def _candidates(
    source: str | Path | Sequence[str | Path], limits: Limits, left_out: list[LeftOut], notes: list[str]
) -> Iterator[tuple[str, Any, str, str]]:
    """Every picture as (name, encoded or its path, label, group); what is no picture is put into `left_out`."""
    if isinstance(source, str) and source.startswith(HUB):
        yield from _hub(source[len(HUB) :], limits)
        return
    paths = [Path(source)] if isinstance(source, str | Path) else [Path(one) for one in source]
    for named, content in named_files(paths, limits, left_out, notes):
        file = named.file
        try:
            _, is_clip = decodable(file, content, limits)
            if is_clip:
                raise ValueError("a clip; models of clips are trained with `python -m zigdemo.training.prepare clips`")
        except ValueError as reason:
            left_out.append(LeftOut(file.name, str(reason)))
            continue
        yield file.name, file.path if content is None else content, named.learned, named.folder or "pictures"


def _shown(source: str | Path | Sequence[str | Path]) -> str:
    return str(source) if isinstance(source, str | Path) else ", ".join(Path(one).name for one in source[:3])


def _hub(name: str, limits: Limits) -> Iterator[tuple[str, Any, str, str]]:
    """The train split of a Hugging Face data set with a column of pictures, and of labels or texts if there is one."""
    try:
        import datasets
    except ImportError:
        raise ValueError("Hugging Face data sets need another package; run `pip install datasets`") from None
    try:
        rows = datasets.load_dataset(name, split="train")
    except (OSError, ValueError, RuntimeError) as fault:
        raise ValueError(f"the data set {name} could not be fetched ({one_line(fault)})") from None
    columns = rows.features
    pictures = [key for key, kind in columns.items() if isinstance(kind, datasets.Image)]
    if not pictures:
        raise ValueError(f"the data set {name} has no column of pictures; choose another")
    said = next((key for key in (*CAPTION_KEYS, *LABEL_KEYS) if key in columns), None)
    for number, row in enumerate(rows):
        if number >= limits.files:
            raise ValueError(f"the data set {name} has more than {limits.files:,} pictures; take a part of it")
        value = row[said] if said else "picture"
        if said and isinstance(columns[said], datasets.ClassLabel):
            value = columns[said].int2str(value)
        yield f"{name} {number}", row[pictures[0]], clean(str(value)) or "picture", "pictures"
