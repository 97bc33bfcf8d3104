"""Matrices to begin with, one click each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...checks import choice
from ...zoo import ModelFolder
from ..settings import installed_models, kin, twins
from .axes import AXES, NOTHING, Matrix, make_matrix


@dataclass(frozen=True)
class Preset:
    """A matrix by the axes of its sides. values: those of a side, by its axis; others are what the axis offers.

    suits: how well a model suits it; 0 if not at all.
    """

    label: str
    rows: str
    columns: str
    suits: Callable[[ModelFolder], int]
    values: dict[str, tuple[str, ...]]


def _twins(folder: ModelFolder) -> int:
    count = len(twins(folder))
    return count if count > 1 else 0


def _families(folder: ModelFolder) -> int:
    count = len({model.family for model in kin(folder)})
    return count if count > 1 else 0


def _has_scan(folder: ModelFolder) -> int:
    return int(bool(folder.schemes))


ODE_AND_SDE = {"solver": ("heun", "euler-maruyama"), "steps": ("4", "8", "25")}
PRESETS = (
    Preset("Trained with × read with", "trained", "read", _twins, {}),
    Preset("Backbones side by side", "seed", "backbone", _families, {"seed": ("0", "1", "2")}),
    Preset("Same noise, other scans", "seed", "read", _has_scan, {"seed": ("0", "1")}),
    Preset("ODE beside SDE", "steps", "solver", lambda folder: 1, ODE_AND_SDE),
    Preset("Steps × guidance", "steps", "guidance", lambda folder: 1, {}),
    Preset("Words × seeds", "words", "seed", lambda folder: int(folder.text is not None), {}),
)


def available_presets() -> list[Preset]:
    """Those that some installed model suits."""
    return [preset for preset in PRESETS if any(preset.suits(model) for model in installed_models())]


def preset_matrix(preset: Preset, base: Mapping[str, Any] | None = None) -> Matrix:
    """The matrix of a preset with the settings that all cells share, if their model suits it, else on the model that
    suits it best.

    Raises ValueError if no installed model does.
    """
    base = base or {}
    suited = [folder for folder in installed_models() if preset.suits(folder)]
    if not suited:
        raise ValueError(f"no installed model suits {preset.label!r}; install one that does")
    if base.get("model") not in [folder.id for folder in suited]:
        base = {"model": max(suited, key=preset.suits).id}
    return make_matrix(base, *_sides(base, preset.rows, preset.columns, preset.values))


def _sides(base: Mapping[str, Any], rows: str, columns: str, values: dict[str, tuple[str, ...]]) -> tuple[Any, ...]:
    """What varies along rows and columns, with the values; twins are read with those schemes of their trainings that
    all of them can read.
    """
    row_values = values.get(rows) or offered(base, rows)
    if (rows, columns) == ("trained", "read"):
        readable = offered(base, columns)
        row_values = [value for value in row_values if value in readable]
        return rows, row_values, columns, row_values
    return rows, row_values, columns, values.get(columns) or offered(base, columns)


def offered(base: Mapping[str, Any], axis: str) -> Sequence[str]:
    """The values that an axis offers for settings that may be incomplete."""
    if axis == NOTHING:
        return ()
    return AXES[choice("axis", axis, AXES)].offer(make_matrix(base, NOTHING, (), NOTHING, ()).base)
