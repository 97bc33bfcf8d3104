"""What can vary along the sides of a matrix, and the request of each of its cells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ... import zoo
from ...checks import choice, shown
from ...data import swaps
from ...request import Request
from ..settings import (
    CLIPS,
    PICTURES,
    defaults,
    examples,
    first_label,
    first_prompt,
    installed_model,
    kin,
    scheme_choices,
    to_request,
    twins,
)

MOST_CELLS = 36
MOST_VALUES = 12  # along one side
MOST_TEXT = 2**14  # characters of a matrix in a file or a link
NOTHING = "nothing"  # the axis of a side that does not vary
BASE = ("model", "prompt", "label", "scan", "solver", "steps", "guidance", "seed")  # settings that all cells share
SCHEMES_OFFERED = ("zigzag-8", "sweep", "hilbert-8", "random-8")
SOLVERS_OFFERED = ("euler", "heun", "ddim", "euler-maruyama")

Settings = dict[str, Any]  # of BASE


@dataclass(frozen=True)
class Axis:
    """Something that can vary. offer: the values to begin with, for the settings of the other cells; put: the settings
    with a value, which raises ValueError with one sentence where a model cannot have it.
    """

    label: str
    offer: Callable[[Settings], list[str]]
    put: Callable[[Settings, str], Settings]


def _of_family(settings: Settings, family: str) -> Settings:
    folder = installed_model(settings["model"])
    for other in kin(folder):
        if other.family == family:
            return {**settings, "model": other.id}
    raise ValueError(f"no {family} is installed that draws the same as {folder.id}")


def _model_with_scan(settings: Settings) -> zoo.ModelFolder:
    folder = installed_model(settings["model"])
    if not folder.schemes:
        raise ValueError(f"{folder.family} has no scan")
    return folder


def _trained_with(settings: Settings, scheme: str) -> Settings:
    folder = _model_with_scan(settings)
    by_scheme = twins(folder)
    if scheme not in by_scheme:
        raise ValueError(f"no {folder.family} is installed that draws the same and was trained with {scheme}")
    return {**settings, "model": by_scheme[scheme]}


def _read_with(settings: Settings, scheme: str) -> Settings:
    folder = _model_with_scan(settings)
    if scheme not in [name for _, name in scheme_choices(folder.id)]:
        raise ValueError(f"{folder.id} cannot read {scheme}, which needs another kind of block")
    return {**settings, "scan": None if folder.schemes == (scheme,) else scheme}


def _with_model(settings: Settings, model: str) -> Settings:
    folder = installed_model(model)
    settings = {**settings, "model": model}
    if folder.text is not None and not settings["prompt"]:
        return {**settings, "prompt": settings["label"], "label": None}
    if folder.labels and not settings["label"]:
        return {**settings, "label": settings["prompt"], "prompt": None}
    return settings


def _words(settings: Settings, words: str) -> Settings:
    name = "prompt" if installed_model(settings["model"]).text is not None else "label"
    return {**settings, name: words}


def _number(name: str) -> Callable[[Settings, str], Settings]:
    def put(settings: Settings, value: str) -> Settings:
        try:
            return {**settings, name: float(value)}
        except ValueError:
            raise ValueError(f"{name} must be a number, not {shown(value)}") from None

    return put


def _offer_families(settings: Settings) -> list[str]:
    return list(dict.fromkeys(model.family for model in kin(installed_model(settings["model"]))))


def _offer_trained(settings: Settings) -> list[str]:
    there = set(twins(installed_model(settings["model"])))
    return [name for name in SCHEMES_OFFERED if name in there] + sorted(there - set(SCHEMES_OFFERED))


def _offer_schemes(settings: Settings) -> list[str]:
    names = [name for _, name in scheme_choices(settings["model"]) if name]
    return [name for name in SCHEMES_OFFERED if name in names] or names[:4]


def _offer_words(settings: Settings) -> list[str]:
    folder, prompt = installed_model(settings["model"]), settings["prompt"]
    if folder.text is None or not prompt:
        return [name for name in examples(folder.id)[:4]] if folder.labels else []
    return [prompt, *(swap.prompt for swap in swaps(prompt, 3))] if swaps(prompt, 1) else examples(folder.id)[:4]


def _offer_seeds(settings: Settings) -> list[str]:
    try:
        first = int(settings["seed"] or 0)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"seed must be a whole number, not {shown(settings['seed'])}") from None
    return [str(seed) for seed in range(first, first + 4)]


AXES: dict[str, Axis] = {  # in the order in which they change the settings
    "model": Axis("Model", lambda s: [m.id for m in kin(installed_model(s["model"]))][:4], _with_model),
    "backbone": Axis("Backbone", _offer_families, _of_family),
    "trained": Axis("Trained with", _offer_trained, _trained_with),
    "read": Axis("Read with", _offer_schemes, _read_with),
    "solver": Axis("Solver", lambda s: list(SOLVERS_OFFERED), lambda s, value: {**s, "solver": value}),
    "steps": Axis("Steps", lambda s: ["2", "4", "8", "16"], _number("steps")),
    "guidance": Axis("Guidance", lambda s: ["0", "1", "3", "6"], _number("guidance")),
    "words": Axis("Words", _offer_words, _words),
    "seed": Axis("Seed", _offer_seeds, _number("seed")),
}


@dataclass(frozen=True)
class Cell:
    """A place of a matrix: its request of one picture, or the reason why there is none."""

    row: int
    column: int
    request: Request | None
    reason: str = ""


@dataclass(frozen=True)
class Matrix:
    """Pictures or clips that differ in one thing from row to row and in another from column to column.

    base: the settings of BASE that all share. rows, columns: (name of an axis or NOTHING, its values).
    Raises ValueError with one sentence for unknown axes, no or too many values, or both sides alike.
    """

    base: Settings
    rows: tuple[str, tuple[str, ...]]
    columns: tuple[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        for name, (axis, values) in (("rows", self.rows), ("columns", self.columns)):
            choice(name, axis, (NOTHING, *AXES))
            if axis == NOTHING:
                object.__setattr__(self, name, (NOTHING, ("",)))
            elif not values:
                raise ValueError(f"name at least one value for the {name}, {AXES[axis].label.lower()}")
            elif len(values) > MOST_VALUES:
                raise ValueError(f"the {name} have {len(values)} values; give at most {MOST_VALUES}")
        if self.rows[0] == self.columns[0] != NOTHING:
            raise ValueError("rows and columns vary the same thing; choose another one for either")
        count = len(self.rows[1]) * len(self.columns[1])
        if count > MOST_CELLS:
            raise ValueError(f"the matrix has {count} pictures; leave out values until there are at most {MOST_CELLS}")

    def cells(self) -> Iterator[Cell]:
        """All cells, those near the diagonal first, so that both sides are seen early."""
        yield from sorted(self.by_rows, key=lambda cell: (abs(cell.row - cell.column), cell.row, cell.column))

    @cached_property
    def by_rows(self) -> tuple[Cell, ...]:
        """All cells, row by row; made once, as every one asks which models are installed."""
        rows, columns = len(self.rows[1]), len(self.columns[1])
        return tuple(self.cell(row, column) for row in range(rows) for column in range(columns))

    def cell(self, row: int, column: int) -> Cell:
        """The cell at a place; a setting that its model cannot have is its reason."""
        sides = [(self.rows[0], self.rows[1][row]), (self.columns[0], self.columns[1][column])]
        settings = dict(self.base)
        try:
            for name, axis in AXES.items():
                for side, value in sides:
                    if side == name:
                        settings = axis.put(settings, value)
            kind = CLIPS if installed_model(settings["model"]).frames else PICTURES
            return Cell(row, column, to_request(**settings, count=1, kind=kind))
        except ValueError as fault:
            return Cell(row, column, None, str(fault))

    def content(self) -> dict[str, Any]:
        """The matrix as a JSON object, which `read_matrix` reads."""
        return {"base": self.base, "rows": _side(self.rows), "columns": _side(self.columns)}


def _side(side: tuple[str, Sequence[str]]) -> list[Any]:
    return [side[0], list(side[1])]


def make_matrix(
    base: Mapping[str, Any], rows: str, row_values: Sequence[Any], columns: str, column_values: Sequence[Any]
) -> Matrix:
    """A matrix from the values of controls or an API call, with the model's own settings where `base` has None.

    Raises ValueError with one sentence.
    """
    folder = installed_model(base["model"])
    usual = {**defaults(folder.id), "seed": 0}
    settings = {name: usual.get(name) if base.get(name) in (None, "") else base[name] for name in BASE}
    settings["prompt"] = (settings["prompt"] or first_prompt(folder.id)) if folder.text is not None else None
    if settings["scan"] and folder.schemes == (settings["scan"],):
        settings["scan"] = None  # so that the other side may vary to models without a scan
    settings["label"] = (settings["label"] or first_label(folder.id)) if folder.labels else None
    for values in (row_values, column_values):
        if values is not None and (isinstance(values, str) or not isinstance(values, Sequence)):
            raise ValueError(f"the values of a side must be a list of texts, not {shown(values)}")
    sides = [
        (name, tuple(dict.fromkeys(str(value).strip() for value in values or () if str(value).strip())))
        for name, values in ((rows, row_values), (columns, column_values))
    ]
    return Matrix(settings, *sides)


def read_matrix(text: object) -> Matrix:
    """The matrix in a JSON text from a file or a link. Raises ValueError with one sentence if there is none."""
    refusal = "this holds no matrix of the Compare tab; choose a file or a link made there"
    try:
        content = json.loads(text) if isinstance(text, str) and len(text) <= MOST_TEXT else None
        base, (rows, row_values), (columns, column_values) = (content[key] for key in ("base", "rows", "columns"))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(refusal) from None
    lists = isinstance(row_values, list) and isinstance(column_values, list)
    texts = lists and all(isinstance(value, str) for value in (*row_values, *column_values))
    if not isinstance(base, dict) or not isinstance(base.get("model"), str) or not texts:
        raise ValueError(refusal)
    return make_matrix(base, rows, row_values, columns, column_values)
