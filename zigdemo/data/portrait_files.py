"""Portraits as labelled pictures: read from a prepared zip file, or rendered by the npm packages.

The zip is untrusted: nothing of it is unpacked to disk and every size has a limit.
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
MASKED_PARTS = (
    "background",
    "hair",
    "clothes",
    "wears",
    "beard",
)  # parts with optional ground-truth masks
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
# What the zip reader raises for damaged or encrypted files.
UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, OverflowError)


class PortraitZip:
    """A zip of portraits NNNNN.webp with attributes.jsonl, a line per portrait, and optional masks NNNNN.PART.png.

    attributes: of all portraits, in order. Raises ValueError with one sentence for a file that is not such a zip.
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
                f"{self.path} is not a zip of portraits ({fault}); use an unchanged copy of the data"
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
        """One portrait, (128, 128, 3) uint8. Raises ValueError if it is missing or damaged."""
        return self._read_image(f"{number:05}.webp", "WEBP", "RGB")

    def mask(self, number: int, part: str) -> np.ndarray | None:
        """The mask of a part of MASKED_PARTS, (128, 128) bool; None if the portrait has none.

        Raises ValueError if it is damaged.
        """
        name = f"{number:05}.{part}.png"
        return self._read_image(name, "PNG", "L") > 127 if name in self._sizes else None

    def _read_image(self, name: str, form: str, mode: str) -> np.ndarray:
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
    """Portraits with these attributes, (128, 128, 3) uint8 each, rendered by npm packages in Node.js.

    Details that the attributes do not determine (nose, brows and so on) depend on a portrait's index in the list. run:
    called with a command and a temporary working folder; by default it starts npm and Node.js, and npm's install
    scripts never run. Raises RuntimeError with one sentence if that fails.
    """
    run = run or _run
    with tempfile.TemporaryDirectory(prefix="portraits-") as folder:
        temporary = Path(folder)
        packages = [f"{name}@{version}" for name, version in PACKAGES]
        run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *packages], temporary)
        (temporary / SCRIPT.name).write_bytes(SCRIPT.read_bytes())
        lines = "".join(json.dumps(one) + "\n" for one in attributes)
        (temporary / ATTRIBUTES_FILE).write_text(lines, encoding="utf-8")
        run(["node", SCRIPT.name, ATTRIBUTES_FILE, PIXELS_FILE], temporary)
        expected = len(attributes) * SIDE_PX * SIDE_PX * 3
        if not (temporary / PIXELS_FILE).is_file() or (temporary / PIXELS_FILE).stat().st_size != expected:
            raise RuntimeError(
                "Node.js did not render all portraits; install Node.js 18 or newer, or pass --from-zip FILE"
            )
        with (temporary / PIXELS_FILE).open("rb") as file:
            for _ in attributes:
                pixels = np.frombuffer(file.read(SIDE_PX * SIDE_PX * 3), np.uint8)
                yield pixels.reshape(SIDE_PX, SIDE_PX, 3)


def _run(command: Sequence[str], folder: Path) -> None:
    run_program(command, folder, NODE_TIMEOUT_SECONDS, "Node.js 18 or newer,", "draw the portraits", "--from-zip FILE")
