"""Fluent Emoji as labelled pictures: read from a prepared tar file or from the npm packages.

Archives are untrusted, so nothing is unpacked to disk: members are read into memory one by one, within limits, and
everything other than a regular file at a plain relative path is refused.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from .programs import run_program

if TYPE_CHECKING:
    from PIL import Image

MAX_MEMBER_BYTES = 8 * 2**20
MAX_TOTAL_BYTES = 512 * 2**20
MAX_MEMBERS = 100_000
MAX_PICTURE_PX = 1024
NPM_TIMEOUT_SECONDS = 300

PICTURE_PACKAGE = ("@lobehub/fluent-emoji-3d", "1.1.0")
NAMES = ("unicode-emoji-json", "0.9.0")
KEYWORDS = ("emojilib", "4.0.3")
PACKAGES = (PICTURE_PACKAGE, NAMES, KEYWORDS)
PREPARED_PX = 128
LICENCE = """\
MIT License

Pictures: Fluent Emoji, Copyright (c) Microsoft Corporation; packaged by LobeHub.
Names and keywords: unicode-emoji-json and emojilib, Copyright (c) Mu-An Chiou.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction, including
without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO
EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER
IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR
THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

# What the tar reader raises for broken headers: its own errors, and those of hostile numbers and texts.
UNREADABLE = (tarfile.TarError, zlib.error, OSError, EOFError, ValueError, OverflowError, RecursionError)

Runner = Callable[[Sequence[str], Path], None]


class ArchiveError(ValueError):
    """An archive that is unreadable or unsafe."""


@dataclass(frozen=True)
class EmojiSample:
    """One emoji: an encoded WebP picture with its names."""

    key: str
    emoji: str
    name: str
    group: str
    keywords: tuple[str, ...]
    webp: bytes


class _BoundedReader:
    """Reads a stream up to a limit of bytes; keeps the last block, to detect truncated archives."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self.stream, self.path, self.count, self.tail = stream, path, 0, b""

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`."""
        data = self.stream.read(size)
        self.count += len(data)
        if self.count > MAX_TOTAL_BYTES:
            limit = f"{MAX_TOTAL_BYTES / 2**20:g} MB"
            raise ArchiveError(f"{self.path} unpacks to more than {limit}; use an unchanged copy of the data")
        self.tail = (self.tail + data)[-tarfile.BLOCKSIZE :]
        return data


def read_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """Regular files of a .tar or .tar.gz as (name, contents), in archive order, in memory only.

    Raises ArchiveError for absolute paths and paths with "..", links, devices, sparse files, too large or too many
    members, and for files that are not a complete tar archive.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            reader = _BoundedReader(gzip.GzipFile(fileobj=file) if zipped else file, path)
            with tarfile.open(fileobj=reader, mode="r|") as archive:
                for count, member in enumerate(archive, 1):
                    _check_member(path, member, count)
                    if member.isreg():
                        yield member.name, archive.extractfile(member).read()
            # Read to the end, where gzip has its checksum and a complete tar has empty blocks: the tar reader does not
            # notice an archive that is truncated between two members.
            while reader.read(tarfile.RECORDSIZE):
                pass
            if reader.tail.strip(b"\0"):
                raise ArchiveError(f"{path} is truncated; download it again")
    except ArchiveError:
        raise
    except FileNotFoundError:
        raise ArchiveError(f"there is no file {path}; give the path of an existing tar file") from None
    except UNREADABLE as error:
        raise ArchiveError(f"{path} is not a readable tar archive ({error}); download it again") from error


def _check_member(path: Path, member: tarfile.TarInfo, count: int) -> None:
    """Refuse a member that could leave its folder or fill the memory, or is not a regular file or folder."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or any(sign in member.name for sign in "\\:\0"):
        problem = "has a path outside the folder"
    elif member.issparse() or not (member.isreg() or member.isdir()):
        problem = "is a link, a device or another special file"
    elif not 0 <= member.size <= MAX_MEMBER_BYTES:
        problem = f"is larger than {MAX_MEMBER_BYTES / 2**20:g} MB"
    elif count > MAX_MEMBERS:
        problem = f"is one of more than {MAX_MEMBERS:,}"
    else:
        return
    raise ArchiveError(f"{path}: member {member.name[:80]!r} {problem}; use an unchanged copy of the data")


def read_tar(path: Path) -> tuple[list[EmojiSample], list[str]]:
    """Samples of a prepared tar file (KEY.webp and KEY.json per sample), in the order of the pictures.

    Returns the samples, and the names of skipped members with reasons. Raises ArchiveError, see `read_archive`.
    """
    pictures: dict[str, bytes] = {}
    texts: dict[str, bytes] = {}
    for name, data in read_archive(path):
        key, _, suffix = name.rpartition(".")
        if suffix in ("webp", "json"):
            (pictures if suffix == "webp" else texts)[key] = data
    samples, skipped = [], [f"{key}.json (no picture)" for key in texts if key not in pictures]
    for key, webp in pictures.items():
        if key not in texts:
            skipped.append(f"{key}.webp (no description)")
            continue
        try:
            samples.append(_sample(key, webp, json.loads(texts[key])))
        except (ValueError, RecursionError) as error:
            skipped.append(f"{key}.json ({error})")
    return samples, skipped


def _sample(key: str, webp: bytes, text: Any) -> EmojiSample:
    """A sample from its parsed description; ValueError if that does not have the expected form."""
    if not isinstance(text, dict):
        raise ValueError("the description is not an object")
    emoji, name, group, keywords = (text.get(field) for field in ("emoji", "name", "group", "keywords"))
    if not isinstance(keywords, list):
        raise ValueError("the keywords are not a list")
    for value in (emoji, name, group, *keywords):
        if not isinstance(value, str) or not 0 < len(value) <= 200:
            raise ValueError("emoji, name, group or a keyword is not a short text")
        value.encode("utf-8")  # JSON allows lone surrogates, which cannot be encoded
    return EmojiSample(key, emoji, name, group, tuple(keywords), webp)


def read_npm(run: Runner | None = None, shrink: bool = True) -> tuple[list[EmojiSample], list[str]]:
    """Samples from the npm packages, fetched by `npm pack` into a temporary folder.

    run: called with npm's arguments and the working folder; by default it starts the installed npm. shrink: make the
    128 px pictures of the prepared tar file, so that both sources give the same pixels; otherwise the originals of
    256 px. Returns the samples in archive order, and the names of skipped pictures with reasons. Raises ArchiveError
    for unusable packages, RuntimeError if npm fails.
    """
    arguments = ["pack", "--ignore-scripts", "--loglevel=error", "--fetch-retries=1"]
    arguments += [f"{name}@{version}" for name, version in PACKAGES]
    with tempfile.TemporaryDirectory(prefix="fluent-emoji-") as folder:
        temporary = Path(folder)
        (run or run_npm)(arguments, temporary)
        names = _packed_json(temporary, NAMES, "package/data-by-emoji.json")
        keywords = _packed_json(temporary, KEYWORDS, "package/dist/emoji-en-US.json")
        members = [(PurePosixPath(name), data) for name, data in read_archive(packed(temporary, PICTURE_PACKAGE))]
    pictures = [(path.stem, data) for path, data in members if path.match("package/assets/*.webp")]
    return _named_samples(pictures, names, keywords, shrink)


def run_npm(arguments: Sequence[str], folder: Path) -> None:
    """Run the installed npm in a folder. Raises RuntimeError with one sentence if it fails."""
    run_program(
        ["npm", *arguments], folder, NPM_TIMEOUT_SECONDS, "Node.js", "fetch the emoji packages", "--from-tar FILE"
    )


def packed(folder: Path, package: tuple[str, str]) -> Path:
    """The file that `npm pack` writes for a package: @scope/name becomes scope-name."""
    name, version = package
    return folder / f"{name.lstrip('@').replace('/', '-')}-{version}.tgz"


def _packed_json(folder: Path, package: tuple[str, str], member: str) -> dict[str, Any]:
    """A JSON object from a packed package."""
    path = packed(folder, package)
    try:
        table = json.loads(dict(read_archive(path)).get(member, b""))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise ArchiveError(f"{path.name} has no readable {member}; fetch it again or pass --from-tar FILE")
    return table


def _named_samples(
    pictures: Iterable[tuple[str, bytes]], names: dict[str, Any], keywords: dict[str, Any], shrink: bool
) -> tuple[list[EmojiSample], list[str]]:
    """Pictures with their names, without flags and without skin tones, which are not in the table of names."""
    # The variation selector is missing in some file names; the table always has it.
    by_characters: dict[str, str] = {}
    for emoji in names:
        by_characters.setdefault(emoji.replace("\ufe0f", ""), emoji)
    samples, skipped = [], []
    for key, webp in pictures:
        emoji = by_characters.get(_characters(key).replace("\ufe0f", ""))
        entry = names.get(emoji)
        if not isinstance(entry, dict) or entry.get("group") == "Flags":
            continue
        description = {**entry, "emoji": emoji, "keywords": keywords.get(emoji, [])}
        try:
            samples.append(_sample(key, _prepared_picture(webp) if shrink else webp, description))
        except ValueError as error:
            skipped.append(f"{key}.webp ({error})")
    return samples, skipped


def _characters(key: str) -> str:
    """The characters that a file name spells in hexadecimal code points; empty for any other name."""
    if not re.fullmatch(r"[0-9a-f]{1,5}(-[0-9a-f]{1,5})*", key):
        return ""
    return "".join(chr(int(point, 16)) for point in key.split("-"))


def _prepared_picture(webp: bytes) -> bytes:
    """The picture as the prepared tar file has it, byte for byte: 128 px, LANCZOS, WebP of quality 92."""
    from PIL import Image

    # Two originals are 256 x 264 and were made square first, which does not change the others.
    picture = open_picture(webp)
    for side in (256, PREPARED_PX):
        picture = picture.resize((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=92)
    return out.getvalue()


def open_picture(webp: bytes) -> Image.Image:
    """A decoded RGBA picture. Raises ValueError if it is damaged, not WebP or has a side over MAX_PICTURE_PX."""
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(webp), formats=["WEBP"])
        if max(picture.size) > MAX_PICTURE_PX:
            raise ValueError(f"{picture.width} x {picture.height} px is too large")
        return picture.convert("RGBA")
    except (OSError, EOFError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("unreadable picture") from error


def padded(picture: Image.Image, size: int) -> np.ndarray:
    """A picture on white, padded to a square and resized, as (size, size, 3) uint8.

    It is put on white before it is resized: by linearity this equals filtering premultiplied colours, so the hidden
    colours of transparent pixels do not bleed into the edges.
    """
    from PIL import Image

    from ..media import on_white

    picture = on_white(picture)
    side = max(picture.size)
    square = Image.new("RGB", (side, side), "white")
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))
