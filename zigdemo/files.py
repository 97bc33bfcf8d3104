"""Files: hashes, atomic writes, and lookup of the parts of models."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's content in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


@contextmanager
def replacing_file(path: str | Path) -> Iterator[Path]:
    """A temporary path beside a file; at the end it is flushed to disk and replaces the file.

    On any error the file is unchanged and the temporary file is removed.
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
    """Write a file atomically; text as UTF-8 with Unix line ends."""
    with replacing_file(path) as aside:
        aside.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def replacing_files(folder: Path, names: Sequence[str]) -> Iterator[list[Path]]:
    """Temporary paths for several files that belong together: all are written before the first is renamed."""
    asides = [folder / f"{name}.part" for name in names]
    try:
        yield asides
        for aside, name in zip(asides, names, strict=True):
            os.replace(aside, folder / name)
    finally:
        for aside in asides:
            aside.unlink(missing_ok=True)


_TEMPORARY: list[Path] = []


def temporary_folder(prefix: str) -> Path:
    """A new folder that goes when the program ends. Raises OSError where there is no place for it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    if not _TEMPORARY:
        atexit.register(remove_temporary_folders)
    _TEMPORARY.append(folder)
    return folder


def remove_temporary_folders() -> None:
    """Remove them now, for a program that is about to be ended by a signal."""
    for folder in _TEMPORARY:
        shutil.rmtree(folder, ignore_errors=True)


def find_part(name: str, places: Sequence[Path], file: str) -> Path | None:
    """The folder of a part of a model (a text tower, an autoencoder) that contains `file`, or None.

    name: an id, looked up in the places in order, or an absolute path. The current directory is never searched, so that
    a model's results do not depend on it.
    """
    folders = [Path(name)] if Path(name).is_absolute() else [place / name for place in places]
    return next((folder for folder in folders if (folder / file).is_file()), None)


def not_the_file(start: bytes) -> str | None:
    """What is in the place of a file that was not fetched, by its first bytes, as a clause about "it"; else None."""
    if start.startswith(b"version https"):
        return "it is a Git LFS pointer, not the file itself; run `git lfs pull`, or download it again"
    if start.lstrip()[:5].lower() in (b"<!doc", b"<html"):
        return "it is a web page, not the file itself; download it again"
    return None
