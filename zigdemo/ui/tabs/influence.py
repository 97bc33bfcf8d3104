"""The *Influence* tab: click a patch and see which patches influence it, by gradient, layer and scan order."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import astuple
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from ...checks import as_whole, number
from ...explain import CallRecorder
from .. import examples, fields, live, runs, texts
from ..answers import InfluenceOf
from ..borders import endpoint, handler
from ..controls import build_actions, changes, condition_of, connect, fill_example
from ..estimates import seconds_of_call, starting_text
from ..frame import Frame
from ..looking import (
    CHIP_NAMES,
    CHIPS,
    Updates,
    build_chips,
    busy_html,
    chips_of,
    link_script,
    numbers_in,
    stoppable,
)
from ..maps import enlarged, frames_of, one_picture, places
from ..patches import (
    POSITION,
    Drawing,
    Position,
    about,
    draw,
    export,
    first_position,
    influence_of,
    make_drawing,
    maps_html,
    mark,
    middle_step,
)
from ..runs import PREVIEW_SECONDS, QUIET, STATE_SECONDS, Run
from ..settings import MOST_STEPS, defaults, from_link, installed_model, model_choices
from ..sharing import Query, share, show_in_address
from ..worker import TURN, in_turn

TAB = "influence"  # the id of the tab and of its runs
SKIP = gr.skip()
MAPS_SECONDS = 1.0  # that the maps of a patch take, about
SETTINGS = ("model", "prompt", "label", "scan", "steps", "seed")


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
) -> InfluenceOf:
    """API: which patches influence a patch at one step of a drawing; frame, row, column, step and layers count from 0.

    steps: by default the model's own. step: by default half way, where shapes are decided. prompt: for text-conditional
    models. frame: for video models. Returns the grid and the maps as nested lists: gradient as [row][column], implicit
    and field as [layer][row][column], composed as implicit or null if it would take too long. For clips, [frame] comes
    before [row].
    """
    request = one_picture(model, prompt, label, scan, steps, seed)
    step = middle_step(request.steps) if step is None else as_whole("step", step, 0, request.steps - 1)
    record = CallRecorder()
    runs.ended(runs.run_to_end(request, record=record))
    result = influence_of(make_drawing(record, []), Position(step, frame, row, column))
    return {
        "grid": list(result.gradient.shape),
        "gradient": result.gradient.tolist(),
        "implicit": result.implicit.tolist(),
        "composed": None if result.composed is None else result.composed.tolist(),
        "field": result.field.tolist(),
    }


OUTPUTS = (*SETTINGS, *CHIP_NAMES, "go", "stop", "progress", "picture", "about", *POSITION, "maps", "save", "files")
OUTPUTS += ("drawing", "linked", "query")


def _updates(running: bool | None = None, line: str | None = None, **updates: Any) -> tuple[Any, ...]:
    """Updates of OUTPUTS, as `changes`; while something runs, what it was started with cannot be changed."""
    if running is not None:
        locked = {name: gr.update(interactive=not running) for name in (*SETTINGS, *CHIP_NAMES, "save")}
        updates = {**locked, **updates}
    return changes(OUTPUTS, running, line, **updates)


def _seconds(model: Any, *others: Any, **more: Any) -> float:
    return MAPS_SECONDS + seconds_of_call(model, count=1)


@stoppable(TAB, _updates)
def _draw(
    run: Run, model: str, prompt: str | None, label: str | None, scan: str | None, steps: float, seed: float,
    earlier: Drawing | None, linked: Position | None,
) -> Updates:  # fmt: skip
    """The Draw button: first the picture step by step, then the maps of one patch."""
    request = one_picture(model, prompt, label, scan, steps, seed)
    yield _updates(
        True,
        starting_text(),
        about=texts.INFLUENCE_START,
        maps=texts.placeholder_html(texts.MAPS_EMPTY),
        drawing=None,
        query="",
        files=gr.update(visible=False),
        **{name: gr.update(interactive=False) for name in POSITION},
    )
    record, pictures, shown_at = CallRecorder(), [], -math.inf
    with closing(runs.steps_of(run, request, record=record)) as drawn:
        for step in drawn:
            pictures.append(frames_of(step))
            if time.monotonic() - shown_at >= PREVIEW_SECONDS:
                yield _updates(picture=enlarged(pictures[-1][0]), progress=texts.progress_html(step))
                shown_at = time.monotonic()
    if run.stop.is_set():
        return
    drawing = make_drawing(record, pictures)
    drawing.wanted = first_position(drawing, linked, earlier)
    yield _updates(drawing=drawing, linked=None, **_sliders(drawing, drawing.wanted))
    yield from _look(run, drawing)


def _live(
    turn: live.LiveRun, model: str, prompt: str | None, label: str | None, scan: str | None, steps: float, seed: float,
    earlier: Drawing | None,
) -> tuple[Any, ...] | None:  # fmt: skip
    """The maps of the marked patch while settings change; None for a model that is too slow."""
    if not live.quick_enough(installed_model(model)):
        return None
    steps = live.steps_of(turn, steps)
    drawing = draw(one_picture(model, prompt, label, scan, steps, seed), turn.stopped, earlier)
    if drawing is None:
        return None
    shown = dict(zip(OUTPUTS, _shown_updates(drawing), strict=True)) | _sliders(drawing, drawing.shown)
    line = texts.line_html(f"{turn.name}: {drawing.request.steps} steps. {texts.INFLUENCE_CLICK}")
    return tuple({**shown, "drawing": drawing, "progress": line}.values())


@stoppable(TAB, _updates)
def _refresh(run: Run, drawing: Drawing | None) -> Updates:
    """The maps of the patch and step chosen last."""
    if drawing is not None and drawing.wanted is not None:
        yield from _look(run, drawing)


def _look(run: Run, drawing: Drawing) -> Updates:
    """Compute maps until those of the last choice are shown; picture and maps always change together at the end."""
    while drawing.shown != drawing.wanted:
        position = drawing.wanted
        yield _updates(True, picture=mark(drawing, position), progress=busy_html(texts.LOOKING))
        try:
            result = influence_of(drawing, position)
        except Exception:
            yield _unchanged(drawing)
            raise
        if run.stop.is_set():
            return
        if drawing.wanted.patch == position.patch:
            drawing.result, drawing.shown = result, drawing.wanted
    yield _shown_updates(drawing)


def _shown_updates(drawing: Drawing) -> tuple[Any, ...]:
    """Updates after the maps were computed: picture, maps and line, all of the same patch, step and layer."""
    position = drawing.shown
    return _updates(
        False,
        texts.INFLUENCE_CLICK,
        picture=mark(drawing, position),
        about=about(drawing),
        maps=maps_html(drawing),
        files=gr.update(visible=False),
        # Again, since Gradio may lose an update of controls whose tab was opened just before.
        **_sliders(drawing),
        query=urlencode({name: value + 1 for name, value in zip(POSITION, astuple(position), strict=True)}),
    )


def _sliders(drawing: Drawing, position: Position | None = None) -> dict[str, Any]:
    """Updates of the ends of the sliders of POSITION, which count from 1; their values too if a position is given."""
    updates = {name: places(size) for name, size in zip(POSITION, drawing.sizes, strict=True)}
    updates["frame"]["visible"] = drawing.grid[0] > 1
    if position is not None:
        for name, value in zip(POSITION, astuple(position), strict=True):
            updates[name]["value"] = value + 1
    return updates


@handler(lambda sentence: _updates(about=sentence))
def _want(drawing: Drawing | None, *choice: float) -> tuple[Any, ...]:
    """Another patch, step or layer, which the page counts from 1: what is known at once; `_refresh` has the rest."""
    if drawing is None:
        return _updates(about=texts.INFLUENCE_START)
    chosen = zip(POSITION, choice, drawing.sizes, strict=True)
    position = Position(*(as_whole(name, value, 1, size) - 1 for name, value, size in chosen))
    computing, drawing.wanted = drawing.wanted != drawing.shown, position
    if drawing.shown is None or position.patch != drawing.shown.patch:
        return _updates(True, picture=mark(drawing, position), progress=busy_html(texts.LOOKING))
    if computing:  # of another patch, which is not wanted any more
        return _updates()
    drawing.shown = position
    return _shown_updates(drawing)


def _click(drawing: Drawing | None, step: float, frame: float, layer: float, event: gr.EventData) -> tuple[Any, ...]:
    """The patch under a click at (x, y) pixels of the picture. Raises ValueError for anything else."""
    if drawing is None:
        return _updates(about=texts.INFLUENCE_START)
    place, (_, rows, columns) = getattr(event, "index", None), drawing.grid
    if not isinstance(place, (list, tuple)) or len(place) != 2:
        raise ValueError("a click needs a place in the picture; click on it, or choose row and column")
    x, y = (number(axis, value) for axis, value in zip(("column", "row"), place, strict=True))
    width, height = enlarged(drawing.pictures[0][0]).size
    row = min(max(int(y * rows / height), 0), rows - 1) + 1
    column = min(max(int(x * columns / width), 0), columns - 1) + 1
    wanted = dict(zip(OUTPUTS, _want(drawing, step, frame, row, column, layer), strict=True))
    return tuple({**wanted, "row": row, "column": column}.values())


def _stop(page: gr.Request, drawing: Drawing | None) -> tuple[Any, ...]:
    """The Stop button: ends the run of this page; the maps that were there before are those of what is marked again."""
    runs.stop(page, TAB)
    return _updates(False, texts.STOPPED) if drawing is None else _unchanged(drawing, texts.MAPS_STOPPED)


def _unchanged(drawing: Drawing, line: str | None = None) -> tuple[Any, ...]:
    """Updates when the wanted maps do not come: picture, sliders and line go back to what is shown."""
    drawing.wanted = position = drawing.shown
    if position is None:
        return _updates(False, line and texts.STOPPED, picture=enlarged(drawing.pictures[-1][0]))
    shown = dict(zip(OUTPUTS, _shown_updates(drawing), strict=True)) | _sliders(drawing, position)
    return tuple((shown if line is None else shown | {"progress": texts.line_html(line)}).values())


@handler(lambda sentence: (texts.line_html(sentence), SKIP))
def _export(drawing: Drawing | None) -> tuple[Any, Any]:
    """The figure and its numbers as files."""
    if drawing is None or drawing.shown is None:
        return texts.line_html(texts.INFLUENCE_START), SKIP
    return texts.line_html(texts.MAPS_EXPORTED), gr.update(value=export(drawing), visible=True)


def _of_model(model: str) -> tuple[Any, ...]:
    """Updates of prompt, label, scan, steps and the chips for another model."""
    return *(gr.update(**one) for one in condition_of(model)), defaults(model)["steps"], *chips_of(model)


def _follow(query: Query, own: Query) -> tuple[Any, ...] | None:
    """Updates of the settings and the chips for the settings of a link; None if they are for no model of this tab."""
    request, _ = from_link(query)
    if request is None:
        return None
    prompt, label, scan = condition_of(request.model)
    return (
        request.model,
        gr.update(**{**prompt, "value": request.prompt or ""}),
        gr.update(**{**label, "value": request.label}),
        gr.update(**{**scan, "value": request.scan or scan["value"]}),
        request.steps,
        request.seed,
        *chips_of(request.model),
    )


def _open_link(page: gr.Request) -> tuple[Any, ...]:
    """Updates of the settings, what to look at and the line for a link to this tab."""
    query = dict(page.query_params)
    # The Pictures tab says which settings of a link had to be left out.
    shown = _follow(query, {}) if query.get("place") == TAB else None
    if shown is None:
        return (SKIP,) * (len(SETTINGS) + CHIPS + 3)
    numbers = numbers_in(query, POSITION)
    linked = Position(**{name: max(value - 1, 0) for name, value in numbers.items()}) if numbers else None
    return *shown, linked, texts.line_html(texts.LINK_OPENED)


def _slider(label: str, most: int, **more: Any) -> gr.Slider:
    """A slider that counts from 1 and is disabled until there is a drawing."""
    return fields.Slider(1, most, value=1, step=1, label=label, interactive=False, min_width=150, buttons=[], **more)


def build_influence_tab(frame: Frame) -> None:
    """Lay the tab out; call inside a gr.Tab."""
    gr.api(in_turn(_seconds)(influence), api_name="influence", **TURN)
    choices = model_choices()
    if not choices:
        gr.Markdown(texts.NO_WEIGHTS)
        return
    with_scan = [name for _, name in choices if installed_model(name).schemes]
    first = with_scan[0] if with_scan else choices[0][1]
    prompts, labels, scans = condition_of(first)
    c: dict[str, Any] = {}  # the controls by their names in OUTPUTS
    with gr.Row(equal_height=False):
        c["model"] = fields.Dropdown(choices, value=first, label="Model", scale=3, min_width=220)
        c["prompt"] = gr.Textbox(label="Prompt", max_lines=2, scale=4, min_width=280, **prompts)
        c["label"] = fields.Dropdown(label="Label", scale=3, min_width=200, **labels)
        c["scan"] = fields.Dropdown(label="Scan scheme", scale=3, min_width=220, **scans)
        usual = defaults(first)["steps"]
        c["steps"] = fields.Slider(
            1, MOST_STEPS, value=usual, step=1, label="Steps", scale=0, min_width=150, buttons=[]
        )
        c["seed"] = fields.Number(0, label="Seed", precision=0, minimum=0, scale=0, min_width=90)
    chip_row, chips = build_chips(first)
    shown = examples.maps() if first == examples.PORTRAITS else None
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            c["go"], c["stop"], c["progress"] = build_actions(
                texts.INFLUENCE_START, "influence-progress", "Draw", "influence-draw"
            )
            c["picture"] = fields.Image(
                shown and shown.patch,
                label="Picture",
                show_label=False,
                interactive=False,
                buttons=[],
                format="png",
                elem_id="influence-picture",
                alt_text="the picture; click a patch",
            )
            with gr.Row():
                c["step"], c["layer"] = _slider("Step", usual), _slider("Layer", 8)
            c["frame"] = _slider("Frame", 8, visible=False)
            with gr.Row():
                c["row"], c["column"] = _slider("Row", 8), _slider("Column", 8)
        with gr.Column(scale=3, min_width=280):
            c["about"] = gr.Markdown(shown.about if shown else texts.NO_DRAWING, elem_id="influence-line")
            empty = texts.placeholder_html(texts.MAPS_EMPTY)
            c["maps"] = gr.HTML(shown.influence if shown else empty, elem_id="influence-maps", padding=False)
            with gr.Row():
                c["save"] = gr.Button("Export PNG, SVG and numbers", size="sm", interactive=False, min_width=160)
                link = gr.Button("Copy link", size="sm", min_width=120)
            c["files"] = gr.Files(show_label=False, interactive=False, visible=False, elem_id="influence-files")
            c["query"] = gr.Textbox(visible="hidden")
    c |= zip(CHIP_NAMES, chips, strict=True)
    c["drawing"] = gr.State(None, time_to_live=STATE_SECONDS)
    c["linked"] = gr.State(None, time_to_live=STATE_SECONDS)

    outputs, model = [c[name] for name in OUTPUTS], c["model"]
    settings, position = [c[name] for name in SETTINGS], [c["drawing"], *(c[name] for name in POSITION)]
    buttons = c["go"], c["stop"], c["progress"]
    inputs = [*settings, c["drawing"], c["linked"]]
    runs_after = connect(buttons, inputs, outputs, _draw, _stop, _updates, [c["drawing"]], _seconds)
    runs_after(c["prompt"].submit)
    wanted = [
        c["picture"].select(
            _click, [c[name] for name in ("drawing", "step", "frame", "layer")], outputs, queue=False,
            trigger_mode="multiple", **QUIET,
        ),
        gr.on(
            [c["layer"].input, *(c[name].release for name in POSITION if name != "layer")],
            _want, position, outputs, trigger_mode="always_last", queue=False, **QUIET,
        ),
    ]  # fmt: skip
    # Every time, as a computation that still runs may have begun to show what was wanted before.
    refreshing = [
        one.then(in_turn()(_refresh), c["drawing"], outputs, trigger_mode="multiple", **TURN, **QUIET) for one in wanted
    ]
    c["stop"].click(None, None, None, cancels=refreshing)
    if frame.live is not None:
        moved = [c[name].change for name in ("model", "prompt", "label", "scan", "seed")]
        inputs = [*settings, c["drawing"]]
        live.connect_live(frame.live, moved, inputs, outputs, _live, lambda text: _updates(line=text))
    of_model = [c[name] for name in ("prompt", "label", "scan", "steps")]
    model.input(_of_model, model, [*of_model, chip_row, *chips], **QUIET)
    for chip in chips:
        chip.click(fill_example, [chip, model], [c["prompt"], c["label"]], **QUIET)
    c["save"].click(_export, c["drawing"], [c["progress"], c["files"]], **QUIET)
    link.click(
        lambda *_: gr.Info(texts.LINK_COPIED), [*settings, c["query"]], None, js=link_script(TAB, SETTINGS), **QUIET
    )
    frame.page.load(lambda: gr.update(choices=model_choices()), None, model, **QUIET)  # those added since the start
    share(frame, TAB, dict(zip(SETTINGS, settings, strict=True)), [*settings, chip_row, *chips], _follow)
    show_in_address(TAB, c["query"])
    frame.page.load(_open_link, None, [*settings, chip_row, *chips, c["linked"], c["progress"]], **QUIET)
