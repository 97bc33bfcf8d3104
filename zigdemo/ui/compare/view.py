"""What the page's grid of a matrix shows: its sides, and the state of every cell, as JSON for assets/compare.js."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..players import address
from .axes import Matrix
from .cells import Picture
from .sheets import about, heading, side_label, under

WAITING, RUNNING, DONE, IMPOSSIBLE = "waiting", "running", "done", "impossible"


def cell_state(picture: Picture | None, state: str = WAITING, reason: str = "") -> dict[str, Any]:
    """One cell: state, and with a picture its address and the line below it; reason: why there is none."""
    if picture is None:
        return {"state": state, "reason": reason}
    return {"state": DONE, "source": address(picture.path), "under": under(picture)}


def view_json(matrix: Matrix, cells: Mapping[tuple[int, int], Mapping[str, Any]], linked: bool = True) -> str:
    """The whole matrix; cells that are not given wait. linked: whether the page's address follows it."""
    sides = {
        side: {
            "label": side_label(matrix, side),
            "titles": list(getattr(matrix, side)[1]),
            "values": [heading(matrix, side, place) for place in range(len(getattr(matrix, side)[1]))],
        }
        for side in ("rows", "columns")
    }
    rows, columns = (range(len(sides[side]["values"])) for side in ("rows", "columns"))
    grid = [[cells.get((row, column), {"state": WAITING}) for column in columns] for row in rows]
    link = json.dumps(matrix.content(), separators=(",", ":")) if linked else ""
    return json.dumps({**sides, "cells": grid, "about": about(matrix), "link": link})
