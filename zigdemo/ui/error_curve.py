"""Error of the solvers against their network calls, as measured by `python -m benchmarks.solvers`: SVG and table."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from . import texts

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "solvers.json"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 420, 76, 16, 16, 66
X_TICKS = (4, 8, 16, 32, 64, 128, 256, 512)
Y_TICKS = (0.1, 0.3, 1, 3, 10, 30)
MOST_ERROR = 60  # levels; pictures beyond it are lost, and curves may leave the plot
TABLE_CALLS = (16, 50, 100)


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
    plots = "".join(
        f"<figure><figcaption>{escape(title)}</figcaption>{curve_svg(result, error)}</figure>"
        for error, title in texts.curve_titles(result).items()
    )
    return f'<div class="errors"><div class="plots">{plots}</div><p>{escape(about)}</p>{_table(result)}</div>'


def _colour(number: int) -> str:
    """The colour of a curve in CSS; those after the chosen ones are far from their neighbours in hue."""
    return f"var(--c{number}, hsl({137 * number % 360} 60% 50%))"


def _default_point(result: dict[str, Any]) -> dict[str, Any] | None:
    default = result["default"]
    points = result["curves"].get(default["solver"], {"points": []})["points"]
    return next((point for point in points if point["steps"] == default["steps"]), None)


def curve_svg(result: dict[str, Any], error: str) -> str:
    """One kind of error over network calls, both logarithmic: one line per solver, dashed for SDEs.

    error: a key of `texts.curve_titles`. A ring marks the default. Colours come from the page's CSS, --c0, --c1, ...,
    for light and dark.
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
    for number, curve in enumerate(result["curves"].values()):
        parts.append(_line(curve, error, number, x, y))
    default = _default_point(result)
    if default:
        spot = x(default["nfe"]), y(default[error])
        parts.append(f'<circle class="default" cx="{spot[0]}" cy="{spot[1]}" r="9"/>')
        parts.append(f'<text class="default-name" x="{spot[0]}" y="{spot[1] + 32}" text-anchor="middle">default</text>')
    inside = f'<clipPath id="{error}-inside"><rect x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}"/></clipPath>'
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(texts.CURVE_LABEL)}">'
        f"<defs>{inside}</defs>{''.join(parts)}</svg>"
    )


def _line(
    curve: dict[str, Any], error: str, number: int, x: Callable[[float], float], y: Callable[[float], float]
) -> str:
    points = [point for point in curve["points"] if error in point]
    if not points:
        return ""
    spots = [(x(point["nfe"]), y(point[error]), point) for point in points]
    dash = ' stroke-dasharray="6 4"' if curve["stochastic"] else ""
    path = "L".join(f"{across} {down}" for across, down, _ in spots)
    dots = "".join(
        f'<circle cx="{across}" cy="{down}" r="4" fill="{_colour(number)}"><title>'
        f"{escape(curve['label'])}, {point['nfe']} calls: {point[error]:.2g} levels</title></circle>"
        for across, down, point in spots
    )
    return (
        f'<g clip-path="url(#{error}-inside)"><path d="M{path}" fill="none" stroke="{_colour(number)}" '
        f'stroke-width="2"{dash}/>{dots}</g>'
    )


def _within(points: list[dict[str, Any]], error: str, calls: int) -> str:
    """The error of the longest run with more than half of `calls` and at most all of them, or a dash."""
    fitting = [point for point in points if calls / 2 < point["nfe"] <= calls and error in point]
    return f"{max(fitting, key=lambda point: point['nfe'])[error]:.1f}" if fitting else "–"


def _table(result: dict[str, Any]) -> str:
    titles, rows = texts.curve_titles(result), []
    for number, (name, curve) in enumerate(result["curves"].items()):
        kind = ' class="noisy"' if curve["stochastic"] else ""
        errors = [_within(curve["points"], error, calls) for error in titles for calls in TABLE_CALLS]
        cells = "".join(f"<td>{cell}</td>" for cell in errors)
        row = ' class="chosen"' if name == result["default"]["solver"] else ""
        swatch = f'<i{kind} style="border-color: {_colour(number)}"></i>'
        rows.append(f'<tr{row}><th scope="row">{swatch}{escape(curve["label"])}</th>{cells}</tr>')
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
