"""A drawing that is looked into patch by patch, for the Influence tab: its maps, as HTML and as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from ..backbones import Family, family_of
from ..checks import as_whole
from ..explain import CallRecorder, Influence, NetworkCall, heat, patch_influence
from ..pipeline import Request
from . import texts
from .figures import Figure, Panel, Row, number, save_figure
from .files import new_folder
from .maps import enlarged, frames_of, panel_html, peak_of_others, side_by_side
from .runs import MODELS, run_to_end
from .settings import installed_model
from .turns import checkpoint


@dataclass(frozen=True)
class Position:
    """A patch at a step, and the layer whose maps are shown; all count from 0."""

    step: int = 0
    frame: int = 0
    row: int = 0
    column: int = 0
    layer: int = 0

    @property
    def patch(self) -> Position:
        """The same for the first layer: what has to be computed."""
        return replace(self, layer=0)


POSITION = tuple(one.name for one in fields(Position))


@dataclass(eq=False)
class Drawing:
    """A picture or clip with the network's calls and the prediction at each step, and what is looked at in it.

    pictures: the predicted frames at each step, one for a picture. grid: frames (1 for a picture), rows and columns.
    wanted: what was chosen last; shown: what the maps on the page, of `result`, are of. They differ while the maps are
    being computed, and whoever computes them goes on until they do not, so that the last choice is the one shown.
    """

    can_go: ClassVar[bool] = True  # from a page that was not used for long: its next click says to draw again

    request: Request
    calls: list[NetworkCall]
    pictures: list[list[Image.Image]]
    family: Family
    grid: tuple[int, int, int]
    depth: int = 1
    wanted: Position | None = None
    shown: Position | None = None
    result: Influence | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of steps, frames, rows, columns and layers."""
        return len(self.calls), *self.grid, self.depth


def make_drawing(record: CallRecorder, pictures: list[list[Image.Image]]) -> Drawing:
    """A drawing from recorded calls; for the official backbones as well as ours.

    Predictions of latents are only sketched before they are decoded at the end, so that picture stands for all of them.
    """
    config = record.network.config
    if installed_model(record.request.model).latents is not None:
        pictures = pictures[-1:] * len(pictures)
    _, family = family_of(config)
    return Drawing(record.request, record.calls, pictures, family, (config.frames or 1, *config.grid), config.depth)


def draw(request: Request, stopped: Callable[[], bool], earlier: Drawing | None = None) -> Drawing | None:
    """Draw one picture or clip, with the maps of the patch looked at in an earlier drawing; None once `stopped()`.

    Errors as in `Pipeline.stream`.
    """
    record, pictures = CallRecorder(), []
    if run_to_end(request, None, stopped, record, lambda step: pictures.append(frames_of(step))) is None:
        return None
    drawing = make_drawing(record, pictures)
    drawing.wanted = drawing.shown = first_position(drawing, None, earlier)
    drawing.result = influence_of(drawing, drawing.shown)
    return drawing


def about(drawing: Drawing) -> str:
    """The line about what is shown."""
    text = where(drawing)
    return f"{text[0].upper()}{text[1:]} · {when(drawing)}."


def middle_step(steps: int) -> int:
    """The step shown first, counted from 0: shapes are decided about half way."""
    return steps // 2


def first_position(drawing: Drawing, linked: Position | None, earlier: Drawing | None) -> Position:
    """What to look at first: what a link says, or what was looked at in an earlier drawing of the same sizes, as far
    through the steps; else the middle patch half way through them.
    """
    if linked is not None:
        return Position(*(min(value, size - 1) for value, size in zip(astuple(linked), drawing.sizes, strict=True)))
    if earlier is not None and earlier.shown is not None and earlier.sizes[1:] == drawing.sizes[1:]:
        return replace(earlier.shown, step=earlier.shown.step * len(drawing.calls) // len(earlier.calls))
    return Position(middle_step(len(drawing.calls)), *(side // 2 for side in drawing.grid))


def influence_of(drawing: Drawing, position: Position) -> Influence:
    """The influence on a patch. Raises ValueError with one sentence for a number out of range."""
    numbers = zip(POSITION[:-1], astuple(position)[:-1], drawing.sizes[:-1], strict=True)
    step, frame, row, column = (as_whole(name, value, 0, size - 1) for name, value, size in numbers)
    _, rows, columns = drawing.grid
    token = (frame * rows + row) * columns + column
    pipe = MODELS.get(installed_model(drawing.request.model))
    return patch_influence(pipe.network, drawing.calls[step], token, before_part=checkpoint)


def panels(drawing: Drawing) -> list[Panel]:
    """The four maps of what is shown, frame by frame for a clip."""
    position, result = drawing.shown, drawing.result
    pictures, layer, (frames, *grid) = drawing.pictures[position.step], position.layer, drawing.grid
    side = 384 if frames == 1 else 144
    title, about = drawing.family.mixer

    def image_of(draw: Callable[..., Image.Image], values: Any, **more: Any) -> Image.Image:
        images = [draw(one, map, side, **more) for one, map in zip(pictures, values.reshape(-1, *grid), strict=True)]
        images[position.frame] = heat.mark(images[position.frame], (position.row, position.column), grid)
        return side_by_side(images)

    def panel(title: str, about: str, values: Any) -> Panel:
        peak = peak_of_others(values, result.token)
        image = image_of(heat.overlay, values, peak=peak, smooth=False)
        return Panel(title, about, image, (0.0, peak), f"itself {number(float(values.flat[result.token]))}")

    field, attending = result.field[layer], not drawing.family.in_order
    reach = (texts.FRAME_FIELD if attending else texts.SCAN_FIELD).format(count=field.sum(), all=field.size)
    last = f"layers 1 to {layer + 1}" if layer else "layer 1"
    return [
        panel("Gradient, whole network", texts.GRADIENT, result.gradient),
        panel(f"{title}, layer {layer + 1}", about, result.implicit[layer]),
        Panel(f"Composed, {last}", texts.TOO_MUCH_TO_COMPOSE)
        if result.composed is None
        else panel(f"Composed, {last}", texts.COMPOSED, result.composed[layer]),
        Panel(f"Scan order, {last}", texts.NO_SCAN_FIELD)
        if attending and frames == 1
        else Panel(
            f"{'Reach' if attending else 'Scan order'}, {last}",
            reach,
            image_of(heat.veiled, field),
            note=texts.SCAN_FIELD_NOTE,
        ),
    ]


def maps_html(drawing: Drawing) -> str:
    """The four maps of what is shown."""
    return f'<div class="maps">{"".join(map(panel_html, panels(drawing)))}</div>'


def export(drawing: Drawing) -> list[str]:
    """Write the figure of what is shown as PNG and SVG, and the numbers of all layers, into a new folder; the paths."""
    position, result, request = drawing.shown, drawing.result, drawing.request
    condition = request.prompt or request.label or "no label"
    scan = request.scan or ", ".join(installed_model(request.model).schemes)
    about = [request.model, condition, f"scan {scan}" if scan else "", f"seed {request.seed}", when(drawing)]
    place = f"row{position.row + 1}-column{position.column + 1}"
    path = new_folder() / f"influence-{request.model}-seed{request.seed}-{place}"
    title = f"Which patches influence {where(drawing)}"
    files = save_figure(Figure(title, " · ".join(filter(None, about)), [Row("", panels(drawing), 2)]), path)
    arrays = {name: getattr(result, name) for name in ("gradient", "implicit", "composed", "field")}
    numbers = path.with_name(f"{path.name}.npz")
    np.savez_compressed(
        numbers,
        **{name: values for name, values in arrays.items() if values is not None},
        patch=np.array([position.frame, position.row, position.column]),
        step=position.step,
        time=float(drawing.calls[position.step].t),
        settings=json.dumps(request.settings),
    )
    return [*files, str(numbers)]


def mark(drawing: Drawing, position: Position) -> Image.Image:
    """The picture or frame of a position at the size of the page, its patch marked."""
    picture = enlarged(drawing.pictures[position.step][position.frame])
    return heat.mark(picture, (position.row, position.column), drawing.grid[1:])


def where(drawing: Drawing) -> str:
    """The patch that is shown, in words."""
    position = drawing.shown
    frame = f"frame {position.frame + 1}, " if drawing.grid[0] > 1 else ""
    return f"{frame}row {position.row + 1}, column {position.column + 1}"


def when(drawing: Drawing) -> str:
    """The step that is shown, in words."""
    step = drawing.shown.step
    return f"step {step + 1} of {len(drawing.calls)}, t = {number(float(drawing.calls[step].t))}"
