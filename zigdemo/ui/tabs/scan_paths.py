"""The *Scan paths* tab: Python computes the orders of a scheme once, and the browser plays them."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import prod
from typing import Any

import gradio as gr

from ...checks import as_whole
from ...scans import SCHEMES, ScanScheme, measure, scan_scheme
from .. import fields, texts
from ..answers import OrderOf
from ..borders import endpoint
from ..examples import example_picture
from ..frame import Frame
from ..runs import QUIET
from ..sharing import read_choice
from ..theme import mount_script

MOST_SIDE = 64
MOST_TOKENS = 2**13  # in a stack of frames, for which a browser gets up to LAYERS orders
LAYERS = 16  # that the player can show; the API takes any layer up to MOST_LAYER
MOST_LAYER = 9999
EXAMPLES = [name for family in SCHEMES.values() for name in family.examples]


def _grid(scheme: ScanScheme, height: object, width: object, frames: object) -> tuple[int, ...]:
    """(rows, columns), preceded by frames if the scheme is for videos; a scheme for both reads 1 frame as an image.

    Raises ValueError with one sentence for a side out of range or too many tokens.
    """
    sides = (
        as_whole("the number of rows", height, 1, MOST_SIDE),
        as_whole("the number of columns", width, 1, MOST_SIDE),
    )
    if 3 not in scheme.dimensions:
        return sides
    sides = (as_whole("the number of frames", frames, 1, MOST_SIDE), *sides)
    if prod(sides) > MOST_TOKENS:
        raise ValueError(
            f"the frames have {prod(sides)} tokens together, and at most {MOST_TOKENS} are allowed; "
            "choose fewer or smaller frames"
        )
    return sides[1:] if sides[0] == 1 and 2 in scheme.dimensions else sides


def scan_data(scheme: str, height: float, width: float, frames: float = 1) -> dict[str, Any]:
    """The data of the player: the orders of the first layers of a scheme on a grid, and their measures.

    Only distinct orders, for at most 16 layers; if a layer uses several at once, all orders of one layer. frames: for
    schemes for videos. Raises ValueError with one sentence for an unknown scheme, a side outside 1 to 64, or frames of
    more than 2**13 tokens together.
    """
    scan = scan_scheme(scheme)
    grid = _grid(scan, height, width, frames)
    orders = scan.scans(layer=0, grid=grid)
    scans = len(orders)
    if scans == 1:
        orders = tuple(scan.order(layer=layer, grid=grid) for layer in range(min(scan.paths, LAYERS)))
    measures = [measure(order, grid) for order in orders]
    return {
        "scheme": scan.name,
        "label": scan.label,
        "grid": grid,
        "paths": scan.paths,
        "scans": scans,
        "orders": [order.perm.tolist() for order in orders],
        "runs": [order.runs for order in orders],
        "axes": [scan.axis(layer) for layer in range(len(orders))],
        "measures": [
            {
                "continuity": one.continuity,
                "jumps": one.jumps,
                "longest_jump": one.longest_jump,
            }
            for one in measures
        ],
    }


def _update(scheme: str, height: float, width: float, frames: float) -> tuple[Any, Any, Any]:
    """New data for the player, or a sentence why there is none (the last picture stays); and the frames slider."""
    slider = gr.skip()
    try:
        slider = gr.update(visible=3 in scan_scheme(scheme).dimensions)
        return json.dumps(scan_data(scheme, height, width, frames)), gr.update(visible=False), slider
    except ValueError as fault:
        return gr.skip(), gr.update(value=texts.fault_markdown(fault), visible=True), slider


@endpoint
def scan_order(scheme: str, height: int, width: int, layer: int = 0, frames: int = 1) -> OrderOf:
    """API: the scan order of one layer and its measures; perm[k] is the raster index of the k-th token visited.

    runs: the number of equal pieces of the order that are scanned independently. frames: for schemes for videos.
    """
    scan = scan_scheme(scheme)
    grid = _grid(scan, height, width, frames)
    number = as_whole("layer", layer, 0, MOST_LAYER)
    order = scan.order(layer=number, grid=grid)
    measures = asdict(measure(order, grid))
    return {
        "scheme": scheme,
        "layer": number,
        "grid": list(grid),
        "perm": order.perm.tolist(),
        "runs": order.runs,
        "jumps": measures["jumps"],
        "measures": measures,
    }


def _scan_of(choice: str) -> Any:
    """Update of the scheme to the scan of the shared choice."""
    try:
        return scan_scheme(str(read_choice(choice)["scan"])).name
    except (KeyError, ValueError):
        return gr.skip()


def _side_slider(label: str, visible: bool = True) -> gr.Slider:
    return fields.Slider(
        1, MOST_SIDE, value=8, step=1, label=label, min_width=120, buttons=[], visible=visible, elem_classes="scan-side"
    )


def build_scan_paths_tab(frame: Frame) -> None:
    """Lay the tab out; call inside a gr.Tab. The page needs `theme.head_html` and `theme.page_css`."""
    with gr.Row():
        scheme = fields.Dropdown(
            EXAMPLES,
            value="zigzag-8",
            label="Scan scheme",
            info="Or type one: hilbert-3, random-5, shuffled-9, factorized-sst.",
            allow_custom_value=True,
            scale=2,
            min_width=240,
        )
        frames = _side_slider("Frames", visible=False)
        height, width = _side_slider("Rows"), _side_slider("Columns")
    message = gr.Markdown(visible=False, elem_id="scan-message")
    player = gr.HTML(
        json.dumps(scan_data("zigzag-8", 8, 8)),
        html_template=f'<div class="scan-player" data-example="{example_picture()}"></div>',
        js_on_load=mount_script("scan-player", "zigdemoScanPlayer"),
        apply_default_css=False,
        elem_id="scan-player",
    )
    gr.on(
        [scheme.change, height.change, width.change, frames.change],
        _update,
        [scheme, height, width, frames],
        [player, message, frames],
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )
    # What is only looked at here is not chosen for drawing: the tab follows the shared choice, and does not set it.
    gr.on(frame.opened, _scan_of, frame.choice, scheme, queue=False, **QUIET)
    gr.api(scan_order, api_name="scan_order")
