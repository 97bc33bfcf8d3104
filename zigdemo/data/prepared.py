"""Prepared data sets on disk: one array, one line a sample and one description, written whole or not at all."""

from __future__ import annotations

import difflib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from ..files import file_sha256

SAMPLES_FILE = "samples.jsonl"
INFO_FILE = "info.json"
# What NumPy and JSON let out for broken files.
UNREADABLE = (OSError, EOFError, ValueError, TypeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Form:
    """What a kind of set is like: `noun` for one of its samples, the array's file and axes, how such a set is made.

    array_file: its name, with * for anything where there are several. more_files: patterns of other files it may have.
    axes: names of the array's axes in order; of pixels the last three are the sides of a square and its 3 colours.
    """

    noun: str
    array_file: str
    axes: tuple[str, ...]
    how_to_make: str
    more_files: tuple[str, ...] = ()

    def owns(self, name: str) -> bool:
        """Whether a file of such a set may have this name."""
        return name in (SAMPLES_FILE, INFO_FILE) or any(
            fnmatchcase(name, pattern) for pattern in (self.array_file, *self.more_files)
        )

    def fits(self, array: np.ndarray) -> bool:
        """Whether an array is uint8 of these axes."""
        return (
            array.dtype == np.uint8
            and array.ndim == len(self.axes)
            and array.shape[-3:] == (array.shape[-2],) * 2 + (3,)
        )

    def broken(self, folder: Path, problem: str) -> ValueError:
        """The error for a folder whose files are no set any more."""
        return ValueError(f"the {self.noun} set {folder} is broken ({problem}); {self.how_to_make} again")


def read_set(folder: Path, form: Form) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """The memory-mapped array and the samples of a folder, checked against each other.

    Errors: FileNotFoundError where the folder is no such set; ValueError where its files do not fit together.
    """
    missing = [name for name in (form.array_file, SAMPLES_FILE) if not (folder / name).is_file()]
    if missing:
        lacks = " and no ".join(missing)
        raise FileNotFoundError(f"{folder} is no prepared {form.noun} set (no {lacks}); {form.how_to_make}")
    try:
        array = np.lib.format.open_memmap(folder / form.array_file, mode="r")
    except UNREADABLE as error:
        raise form.broken(folder, f"unreadable: {error}") from error
    if not form.fits(array):
        wanted = ", ".join(form.axes)
        raise form.broken(folder, f"{array.dtype} {array.shape} where uint8 ({wanted}) belongs")
    samples = read_samples(folder, form)
    if len(samples) != len(array):
        raise form.broken(folder, f"{len(array)} {form.noun}s but {len(samples)} samples")
    return array, samples


def read_samples(folder: Path, form: Form) -> list[dict[str, Any]]:
    """The samples of a set, each with a label and a group. Errors: ValueError where its file is broken."""
    try:
        with (folder / SAMPLES_FILE).open(encoding="utf-8") as lines:
            samples = [json.loads(line) for line in lines]
    except UNREADABLE as error:
        raise form.broken(folder, f"unreadable: {error}") from error
    for number, sample in enumerate(samples, 1):
        values = [sample.get(name) for name in ("label", "group")] if isinstance(sample, dict) else [None]
        if not all(isinstance(value, str) for value in values):
            raise form.broken(folder, f"no label and group in line {number} of {SAMPLES_FILE}")
    return samples


def choose_rows(
    folder: Path,
    form: Form,
    samples: Sequence[dict[str, Any]],
    groups: Iterable[str] | None,
    labels: Iterable[str] | None,
    exclude: Iterable[str],
) -> np.ndarray:
    """Rows of the samples in the named groups and labels, where they are given, and outside the patterns, as int64.

    Errors: ValueError where a group or label is not in the set, or nothing is left.
    """
    keep = np.ones(len(samples), dtype=bool)
    for name, wanted in (("group", groups), ("label", labels)):
        if wanted is not None:
            keep &= _chosen(folder, name, [sample[name] for sample in samples], wanted)
    for pattern in exclude:
        keep &= [not fnmatchcase(sample["label"], pattern) for sample in samples]
    if not keep.any():
        raise ValueError(f"no {form.noun} of {folder} is in the chosen groups and labels; choose more of them")
    return np.flatnonzero(keep)


def rows_of(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows of an array, still memory-mapped where these are all of them."""
    return array if len(rows) == len(array) else array[rows]


def number_labels(samples: Sequence[dict[str, Any]]) -> tuple[list[str], np.ndarray]:
    """The distinct labels in order of first appearance, and each sample's index into them as (count,) int64."""
    names = list(dict.fromkeys(sample["label"] for sample in samples))
    index = {name: number for number, name in enumerate(names)}
    return names, np.array([index[sample["label"]] for sample in samples], dtype=np.int64)


def _chosen(folder: Path, field: str, values: list[str], wanted: Iterable[str]) -> np.ndarray:
    """Which values are wanted, as (count,) bool; ValueError where one that is wanted does not occur."""
    chosen = {wanted} if isinstance(wanted, str) else set(wanted)
    check_choice(field, sorted(chosen), list(dict.fromkeys(values)), folder)
    return np.array([value in chosen for value in values], dtype=bool)


def check_choice(field: str, wanted: Iterable[str], known: list[str], source: object) -> None:
    """Raise ValueError for the first wanted name that is not known, saying what can be chosen instead of it."""
    for name in wanted:
        if name not in known:
            raise ValueError(f"unknown {field} {name!r} in {source}; {_choices(field, name, known)}")


def _choices(field: str, name: str, known: list[str]) -> str:
    """What can be chosen instead of an unknown name: everything where that is little, else the nearest."""
    if len(known) <= 12:
        return f"choose from {', '.join(known)}"
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.0)
    return f"choose from its {len(known)} {field}s, such as {', '.join(near)}"


@contextmanager
def replacing(folder: Path, form: Form) -> Iterator[Path]:
    """An empty folder to write a set into; put in the place of `folder` at the end, dropped on any error.

    A reader never sees half of a set. Errors: ValueError where `folder` is there and is no such set.
    """
    check_replaceable(folder, form)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    fresh, old = aside / "new", aside / "old"
    try:
        fresh.mkdir()
        yield fresh
        # Two folders cannot be swapped in one step everywhere: the old one goes aside, and back on failure.
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)


def check_replaceable(folder: Path, form: Form) -> None:
    """Refuse to replace what is not a set of this form: somebody's own folder or file."""
    if folder.exists() and not (folder.is_dir() and all(form.owns(path.name) for path in folder.iterdir())):
        raise ValueError(f"{folder} exists and is no prepared {form.noun} set; choose another --out")


def describe(fresh: Path, form: Form, samples: Sequence[dict[str, Any]], info: dict[str, Any]) -> None:
    """Write the samples, one a line, and the info with the hash of the array that is already there."""
    lines = [json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples]
    write_text(fresh / SAMPLES_FILE, "".join(lines))
    hashed = {f"{form.noun}s_sha256": file_sha256(fresh / form.array_file)}
    write_text(fresh / INFO_FILE, json.dumps({**info, **hashed}, indent=2) + "\n")


def write_set(
    folder: Path, form: Form, array: np.ndarray, samples: Sequence[dict[str, Any]], info: dict[str, Any]
) -> None:
    """Write an array of the form's axes, its samples and what info.json says, besides a hash, as one set."""
    with replacing(folder, form) as fresh:
        np.save(fresh / form.array_file, array)
        describe(fresh, form, samples, info)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with plain line ends, the same bytes on every system."""
    path.write_bytes(text.encode("utf-8"))


def augmented(pixels: np.ndarray, rng: np.random.Generator, flip: bool, shift_px: int) -> np.ndarray:
    """A picture or a clip, (..., size, size, 3), mirrored left to right half of the time and moved at random.

    flip: whether it may be mirrored. shift_px: the most it is moved along each side, all frames alike, its edge
    repeated. Returns a new array; the same state of `rng` gives the same.
    """
    if flip and rng.random() < 0.5:
        pixels = pixels[..., ::-1, :]
    if shift_px:
        place = np.arange(pixels.shape[-2])
        rows, columns = ((place - by).clip(0, len(place) - 1) for by in rng.integers(-shift_px, shift_px + 1, size=2))
        pixels = pixels[..., rows[:, None], columns, :]
    return np.array(pixels)
