"""Files: hashed, written whole or not at all, and the parts of models looked up."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's content in hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


@contextmanager
def replacing_file(path: str | Path) -> Iterator[Path]:
    """A path beside a file, to be written in its place: renamed to it at the end, flushed to the disk first.

    On any error the file stays as it was, and what was written aside is removed.
    """
    path = Path(path)
    aside = path.with_name(f"{path.name}.part")
    try:
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_whole(path: str | Path, content: bytes | str) -> None:
    """Make or replace a file whole, a text as UTF-8 with plain line ends."""
    with replacing_file(path) as aside:
        aside.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def replacing_files(folder: Path, names: Sequence[str]) -> Iterator[list[Path]]:
    """Paths beside several files of a folder that belong together: all are written before the first is renamed."""
    asides = [folder / f"{name}.part" for name in names]
    try:
        yield asides
        for aside, name in zip(asides, names, strict=True):
            os.replace(aside, folder / name)
    finally:
        for aside in asides:
            aside.unlink(missing_ok=True)


def find_part(name: str, places: Sequence[Path], file: str) -> Path | None:
    """The folder of a part of a model (a text tower, an autoencoder) that has `file`; None where there is none.

    name: an id, looked up in the places in their order, or an absolute path. Never the current directory, so that a
    model draws the same from wherever it is started.
    """
    folders = [Path(name)] if Path(name).is_absolute() else [place / name for place in places]
    return next((folder for folder in folders if (folder / file).is_file()), None)
