"""The files that somebody brings, each with the words that are written of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from .caption_files import CAPTION_SUFFIXES, MOST_LETTERS, CaptionFiles, Key, Words
from .sources import ARCHIVE_SUFFIXES, Budget, LeftOut, Limits, SourceFile, TooMuchError, walk

if TYPE_CHECKING:
    from ..media.decoding import MemoryFile

REPEATS = re.compile(r"\d{1,3}_(?=\D)(.+)")  # a folder of "10_name" is "name", ten times an epoch, for other trainers


@dataclass(frozen=True)
class Named:
    """A file that may be a picture or clip, with what is written of it and the folder it is in."""

    file: SourceFile
    words: Words
    folder: str

    @property
    def learned(self) -> str:
        """The one text that it is learned under: its caption, its label, its folder, or its name without numbers."""
        return self.words.caption or self.words.label or _from_name(self.file.place)


def named_files(
    paths: Sequence[Path], limits: Limits, left_out: list[LeftOut], notes: list[str]
) -> Iterator[tuple[Named, bytes | None]]:
    """Every file of some paths that is no caption, with its words, and its contents where it is inside an archive.

    Read it to the end before using `left_out` and `notes`. Raises ValueError as `walk` does, and TooMuchError where
    everything together is larger than `limits` allow.
    """
    captions, pictures, budget = CaptionFiles(), [], Budget(limits)
    for file in walk(paths, limits, []):
        if file.place.suffix.lower() not in CAPTION_SUFFIXES:
            pictures.append(file)
            continue
        try:
            captions.add(file, budget.read(file))
        except TooMuchError:
            raise
        except ValueError as reason:
            left_out.append(LeftOut(file.name, str(reason)))
    unused: list[LeftOut] = []
    words = captions.of(pictures, unused)
    notes += captions.notes
    repeats: dict[str, str] = {}
    for file in walk(paths, limits, left_out):
        if file.place.suffix.lower() in CAPTION_SUFFIXES:
            continue
        try:
            content = budget.read(file) if file.path is None else budget.count(file)
        except TooMuchError:
            raise
        except ValueError as reason:
            left_out.append(LeftOut(file.name, str(reason)))
            continue
        folder = folder_of(file.place)
        if match := REPEATS.fullmatch(folder):
            repeats[folder] = match[1]
            folder = match[1]
        key: Key = file.scope, str(file.place)
        own = words.get(key, Words())
        yield Named(file, own | Words(label=_spaced(folder) or None), folder), content
    left_out += unused
    notes += [f"the number in front of the folder {name!r} is not used as repeats" for name in repeats]


def decodable(file: SourceFile, content: bytes | None, limits: Limits) -> tuple[Path | MemoryFile, bool]:
    """What to decode of a file, and whether it is a clip. Raises ValueError with a reason for too large a picture."""
    from ..media.decoding import MemoryFile, container_of  # loads Pillow, which prepared sets do without

    source = file.path if content is None else MemoryFile(PurePosixPath(file.name).name, content)
    is_clip = container_of(source) is not None
    if not is_clip and content is None and file.size > limits.file_bytes:
        raise ValueError(limits.too_large)
    return source, is_clip


def folder_of(place: PurePosixPath) -> str:
    """The name of the folder a file is in, archives not counted; empty at the top."""
    folders = [part for part in place.parts[:-1] if not part.lower().endswith(ARCHIVE_SUFFIXES)]
    return folders[-1] if folders else ""


def _spaced(name: str) -> str:
    return re.sub(r"[\s_]+", " ", name).strip()[:MOST_LETTERS]


def _from_name(place: PurePosixPath) -> str:
    return _spaced(re.sub(r"[\s_.-]*\d+$", "", place.stem) or place.stem) or "picture"
