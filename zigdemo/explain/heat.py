"""Heat maps over pictures."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

# Perceptually uniform from dark to bright: the stops of "magma" (Smith and van der Walt, matplotlib, CC0). Its dark end
# dims unimportant parts on light and dark pages.
RAMP = ("#000004", "#180f3d", "#440f76", "#721f81", "#9e2f7f", "#cd4071", "#f1605d", "#fd9668", "#feca8d", "#fcfdbf")
_STOPS = np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in RAMP], dtype=float)
OPACITY = 0.8  # of the colours over the grey picture, and of the dimming
_GAP, _LINE = 8, 18  # of a sheet, in pixels: between tiles, and the height of a caption


def colours(values: ArrayLike) -> NDArray[np.uint8]:
    """RAMP at values from 0 to 1, (...) -> (..., 3); other values are clamped."""
    at = np.clip(np.asarray(values, dtype=float), 0, 1) * (len(_STOPS) - 1)
    low = np.minimum(at.astype(int), len(_STOPS) - 2)
    share = (at - low)[..., None]
    return np.round(_STOPS[low] * (1 - share) + _STOPS[low + 1] * share).astype(np.uint8)


def upsampled(values: ArrayLike, size: tuple[int, int], smooth: bool = True) -> NDArray[np.float32]:
    """Values (rows, columns) resized to (height, width): linearly between cell centres, or as uniform cells."""
    height, width = size
    image = Image.fromarray(np.asarray(values, np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST))


def overlay(
    picture: Image.Image,
    values: ArrayLike,
    side: int,
    *,
    low: float = 0.0,
    peak: float | None = None,
    smooth: bool = True,
) -> Image.Image:
    """A grey picture under the colours of values (rows, columns), from `low` to `peak` (None: their maximum).

    side: longer edge in pixels. smooth: as in `upsampled`; the picture itself is scaled without interpolation.
    """
    values = np.asarray(values, np.float32)
    span = (float(values.max(initial=low)) if peak is None else peak) - low
    size = sized(picture, side)
    grey = np.asarray(picture.convert("L").resize(size, Image.Resampling.NEAREST), float)[..., None]
    heat = colours(upsampled((values - low) / span if span > 0 else 0 * values, size[::-1], smooth))
    return Image.fromarray(np.round(OPACITY * heat + (1 - OPACITY) * grey).astype(np.uint8))


def veiled(picture: Image.Image, shown: ArrayLike, side: int) -> Image.Image:
    """A picture, dimmed where `shown` (rows, columns) is false; side as in `overlay`."""
    size = sized(picture, side)
    clear = upsampled(shown, size[::-1], smooth=False)[..., None]
    pixels = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.NEAREST), float)
    dark = OPACITY * colours(0) + (1 - OPACITY) * pixels
    return Image.fromarray(np.round(np.where(clear > 0, pixels, dark)).astype(np.uint8))


def sized(picture: Image.Image, side: int) -> tuple[int, int]:
    """(width, height) of a picture scaled to a longer edge of `side` pixels."""
    share = side / max(picture.size)
    return max(1, round(picture.width * share)), max(1, round(picture.height * share))


def mark(picture: Image.Image, cell: tuple[int, int], grid: tuple[int, int]) -> Image.Image:
    """A copy with a black and white frame around one cell of the grid, visible on any colour."""
    (row, column), (rows, columns) = cell, grid
    picture = picture.convert("RGB")
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    thin = max(1, round(min(width / columns, height / rows) / 16))
    box = [
        round(column * width / columns),
        round(row * height / rows),
        round((column + 1) * width / columns) - 1,
        round((row + 1) * height / rows) - 1,
    ]
    draw.rectangle(box, outline="black", width=2 * thin)
    draw.rectangle([box[0] + thin, box[1] + thin, box[2] - thin, box[3] - thin], outline="white", width=thin)
    return picture


def sheet(tiles: list[tuple[str, Image.Image]]) -> Image.Image:
    """Captioned pictures of one size in a nearly square grid on white. tiles: caption and picture, at least one."""
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    width, height = tiles[0][1].size
    page = Image.new("RGB", (columns * (width + _GAP) + _GAP, rows * (height + _LINE + _GAP) + _GAP), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for place, (caption, picture) in enumerate(tiles):
        row, column = divmod(place, columns)
        x, y = _GAP + column * (width + _GAP), _GAP + row * (height + _LINE + _GAP)
        draw.text((x, y), caption, fill="black", font=font)
        page.paste(picture, (x, y + _LINE))
    return page
