"""PNG files with embedded settings, and reading of the user's pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from ..files import replacing_file
from .metadata import KEY, MOST_FILE_BYTES, settings_text
from .opening import open_picture

MOST_PIXELS = 50_000_000


def save_png(
    image: Image.Image, path: str | Path, settings: Mapping[str, Any], provenance: dict[str, Any], index: int = 0
) -> Path:
    """Write a PNG atomically, with the settings of its request, its provenance and its index in the batch."""
    path = Path(path)
    info = PngImagePlugin.PngInfo()
    info.add_itxt(KEY, settings_text(settings, provenance, index))
    with replacing_file(path) as aside:
        image.save(aside, format="PNG", pnginfo=info)
    return path


def file_name(settings: Mapping[str, Any], index: int, kind: str = "png") -> str:
    """A sortable, descriptive name: model, label or prompt, seed; only characters that every file system supports.

    settings: of a request, its model, seed, and label or prompt.
    """
    condition = settings.get("label") or settings.get("prompt")
    words = "-".join(filter(None, (settings["model"], condition, f"seed{settings['seed'] + index}")))
    return re.sub(r"[^A-Za-z0-9._-]+", "-", words).strip("-.")[-100:] + f".{kind}"


def read_picture(path: str | Path, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """A picture of any format as RGB, upright and on white. Raises ValueError with one sentence where there is none.

    most_pixels: larger ones are refused before they are decoded.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
    except OSError:
        raise ValueError(f"there is no file {path.name}; give an existing picture") from None
    if size > MOST_FILE_BYTES:
        raise ValueError(f"{path.name} is larger than {MOST_FILE_BYTES // 2**20} MB; give a smaller picture")
    try:
        return open_picture(path, most_pixels).image
    except ValueError as reason:
        raise ValueError(f"{path.name} is not a readable picture ({reason}); give a PNG, JPEG or WebP") from None
