"""Small drawings of how each layer scans the frames of a clip, on a row of four frames."""

from __future__ import annotations

from html import escape

import numpy as np

from .. import zoo
from ..scans import ScanOrder, scan_scheme

GRID = (4, 4, 4)  # the grid that is drawn; the model's real grid would be too dense
MOST_LAYERS = 8
# px (right, down) to the next frame, row and column: frames side by side, like cards seen from the left.
STEPS = np.array([(27, 0), (0, 13), (6, -4)])
MARGIN = 3
AXES = {"space": "in frames", "time": "over time", "all": "whole clip"}
NO_SCAN = "This model has no scan: its layers mix all tokens of a frame, or of a place over time, at once."
COLOURS = ("#2a788e", "#22a784", "#7ad151")  # from the first step to the last, readable on light and dark


def stack_html(folder: zoo.ModelFolder, scan: str | None = None) -> str:
    """The scan paths of the first layers of a model. scan: a scheme to draw in place of the model's own."""
    if not folder.schemes:
        return f'<div class="stack"><h3>Scan of the frame stack</h3><p>{NO_SCAN}</p></div>'
    depth = min(getattr(folder.model, "depth", MOST_LAYERS), MOST_LAYERS)
    schemes = getattr(folder.model, "schemes", folder.schemes[:1] * depth)
    layers = [scan_scheme(scan or schemes[layer]) for layer in range(depth)]
    axes = [scheme.axis(layer) for layer, scheme in enumerate(layers)]
    panels = "".join(
        f"<li>{_drawing(scheme.order(layer, GRID))}<b>Layer {layer + 1}</b>{AXES[axis]}</li>"
        for layer, (scheme, axis) in enumerate(zip(layers, axes, strict=True))
    )
    return (
        f'<div class="stack"><h3>Scan of the frame stack: {escape(layers[0].label)}</h3>'
        f"<p><span>{_about(axes)}</span> <span>Drawn on 4 frames of 4 × 4 tokens, from blue to green.</span></p>"
        f"<ol>{panels}</ol></div>"
    )


def _about(axes: list[str]) -> str:
    """A sentence on which layers scan frames and which scan over time."""
    if set(axes) == {"all"}:
        return "Every layer scans the whole clip at once."
    regions = {"space": "every frame", "time": "every place over time", "all": "the whole clip"}
    parts = []
    for axis in dict.fromkeys(axes):
        numbers = [str(layer + 1) for layer, other in enumerate(axes) if other == axis]
        layers = f"layer {numbers[0]} scans" if len(numbers) == 1 else f"layers {', '.join(numbers)} scan"
        parts.append(f"{layers} {regions[axis]}")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:] + "."


def _drawing(order: ScanOrder) -> str:
    """An SVG of the frames, the first on the left, with the path of every run, coloured by progress."""
    frames, rows, columns = GRID
    corners = np.array([(0, 0, 0), (0, 0, columns), (0, rows, columns), (0, rows, 0)])
    outlines = [(corners + (frame, 0, 0)) @ STEPS for frame in range(frames)]
    low, high = np.min(outlines, (0, 1)) - MARGIN, np.max(outlines, (0, 1)) + MARGIN
    tokens = np.stack(np.unravel_index(order.perm, GRID), 1) + (0, 0.5, 0.5)
    runs = (tokens @ STEPS).reshape(order.runs, -1, 2)
    lines = [[] for _ in COLOURS]
    for run in runs:
        for k, (a, b) in enumerate(zip(run[:-1], run[1:], strict=True)):
            lines[k * len(COLOURS) // max(1, len(run) - 1)].append(f"M{a[0]:g} {a[1]:g}L{b[0]:g} {b[1]:g}")
    cards = "".join(f'<polygon points="{" ".join(f"{x:g},{y:g}" for x, y in outline)}"/>' for outline in outlines)
    paths = "".join(f'<path stroke="{c}" d="{"".join(d)}"/>' for c, d in zip(COLOURS, lines, strict=True))
    width, height = high - low
    return f'<svg viewBox="{low[0]} {low[1]} {width} {height}" aria-hidden="true">{cards}{paths}</svg>'
