"""Error of the solvers against their network calls, as measured by `python -m benchmarks.solvers`: SVG and table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from . import texts

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "solvers.json"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 420, 76, 16, 16, 66
LEGEND_COLUMNS, LEGEND_ROW, LEGEND_TOP = 2, 30, 24
X_TICKS = (4, 8, 16, 32, 64, 128, 256, 512)
Y_TICKS = (0.1, 0.3, 1, 3, 10, 30)
MOST_ERROR = 60  # levels; pictures beyond it are lost, and curves may leave the plot
TABLE_CALLS = (16, 50, 100)
# Shapes around (0, 0), of about the same area, so that no curve is known by its colour alone.
MARKERS = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0Z",
    "M-4.5-4.5h9v9h-9Z",
    "M0-6.5L6.5 0L0 6.5L-6.5 0Z",
    "M0-6L6 5H-6Z",
    "M0 6L6-5H-6Z",
    "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4Z",
    "M0-2.8L3.2-6L6-3.2L2.8 0L6 3.2L3.2 6L0 2.8L-3.2 6L-6 3.2L-2.8 0L-6-3.2L-3.2-6Z",
    "M-6 0L5-6V6Z",
    "M6 0L-5-6V6Z",
    "M-5.5-5.5H5.5L-5.5 5.5H5.5Z",
    "M-5.5-5.5V5.5L5.5-5.5V5.5Z",
)
ODE_DASHES, SDE_DASHES = ("", "14 4", "14 4 4 4"), ("2 4", "5 4", "5 4 2 4")


def measurement() -> dict[str, Any]:
    """The result of the benchmark. Raises ValueError with one sentence if it has not been run."""
    if not RESULTS.is_file():
        raise ValueError(texts.NO_CURVES)
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def curves_html() -> str:
    """Plots, table and explanation; a sentence if nothing was measured yet."""
    try:
        result = measurement()
    except ValueError as fault:
        return f"<p>{escape(str(fault))}</p>"
    about = texts.about_curves(result)
    save_buttons = "".join(
        f'<button type="button" data-save="{kind}">Save {kind.upper()}</button>' for kind in ("png", "svg")
    )
    plots = "".join(
        f"<figure><figcaption>{escape(title)}</figcaption>{curve_svg(result, error)}"
        f'<div class="exports">{save_buttons}</div></figure>'
        for error, title in texts.curve_titles(result).items()
    )
    address = f"data:text/csv;charset=utf-8,{quote(csv_of(result))}"
    numbers = f'<a class="exports" download="steps-against-error.csv" href="{address}">Save all numbers as CSV</a>'
    body = f'<div class="plots">{plots}</div><p>{escape(about)}</p>{_table(result)}<p>{numbers}</p>'
    return f'<div class="errors">{body}</div>'


def csv_of(result: dict[str, Any]) -> str:
    """All measured points: solver, kind, steps, network calls, and every kind of error, empty if not measured."""
    errors, rows = list(texts.curve_titles(result)), io.StringIO()
    table = csv.writer(rows, lineterminator="\n")
    table.writerow(["solver", "kind", "steps", "network calls", *errors])
    for name, curve in result["curves"].items():
        kind = "SDE" if curve["stochastic"] else "ODE"
        for point in curve["points"]:
            table.writerow([name, kind, point["steps"], point["nfe"], *(point.get(error, "") for error in errors)])
    return rows.getvalue()


@dataclass(frozen=True)
class _Style:
    """How a curve is drawn: colour in CSS, dashes, the path of its marker."""

    colour: str
    dashes: str
    marker: str

    def line(self, path: str) -> str:
        dashes = f' stroke-dasharray="{self.dashes}"' if self.dashes else ""
        return f'<path class="curve" d="{path}" stroke="{self.colour}"{dashes}/>'

    def mark(self, x: float, y: float, more: str = "") -> str:
        return f'<path d="{self.marker}" transform="translate({x} {y})" fill="{self.colour}"{more}/>'

    def swatch(self, x: float, y: float) -> str:
        """A short piece of the line with its marker, 44 units long."""
        return self.line(f"M{x} {y}h44") + self.mark(x + 22, y)


def _styles(result: dict[str, Any]) -> dict[str, _Style]:
    """The style of each curve; colours after the chosen ones are far from their neighbours in hue."""
    styles, of_kind = {}, {False: 0, True: 0}
    for number, (name, curve) in enumerate(result["curves"].items()):
        noisy = curve["stochastic"]
        dashes = SDE_DASHES if noisy else ODE_DASHES
        colour = f"var(--c{number}, hsl({137 * number % 360} 60% 50%))"
        styles[name] = _Style(colour, dashes[of_kind[noisy] % len(dashes)], MARKERS[number % len(MARKERS)])
        of_kind[noisy] += 1
    return styles


def _default_point(result: dict[str, Any]) -> dict[str, Any] | None:
    default = result["default"]
    points = result["curves"].get(default["solver"], {"points": []})["points"]
    return next((point for point in points if point["steps"] == default["steps"]), None)


def curve_svg(result: dict[str, Any], error: str) -> str:
    """One kind of error over network calls, both logarithmic: one line per solver, dotted for SDEs, and a legend.

    error: a key of `texts.curve_titles`. A ring marks the default. Each line has its own colour and marker. Colours
    come from the page's CSS, --c0, --c1, ..., for light and dark.
    """
    points = [point for curve in result["curves"].values() for point in curve["points"]]
    calls = [point["nfe"] for point in points]
    low, high, least = min(calls) / 1.1, max(calls) * 1.1, Y_TICKS[0]

    def x(value: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * math.log(value / low) / math.log(high / low), 1)

    def y(value: float) -> float:
        share = math.log(max(value, least) / least) / math.log(MOST_ERROR / least)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)

    floor, parts = HEIGHT - BOTTOM, []
    for tick in (tick for tick in X_TICKS if low <= tick <= high):
        parts.append(f'<path class="grid" d="M{x(tick)} {TOP}V{floor}"/>')
        parts.append(f'<text x="{x(tick)}" y="{floor + 24}" text-anchor="middle">{tick}</text>')
    for tick in (tick for tick in Y_TICKS if least <= tick):
        parts.append(f'<path class="grid" d="M{LEFT} {y(tick)}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(tick) + 5}" text-anchor="end">{tick:g}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}" text-anchor="middle">network calls</text>')
    turned = f"translate(20 {(TOP + floor) / 2}) rotate(-90)"
    parts.append(f'<text transform="{turned}" text-anchor="middle">error, levels of 255</text>')
    shown = [name for name, curve in result["curves"].items() if any(error in point for point in curve["points"])]
    styles = _styles(result)
    for name in shown:
        parts.append(_line(name, result["curves"][name], error, styles[name], x, y))
    default = _default_point(result)
    if default:
        spot = x(default["nfe"]), y(default[error])
        parts.append(f'<circle class="default" cx="{spot[0]}" cy="{spot[1]}" r="9"/>')
        parts.append(f'<text class="default-name" x="{spot[0]}" y="{spot[1] + 32}" text-anchor="middle">default</text>')
    height = HEIGHT + LEGEND_TOP + LEGEND_ROW * math.ceil(len(shown) / LEGEND_COLUMNS)
    parts.append(_legend([(name, result["curves"][name]["label"]) for name in shown], styles))
    inside = f'<clipPath id="{error}-inside"><rect x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}"/></clipPath>'
    return (
        f'<svg class="plot" data-name="solvers-{error}" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(texts.CURVE_LABEL)}">'
        f"<defs>{inside}</defs>{''.join(parts)}</svg>"
    )


def _line(
    name: str,
    curve: dict[str, Any],
    error: str,
    style: _Style,
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> str:
    spots = [(x(point["nfe"]), y(point[error]), point) for point in curve["points"] if error in point]
    path = "L".join(f"{across} {down}" for across, down, _ in spots)
    marks = ""
    for across, down, point in spots:
        told = escape(f"{curve['label']}, {point['nfe']} calls: {point[error]:.2g} levels")
        marks += style.mark(across, down, f' class="spot" data-x="{across}" data-y="{down}" data-tip="{told}"')
    return f'<g clip-path="url(#{error}-inside)" data-curve="{escape(name)}">{style.line("M" + path)}{marks}</g>'


def _legend(names: list[tuple[str, str]], styles: dict[str, _Style]) -> str:
    """The names of the curves below the plot, in columns; names: (name, label)."""
    rows, parts = math.ceil(len(names) / LEGEND_COLUMNS), []
    for i, (name, label) in enumerate(names):
        left = 20 + i // rows * (WIDTH - 20) // LEGEND_COLUMNS
        middle = HEIGHT + LEGEND_TOP + LEGEND_ROW * (i % rows)
        parts.append(
            f'<g class="legend" data-curve="{escape(name)}">'
            f'<rect class="hit" x="{left}" y="{middle - 15}" width="{WIDTH // 2 - 20}" height="{LEGEND_ROW}"/>'
            f'{styles[name].swatch(left, middle)}<text x="{left + 54}" y="{middle + 5}">{escape(label)}</text></g>'
        )
    return "".join(parts)


def _within(points: list[dict[str, Any]], error: str, calls: int) -> str:
    """The error of the longest run with more than half of `calls` and at most all of them, or a dash."""
    fitting = [point for point in points if calls / 2 < point["nfe"] <= calls and error in point]
    return f"{max(fitting, key=lambda point: point['nfe'])[error]:.1f}" if fitting else "–"


def _table(result: dict[str, Any]) -> str:
    titles, rows = texts.curve_titles(result), []
    styles = _styles(result)
    for name, curve in result["curves"].items():
        errors = [_within(curve["points"], error, calls) for error in titles for calls in TABLE_CALLS]
        cells = "".join(f"<td>{cell}</td>" for cell in errors)
        row = ' class="chosen"' if name == result["default"]["solver"] else ""
        swatch = f'<svg class="swatch" viewBox="0 0 44 14" aria-hidden="true">{styles[name].swatch(0, 7)}</svg>'
        label = f'<th scope="row">{swatch}{escape(curve["label"])}</th>'
        rows.append(f'<tr data-curve="{escape(name)}"{row}>{label}{cells}</tr>')
    headings = "".join(
        f'<th scope="colgroup" colspan="{len(TABLE_CALLS)}">{escape(title)}</th>' for title in titles.values()
    )
    calls = "".join(f'<th scope="col">{calls}</th>' for calls in TABLE_CALLS)
    head = f'<tr><td></td>{headings}</tr><tr><th scope="col">Network calls</th>{calls * len(titles)}</tr>'
    caption = f"<caption>{escape(texts.TABLE_TITLE)}</caption>"
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(texts.TABLE_TITLE)}">'
        f"<table>{caption}<thead>{head}</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )
