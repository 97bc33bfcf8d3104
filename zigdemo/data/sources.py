"""Files that somebody brings: single ones, folders and archives, walked one after another inside bounds.

They come from strangers, so nothing is unpacked to disk, every size has a limit, and whatever is left out is named with
its reason. Names are relative to the path given, with slashes; a member of an archive is `archive.zip/name`.
"""

from __future__ import annotations

import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from .names import member_names, same_name, tar_name

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
# Folders and files that systems and programs leave behind; hidden ones besides.
SYSTEM_NAMES = {
    "__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "thumbs.db", "ehthumbs.db",
    "desktop.ini", "__pycache__", "icon\r",
}  # fmt: skip
SYSTEM_REASON = "hidden, or left behind by a system; no data"
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
# What readers let out for files that are not what they seem.
UNREADABLE = (
    OSError, EOFError, ValueError, SyntaxError, OverflowError, RecursionError, RuntimeError, NotImplementedError,
    MemoryError, zlib.error, struct.error, zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip
try:
    from lzma import LZMAError

    UNREADABLE += (LZMAError,)
except ImportError:  # a Python built without it cannot open .xz at all
    pass


class TooMuchError(ValueError):
    """A source that passes a limit as a whole."""


@dataclass(frozen=True)
class Limits:
    """What is read at most; a server for strangers gives smaller ones."""

    files: int = 200_000
    file_bytes: int = 64 * 2**20
    total_bytes: int = 16 * 2**30
    pixels: int = 64_000_000

    @property
    def too_large(self) -> str:
        """The reason given for a file of more than file_bytes."""
        return f"more than {self.file_bytes / 2**20:g} MB"


LIMITS = Limits()


@dataclass(frozen=True)
class SourceFile:
    """A file that was brought. name: as above. scope: names in different scopes have nothing to do with each other.

    path: where it is on disk, None for a member of an archive. size: bytes, by its own account.
    """

    name: str
    scope: int
    size: int
    path: Path | None = None
    opened: Callable[[], IO[bytes]] = field(default=lambda: _nothing(), repr=False)

    @property
    def place(self) -> PurePosixPath:
        """Its name in the one form in which names are compared."""
        return PurePosixPath(same_name(self.name))

    def read(self, limits: Limits) -> bytes:
        """Its contents. Raises ValueError with a reason where it cannot be read, or is larger than it may be."""
        try:
            with self.opened() as file:
                content = file.read(limits.file_bytes + 1)  # more than it said of itself is a bomb
        except UNREADABLE as fault:
            raise ValueError(f"it cannot be read ({one_line(fault)})") from None
        if len(content) > limits.file_bytes:
            raise ValueError(limits.too_large)
        return content


@dataclass(frozen=True)
class LeftOut:
    """A file that is not used, and why."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


class Budget:
    """Counts what is read, and stops where everything together is too much."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.total = limits, 0

    def read(self, file: SourceFile) -> bytes:
        """The contents of a file. Raises ValueError with a reason, TooMuchError for the whole."""
        content = file.read(self.limits)
        self._add(len(content))
        return content

    def count(self, file: SourceFile) -> None:
        """Count a file that is read from disk later. Raises TooMuchError for the whole."""
        self._add(min(file.size, self.limits.file_bytes))

    def _add(self, nbytes: int) -> None:
        self.total += nbytes
        if self.total > self.limits.total_bytes:
            raise TooMuchError(f"it unpacks to more than {self.limits.total_bytes / 2**30:g} GB; divide it")


def walk(paths: Sequence[Path], limits: Limits, left_out: list[LeftOut]) -> Iterator[SourceFile]:
    """Every file of some paths, in the order of names; what is no data at all is added to `left_out`.

    Single files of one name (of uploads from several folders) are kept apart: the first "a.png" belongs to the first
    "a.txt", the second to the second. Raises ValueError where a path does not exist or an archive given by itself is
    damaged, TooMuchError where there are too many files.
    """
    times: dict[str, int] = {}
    count = 0
    for number, path in enumerate(paths):
        if not path.exists():
            raise ValueError(f"there is no folder or file {path}; give the path of one that exists")
        if path.is_dir():
            files = _folder(path, number + 1, left_out)
        elif is_archive(path):
            prefix = f"{path.name}/"
            files = _archive(path, prefix, number + 1, left_out, alone=len(paths) == 1)
        else:
            times[path.name] = times.get(path.name, 0) + 1
            files = iter([_on_disk(path, path.name, -times[path.name])])
        for file in files:
            count += 1
            if count > limits.files:
                raise TooMuchError(f"{path.name} has more than {limits.files:,} files; divide it")
            if _is_system(file.name):
                left_out.append(LeftOut(file.name, SYSTEM_REASON))
            elif file.size > limits.file_bytes and file.path is None:
                left_out.append(LeftOut(file.name, limits.too_large))
            else:
                yield file


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar, by its name."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES) and path.is_file()


def one_line(fault: Exception) -> str:
    """The first line of what a reader says of a fault."""
    return (str(fault).splitlines() or [type(fault).__name__])[0][:120] or type(fault).__name__


def _nothing() -> IO[bytes]:
    raise OSError("it has no contents")


def _on_disk(path: Path, name: str, scope: int) -> SourceFile:
    return SourceFile(name, scope, path.stat().st_size, path, lambda: path.open("rb"))


def _is_system(name: str) -> bool:
    return any(part.startswith(".") or part.lower() in SYSTEM_NAMES for part in PurePosixPath(name).parts)


def _folder(folder: Path, scope: int, left_out: list[LeftOut]) -> Iterator[SourceFile]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            left_out.append(LeftOut(name, "a link, which may lead anywhere"))
        elif not path.is_file():
            if not path.is_dir():
                left_out.append(LeftOut(name, "no file but a device or a pipe"))
        elif is_archive(path) and not _is_system(name):
            yield from _archive(path, f"{name}/", scope, left_out)
        else:
            try:
                yield _on_disk(path, name, scope)
            except OSError as fault:
                left_out.append(LeftOut(name, f"it cannot be read ({one_line(fault)})"))


def _archive(path: Path, prefix: str, scope: int, left_out: list[LeftOut], alone: bool = False) -> Iterator[SourceFile]:
    """The members of a zip or tar, each with why it cannot be used."""
    try:
        with path.open("rb") as file:
            is_zip = file.read(4) in ZIP_MAGIC or zipfile.is_zipfile(path)
        members = _zip(path, scope, prefix, left_out) if is_zip else _tar(path, scope, prefix, left_out)
        for member in members:
            inner = member.name.removeprefix(prefix)
            place = PurePosixPath(inner)
            if place.is_absolute() or ".." in place.parts or re.match(r"[A-Za-z]:", inner) or "\x00" in inner:
                left_out.append(LeftOut(member.name, "its path leads out of the archive"))
            elif member.name.lower().endswith(ARCHIVE_SUFFIXES):
                left_out.append(LeftOut(member.name, "an archive inside an archive; unpack the outer one"))
            else:
                yield member
    except UNREADABLE as fault:
        line = one_line(fault).replace(str(path), path.name)
        if alone:
            raise ValueError(f"{path.name} is no readable archive ({line}); pack it again") from None
        left_out.append(LeftOut(prefix.rstrip("/"), f"no readable archive ({line}); pack it again"))


def _zip(path: Path, scope: int, prefix: str, left_out: list[LeftOut]) -> Iterator[SourceFile]:
    with zipfile.ZipFile(path) as archive:
        members = [one for one in archive.infolist() if not one.is_dir()]
        for one, name in zip(members, member_names(members), strict=True):
            name = prefix + name.replace("\\", "/")
            if name.endswith("/"):  # a folder of a program that writes back slashes
                continue
            is_link = one.external_attr >> 28 == 0xA  # the kind of file in the upper bits, as Unix has it
            if is_link or one.flag_bits & 1:
                left_out.append(LeftOut(name, "a link" if is_link else "encrypted"))
                continue
            yield SourceFile(name, scope, one.file_size, None, lambda one=one: archive.open(one))


def _tar(path: Path, scope: int, prefix: str, left_out: list[LeftOut]) -> Iterator[SourceFile]:
    with tarfile.open(path) as archive:
        for one in archive:
            name = prefix + tar_name(one.name).replace("\\", "/").removeprefix("./")
            if one.isdir():
                continue
            if not one.isreg():
                left_out.append(LeftOut(name, "a link or a device"))
                continue
            yield SourceFile(name, scope, one.size, None, lambda one=one: _member(archive, one))


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    if file is None:
        raise OSError("it has no contents")
    return file
