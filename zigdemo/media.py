"""Pictures with everything inside that is needed to make them again, and reading that back safely."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

if TYPE_CHECKING:
    from .request import Request

KEY = "zigdemo"  # the PNG text chunk
MOST_FILE_BYTES = 2**26
MOST_METADATA_CHARACTERS = 2**16
MOST_PIXELS = 50_000_000
PICTURES = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


def save_png(
    image: Image.Image, path: str | Path, request: Request, provenance: dict[str, Any], index: int = 0
) -> Path:
    """Write a PNG that carries its request, provenance and place in the batch, aside first and then renamed."""
    path = Path(path)
    content = {"request": asdict(request), "provenance": provenance, "index": index}
    info = PngImagePlugin.PngInfo()
    info.add_itxt(KEY, json.dumps(content, ensure_ascii=False))
    aside = path.with_name(path.name + ".part")
    image.save(aside, format="PNG", pnginfo=info)
    os.replace(aside, path)
    return path


def file_name(request: Request, index: int) -> str:
    """A name that sorts and says what it is: model, label, seed; only characters every file system takes."""
    words = "-".join(filter(None, (request.model, request.label or request.prompt, f"seed{request.seed + index}")))
    return re.sub(r"[^A-Za-z0-9._-]+", "-", words).strip("-.")[-100:] + ".png"


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The {"request", "provenance", "index"} that `save_png` put into a picture; nothing in it is trusted or run.

    Raises ValueError with one sentence where the file is no PNG, too large, or carries nothing of ours.
    """
    path = Path(path)
    name = path.name
    try:
        size = path.stat().st_size
    except OSError:
        raise ValueError(f"there is no file {name}; choose a PNG made here") from None
    if size > MOST_FILE_BYTES:
        raise ValueError(f"{name} is larger than {MOST_FILE_BYTES // 2**20} MB; choose a PNG made here")
    try:
        with Image.open(path, formats=("PNG",)) as image:
            image.load()  # text chunks may follow the pixels
            text = image.info.get(KEY)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as fault:
        raise ValueError(f"{name} is not a readable PNG; choose a PNG made here") from fault
    if not isinstance(text, str):
        raise ValueError(f"{name} carries no settings of zigdemo; choose a PNG made here")
    if len(text) > MOST_METADATA_CHARACTERS:
        raise ValueError(f"the settings inside {name} are far too long; choose a PNG made here")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("request"), dict):
        raise ValueError(f"the settings inside {name} are damaged; choose another PNG")
    provenance = content.get("provenance")
    return {
        "request": content["request"],
        "provenance": provenance if isinstance(provenance, dict) else {},
        "index": content.get("index", 0),
    }


def read_picture(path: str | Path) -> Image.Image:
    """A picture that someone gave, of any common kind. Raises ValueError, one sentence, for none or too large a one."""
    path = Path(path)
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise ValueError(f"{path.name} is larger than {MOST_FILE_BYTES // 2**20} MB; give a smaller picture")
        with Image.open(path, formats=PICTURES) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{path.name} has {image.width} x {image.height} pixels; give a smaller picture")
            return ImageOps.exif_transpose(image).copy()
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as fault:
        raise ValueError(f"{path.name} is not a readable picture; give a PNG, JPEG or WebP") from fault
