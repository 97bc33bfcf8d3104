"""User pictures as a data set: from a folder, a zip, webdataset shards or a Hugging Face data set.

The files are untrusted: nothing is unpacked to disk, every size has a limit, and whatever cannot be used is skipped and
reported with the reason.
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
# What readers raise for damaged and disguised files.
UNREADABLE = (
    OSError, EOFError, ValueError, SyntaxError, OverflowError, RecursionError, RuntimeError, zlib.error, struct.error,
    zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip


class TooMuchError(ValueError):
    """A source whose total exceeds a limit."""


@dataclass(frozen=True)
class Limits:
    """Limits on what is read; a public server sets lower ones."""

    files: int = 200_000
    file_bytes: int = 64 * 2**20
    total_bytes: int = 16 * 2**30
    pixels: int = 64_000_000


@dataclass
class Pictures:
    """Pictures as read: images (count, size, size, 3) uint8 with a label each.

    groups: the folder of each picture. skipped: names of unused files with reasons. notes: remarks for the user.
    """

    images: np.ndarray
    labels: list[str]
    groups: list[str]
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def image_set(self) -> ImageSet:
        """The pictures as a data set for training."""
        names = list(dict.fromkeys(self.labels))
        rows = np.array([names.index(label) for label in self.labels], np.int64)
        return ImageSet(self.images, names, rows, self.groups, [[] for _ in self.labels])

    def samples(self) -> list[dict[str, Any]]:
        """The samples for `write_image_set`."""
        rows = enumerate(zip(self.labels, self.groups, strict=True))
        return [{"key": str(row), "label": label, "group": group, "keywords": []} for row, (label, group) in rows]


def read_pictures(source: str | Path, size: int, label: str | None = None, limits: Limits = Limits()) -> Pictures:
    """Read pictures with their labels or captions, centre-cropped to squares and resized to `size` pixels.

    source: a folder, a .zip, a .tar shard of webdataset or a folder of them, or hf:OWNER/NAME. A picture's label is
    `label` if given, else the text for its file_name in a .jsonl, of a .txt, .json or .cls file of the same name, the
    name of its folder, or its file name without numbers. Transparent parts become white; of an animation the first
    frame is used. Raises ValueError with one sentence if no picture is usable or the total exceeds a limit.
    """
    pictures = Pictures(np.empty((0, size, size, 3), np.uint8), [], [])
    images: list[np.ndarray] = []
    names: dict[bytes, str] = {}
    for name, picture, caption, group in _candidates(source, limits, pictures.skipped):
        try:
            image = square(picture, size, limits.pixels)
        except ValueError as fault:
            pictures.skipped.append(f"{name}: {fault}")
            continue
        digest = hashlib.sha256(image.tobytes() + caption.encode()).digest()
        if digest in names:
            pictures.skipped.append(f"{name}: the same as {names[digest]}")
            continue
        names[digest] = name
        images.append(image)
        pictures.labels.append(label or caption)
        pictures.groups.append(group)
    if not images:
        skipped = pictures.skipped
        why = f"; the first of {len(skipped)} that could not be used is {skipped[0]}" if skipped else ""
        raise ValueError(f"{source} has no picture that can be used ({', '.join(PICTURE_SUFFIXES)}){why}")
    pictures.images = np.stack(images)
    pictures.notes = _notes(pictures)
    return pictures


def _notes(pictures: Pictures) -> list[str]:
    """Remarks on the pictures."""
    counts, total = Counter(pictures.labels), len(pictures.labels)
    notes = [f"{total} picture{'s' * (total > 1)} with {len(counts)} label{'s' * (len(counts) > 1)}"]
    if pictures.skipped:
        notes.append(f"{len(pictures.skipped)} left out, the first is {pictures.skipped[0]}")
    if total == 1:
        notes.append("a single picture is memorised: every sample will be that picture")
    shared = [label for label, count in counts.items() if count > 1]
    if shared and len(counts) > 1:
        notes.append(f"{len(shared)} label{'s' * (len(shared) > 1)} with several pictures, such as {shared[0]!r}")
    return notes


def square(picture: bytes | Any, size: int, most_pixels: int = Limits.pixels) -> np.ndarray:
    """The central square of an encoded picture (or a PIL image), on white, as (size, size, 3) uint8.

    Raises ValueError with the reason if it is not a picture, damaged or too large.
    """
    from PIL import Image, ImageOps

    from ..media import on_white

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # checked below, against our own limit
            image = Image.open(io.BytesIO(picture), formats=FORMATS) if isinstance(picture, bytes) else picture
        width, height = image.size
        if width * height > most_pixels:
            raise ValueError(f"{width} x {height} pixels are more than {most_pixels:,}; shrink it")
        image.load()
        image = on_white(image)
    except Image.DecompressionBombError:
        raise ValueError(f"it has more than {most_pixels:,} pixels; shrink it") from None
    except Image.UnidentifiedImageError:
        raise ValueError("not a picture, despite its name") from None
    except ValueError:
        raise
    except UNREADABLE as fault:
        raise ValueError(f"broken picture ({_line(fault)})") from None
    return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS))


def _candidates(source: str | Path, limits: Limits, skipped: list[str]) -> Iterator[tuple[str, Any, str, str]]:
    """Every picture file as (name, encoded picture, label, group); files that cannot be read go into `skipped`."""
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
            yield name, data, captions.get(name) or captions.get(_stem(place)) or _label_from_path(place), group
    except TooMuchError:
        raise
    except UNREADABLE as fault:
        raise ValueError(f"{path} is not a readable archive ({_line(fault)}); create it again") from None


def _line(fault: Exception) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0][:120]


def _stem(place: PurePosixPath) -> str:
    """The path up to the first dot of the file name, which identifies the sample in a webdataset."""
    return str(place.with_name(place.name.split(".")[0]))


def _label_from_path(place: PurePosixPath) -> str:
    """A label from the folder's name, or from the file's without trailing numbers."""
    name = place.parent.name or re.sub(r"[\s_.-]*\d+$", "", place.stem) or place.stem
    return re.sub(r"[\s_]+", " ", name).strip()[:MOST_CAPTION_LETTERS] or "picture"


def _captions(place: PurePosixPath, data: bytes) -> dict[str, str]:
    """The captions in a text file, by picture name (.jsonl) or by the stem of the picture; empty if it is damaged."""
    text = data.decode("utf-8", "replace").replace("\ufeff", "")
    if place.suffix.lower() == ".jsonl":
        lines = [_json_object(line) for line in text.splitlines()]
        captions = [(line["file_name"], _caption(line)) for line in lines if isinstance(line.get("file_name"), str)]
        return {str(place.parent / name): caption for name, caption in captions if caption}
    caption = _caption(_json_object(text)) if place.suffix.lower() == ".json" else _clean(text)
    return {_stem(place): caption} if caption else {}


def _json_object(text: str) -> dict[str, Any]:
    """The JSON object in a text; empty if there is none."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _caption(values: dict[str, Any]) -> str:
    """The first of TEXT_KEYS that there is, as one line."""
    return next((_clean(str(values[key])) for key in TEXT_KEYS if isinstance(values.get(key), str | int)), "")


def _clean(text: str) -> str:
    """The first non-empty line, with single spaces."""
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.splitlines())
    return next((line for line in lines if line), "")[:MOST_CAPTION_LETTERS]


def _files(path: Path, kinds: tuple[str, ...], limits: Limits, skipped: list[str]) -> Iterator[tuple[str, bytes]]:
    """(name, contents) of the files with these suffixes in a folder, a zip, or tar shards, within the limits."""
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
            raise TooMuchError(f"{path} has more than {limits.files:,} files; split it")
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
                data = file.read(limits.file_bytes + 1)  # an archive may understate the size
        except UNREADABLE as fault:
            skipped.append(f"{name}: it cannot be read ({_line(fault)})")
            continue
        total += len(data)
        if total > limits.total_bytes:
            raise TooMuchError(f"{path} unpacks to more than {limits.total_bytes / 2**30:g} GB; split it")
        if len(data) > limits.file_bytes:
            skipped.append(f"{name}: more than {limits.file_bytes / 2**20:g} MB")
            continue
        yield str(place), data


Member = tuple[str, str, int, Callable[[], IO[bytes]]]  # name, problem if any, declared size, opener


def _folder(path: Path) -> Iterator[Member]:
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_symlink():
            yield name, "a link, which may lead anywhere", 0, file.open
        elif file.is_file():
            yield name, "", file.stat().st_size, lambda file=file: file.open("rb")


def _zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                link = member.external_attr >> 28 == 0xA  # the upper bits are the Unix file type
                problem = "a link" if link else "encrypted" if member.flag_bits & 1 else ""
                yield member.filename, problem, member.file_size, lambda member=member: archive.open(member)


def _tar(path: Path) -> Iterator[Member]:
    with tarfile.open(path) as archive:
        for member in archive:
            if not member.isdir():
                problem = "" if member.isreg() else "a link or a device"
                yield member.name, problem, member.size, lambda member=member: archive.extractfile(member)


def _hub(name: str, limits: Limits) -> Iterator[tuple[str, Any, str, str]]:
    """The train split of a Hugging Face data set: its column of pictures, and of labels or texts if there is one."""
    try:
        import datasets
    except ImportError:
        raise ValueError("Hugging Face data sets need the package datasets; run `pip install datasets`") from None
    try:
        rows = datasets.load_dataset(name, split="train")
    except (OSError, ValueError, RuntimeError) as fault:
        raise ValueError(f"the data set {name} could not be fetched ({_line(fault)})") from None
    columns = rows.features
    pictures = [key for key, kind in columns.items() if isinstance(kind, datasets.Image)]
    if not pictures:
        raise ValueError(f"the data set {name} has no column of pictures; choose another")
    caption_key = next((key for key in TEXT_KEYS if key in columns), None)
    for number, row in enumerate(rows):
        if number >= limits.files:
            raise ValueError(f"the data set {name} has more than {limits.files:,} pictures; choose a smaller one")
        value = row[caption_key] if caption_key else "picture"
        if caption_key and isinstance(columns[caption_key], datasets.ClassLabel):
            value = columns[caption_key].int2str(value)
        yield f"{name} {number}", row[pictures[0]], _clean(str(value)) or "picture", "pictures"
