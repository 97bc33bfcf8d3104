"""Anybody's pictures as a data set: from a folder, a zip, webdataset shards or a Hugging Face data set.

They come from strangers, so nothing is unpacked to disk, every size has a limit, and whatever cannot be used is named
with its reason and left out.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np

from .images import ImageSet

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
TEXTS = (".txt", ".json", ".jsonl", ".cls")
TEXT_KEYS = ("text", "caption", "prompt", "label", "name", "class")
HUB = "hf:"  # before the id of a Hugging Face data set
MOST_CAPTION_LETTERS = 300
# What readers let out for files that are not what they seem.
UNREADABLE = (
    OSError, EOFError, ValueError, SyntaxError, OverflowError, RecursionError, RuntimeError, zlib.error, struct.error,
    zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip


class TooMuchError(ValueError):
    """A source that passes a limit as a whole."""


@dataclass(frozen=True)
class Limits:
    """What is read at most; a server for strangers gives smaller ones."""

    files: int = 200_000
    file_bytes: int = 64 * 2**20
    total_bytes: int = 16 * 2**30
    pixels: int = 64_000_000


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


def read_pictures(source: str | Path, size: int, label: str | None = None, limits: Limits = Limits()) -> Pictures:
    """Read pictures with their labels or captions, each cut to a square in its middle and shrunk to `size` pixels.

    source: a folder, a .zip, a .tar shard of webdataset or a folder of such, or hf:OWNER/NAME. A picture's label is
    `label` where given, else what a .jsonl says of its file_name, a .txt, .json or .cls beside it, the name of its
    folder, or its file name without numbers. Clear parts become white; an animation gives its first frame.
    Raises ValueError with one sentence where nothing can be used, or where a limit is passed by the whole.
    """
    found = Pictures(np.empty((0, size, size, 3), np.uint8), [], [])
    images: list[np.ndarray] = []
    seen: dict[bytes, str] = {}
    for name, picture, said, group in _offered(source, limits, found.skipped):
        try:
            image = square(picture, size, limits.pixels)
        except ValueError as fault:
            found.skipped.append(f"{name}: {fault}")
            continue
        digest = hashlib.sha256(image.tobytes() + said.encode()).digest()
        if digest in seen:
            found.skipped.append(f"{name}: the same as {seen[digest]}")
            continue
        seen[digest] = name
        images.append(image)
        found.labels.append(label or said)
        found.groups.append(group)
    if not images:
        why = (
            f"; the first of {len(found.skipped)} that could not be used is {found.skipped[0]}" if found.skipped else ""
        )
        raise ValueError(f"{source} has no picture that can be used ({', '.join(PICTURE_SUFFIXES)}){why}")
    found.images = np.stack(images)
    found.notes = _notes(found)
    return found


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


def square(picture: bytes | Any, size: int, most_pixels: int = Limits.pixels) -> np.ndarray:
    """The middle square of an encoded picture (or a PIL image), on white, as (size, size, 3) uint8.

    Raises ValueError with the reason where it is no picture, broken or too large.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # checked here, by a limit of our own
            image = Image.open(io.BytesIO(picture), formats=FORMATS) if isinstance(picture, bytes) else picture
        width, height = image.size
        if width * height > most_pixels:
            raise ValueError(f"{width} x {height} pixels are more than {most_pixels:,}; shrink it")
        image.load()
        image = ImageOps.exif_transpose(image).convert("RGBA")
    except Image.DecompressionBombError:
        raise ValueError(f"it has more than {most_pixels:,} pixels; shrink it") from None
    except Image.UnidentifiedImageError:
        raise ValueError("no picture, whatever its name says") from None
    except ValueError:
        raise
    except UNREADABLE as fault:
        raise ValueError(f"broken picture ({_line(fault)})") from None
    white = Image.new("RGBA", image.size, "white")
    fitted = ImageOps.fit(Image.alpha_composite(white, image).convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    return np.asarray(fitted)


def _offered(source: str | Path, limits: Limits, skipped: list[str]) -> Iterator[tuple[str, Any, str, str]]:
    """Every picture as (name, encoded, label, group); what is not even offered is put into `skipped`."""
    if str(source).startswith(HUB):
        yield from _hub(str(source)[len(HUB) :], limits)
        return
    path = Path(source)
    if not path.exists():
        raise ValueError(f"there is no folder or archive {path}; give the path of one that exists")
    try:
        captions: dict[str, str] = {}
        for name, data in _files(path, TEXTS, limits, []):
            captions.update(_captions(PurePosixPath(name), data))
        for name, data in _files(path, PICTURE_SUFFIXES, limits, skipped):
            place = PurePosixPath(name)
            group = place.parent.name or "pictures"
            yield name, data, captions.get(name) or captions.get(_stem(place)) or _called(place), group
    except TooMuchError:
        raise
    except UNREADABLE as fault:
        raise ValueError(f"{path} is no readable archive ({_line(fault)}); pack it again") from None


def _line(fault: Exception) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0][:120]


def _stem(place: PurePosixPath) -> str:
    """The name up to the first point, which in a webdataset names the sample."""
    return str(place.with_name(place.name.split(".")[0]))


def _called(place: PurePosixPath) -> str:
    """A label out of the folder's name, or the file's without numbers and with spaces."""
    own = place.parent.name or re.sub(r"[\s_.-]*\d+$", "", place.stem) or place.stem
    return re.sub(r"[\s_]+", " ", own).strip()[:MOST_CAPTION_LETTERS] or "picture"


def _captions(place: PurePosixPath, data: bytes) -> dict[str, str]:
    """What a text file says, by the names of pictures (.jsonl) or the stem of the one beside it; nothing if broken."""
    text = data.decode("utf-8", "replace").replace("\ufeff", "")
    if place.suffix.lower() == ".jsonl":
        lines = [_parsed(line) for line in text.splitlines()]
        named = [(line["file_name"], _said(line)) for line in lines if isinstance(line.get("file_name"), str)]
        return {str(place.parent / name): said for name, said in named if said}
    said = _said(_parsed(text)) if place.suffix.lower() == ".json" else _clean(text)
    return {_stem(place): said} if said else {}


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _said(values: dict[str, Any]) -> str:
    return next((_clean(str(values[key])) for key in TEXT_KEYS if isinstance(values.get(key), str | int)), "")


def _clean(text: str) -> str:
    """The first line that is not empty, with single spaces."""
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.splitlines())
    return next((line for line in lines if line), "")[:MOST_CAPTION_LETTERS]


def _files(path: Path, kinds: tuple[str, ...], limits: Limits, skipped: list[str]) -> Iterator[tuple[str, bytes]]:
    """(name, contents) of the files of these kinds in a folder, a zip, or tar shards, inside the limits."""
    shards = sorted(path.glob("*.tar")) if path.is_dir() else [path] if tarfile.is_tarfile(path) else []
    total = 0
    if shards:
        members = (member for shard in shards for member in _tar(shard))
    elif path.is_dir():
        members = _folder(path)
    else:
        members = _zip(path)
    for count, (name, problem, size, opened) in enumerate(members, 1):
        if count > limits.files:
            raise TooMuchError(f"{path} has more than {limits.files:,} files; divide it")
        place = PurePosixPath(name.replace("\\", "/"))
        if place.suffix.lower() not in kinds or place.name.startswith(".") or "__MACOSX" in place.parts:
            continue
        if place.is_absolute() or ".." in place.parts or re.match(r"[A-Za-z]:", name):
            problem = "its path leads out of the folder"
        if size > limits.file_bytes:
            problem = f"more than {limits.file_bytes / 2**20:g} MB"
        if problem:
            skipped.append(f"{name}: {problem}")
            continue
        try:
            with opened() as file:
                data = file.read(limits.file_bytes + 1)  # more than it said of itself is a bomb
        except UNREADABLE as fault:
            skipped.append(f"{name}: it cannot be read ({_line(fault)})")
            continue
        total += len(data)
        if total > limits.total_bytes:
            raise TooMuchError(f"{path} unpacks to more than {limits.total_bytes / 2**30:g} GB; divide it")
        if len(data) > limits.file_bytes:
            skipped.append(f"{name}: more than {limits.file_bytes / 2**20:g} MB")
            continue
        yield str(place), data


Member = tuple[str, str, int, Callable[[], IO[bytes]]]  # name, what is wrong with it, size by its own account, open it


def _folder(path: Path) -> Iterator[Member]:
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_symlink():
            yield name, "a link, which may lead anywhere", 0, file.open
        elif file.is_file():
            yield name, "", file.stat().st_size, lambda file=file: file.open("rb")


def _zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for one in archive.infolist():
            if not one.is_dir():
                link = one.external_attr >> 28 == 0xA  # the kind of file in the upper bits, as Unix has it
                problem = "a link" if link else "encrypted" if one.flag_bits & 1 else ""
                yield one.filename, problem, one.file_size, lambda one=one: archive.open(one)


def _tar(path: Path) -> Iterator[Member]:
    with tarfile.open(path) as archive:
        for one in archive:
            if not one.isdir():
                problem = "" if one.isreg() else "a link or a device"
                yield one.name, problem, one.size, lambda one=one: archive.extractfile(one)


def _hub(name: str, limits: Limits) -> Iterator[tuple[str, Any, str, str]]:
    """The train split of a Hugging Face data set with a column of pictures, and of labels or texts if there is one."""
    try:
        import datasets
    except ImportError:
        raise ValueError("Hugging Face data sets need another package; run `pip install datasets`") from None
    try:
        rows = datasets.load_dataset(name, split="train")
    except (OSError, ValueError, RuntimeError) as fault:
        raise ValueError(f"the data set {name} could not be fetched ({_line(fault)})") from None
    columns = rows.features
    pictures = [key for key, kind in columns.items() if isinstance(kind, datasets.Image)]
    if not pictures:
        raise ValueError(f"the data set {name} has no column of pictures; choose another")
    said = next((key for key in TEXT_KEYS if key in columns), None)
    for number, row in enumerate(rows):
        if number >= limits.files:
            raise ValueError(f"the data set {name} has more than {limits.files:,} pictures; take a part of it")
        value = row[said] if said else "picture"
        if said and isinstance(columns[said], datasets.ClassLabel):
            value = columns[said].int2str(value)
        yield f"{name} {number}", row[pictures[0]], _clean(str(value)) or "picture", "pictures"
