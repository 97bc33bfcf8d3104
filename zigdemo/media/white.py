"""Any picture brought to the one form that the rest of the program works with."""

from __future__ import annotations

from PIL import Image, ImageOps


def on_white(image: Image.Image) -> Image.Image:
    """A picture as 8-bit RGB: turned upright by its EXIF orientation, transparent parts white."""
    picture = ImageOps.exif_transpose(image).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
