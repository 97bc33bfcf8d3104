"""The figures of the Influence and Attention tabs as files: one layout, drawn as PNG and as SVG with real text."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..explain import heat
from .texts import data_url

WIDTH = 960  # of a figure, in the units of its SVG
MARGIN, GAP = 24, 20
SCALE = 2  # pixels of the PNG to a unit
LINE = 1.4  # distance of two lines of text, in letter sizes
BODY, SMALL, HEADING = 13, 12, 20
INK, GREY = "#101828", "#475467"
RAMP = (96, 10)  # width and height of the colours of a scale
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Panel:
    """A map with what is written around it. image: None if there is none, which `about` then says.

    scale: the values of the darkest and the brightest colour, None for a map without a scale. note: beside the scale.
    """

    title: str
    about: str = ""
    image: Image.Image | None = None
    scale: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """Panels of one size, at most `columns` side by side, under a title that may be empty."""

    title: str
    panels: Sequence[Panel]
    columns: int


@dataclass(frozen=True)
class Figure:
    """Rows of panels under a title and a line about the settings."""

    title: str
    about: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class _Text:
    x: float
    y: float  # of the base line
    text: str
    size: int
    colour: str = INK
    bold: bool = False


@dataclass(frozen=True)
class _Picture:
    x: float
    y: float
    width: float
    height: float
    image: Image.Image


@dataclass(frozen=True)
class _Ramp:
    x: float
    y: float


_Item = _Text | _Picture | _Ramp


def number(value: float) -> str:
    """A value of a map, in few digits."""
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"


def _font(size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _wrapped(text: str, size: int, width: float) -> Iterator[str]:
    """Lines of a text that fit a width; a longer word stands alone."""
    font, line = _font(size), ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) * 1.05 > width:  # the reader's font may be wider than the one measured with
            yield line
            longer = word
        line = longer
    if line:
        yield line


def _paragraph(text: str, x: float, y: float, width: float, size: int, **look: object) -> tuple[list[_Item], float]:
    """The lines of a text below y, and where they end."""
    items: list[_Item] = []
    for line in _wrapped(text, size, width):
        y += size * LINE
        items.append(_Text(x, y - size * (LINE - 1), line, size, **look))
    return items, y


def _panel(panel: Panel, x: float, y: float, width: float, head: float) -> tuple[list[_Item], float]:
    """The items of a panel and where it ends. head: height of title and sentence, alike in all panels of a row."""
    items, below = _paragraph(panel.title, x, y, width, BODY + 1, bold=True)
    items += _paragraph(panel.about, x, below, width, SMALL, colour=GREY)[0]
    y += head
    if panel.image is None:
        return items, y
    height = width * panel.image.height / panel.image.width
    items.append(_Picture(x, y, width, height, panel.image))
    y, left = y + height, x
    if panel.scale is None and not panel.note:
        return items, y
    y += 8 + SMALL
    if panel.scale is not None:
        low, high = map(number, panel.scale)
        items.append(_Text(left, y, low, SMALL, GREY))
        left += _font(SMALL).getlength(low) + 8
        items.append(_Ramp(left, y - RAMP[1]))
        left += RAMP[0] + 8
        items.append(_Text(left, y, high, SMALL, GREY))
        left += _font(SMALL).getlength(high) + 20
    items.append(_Text(left, y, panel.note, SMALL, GREY))
    return items, y + 4


def _head(panel: Panel, width: float) -> float:
    """The height of a panel's title and sentence."""
    _, below = _paragraph(panel.title, 0, 0, width, BODY + 1)
    return _paragraph(panel.about, 0, below, width, SMALL)[1] + 6


def _layout(figure: Figure) -> tuple[list[_Item], float]:
    """Everything in a figure at its place, and the figure's height."""
    items, y = _paragraph(figure.title, MARGIN, MARGIN - 4, WIDTH - 2 * MARGIN, HEADING, bold=True)
    more, y = _paragraph(figure.about, MARGIN, y, WIDTH - 2 * MARGIN, BODY, colour=GREY)
    items, y = items + more, y + GAP
    for row in figure.rows:
        if row.title:
            more, y = _paragraph(row.title, MARGIN, y, WIDTH - 2 * MARGIN, BODY + 2, bold=True)
            items, y = items + more, y + 4
        width = (WIDTH - 2 * MARGIN - (row.columns - 1) * GAP) / row.columns
        for first in range(0, len(row.panels), row.columns):
            side_by_side = row.panels[first : first + row.columns]
            head, ends = max(_head(panel, width) for panel in side_by_side), []
            for place, panel in enumerate(side_by_side):
                more, end = _panel(panel, MARGIN + place * (width + GAP), y, width, head)
                items += more
                ends.append(end)
            y = max(ends) + GAP
    return items, y - GAP + MARGIN


def svg(figure: Figure) -> str:
    """The figure as SVG: texts stay texts, the maps are embedded pictures."""
    items, height = _layout(figure)
    stops = "".join(
        f'<stop offset="{place / (len(heat.RAMP) - 1):.3f}" stop-color="{colour}"/>'
        for place, colour in enumerate(heat.RAMP)
    )
    parts = []
    for item in items:
        if isinstance(item, _Text):
            weight = ' font-weight="600"' if item.bold else ""
            text = escape(NO_XML.sub("", item.text))
            parts.append(
                f'<text x="{item.x:.1f}" y="{item.y:.1f}" font-size="{item.size}" fill="{item.colour}"{weight}>'
                f"{text}</text>"
            )
        elif isinstance(item, _Ramp):
            parts.append(
                f'<rect x="{item.x:.1f}" y="{item.y:.1f}" width="{RAMP[0]}" height="{RAMP[1]}" fill="url(#scale)"/>'
            )
        else:
            parts.append(
                f'<image x="{item.x:.1f}" y="{item.y:.1f}" width="{item.width:.1f}" height="{item.height:.1f}" '
                f'style="image-rendering: pixelated" href="{data_url(item.image)}"/>'
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="{FONT}"><title>{escape(NO_XML.sub("", figure.title))}</title>'
        f'<defs><linearGradient id="scale">{stops}</linearGradient></defs>'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def png(figure: Figure) -> bytes:
    """The figure as the content of a PNG file, SCALE times as large as its SVG."""
    items, height = _layout(figure)
    page = Image.new("RGB", (WIDTH * SCALE, round(height) * SCALE), "white")
    draw = ImageDraw.Draw(page)
    for item in items:
        at = round(item.x * SCALE), round(item.y * SCALE)
        if isinstance(item, _Text):
            bold = 1 if item.bold else 0
            draw.text(at, item.text, item.colour, _font(item.size * SCALE), anchor="ls", stroke_width=bold / 2)
        elif isinstance(item, _Ramp):
            wide, high = (side * SCALE for side in RAMP)
            colours = heat.colours([[place / (wide - 1) for place in range(wide)]])
            page.paste(Image.fromarray(colours).resize((wide, high)), at)
        else:
            size = round(item.width * SCALE), round(item.height * SCALE)
            image = item.image.convert("RGBA").resize(size, Image.Resampling.NEAREST)
            page.paste(image, at, image)
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()


def save_figure(figure: Figure, path: Path) -> list[str]:
    """Write the figure as `path`.png and `path`.svg; returns both paths."""
    files = path.with_name(f"{path.name}.png"), path.with_name(f"{path.name}.svg")
    files[0].write_bytes(png(figure))
    files[1].write_text(svg(figure), encoding="utf-8")
    return [str(file) for file in files]
