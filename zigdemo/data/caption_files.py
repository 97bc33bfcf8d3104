"""Captions and labels that stand in files: beside each picture, or in one list for many."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from .names import decode_text, same_name
from .sources import LeftOut, SourceFile

CAPTION_SUFFIXES = (".txt", ".caption", ".json", ".jsonl", ".cls", ".csv", ".tsv")
BESIDE = (".txt", ".caption", ".json", ".cls")  # in the order in which they win
CAPTION_KEYS = ("text", "caption", "prompt", "description", "sentence", "captions", "title")
LABEL_KEYS = ("label", "class", "name", "category", "label_name")
FILE_KEYS = ("file_name", "filename", "file", "image", "image_path", "filepath", "path", "img", "picture", "image_id")
MOST_LETTERS = 300
MOST_ENTRIES = 1_000_000
Key = tuple[int, str]  # scope and name in the form for comparing


@dataclass(frozen=True)
class Words:
    """What is written of a picture: a caption, a label, or both."""

    caption: str | None = None
    label: str | None = None

    def __or__(self, other: Words) -> Words:
        """These, and where they lack one, the other's."""
        return Words(self.caption or other.caption, self.label or other.label)

    def __bool__(self) -> bool:
        return bool(self.caption or self.label)


@dataclass
class CaptionFiles:
    """The files of captions of a source. Add them all, then ask once with `of` for the names of all pictures."""

    notes: list[str] = field(default_factory=list)
    _texts: dict[Key, tuple[SourceFile, str]] = field(default_factory=dict)

    def add(self, file: SourceFile, content: bytes) -> None:
        """Take in one file of CAPTION_SUFFIXES."""
        text, encoding = decode_text(content)
        if encoding:
            self.notes.append(f"{file.name} is not in UTF-8 and was read as {encoding}")
        self._texts[file.scope, str(file.place)] = file, text

    def of(self, pictures: Iterable[SourceFile], left_out: list[LeftOut]) -> dict[Key, Words]:
        """What is written of each picture, by its scope and name; files that fit none are added to `left_out`.

        First what stands beside it under its whole stem (a.b.png: a.b.txt), then what a list says of it, then what
        stands under its name up to the first point, as a webdataset has it.
        """
        names = _Names(pictures)
        words: dict[Key, Words] = defaultdict(Words)
        lists: list[tuple[SourceFile, list[tuple[str, Words]]]] = []
        loose: list[tuple[SourceFile, Words]] = []
        for (scope, name), (file, text) in self._texts.items():
            suffix = PurePosixPath(name).suffix.lower()
            own = _beside(text, suffix) if suffix in BESIDE else Words()
            fits = names.with_stem(scope, name[: -len(suffix)]) if suffix in BESIDE else []
            for key in fits:
                words[key] = own | words[key] if suffix == BESIDE[0] else words[key] | own
            if fits:
                if not own:
                    left_out.append(LeftOut(file.name, "a caption file with no words in it"))
            elif entries := _entries(text, suffix):
                lists.append((file, entries))
            elif own:
                loose.append((file, own))
            else:
                left_out.append(LeftOut(file.name, "no captions in it that name files"))
        for file, entries in lists:
            self._take_list(file, entries, names, words, left_out)
        for file, own in loose:
            fits = names.with_first_stem(file.scope, file.place)
            for key in fits:
                words[key] = words[key] | own
            if not fits:
                left_out.append(LeftOut(file.name, "a caption that fits no picture or clip"))
        return dict(words)

    def _take_list(
        self, file: SourceFile, entries: list[tuple[str, Words]], names: _Names, words: dict[Key, Words],
        left_out: list[LeftOut],
    ) -> None:  # fmt: skip
        """Give every file that a list names its words."""
        strange = []
        for name, entry in entries:
            key = names.named(file.scope, file.place.parent, name)
            if key is None:
                strange.append(name)
            else:
                words[key] = words[key] | entry
        if len(strange) == len(entries):
            left_out.append(LeftOut(file.name, f"none of the {len(entries)} files it names is here"))
        elif strange:
            fit = "caption of {} fits" if len(strange) == 1 else "captions of {} fit"
            self.notes.append(f"{len(strange)} {fit.format(file.name)} no file here, such as {strange[0][:60]!r}")


class _Names:
    """Where pictures are found by what a caption file calls them."""

    def __init__(self, pictures: Iterable[SourceFile]) -> None:
        self._keys: dict[Key, Key] = {}
        self._stems: dict[Key, list[Key]] = defaultdict(list)
        self._first_stems: dict[Key, list[Key]] = defaultdict(list)
        self._last_names: dict[str, list[Key]] = defaultdict(list)
        for file in pictures:
            key = file.scope, str(file.place)
            for name in (key[1], key[1].casefold()):
                self._keys.setdefault((file.scope, name), key)
            self._stems[file.scope, str(file.place.with_suffix(""))].append(key)
            self._first_stems[file.scope, _first_stem(file.place)].append(key)
            for name in (file.place.name, file.place.stem):
                self._last_names[name.casefold()].append(key)

    def with_stem(self, scope: int, stem: str) -> list[Key]:
        """Those of a stem, and the one whose whole name it is (a.png.txt)."""
        whole = self._keys.get((scope, stem))
        return [whole] if whole else self._stems.get((scope, stem), [])

    def with_first_stem(self, scope: int, place: PurePosixPath) -> list[Key]:
        """Those that share the name up to the first point with a file whose name has no other point."""
        if place.name.count(".") > 1:
            return []
        return self._first_stems.get((scope, _first_stem(place)), [])

    def named(self, scope: int, folder: PurePosixPath, name: str) -> Key | None:
        """The one that a list in a folder calls so: by its path from there or from the top, else by its last name."""
        name = same_name(name.strip())
        for path in (str(folder / name), name):
            for one in (path, path.casefold()):
                if key := self._keys.get((scope, one)):
                    return key
            if len(stem := self._stems.get((scope, path), [])) == 1:
                return stem[0]
        last = self._last_names.get(PurePosixPath(name).name.casefold(), [])
        return last[0] if len(last) == 1 else None


def _first_stem(place: PurePosixPath) -> str:
    return str(place.with_name(place.name.split(".")[0] or place.name))


def _beside(text: str, suffix: str) -> Words:
    """What a file beside a picture says."""
    if suffix == ".cls":
        return Words(label=clean(text) or None)
    if suffix != ".json":
        return Words(clean(text) or None)
    content = _parsed(text)
    return _words(content) if isinstance(content, dict) else Words()


def _words(values: dict[str, Any]) -> Words:
    lower = {str(key).lower(): value for key, value in values.items()}

    def first(keys: tuple[str, ...]) -> str | None:
        for key in keys:
            value = lower.get(key)
            if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
                value = value[0]
            if isinstance(value, str | int) and not isinstance(value, bool) and clean(str(value)):
                return clean(str(value))
        return None

    return Words(first(CAPTION_KEYS), first(LABEL_KEYS))


def clean(text: str) -> str:
    """The first line that is not empty, with single spaces and without characters that control."""
    lines = (re.sub(r"[\s\x00-\x1f\x7f]+", " ", line).strip() for line in text.splitlines())
    return next((line for line in lines if line), "")[:MOST_LETTERS].strip()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _entries(text: str, suffix: str) -> list[tuple[str, Words]]:
    """(file, words) of a list of captions, empty where the text is none."""
    if suffix == ".jsonl":
        found = (entry for line in text.splitlines() for entry in _named(_parsed(line)))
    elif suffix == ".json":
        found = _of_json(_parsed(text))
    elif suffix in (".csv", ".tsv", ".txt"):
        found = _of_table(text)
    else:
        return []
    return [(name, words) for _, (name, words) in zip(range(MOST_ENTRIES), found, strict=False) if words]


def _named(content: Any) -> Iterator[tuple[str, Words]]:
    """The entry of one record that names its file."""
    if not isinstance(content, dict):
        return
    lower = {str(key).lower(): value for key, value in content.items()}
    name = next((lower[key] for key in FILE_KEYS if isinstance(lower.get(key), str)), None)
    if name:
        yield name, _words({key: value for key, value in content.items() if value != name})


def _of_json(content: Any) -> Iterator[tuple[str, Words]]:
    """Entries of a list of records, of a map of files to captions or records, or of COCO's images and annotations."""
    if isinstance(content, list):
        for record in content:
            yield from _named(record)
    elif isinstance(content, dict) and isinstance(content.get("annotations"), list):
        images = content.get("images") if isinstance(content.get("images"), list) else []
        files = {str(one.get("id")): one.get("file_name") for one in images if isinstance(one, dict)}
        for one in content["annotations"]:
            name = files.get(str(one.get("image_id"))) if isinstance(one, dict) else None
            if isinstance(name, str):
                yield name, _words(one)
    elif isinstance(content, dict) and not _words(content):
        for name, value in content.items():
            caption = Words(clean(value) if isinstance(value, str) else None)
            yield name, _words(value) if isinstance(value, dict) else caption


def _of_table(text: str) -> Iterator[tuple[str, Words]]:
    """Entries of a table with a line of headings, divided by commas, semicolons, tabs or bars."""
    head = text.lstrip().split("\n", 1)[0]
    divider = max(",;\t|", key=head.count)
    if not head.count(divider):
        return
    try:
        rows = csv.reader(io.StringIO(text.strip()), delimiter=divider)
        heads = [cell.strip().lower() for cell in next(rows)]
        if not any(key in heads for key in FILE_KEYS) or not any(key in heads for key in (*CAPTION_KEYS, *LABEL_KEYS)):
            return
        for row in rows:
            yield from _named(dict(zip(heads, row, strict=False)))
    except (csv.Error, StopIteration):
        return
