"""The *Compare* tab: one matrix of pictures or clips that differ in one thing a side, at one seed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from html import escape
from typing import Any, TypeAlias

import gradio as gr

from ...checks import as_whole, shown
from ...media import read_metadata
from ...request import Request
from .. import device, examples, fields, runs, texts
from ..answers import CellOf
from ..borders import endpoint, handler
from ..bounds import bounds
from ..compare.axes import AXES, BASE, MOST_CELLS, NOTHING, Matrix, make_matrix, read_matrix
from ..compare.cells import CELLS
from ..compare.pairs import pair_matrix
from ..compare.presets import PRESETS, available_presets, offered, preset_matrix
from ..compare.sheets import save_sheets
from ..compare.view import IMPOSSIBLE, RUNNING, cell_state, view_json
from ..controls import build_actions, changes, connect, scan_settings
from ..estimates import REFUSED_SECONDS, SPEEDS, seconds_of_call, starting_text
from ..files import new_folder
from ..frame import Frame
from ..runs import QUIET
from ..settings import (
    CLIPS,
    MATRIX,
    MOST_GUIDANCE,
    MOST_STEPS,
    PICTURES,
    QUICK,
    from_link,
    installed_model,
    label_choices,
    model_choices,
    solver_choices,
)
from ..sharing import Query, choice_json, share
from ..strip import read_query
from ..theme import mount_script
from ..worker import TURN, in_turn

TAB = "compare"  # the id of the tab and of its runs
SHOW_SECONDS = 0.75  # at least, between two looks at the matrix; the browser takes its share of two cores for each
AXIS_CHOICES = [("Nothing", NOTHING), *((axis.label, name) for name, axis in AXES.items())]
CellPlace: TypeAlias = tuple[int, int]  # row and column of a cell
CELL_CHOSEN = 'element.addEventListener("zigdemo-cell", (event) => trigger("select", event.detail));'
SIDES = ("rows", "row_values", "columns", "column_values")
SAVE = "Save: PNG that opens the matrix again, SVG, table, Python"
STOPPED = "Stopped; Draw goes on with the pictures that are missing."
OUTPUTS = ("view", "progress", "go", "stop", "files", "folded", "price")
AS_SET, QUICKLY = "As set", f"Quick: {QUICK['steps']} Euler steps"
_updates = partial(changes, OUTPUTS)


def _matrix(values: tuple[Any, ...]) -> Matrix:
    """The matrix of the tab's controls: BASE, the quality, SIDES."""
    base, quality, sides = dict(zip(BASE, values[: len(BASE)], strict=True)), values[len(BASE)], values[len(BASE) + 1 :]
    if quality == QUICKLY:
        base |= QUICK
    return _within_bounds(make_matrix(base, *sides))


def _within_bounds(matrix: Matrix) -> Matrix:
    """The matrix. Raises ValueError if it has more pictures than this machine draws at once."""
    if len(matrix.by_rows) > (most := bounds().cells):
        raise ValueError(f"the matrix has {len(matrix.by_rows)} pictures; leave out values until there are {most}")
    return matrix


def _price(*values: Any) -> str:
    """How many pictures the matrix has, and how long they take here."""
    try:
        return _price_html(_matrix(values))
    except ValueError as fault:
        return f"<p>{escape(str(fault))}</p>"


def _price_html(matrix: Matrix) -> str:
    requests = [cell.request for cell in matrix.by_rows if cell.request is not None]
    seconds, there = _seconds(matrix), sum(CELLS.kept(request) is not None for request in requests)
    count = "1 picture" if len(requests) == 1 else f"{len(requests)} pictures"
    kept = f", {there} already drawn" if there else ""
    impossible = len(matrix.by_rows) - len(requests)
    left_out = f"; {impossible} cannot be, and say why" if impossible else ""
    time_left = f", about {max(1, round(seconds))} s here" if there < len(requests) else ""
    return f"<p>{count}{kept}{time_left}{left_out}.</p>"


def _seconds(matrix: Matrix) -> float:
    """How long the pictures take that are not kept, about."""
    requests = [cell.request for cell in matrix.by_rows if cell.request is not None]
    return sum(SPEEDS.seconds(request) for request in requests if CELLS.kept(request) is None)


def _seconds_of_values(*values: Any) -> float:
    try:
        return _seconds(_matrix(values))
    except (ValueError, TypeError):
        return REFUSED_SECONDS


def _seconds_of_call(model: Any, rows: Any, row_values: Any, columns: Any = NOTHING, column_values: Any = None,
                     *base: Any, **more: Any) -> float:  # fmt: skip
    cells = len(row_values or []) * max(1, len(column_values or [])) if isinstance(row_values, list) else 0
    return cells * seconds_of_call(model, count=1)


@handler(partial(_updates, False))
def _run(page: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
    """Draw the matrix of the controls, cell by cell."""
    with runs.track(page, TAB) as run:
        yield from _drawn(_matrix(values), run)


@handler(lambda sentence: gr.skip())
def _choose_cell(page: gr.Request, event: gr.EventData) -> Any:
    """A click on a cell without a picture: its place, to be drawn alone; while the matrix is drawn it is skipped."""
    row, column = (as_whole(side, getattr(event, side, None), 0, MOST_CELLS) for side in ("row", "column"))
    place = row, column
    run = runs.RUNS.get((page.session_hash, TAB))
    if run is None:
        return place
    run.skipped.add(place)
    return gr.skip()


@handler(partial(_updates, False))
def _run_one(page: gr.Request, place: CellPlace | None, *values: Any) -> Iterator[tuple[Any, ...]]:
    """Draw one cell of the matrix of the controls."""
    if place is None:
        yield _updates(False, texts.COMPARE_READY)
        return
    with runs.track(page, TAB) as run:
        yield from _drawn(_matrix(values), run, place)


def _drawn(matrix: Matrix, run: runs.Run, only: CellPlace | None = None) -> Iterator[tuple[Any, ...]]:
    """Updates while the cells that are not kept are drawn, or one of them, without those that the run is to skip."""
    cells, pictures, started, last_shown = {}, {}, time.monotonic(), 0.0
    todo = []
    for cell in matrix.cells():
        place = cell.row, cell.column
        kept = CELLS.kept(cell.request) if cell.request is not None else None
        if cell.request is None:
            cells[place] = cell_state(None, IMPOSSIBLE, cell.reason)
        elif kept is not None:
            pictures[place] = kept
            cells[place] = cell_state(kept)
        elif only in (None, place):
            todo.append(cell)
    yield _updates(True, starting_text(), view=view_json(matrix, cells))
    drawn = 0
    for number, cell in enumerate(todo):
        place = cell.row, cell.column
        if place in run.skipped:
            continue
        cells[place] = cell_state(None, RUNNING)
        if time.monotonic() - last_shown > SHOW_SECONDS:
            left = (time.monotonic() - started) / max(1, number) * (len(todo) - number)
            yield _updates(view=view_json(matrix, cells), progress=texts.count_html(number, len(todo), "picture", left))
            last_shown = time.monotonic()
        try:
            picture = CELLS.draw(cell.request, partial(_is_unwanted, run, place))
        except ValueError as fault:
            cells[place] = cell_state(None, IMPOSSIBLE, str(fault))
            continue
        if picture is None:
            del cells[place]
            if not run.stop.is_set():
                continue
            yield _updates(False, STOPPED, view=view_json(matrix, cells), **_end(matrix, pictures))
            return
        pictures[place] = picture
        cells[place] = cell_state(picture)
        drawn += 1
    seconds = time.monotonic() - started
    line = f"{len(pictures)} pictures, {drawn} of them drawn in {seconds:.1f} s. Point at one to compare it."
    yield _updates(line=line, view=view_json(matrix, cells))  # before the files, which take a moment
    yield _updates(False, line, **_end(matrix, pictures))


def _is_unwanted(run: runs.Run, place: CellPlace) -> bool:
    return run.stop.is_set() or place in run.skipped


def _end(matrix: Matrix, pictures: dict) -> dict[str, Any]:
    files = save_sheets(matrix, pictures, new_folder()) if pictures else None
    return {"files": files, "folded": gr.update(visible=bool(files)), "price": _price_html(matrix)}


def _stop(page: gr.Request) -> tuple[Any, ...]:
    runs.stop(page, TAB)
    return _updates(False, STOPPED)


def _controls(matrix: Matrix) -> tuple[Any, ...]:
    """Updates of the controls of BASE, the quality and SIDES that show a matrix."""
    base, folder = matrix.base, installed_model(matrix.base["model"])
    shown_values = {
        **{name: gr.update(value=base[name]) for name in ("solver", "steps", "guidance", "seed")},
        "model": folder.id,
        "prompt": gr.update(value=base["prompt"] or "", visible=folder.text is not None),
        "label": gr.update(choices=label_choices(folder.id), value=base["label"], visible=True)
        if folder.labels
        else gr.update(visible=False),
        "scan": gr.update(**scan_settings(folder.id, base["scan"])),
    }
    sides = []
    for axis, values in (matrix.rows, matrix.columns):
        sides += [axis, gr.update(**_values_settings(base, axis, list(values)))]
    return *(shown_values[name] for name in BASE), AS_SET, *sides


def _values_settings(base: dict[str, Any], axis: str, values: list[str]) -> dict[str, Any]:
    """Choices, value, label and visibility of the values of a side: those chosen, among those it offers."""
    if axis == NOTHING:
        return {"choices": [], "value": [], "label": "Values", "visible": False}
    choices = list(dict.fromkeys([*offered(base, axis), *values]))
    return {"choices": choices, "value": values, "label": f"{AXES[axis].label}: values", "visible": True}


def _axis_chosen(axis: str, *base_values: Any) -> Any:
    """The values that another axis offers."""
    base = dict(zip(BASE, base_values, strict=True))
    return gr.update(**_values_settings(base, axis, list(offered(base, axis))))


def _of_query(text: object) -> Request:
    """The request of a result in the film strip. Raises ValueError if it cannot be drawn any more."""
    query = read_query(text)
    for kind in (PICTURES, CLIPS):
        request, _ = from_link(query, kind)
        if request is not None:
            return request
    raise ValueError("what was chosen cannot be drawn any more; choose another one")


NO_CHANGE = (gr.skip(),) * (len(BASE) + 1 + len(SIDES))


@endpoint
def _preset(place: int, *base_values: Any) -> tuple[Any, ...]:
    return _controls(preset_matrix(PRESETS[place], dict(zip(BASE, base_values, strict=True))))


def _follow(query: Query, own: Query) -> tuple[Any, ...] | None:
    """Updates of all controls for the settings of a link; the sides stay as they are, unless its model is another."""
    request = next((one for one, _ in (from_link(query, kind) for kind in (PICTURES, CLIPS)) if one is not None), None)
    if request is None:
        return None
    updates = _controls(_suiting({name: getattr(request, name) for name in BASE}))
    return updates if own.get("model") != request.model else (*updates[: len(BASE)], *(gr.skip(),) * (1 + len(SIDES)))


@endpoint
def _pair(event: gr.EventData) -> tuple[Any, ...]:
    """The matrix of two results of the film strip, and the choice that it makes."""
    queries = getattr(event, "queries", None)
    queries = queries if isinstance(queries, list) else []
    if len(queries) != 2:
        raise ValueError("choose two results to compare")
    matrix = pair_matrix(*map(_of_query, queries))
    return *_controls(matrix), choice_json(matrix.base)


@handler(lambda sentence: NO_CHANGE)
def _model_chosen(model: str, rows: str, columns: str) -> tuple[Any, ...]:
    """The controls for another model, on the same axes if it can vary along them."""
    base = {"model": model}
    values = {axis: () if axis == NOTHING else offered(base, axis) for axis in (rows, columns)}
    if all(values[axis] or axis == NOTHING for axis in values):
        return _controls(make_matrix(base, rows, values[rows], columns, values[columns]))
    return _controls(_suiting(base))


def _suiting(base: dict[str, Any]) -> Matrix:
    """The matrix of the first preset that suits the model of a base."""
    return preset_matrix(next(one for one in PRESETS if one.suits(installed_model(base["model"]))), base)


@handler(lambda sentence: NO_CHANGE)
def _restore(file: str | None) -> tuple[Any, ...]:
    if file is None:
        return NO_CHANGE
    controls = _controls(read_matrix(read_metadata(file)["request"].get(MATRIX)))
    gr.Info("The matrix is restored; press Draw to draw it again.")
    return controls


@handler(lambda sentence: NO_CHANGE)
def _open_link(page: gr.Request) -> tuple[Any, ...]:
    text = dict(page.query_params).get(MATRIX)
    return NO_CHANGE if text is None else _controls(read_matrix(text))


@endpoint
def compare(
    model: str,
    rows: str,
    row_values: list[str],
    columns: str = NOTHING,
    column_values: list[str] | None = None,
    prompt: str | None = None,
    label: str | None = None,
    scan: str | None = None,
    solver: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
) -> tuple[list[CellOf], list[gr.FileData]]:
    """API: draw a matrix; returns its cells and the files of the whole: PNG, SVG, CSV, Python.

    rows, columns: what varies along a side: model, backbone, trained, read, solver, steps, guidance, words, seed, or
    nothing; row_values, column_values: its values as texts. solver, steps, guidance: by default the model's own. Every
    cell has row and column, counted from 0, and either file, seconds, calls, shown and asked, or the reason why it
    cannot be drawn.
    """
    for name, values in (("row_values", row_values), ("column_values", column_values or [])):
        if not isinstance(values, list):
            raise ValueError(f"{name} must be a list of texts, not {shown(values)}")
    base = dict(zip(BASE, (model, prompt, label, scan, solver, steps, guidance, seed), strict=True))
    matrix = _within_bounds(make_matrix(base, rows, row_values, columns, column_values or []))
    cells, pictures = [], {}
    for cell in matrix.cells():
        entry: CellOf = {"row": cell.row, "column": cell.column, "reason": cell.reason}
        try:
            picture = None if cell.request is None else runs.ended(CELLS.draw(cell.request, lambda: False))
        except ValueError as fault:
            picture, entry["reason"] = None, str(fault)
        if picture is not None:
            pictures[cell.row, cell.column] = picture
            entry |= {name: getattr(picture, name) for name in ("seconds", "calls", "shown", "asked")}
            entry["file"] = gr.FileData(path=str(picture.path)).model_dump()
        cells.append(entry)
    files = save_sheets(matrix, pictures, new_folder()) if pictures else []
    return cells, [gr.FileData(path=path) for path in files]


def _build_base(matrix: Matrix) -> tuple[dict[str, gr.components.Component], gr.Radio]:
    """The controls of BASE by name, and the quality."""
    folder, base = installed_model(matrix.base["model"]), matrix.base
    controls: dict[str, gr.components.Component] = {}
    controls["model"] = fields.Dropdown(
        [*model_choices(PICTURES), *model_choices(CLIPS)], value=folder.id, label="Model"
    )
    controls["prompt"] = gr.Textbox(base["prompt"] or "", label="Prompt", max_lines=4, visible=folder.text is not None)
    controls["label"] = fields.Dropdown(
        label_choices(folder.id), value=base["label"], label="Label", visible=bool(folder.labels)
    )
    quality = fields.Radio([AS_SET, QUICKLY], value=AS_SET, label="Quality")
    with gr.Accordion("What all pictures share", open=False):
        controls["scan"] = fields.Dropdown(label="Scan scheme", **scan_settings(folder.id, base["scan"]))
        controls["solver"] = fields.Dropdown(solver_choices(), value=base["solver"], label="Solver")
        controls["steps"] = fields.Slider(1, MOST_STEPS, value=base["steps"], step=1, label="Steps")
        controls["guidance"] = fields.Slider(0, MOST_GUIDANCE, value=base["guidance"], step=0.1, label="Guidance")
        controls["seed"] = fields.Number(base["seed"], label="Seed")
    return {name: controls[name] for name in BASE}, quality


def _build_sides(matrix: Matrix) -> list[gr.Dropdown]:
    """The controls of SIDES."""
    sides = []
    for name, (axis, values) in (("Rows", matrix.rows), ("Columns", matrix.columns)):
        sides.append(fields.Dropdown(AXIS_CHOICES, value=axis, label=name))
        sides.append(
            fields.Dropdown(
                **_values_settings(matrix.base, axis, list(values)),
                multiselect=True,
                allow_custom_value=True,
                info="Choose, or type one and press Enter.",
                elem_id=f"compare-{name.lower()}",
            )
        )
    return sides


def build_compare_tab(frame: Frame) -> None:
    """Lay the tab out; call inside its gr.Tab."""
    gr.api(in_turn(_seconds_of_call)(compare), api_name="compare", **TURN)
    presets = available_presets()
    if not presets:
        gr.Markdown(texts.NO_WEIGHTS)
        return
    shipped = examples.compared()
    first = shipped.matrix if shipped is not None else preset_matrix(presets[0])
    with gr.Row(elem_classes="chip-row", elem_id="compare-presets"):
        chips = [gr.Button(preset.label, size="sm") for preset in presets]
    with gr.Row(equal_height=False, elem_id="compare-room"):
        with gr.Column(scale=1, min_width=260, elem_classes="controls"):
            sides = _build_sides(first)
            base, quality = _build_base(first)
        with gr.Column(scale=3, min_width=300):
            go, stop, progress = build_actions(texts.COMPARE_READY, "compare-progress", "Draw")
            price = gr.HTML("", elem_id="compare-price", padding=False)
            view = gr.HTML(
                view_json(first, {}, linked=False) if shipped is None else shipped.view,
                html_template='<div class="compare"></div>',
                js_on_load=mount_script("compare", "zigdemoCompare") + CELL_CHOSEN,
                apply_default_css=False,
                elem_id="compare",
            )
            if device.folder():
                gr.HTML(device.fold_html("scan"), elem_id="compare-device", padding=False)
            with gr.Accordion(SAVE, open=False, visible=False) as folded:
                files = gr.Files(show_label=False, interactive=False, elem_id="compare-files")
            dropped = fields.File(
                label="Restore a matrix from its PNG", file_types=[".png"], height=112, elem_classes="restore",
                elem_id="compare-restore",
            )  # fmt: skip
    controls = [*base.values(), quality, *sides]
    outputs = [view, progress, go, stop, files, folded, price]
    runs_after = connect((go, stop, progress), controls, outputs, _run, _stop, _updates, seconds=_seconds_of_values)
    for preset, chip in zip(presets, chips, strict=True):
        chosen = chip.click(partial(_preset, PRESETS.index(preset)), list(base.values()), controls, **QUIET)
        runs_after(chosen.success)
    paired = frame.strip.apply(_pair, None, [*controls, frame.choice], **QUIET)
    frame.open_after(paired.success, TAB)
    runs_after(paired.success)
    chosen = gr.State(None)
    view.select(_choose_cell, None, chosen, queue=False, **QUIET)
    runs_after(chosen.change, _run_one, [chosen, *controls])
    rows, row_values, columns, column_values = sides
    for axis, values in ((rows, row_values), (columns, column_values)):
        axis.input(_axis_chosen, [axis, *base.values()], values, **QUIET)
    base["model"].input(_model_chosen, [base["model"], rows, columns], controls, **QUIET)
    gr.on(
        [*frame.opened, *(control.change for control in controls)],
        _price, controls, price, trigger_mode="always_last", **QUIET,
    )  # fmt: skip
    dropped.upload(_restore, dropped, controls, **QUIET)
    share(frame, TAB, base, controls, _follow)
    frame.page.load(_open_link, None, controls, **QUIET)
