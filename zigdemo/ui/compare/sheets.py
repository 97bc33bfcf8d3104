"""A drawn matrix as files: a PNG that opens it again, an SVG with real text, a table as CSV, and a Python program."""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ... import media
from ..settings import MATRIX
from ..texts import data_url
from .axes import AXES, NOTHING, Matrix
from .cells import Picture

Places = Mapping[tuple[int, int], Picture]  # the drawn cells by (row, column)
GAP_PX, LINE_PX, LEFT_PX, MOST_SIDE_PX = 10, 18, 150, 256
PROGRAM = """from zigdemo.media import save_clip
from zigdemo.pipeline import Pipeline, Request

requests = [
%s
]
for number, request in enumerate(requests, 1):
    result = Pipeline.load(request.model)(request)
    if result.clips:
        save_clip(result.clips[0], f"{number:02}.webp", request.settings, result.provenance)
    else:
        result.images[0].save(f"{number:02}.png")
"""
INK, PALE = "#1f2937", "#6b7280"
SETTINGS = ("model", "scan", "solver", "steps", "guidance", "seed", "prompt", "label")
MEASURED = ("seconds", "network calls", "shown", "asked")


def under(picture: Picture) -> str:
    """The line below a cell: seconds, network calls, and the score where there is one."""
    score = f" · {picture.shown} of {picture.asked} shown" if picture.asked else ""
    calls = "1 call" if picture.calls == 1 else f"{picture.calls} calls"
    return f"{picture.seconds:.2f} s · {calls}{score}"


def heading(matrix: Matrix, side: str, place: int) -> str:
    """The text at a row or a column: its value, of a prompt after the first only what is new; empty without an axis."""
    axis, values = getattr(matrix, side)
    if axis == NOTHING:
        return ""
    return _new_words(values[0], values[place]) if axis == "words" and place else values[place]


def _new_words(first: str, other: str) -> str:
    """The words of a text that another one does not have in the same places; the whole text if it has most anew."""
    before, after = first.split(), other.split()
    parts = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    new = [" ".join(after[low:high]) for kind, _, _, low, high in parts if kind != "equal" and high > low]
    words = " … ".join(new)
    return f"… {words} …" if words and len(words) < len(other) / 2 else other


def side_label(matrix: Matrix, side: str) -> str:
    """What varies along "rows" or "columns"; empty if nothing does."""
    axis = getattr(matrix, side)[0]
    return "" if axis == NOTHING else AXES[axis].label


def about(matrix: Matrix) -> str:
    """One line on what all cells share."""
    varied = {matrix.rows[0], matrix.columns[0]}
    base = matrix.base
    words = base["prompt"] or base["label"]
    parts = [
        None if varied & {"model"} else base["model"],
        f"“{words}”" if words and "words" not in varied else None,
        f"read with {base['scan']}" if base["scan"] and "read" not in varied else None,
        base["solver"] if "solver" not in varied else None,
        f"{base['steps']:g} steps" if "steps" not in varied else None,
        f"guidance {base['guidance']:g}" if "guidance" not in varied else None,
        f"seed {base['seed']:g}" if "seed" not in varied else None,
    ]
    return " · ".join(filter(None, parts))


class _Plan:
    """Where everything stands on a sheet, in pixels; the PNG and the SVG are drawn from it."""

    def __init__(self, matrix: Matrix, places: Places) -> None:
        self.matrix, self.places = matrix, places
        self.rows, self.columns = len(matrix.rows[1]), len(matrix.columns[1])
        self.images = {place: _open(picture) for place, picture in places.items()}
        side = max((max(image.size) for image in self.images.values()), default=128)
        self.side = min(MOST_SIDE_PX, side if side >= 128 else side * (128 // side))
        self.left = LEFT_PX if matrix.rows[0] != NOTHING else GAP_PX
        self.top = 4 * LINE_PX
        self.width = max(self.left + self.columns * (self.side + GAP_PX), 480)
        self.height = self.top + self.rows * (self.side + LINE_PX + GAP_PX) + GAP_PX

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """The left upper corner of a picture."""
        return self.left + column * (self.side + GAP_PX), self.top + row * (self.side + LINE_PX + GAP_PX)

    def picture(self, row: int, column: int) -> Image.Image:
        """The picture of a cell at the size of the sheet: small ones pixel by pixel."""
        image = self.images[row, column]
        sharp = image.width < 128
        return image.resize((self.side, self.side), Image.Resampling.NEAREST if sharp else Image.Resampling.LANCZOS)

    def texts(self) -> list[tuple[int, int, str, int, str]]:
        """All texts: (x, y of the baseline, text, size, colour)."""
        matrix = self.matrix
        sides = " × ".join(filter(None, (side_label(matrix, "rows"), side_label(matrix, "columns"))))
        texts = [(GAP_PX, LINE_PX, sides or "Pictures", 14, INK), (GAP_PX, 2 * LINE_PX, about(matrix), 11, PALE)]
        for column in range(self.columns):
            x, y = self.corner(0, column)
            texts.append((x, y - 6, _cut(heading(matrix, "columns", column), self.side), 11, INK))
        for row in range(self.rows):
            _, y = self.corner(row, 0)
            for line, text in enumerate(_wrapped(heading(matrix, "rows", row), 22)[:6]):
                texts.append((GAP_PX, y + 14 + 14 * line, text, 11, INK))
        for (row, column), picture in self.places.items():
            x, y = self.corner(row, column)
            texts.append((x, y + self.side + 13, _cut(under(picture), self.side), 9, PALE))
        return texts


def _open(picture: Picture) -> Image.Image:
    """The picture, or the middle frame of the clip."""
    with Image.open(picture.path) as file:
        file.seek(getattr(file, "n_frames", 1) // 2)
        return file.convert("RGB")


def _cut(text: str, width: int) -> str:
    most = max(8, width // 6)
    return text if len(text) <= most else text[: most - 1] + "…"


def _wrapped(text: str, most: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def sheet_svg(matrix: Matrix, places: Places) -> str:
    """The sheet as SVG, with text that can be selected and changed, and the pictures inside."""
    plan = _Plan(matrix, places)
    parts = [
        f'<image x="{plan.corner(*place)[0]}" y="{plan.corner(*place)[1]}" width="{plan.side}" height="{plan.side}" '
        f'href="{data_url(plan.picture(*place), "PNG")}"/>'
        for place in places
    ]
    parts += [
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}">{escape(text)}</text>'
        for x, y, text, size, colour in plan.texts()
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {plan.width} {plan.height}" width="{plan.width}" '
        f'height="{plan.height}" font-family="Helvetica, Arial, sans-serif"><rect width="100%" height="100%" '
        f'fill="white"/>{"".join(parts)}</svg>'
    )


def sheet_image(matrix: Matrix, places: Places) -> Image.Image:
    """The sheet as a picture, at twice the size of the SVG, so that its text is sharp."""
    plan = _Plan(matrix, places)
    sheet = Image.new("RGB", (2 * plan.width, 2 * plan.height), "white")
    for place in places:
        x, y = plan.corner(*place)
        picture = plan.picture(*place).resize((2 * plan.side, 2 * plan.side), Image.Resampling.NEAREST)
        sheet.paste(picture, (2 * x, 2 * y))
    pen = ImageDraw.Draw(sheet)
    for x, y, text, size, colour in plan.texts():
        pen.text((2 * x, 2 * y), text, fill=colour, font=ImageFont.load_default(2 * size), anchor="ls")
    return sheet


def table_csv(matrix: Matrix, places: Places) -> str:
    """One line per cell: its place, its settings, and what was measured."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("row", "column", *SETTINGS, *MEASURED, "not drawn because"))
    for cell in matrix.by_rows:
        settings = {} if cell.request is None else cell.request.settings
        picture = places.get((cell.row, cell.column))
        measured = ("",) * len(MEASURED)
        if picture is not None:
            score = (picture.shown, picture.asked) if picture.asked else ("", "")
            measured = (f"{picture.seconds:.3f}", picture.calls, *score)
        names = [heading(matrix, "rows", cell.row), heading(matrix, "columns", cell.column)]
        values = ["" if settings.get(name) is None else settings[name] for name in SETTINGS]
        writer.writerow([_inert(value) for value in (*names, *values, *measured, cell.reason)])
    return out.getvalue()


def _inert(value: object) -> object:
    """A text that a spreadsheet would run as a formula, made a plain one."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def program(matrix: Matrix) -> str:
    """A Python program that draws the same pictures without the page."""
    lines = []
    for cell in matrix.by_rows:
        if cell.request is not None:
            usual = type(cell.request)(cell.request.model)
            changed = {k: v for k, v in cell.request.settings.items() if k != "model" and v != getattr(usual, k)}
            settings = "".join(f", {name}={value!r}" for name, value in changed.items())
            lines.append(f"    Request({cell.request.model!r}{settings}),")
    return PROGRAM % "\n".join(lines)


def save_sheets(matrix: Matrix, places: Places, folder: Path) -> list[str]:
    """Write the PNG, SVG, CSV and Python files of a matrix into a folder; returns their paths."""
    name = "-".join(filter(None, ("compare", *(side for side, _ in (matrix.rows, matrix.columns) if side != NOTHING))))
    settings = {MATRIX: json.dumps(matrix.content())}
    png = media.save_png(sheet_image(matrix, places), folder / f"{name}.png", settings, {})
    paths = [str(png)]
    texts = {"svg": sheet_svg(matrix, places), "csv": table_csv(matrix, places), "py": program(matrix)}
    for kind, text in texts.items():
        path = folder / f"{name}.{kind}"
        path.write_text(text, encoding="utf-8")
        paths.append(str(path))
    return paths
