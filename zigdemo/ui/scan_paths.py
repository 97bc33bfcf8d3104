"""The *Scan paths* tab: Python makes the orders of a scheme once, the browser plays them."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from ..scans import SCHEMES, measure, scan_scheme

MOST_SIDE = 64
MOST_PANELS = 8
EXAMPLES = [name for family in SCHEMES.values() for name in family.examples]

# `element`, `props` and `watch` are given by gr.HTML; the player itself is in the page's head.
_MOUNT = """
const show = () => {
  const root = element.querySelector(".scan-player");
  if (!root || !window.zigdemoScanPlayer) return setTimeout(show, 50);
  window.zigdemoScanPlayer.mount(root, props.value ? JSON.parse(props.value) : null);
};
show();
watch("value", show);
"""


def _side(name: str, value: float | None) -> int:
    if value is None or value != value or value != int(value) or not 1 <= value <= MOST_SIDE:
        raise ValueError(f"{name} must be a whole number from 1 to {MOST_SIDE}, not {value}")
    return int(value)


def scan_data(scheme: str, height: float, width: float) -> dict[str, Any]:
    """What the player draws: the distinct layer orders of a scheme on a grid (at most eight) and their measures.

    Raises ValueError with one sentence for an unknown scheme or a side outside 1 to 64.
    """
    grid = (_side("height", height), _side("width", width))
    chosen = scan_scheme(scheme or "")
    if len(chosen.scans(layer=0, grid=grid)) > 1:
        orders = list(chosen.scans(layer=0, grid=grid))
    else:
        orders = [chosen.order(layer=layer, grid=grid) for layer in range(chosen.paths)]
    orders = orders[:MOST_PANELS]
    found = [measure(order, grid) for order in orders]
    return {
        "scheme": chosen.name,
        "label": chosen.label,
        "grid": grid,
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


def _update(scheme: str, height: float, width: float) -> Any:
    try:
        return json.dumps(scan_data(scheme, height, width))
    except (ValueError, OverflowError) as fault:
        gr.Warning(str(fault))
        return gr.skip()


def scan_order(scheme: str, height: int, width: int, layer: int = 0) -> dict[str, Any]:
    """API: the permutation of one layer, perm[k] being the raster index of the k-th token visited."""
    try:
        grid = (_side("height", height), _side("width", width))
        if layer != int(layer) or not 0 <= layer < 10_000:
            raise ValueError(f"layer must be a whole number from 0, not {layer}")
        order = scan_scheme(scheme).order(layer=int(layer), grid=grid)
    except (ValueError, OverflowError) as fault:
        raise gr.Error(str(fault), print_exception=False) from None
    found = measure(order, grid)
    return {"scheme": scheme, "grid": grid, "layer": int(layer), "perm": order.perm.tolist(), "jumps": found.jumps}


def build_scan_paths_tab() -> None:
    """Lay the tab out; call inside a gr.Tab."""
    with gr.Row():
        scheme = gr.Dropdown(
            EXAMPLES,
            value="zigzag-8",
            label="Scan scheme",
            info="Type any, such as hilbert-3, random-5 or shuffled-9.",
            allow_custom_value=True,
            scale=3,
        )
        height = gr.Slider(1, MOST_SIDE, value=8, step=1, label="Rows")
        width = gr.Slider(1, MOST_SIDE, value=8, step=1, label="Columns")
    player = gr.HTML(
        json.dumps(scan_data("zigzag-8", 8, 8)),
        html_template='<div class="scan-player"></div>',
        js_on_load=_MOUNT,
        elem_id="scan-player",
    )
    inputs = [scheme, height, width]
    for control in (scheme, height, width):
        control.change(_update, inputs, player, show_progress="hidden", api_visibility="private")
    gr.api(scan_order, api_name="scan_order")
