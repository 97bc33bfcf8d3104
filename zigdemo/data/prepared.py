"""Prepared data sets on disk: an array, a JSONL file of samples and an info file, written atomically."""

from __future__ import annotations

import difflib
import hashlib
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
# What NumPy and JSON raise for broken files.
UNREADABLE = (OSError, EOFError, ValueError, TypeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Form:
    """The format of a kind of set.

    noun: of one sample. array_file: file name of the array, a pattern with * if there are several. axes: names of the
    array's axes; for pixels the last three are the sides of a square and 3 colours. how_to_make: advice for errors.
    more_files: patterns of other files of the set.
    """

    noun: str
    array_file: str
    axes: tuple[str, ...]
    how_to_make: str
    more_files: tuple[str, ...] = ()

    def owns(self, name: str) -> bool:
        """Whether this is the name of a file of such a set."""
        return name in (SAMPLES_FILE, INFO_FILE) or any(
            fnmatchcase(name, pattern) for pattern in (self.array_file, *self.more_files)
        )

    def fits(self, array: np.ndarray) -> bool:
        """Whether an array is uint8 with these axes."""
        return (
            array.dtype == np.uint8
            and array.ndim == len(self.axes)
            and array.shape[-3:] == (array.shape[-2],) * 2 + (3,)
        )

    def broken(self, folder: Path, problem: str) -> ValueError:
        """The error for a folder whose files are damaged."""
        return ValueError(f"the {self.noun} set {folder} is broken ({problem}); {self.how_to_make} again")


def read_set(folder: Path, form: Form) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """The memory-mapped array and the samples of a folder, checked against each other.

    Raises FileNotFoundError if the folder is not such a set, ValueError if its files are damaged or inconsistent.
    """
    missing = [name for name in (form.array_file, SAMPLES_FILE) if not (folder / name).is_file()]
    if missing:
        lacks = " and no ".join(missing)
        raise FileNotFoundError(f"{folder} is not a prepared {form.noun} set (no {lacks}); {form.how_to_make}")
    try:
        array = np.lib.format.open_memmap(folder / form.array_file, mode="r")
    except UNREADABLE as error:
        raise form.broken(folder, f"unreadable: {error}") from error
    if not form.fits(array):
        axes = ", ".join(form.axes)
        raise form.broken(folder, f"{array.dtype} {array.shape} instead of uint8 ({axes})")
    samples = read_samples(folder, form)
    if len(samples) != len(array):
        raise form.broken(folder, f"{len(array)} {form.noun}s but {len(samples)} samples")
    return array, samples


def read_samples(folder: Path, form: Form) -> list[dict[str, Any]]:
    """The samples of a set, each with a label and a group. Raises ValueError if the file is damaged."""
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


def choose_samples(
    folder: Path,
    form: Form,
    samples: Sequence[dict[str, Any]],
    groups: Iterable[str] | None,
    labels: Iterable[str] | None,
    exclude: Iterable[str],
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """The rows (int64) and samples in the given groups and labels, None for all, that match no pattern of `exclude`.

    Raises ValueError if a group or label is not in the set, or nothing is left.
    """
    keep = np.ones(len(samples), dtype=bool)
    for field, names in (("group", groups), ("label", labels)):
        if names is not None:
            keep &= _named(folder, field, [sample[field] for sample in samples], names)
    for pattern in exclude:
        keep &= [not fnmatchcase(sample["label"], pattern) for sample in samples]
    if not keep.any():
        raise ValueError(f"no {form.noun} of {folder} is in the chosen groups and labels; choose more of them")
    rows = np.flatnonzero(keep)
    return rows, [samples[row] for row in rows]


def rows_of(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The given rows of an array; the array itself, still memory-mapped, if these are all of them."""
    return array if len(rows) == len(array) else array[rows]


def number_labels(samples: Sequence[dict[str, Any]]) -> tuple[list[str], np.ndarray]:
    """The distinct labels in order of first appearance, and each sample's index into them as (count,) int64."""
    names = list(dict.fromkeys(sample["label"] for sample in samples))
    index = {name: number for number, name in enumerate(names)}
    return names, np.array([index[sample["label"]] for sample in samples], dtype=np.int64)


def _named(folder: Path, field: str, values: list[str], names: Iterable[str]) -> np.ndarray:
    """Which values are among the names, as (count,) bool; ValueError for a name that does not occur."""
    selection = {names} if isinstance(names, str) else set(names)
    check_choice(field, sorted(selection), list(dict.fromkeys(values)), folder)
    return np.array([value in selection for value in values], dtype=bool)


def check_choice(field: str, names: Iterable[str], known: list[str], source: object) -> None:
    """Check that all names are known. Raises ValueError for the first that is not, with suggestions."""
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {field} {name!r} in {source}; {_choices(field, name, known)}")


def _choices(field: str, name: str, known: list[str]) -> str:
    """Suggestions for an unknown name: all known ones if they are few, else the most similar."""
    if len(known) <= 12:
        return f"choose from {', '.join(known)}"
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.0)
    return f"choose from its {len(known)} {field}s, such as {', '.join(near)}"


@contextmanager
def replacing(folder: Path, form: Form) -> Iterator[Path]:
    """An empty temporary folder for a set, which replaces `folder` at the end and is deleted on an error.

    A reader never sees an incomplete set. Raises ValueError if `folder` exists and is not such a set.
    """
    check_replaceable(folder, form)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    fresh, old = temporary / "new", temporary / "old"
    try:
        fresh.mkdir()
        yield fresh
        # Not every system can swap two folders atomically: the old one is moved away, and back on failure.
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(folder: Path, form: Form) -> None:
    """Check that a folder may be replaced. Raises ValueError if it exists and is not a set of this form."""
    if folder.exists() and not (folder.is_dir() and all(form.owns(path.name) for path in folder.iterdir())):
        raise ValueError(f"{folder} exists and is not a prepared {form.noun} set; choose another --out")


def describe(fresh: Path, form: Form, samples: Sequence[dict[str, Any]], info: dict[str, Any]) -> None:
    """Write the samples, one per line, and the info with the hash of the array, which must exist already."""
    write_text(fresh / SAMPLES_FILE, sample_lines(samples))
    hashed = {f"{form.noun}s_sha256": file_sha256(fresh / form.array_file)}
    write_text(fresh / INFO_FILE, json.dumps({**info, **hashed}, indent=2) + "\n")


def sample_lines(samples: Iterable[dict[str, Any]]) -> str:
    """Samples as JSONL."""
    return "".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)


def identity(folder: Path) -> dict[str, str]:
    """What tells a prepared set from another one: how many samples, their words, and their pixels, by name.

    Raises ValueError if its files cannot be read.
    """
    try:
        info = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
        samples = (folder / SAMPLES_FILE).read_bytes()
    except UNREADABLE as error:
        raise ValueError(f"{folder} is no prepared set that can be read: {error}") from None
    facts = {name: str(info[name]) for name in ("size", "frames", "skip", "mirrored") if name in info}
    facts |= {name: str(info[name]) for name in ("images_sha256", "clips_sha256", "latents_sha256") if name in info}
    return {
        "the number of samples": str(samples.count(b"\n")),
        "the labels or captions": hashlib.sha256(samples).hexdigest(),
        "the pixels": json.dumps(facts, sort_keys=True),
        "the autoencoder": str(info.get("autoencoder_sha256")),
    }


def write_set(
    folder: Path, form: Form, array: np.ndarray, samples: Sequence[dict[str, Any]], info: dict[str, Any]
) -> None:
    """Write an array with the form's axes, its samples and the content of info.json, a hash added, as one set."""
    with replacing(folder, form) as fresh:
        np.save(fresh / form.array_file, array)
        describe(fresh, form, samples, info)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with Unix line ends, the same bytes on every system."""
    path.write_bytes(text.encode("utf-8"))


def augmented(pixels: np.ndarray, rng: np.random.Generator, flip: bool, shift_px: int) -> np.ndarray:
    """A randomly mirrored and shifted copy of a picture or clip, (..., size, size, 3).

    flip: mirror left to right with probability 1/2. shift_px: largest shift in each direction, the same in all frames,
    repeating the edge. Deterministic in the state of `rng`.
    """
    if flip and rng.random() < 0.5:
        pixels = pixels[..., ::-1, :]
    if shift_px:
        index = np.arange(pixels.shape[-2])
        rows, columns = ((index - by).clip(0, len(index) - 1) for by in rng.integers(-shift_px, shift_px + 1, size=2))
        pixels = pixels[..., rows[:, None], columns, :]
    return np.array(pixels)
