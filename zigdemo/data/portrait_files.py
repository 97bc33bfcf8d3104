"""Portraits as labelled pictures: read from a prepared zip file, or drawn anew by the npm packages they come from.

The zip comes from elsewhere, so nothing of it is unpacked to disk and every size has a limit.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from .portraits import Attributes, check_attributes
from .programs import run_program

SIDE_PX = 128
ATTRIBUTES_FILE = "attributes.jsonl"
MASKED_PARTS = ("background", "hair", "clothes", "wears", "beard")  # of which a zip may have true masks
PIXELS_FILE = "portraits.rgb"
SCRIPT = Path(__file__).with_name("portraits.mjs")
NODE_TIMEOUT_SECONDS = 1800
MAX_MEMBERS = 200_000
MAX_MEMBER_BYTES = 2**20
MAX_ATTRIBUTES_BYTES = 256 * 2**20
PACKAGES = (("@dicebear/core", "9.4.3"), ("@dicebear/collection", "9.4.3"), ("@resvg/resvg-js", "2.6.2"))
LICENCE = """\
Designs: "flat" is Avataaars by Pablo Stanley (free for personal and commercial use); "toon" is ToonHead by Johan Melin
(CC BY 4.0, https://creativecommons.org/licenses/by/4.0/); "simple" is Personas by Draftbit (CC BY 4.0). All three were
put together from their parts by DiceBear (code MIT, Copyright (c) Florian Koerner) and rasterised at 128 px by resvg-js
(MPL 2.0); nothing else was changed.
"""
# What the zip reader lets out for broken or encrypted files.
UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, OverflowError)


class PortraitZip:
    """A zip of portraits: NNNNN.webp each, attributes.jsonl with a line for each, perhaps true masks NNNNN.PART.png.

    attributes: of all of them, in order. Raises ValueError with one sentence for a file that is no such zip.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
            members = self._zip.infolist()
            if len(members) > MAX_MEMBERS:
                raise ValueError(f"it has more than {MAX_MEMBERS:,} members")
            self._sizes = {member.filename: member.file_size for member in members}
            lines = self._read(ATTRIBUTES_FILE, MAX_ATTRIBUTES_BYTES).decode("utf-8").splitlines()
            self.attributes: list[Attributes] = []
            for number, line in enumerate(lines, 1):
                try:
                    self.attributes.append(check_attributes(json.loads(line)))
                except (ValueError, RecursionError) as fault:
                    raise ValueError(f"line {number} of {ATTRIBUTES_FILE}: {fault}") from None
        except FileNotFoundError:
            raise ValueError(f"there is no file {self.path}; give the path of an existing zip file") from None
        except UNREADABLE as fault:
            raise ValueError(
                f"{self.path} is no zip of portraits ({fault}); use an unchanged copy of the data"
            ) from None
        if not self.attributes:
            raise ValueError(f"{self.path} has no portraits; use an unchanged copy of the data")

    def __len__(self) -> int:
        """Return the number of portraits."""
        return len(self.attributes)

    def _read(self, name: str, most: int) -> bytes:
        if name not in self._sizes:
            raise ValueError(f"it has no {name}")
        if self._sizes[name] > most:
            raise ValueError(f"{name} is larger than {most / 2**20:g} MB")
        with self._zip.open(name) as member:
            return member.read(most)

    def picture(self, number: int) -> np.ndarray:
        """One portrait, (128, 128, 3) uint8. Raises ValueError where it is missing or broken."""
        return self._opened(f"{number:05}.webp", "WEBP", "RGB")

    def mask(self, number: int, part: str) -> np.ndarray | None:
        """Where a part of MASKED_PARTS is, (128, 128) bool; None where the portrait has none. Raises ValueError."""
        name = f"{number:05}.{part}.png"
        return self._opened(name, "PNG", "L") > 127 if name in self._sizes else None

    def _opened(self, name: str, form: str, mode: str) -> np.ndarray:
        from PIL import Image

        try:
            picture = Image.open(io.BytesIO(self._read(name, MAX_MEMBER_BYTES)), formats=[form])
            if picture.size != (SIDE_PX, SIDE_PX):
                raise ValueError(f"{name} is {picture.width} x {picture.height} px, not {SIDE_PX} x {SIDE_PX}")
            return np.asarray(picture.convert(mode))
        except (SyntaxError, Image.DecompressionBombError, *UNREADABLE) as fault:
            raise ValueError(f"{self.path}: {fault}; use an unchanged copy of the data") from None

    def pictures(self) -> Iterator[np.ndarray]:
        """Every portrait in order, (128, 128, 3) uint8 each."""
        return (self.picture(number) for number in range(len(self)))


Runner = Callable[[Sequence[str], Path], None]


def draw_portraits(attributes: Sequence[Attributes], run: Runner | None = None) -> Iterator[np.ndarray]:
    """Portraits of these attributes, (128, 128, 3) uint8 each, drawn by the npm packages that Node.js runs.

    What the attributes leave open (nose, brows and so on) is decided by a portrait's place in the list. run: called
    with a command and the working folder, which is removed again; by default it starts npm and Node.js, and npm's
    install scripts never run. Raises RuntimeError in one sentence where that fails.
    """
    run = run or _run
    with tempfile.TemporaryDirectory(prefix="portraits-") as folder:
        here = Path(folder)
        packages = [f"{name}@{version}" for name, version in PACKAGES]
        run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *packages], here)
        (here / SCRIPT.name).write_bytes(SCRIPT.read_bytes())
        lines = "".join(json.dumps(one) + "\n" for one in attributes)
        (here / ATTRIBUTES_FILE).write_text(lines, encoding="utf-8")
        run(["node", SCRIPT.name, ATTRIBUTES_FILE, PIXELS_FILE], here)
        expected = len(attributes) * SIDE_PX * SIDE_PX * 3
        if not (here / PIXELS_FILE).is_file() or (here / PIXELS_FILE).stat().st_size != expected:
            raise RuntimeError(
                "Node.js drew no whole set of portraits; install Node.js 18 or newer, or pass --from-zip"
            )
        with (here / PIXELS_FILE).open("rb") as file:
            for _ in attributes:
                pixels = np.frombuffer(file.read(SIDE_PX * SIDE_PX * 3), np.uint8)
                yield pixels.reshape(SIDE_PX, SIDE_PX, 3)


def _run(command: Sequence[str], folder: Path) -> None:
    run_program(command, folder, NODE_TIMEOUT_SECONDS, "Node.js 18 or newer,", "draw the portraits", "--from-zip FILE")
