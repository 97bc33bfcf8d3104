"""The *Influence* tab: click a patch and see which patches influence it, by gradient, layer and scan order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
from PIL import Image

from ...backbones import Family, family_of
from ...checks import as_whole
from ...explain import CallRecorder, Influence, NetworkCall, heat, patch_influence
from ...pipeline import Request
from .. import texts
from ..borders import endpoint, handler, unchecked
from ..controls import condition_of, updates_of
from ..frame import Frame
from ..maps import (
    enlarged,
    figure_html,
    frames_of,
    legend_html,
    note_html,
    number,
    one_picture,
    peak_of_others,
    places,
    side_by_side,
)
from ..runs import MODELS, QUIET, STATE_SECONDS, TURN, toast
from ..settings import MOST_STEPS, defaults, installed_model, model_choices

SKIP = gr.skip()


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture or clip with the network's calls and the prediction at each step.

    pictures: the predicted frames at each step, one for a picture. grid: frames (1 for a picture), rows and columns.
    """

    request: Request
    calls: list[NetworkCall]
    pictures: list[list[Image.Image]]
    family: Family
    grid: tuple[int, int, int]


def _middle_step(request: Request) -> int:
    """The step shown first, counted from 0: shapes are decided about half way."""
    return request.steps // 2


def _make_drawing(record: CallRecorder, pictures: list[list[Image.Image]]) -> Drawing:
    """A drawing from recorded calls; for the official backbones as well as ours."""
    config = record.network.config
    _, family = family_of(config)
    return Drawing(record.request, record.calls, pictures, family, (config.frames or 1, *config.grid))


def _influence_of(drawing: Drawing, step: int, frame: int, row: int, column: int) -> Influence:
    """The influence on a patch; step, frame, row and column count from 0.

    Raises ValueError with one sentence for a number out of range.
    """
    frames, rows, columns = drawing.grid
    pipe = MODELS.get(installed_model(drawing.request.model))
    token = as_whole("frame", frame, 0, frames - 1) * rows + as_whole("row", row, 0, rows - 1)
    token = token * columns + as_whole("column", column, 0, columns - 1)
    return patch_influence(pipe.network, drawing.calls[as_whole("step", step, 0, len(drawing.calls) - 1)], token)


def maps_html(drawing: Drawing, step: int, result: Influence, layer: int) -> str:
    """The four maps of a patch, frame by frame for a clip; step and layer count from 0."""
    pictures, (frames, *grid) = drawing.pictures[step], drawing.grid
    marked, *cell = _cell(drawing, result.token)
    side = 384 if frames == 1 else 144
    title, about = drawing.family.mixer

    def image_of(draw: Callable[..., Image.Image], values: Any, **more: Any) -> Image.Image:
        images = [draw(one, map, side, **more) for one, map in zip(pictures, values.reshape(-1, *grid), strict=True)]
        images[marked] = heat.mark(images[marked], cell, grid)
        return side_by_side(images)

    def panel(title: str, about: str, values: Any) -> str:
        peak = peak_of_others(values, result.token)
        legend = legend_html(peak, f"itself {number(float(values.flat[result.token]))}")
        return figure_html(title, about, image_of(heat.overlay, values, peak=peak, smooth=False), legend)

    field = result.field[layer]
    attending = not drawing.family.in_order
    reach = (texts.FRAME_FIELD if attending else texts.SCAN_FIELD).format(count=field.sum(), all=field.size)
    last = f"layers 1 to {layer + 1}" if layer else "layer 1"
    panels = [
        panel("Gradient, whole network", texts.GRADIENT, result.gradient),
        panel(f"{title}, layer {layer + 1}", about, result.implicit[layer]),
        figure_html(f"Composed, {last}", texts.TOO_MUCH_TO_COMPOSE, None, "")
        if result.composed is None
        else panel(f"Composed, {last}", texts.COMPOSED, result.composed[layer]),
        figure_html(f"Scan order, {last}", texts.NO_SCAN_FIELD, None, "")
        if attending and frames == 1
        else figure_html(
            f"{'Reach' if attending else 'Scan order'}, {last}",
            reach,
            image_of(heat.veiled, field),
            note_html(texts.SCAN_FIELD_NOTE),
        ),
    ]
    return f'<div class="maps">{"".join(panels)}</div>'


def _cell(drawing: Drawing, token: int) -> tuple[int, int, int]:
    """Frame, row and column of a patch."""
    frame, place = divmod(token, drawing.grid[1] * drawing.grid[2])
    return frame, *divmod(place, drawing.grid[2])


@endpoint
def influence(
    model: str,
    label: str | None = None,
    scan: str | None = None,
    row: int = 0,
    column: int = 0,
    step: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    prompt: str | None = None,
    frame: int = 0,
) -> dict[str, Any]:
    """API: which patches influence a patch at one step of a drawing; frame, row, column, step and layers count from 0.

    steps: by default the model's own. step: by default half way, where shapes are decided. prompt: for text-conditional
    models. frame: for video models. Returns the grid and the maps as nested lists: gradient as [row][column], implicit
    and field as [layer][row][column], composed as implicit or null if it would take too long. For clips, [frame] comes
    before [row].
    """
    request = one_picture(model, prompt, label, scan, steps, seed)
    step = _middle_step(request) if step is None else as_whole("step", step, 0, request.steps - 1)
    record = CallRecorder()
    MODELS.get(installed_model(model))(request, record=record)
    drawing = _make_drawing(record, [])
    result = _influence_of(drawing, step, frame, row, column)
    return {
        "grid": list(result.gradient.shape),
        "gradient": result.gradient.tolist(),
        "implicit": result.implicit.tolist(),
        "composed": None if result.composed is None else result.composed.tolist(),
        "field": result.field.tolist(),
    }


OUTPUTS = ("picture", "line", "maps", "drawing", "result", "step", "frame", "row", "column", "layer", "go")


_updates = partial(updates_of, OUTPUTS)


@handler(lambda sentence: _updates(line=sentence, go=gr.update(interactive=True)))
def _draw(
    model: str, prompt: str | None, label: str | None, scan: str | None, steps: float, seed: float
) -> Iterator[tuple[Any, ...]]:
    """The Draw button: first the picture, then the maps of the middle patch half way through the steps."""
    request = one_picture(model, prompt, label, scan, steps, seed)
    record, pictures = CallRecorder(), []
    yield _updates(line=texts.STARTING, go=gr.update(interactive=False))
    with closing(MODELS.get(installed_model(model)).stream(request, record=record)) as run:
        for step in run:
            pictures.append(frames_of(step))
    drawing, depth = _make_drawing(record, pictures), record.network.config.depth
    frames, rows, columns = drawing.grid
    middle, cell = _middle_step(request), (frames // 2, rows // 2, columns // 2)
    yield _updates(picture=_mark(drawing, middle, *cell), line=texts.LOOKING, drawing=drawing)
    result = _influence_of(drawing, middle, *cell)
    yield _updates(
        line=_line(drawing, middle, result),
        maps=maps_html(drawing, middle, result, 0),
        result=result,
        step=places(request.steps, middle + 1),
        frame=places(frames, cell[0] + 1, visible=frames > 1),
        row=places(rows, cell[1] + 1),
        column=places(columns, cell[2] + 1),
        layer=places(depth, 1),
        go=gr.update(interactive=True),
    )


def _mark(drawing: Drawing, step: int, frame: int, row: int, column: int) -> Image.Image:
    return heat.mark(enlarged(drawing.pictures[step][frame]), (row, column), drawing.grid[1:])


def _line(drawing: Drawing, step: int, result: Influence) -> str:
    frame, row, column = _cell(drawing, result.token)
    which = f"Frame {frame + 1}, row" if drawing.grid[0] > 1 else "Row"
    t = float(drawing.calls[step].t)
    return f"{which} {row + 1}, column {column + 1} · step {step + 1} of {drawing.request.steps}, t = {number(t)}. " + (
        texts.INFLUENCE_CLICK
    )


@handler(lambda sentence: _updates(line=sentence))
def _refresh(
    drawing: Drawing | None, step: float, frame: float, row: float, column: float, layer: float
) -> Iterator[tuple[Any, ...]]:
    """Show another patch or step: first its frame, then its maps. The page counts from 1."""
    if drawing is None:
        yield _updates(line=texts.INFLUENCE_START)
        return
    settings = zip(("frame", "row", "column"), (frame, row, column), drawing.grid, strict=True)
    step_index = as_whole("step", step, 1, drawing.request.steps) - 1
    cell = [as_whole(name, value, 1, most) - 1 for name, value, most in settings]
    yield _updates(picture=_mark(drawing, step_index, *cell), line=texts.LOOKING)
    result = _influence_of(drawing, step_index, *cell)
    layer_index = as_whole("layer", layer, 1, len(result.field)) - 1
    yield _updates(
        line=_line(drawing, step_index, result), maps=maps_html(drawing, step_index, result, layer_index), result=result
    )


def _click(drawing: Drawing | None, event: gr.SelectData) -> tuple[Any, Any]:
    """Row and column, from 1, of the patch under a click at (x, y) pixels of the picture."""
    if drawing is None:
        return SKIP, SKIP
    (x, y), (_, rows, columns) = event.index, drawing.grid
    width, height = enlarged(drawing.pictures[0][0]).size
    row, column = int(y * rows / height), int(x * columns / width)
    return min(max(row, 0), rows - 1) + 1, min(max(column, 0), columns - 1) + 1


def _show_layer(drawing: Drawing | None, result: Influence | None, step: float, layer: float) -> Any:
    """The maps of another layer, from what was already computed."""
    if drawing is None or result is None:
        return SKIP
    try:
        step_index = as_whole("step", step, 1, drawing.request.steps) - 1
        return maps_html(drawing, step_index, result, as_whole("layer", layer, 1, len(result.field)) - 1)
    except ValueError as fault:
        toast(fault)
        return SKIP


def _slider(label: str, most: int, **more: Any) -> gr.Slider:
    """A slider that counts from 1 and is disabled until there is a drawing."""
    slider = gr.Slider(1, most, value=1, step=1, label=label, interactive=False, min_width=150, buttons=[], **more)
    return unchecked(slider)


def build_influence_tab(frame: Frame) -> None:
    """Lay the tab out; call inside a gr.Tab."""
    gr.api(influence, api_name="influence", **TURN)
    choices = model_choices()
    if not choices:
        gr.Markdown(texts.NO_WEIGHTS)
        return
    with_scan = [name for _, name in choices if installed_model(name).schemes]
    first = with_scan[0] if with_scan else choices[0][1]
    prompts, labels, scans = condition_of(first)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            model = gr.Dropdown(choices, value=first, label="Model")
            prompt = gr.Textbox(label="Prompt", max_lines=2, **prompts)
            label = gr.Dropdown(label="Label", info="Type to search.", **labels)
            scan = gr.Dropdown(label="Scan scheme", **scans)
            with gr.Row():
                default = defaults(first)["steps"]
                steps = gr.Slider(1, MOST_STEPS, value=default, step=1, label="Steps", min_width=150, buttons=[])
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=100)
            go = gr.Button("Draw", variant="primary", elem_id="influence-draw")
            picture = gr.Image(
                label="Picture",
                show_label=False,
                interactive=False,
                buttons=[],
                format="png",
                elem_id="influence-picture",
                alt_text="the picture; click a patch",
            )
        with gr.Column(scale=3, min_width=280):
            line = gr.Markdown(texts.INFLUENCE_START, elem_id="influence-line")
            with gr.Row():
                step, layer = _slider("Step", default), _slider("Layer", 8)
            frame = _slider("Frame", 8, visible=False)
            with gr.Row():
                row, column = _slider("Row", 8), _slider("Column", 8)
            maps = gr.HTML(texts.placeholder_html(texts.MAPS_EMPTY), elem_id="influence-maps", padding=False)
    drawing = gr.State(None, time_to_live=STATE_SECONDS)
    result = gr.State(None, time_to_live=STATE_SECONDS)

    outputs = [picture, line, maps, drawing, result, step, frame, row, column, layer, go]
    position = [drawing, step, frame, row, column, layer]
    go.click(_draw, [model, prompt, label, scan, steps, seed], outputs, **TURN, **QUIET)
    picture.select(_click, drawing, [row, column], queue=False, **QUIET).then(
        _refresh, position, outputs, trigger_mode="always_last", **TURN, **QUIET
    )
    for slider in (step, frame, row, column):
        slider.release(_refresh, position, outputs, trigger_mode="always_last", **TURN, **QUIET)
    layer.change(_show_layer, [drawing, result, step, layer], maps, trigger_mode="always_last", **QUIET)
    model.input(
        lambda name: (*(gr.update(**one) for one in condition_of(name)), defaults(name)["steps"]),
        model,
        [prompt, label, scan, steps],
        **QUIET,
    )
