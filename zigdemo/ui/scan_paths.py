"""The *Scan paths* tab: Python makes the orders of a scheme once, the browser plays them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import gradio as gr

from ..scans import SCHEMES, measure, scan_scheme
from .theme import mount_script

MOST_SIDE = 64
LAYERS = 16  # that the player can show; the interface answers for any layer up to MOST_LAYER
MOST_LAYER = 9999
EXAMPLES = [name for family in SCHEMES.values() if 2 in family.dimensions for name in family.examples]


def whole_number(name: str, value: object, low: int, high: int) -> int:
    """The value as an int; ValueError with one sentence for anything but a whole number from low to high."""
    # NaN is the one number that differs from itself; bool is an int that nobody means here.
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
    if not usable or value != int(value):
        given = "nothing" if value is None else str(value)[:40]
        raise ValueError(f"{name} must be a whole number from {low} to {high}, not {given}")
    return int(value)


def _grid(height: object, width: object) -> tuple[int, int]:
    rows = whole_number("the number of rows", height, 1, MOST_SIDE)
    return rows, whole_number("the number of columns", width, 1, MOST_SIDE)


def scan_data(scheme: str, height: float, width: float) -> dict[str, Any]:
    """What the player draws: the orders of the first layers of a scheme on a grid, and their measures.

    At most one order for each of 16 layers, distinct ones only; all orders of one layer where a layer uses
    several. Raises ValueError with one sentence for an unknown scheme or a side outside 1 to 64.
    """
    grid = _grid(height, width)
    chosen = scan_scheme(scheme)
    orders = chosen.scans(layer=0, grid=grid)
    scans = len(orders)
    if scans == 1:
        orders = tuple(chosen.order(layer=layer, grid=grid) for layer in range(min(chosen.paths, LAYERS)))
    found = [measure(order, grid) for order in orders]
    return {
        "scheme": chosen.name,
        "label": chosen.label,
        "grid": grid,
        "paths": chosen.paths,
        "scans": scans,
        "orders": [order.perm.tolist() for order in orders],
        "measures": [
            {
                "continuity": one.continuity,
                "jumps": one.jumps,
                "longest_jump": one.longest_jump,
                "neighbour_distance": one.mean_neighbour_distance,
            }
            for one in found
        ],
    }


def _update(scheme: str, height: float, width: float) -> tuple[Any, Any]:
    """New data for the player, or none (the last picture stays) and a sentence that says why."""
    try:
        return json.dumps(scan_data(scheme, height, width)), gr.update(visible=False)
    except ValueError as fault:
        text = str(fault)
        return gr.skip(), gr.update(value=text[:1].upper() + text[1:] + ".", visible=True)


def scan_order(scheme: str, height: int, width: int, layer: int = 0) -> dict[str, Any]:
    """The order of one layer: perm[k] is the raster index of the k-th token visited, with its measures."""
    try:
        grid = _grid(height, width)
        number = whole_number("layer", layer, 0, MOST_LAYER)
        order = scan_scheme(scheme).order(layer=number, grid=grid)
    except ValueError as fault:
        raise gr.Error(str(fault), print_exception=False) from None
    found = asdict(measure(order, grid))
    return {
        "scheme": scheme,
        "layer": number,
        "grid": list(grid),
        "perm": order.perm.tolist(),
        "jumps": found["jumps"],
        "measures": found,
    }


def _side_slider(label: str) -> gr.Slider:
    slider = gr.Slider(1, MOST_SIDE, value=8, step=1, label=label, min_width=200, buttons=[])
    # Gradio's own check ends in a traceback where the box beside the slider is empty; `whole_number` has a sentence.
    slider.preprocess = lambda payload: payload
    return slider


def build_scan_paths_tab() -> None:
    """Lay the tab out; call inside a gr.Tab. The page needs `theme.head_html` and `theme.page_css`."""
    with gr.Row():
        scheme = gr.Dropdown(
            EXAMPLES,
            value="zigzag-8",
            label="Scan scheme",
            info="Choose, or type one such as hilbert-3, random-5 or shuffled-9.",
            allow_custom_value=True,
            scale=2,
            min_width=240,
        )
        height, width = _side_slider("Rows"), _side_slider("Columns")
    message = gr.Markdown(visible=False, elem_id="scan-message")
    player = gr.HTML(
        json.dumps(scan_data("zigzag-8", 8, 8)),
        html_template='<div class="scan-player"></div>',
        js_on_load=mount_script("scan-player", "zigdemoScanPlayer"),
        apply_default_css=False,
        elem_id="scan-player",
    )
    gr.on(
        [scheme.change, height.change, width.change],
        _update,
        [scheme, height, width],
        [player, message],
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )
    gr.api(scan_order, api_name="scan_order")
