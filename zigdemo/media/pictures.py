"""PNG files that carry their settings, and pictures that someone gave."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from .metadata import KEY, MOST_FILE_BYTES, settings_text

if TYPE_CHECKING:
    from ..request import Request

MOST_PIXELS = 50_000_000
PICTURES = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


def save_png(
    image: Image.Image, path: str | Path, request: Request, provenance: dict[str, Any], index: int = 0
) -> Path:
    """Write a PNG that carries its request, provenance and place in the batch, aside first and then renamed."""
    path = Path(path)
    info = PngImagePlugin.PngInfo()
    info.add_itxt(KEY, settings_text(request, provenance, index))
    aside = path.with_name(path.name + ".part")
    image.save(aside, format="PNG", pnginfo=info)
    os.replace(aside, path)
    return path


def file_name(request: Request, index: int, kind: str = "png") -> str:
    """A name that sorts and says what it is: model, label, seed; only characters every file system takes."""
    words = "-".join(filter(None, (request.model, request.label or request.prompt, f"seed{request.seed + index}")))
    return re.sub(r"[^A-Za-z0-9._-]+", "-", words).strip("-.")[-100:] + f".{kind}"


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
