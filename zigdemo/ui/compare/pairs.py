"""The matrix that sets two results side by side which differ in one or two things."""

from __future__ import annotations

from dataclasses import replace

from ...request import Request
from ..settings import installed_model
from .axes import AXES, BASE, NOTHING, Matrix, make_matrix


def pair_matrix(one: Request, two: Request) -> Matrix:
    """Both on the diagonal, and with two differences also what lies between them.

    Raises ValueError with one sentence if they differ in nothing that can vary, or in more than two things.
    """
    for request in (one, two):
        if replace(Request(**{name: getattr(request, name) for name in BASE}), count=request.count) != request:
            raise ValueError("one of the two has settings from More, which no matrix has; choose two without them")
    values = [_values(request) for request in (one, two)]
    apart = [axis for axis in AXES if axis in values[0] and axis in values[1] and values[0][axis] != values[1][axis]]
    if not apart:
        raise ValueError("the two differ in nothing that a matrix can vary; choose two others")
    if len(apart) > 2:
        names = [AXES[axis].label.lower() for axis in apart]
        raise ValueError(
            f"the two differ in {', '.join(names[:-1])} and {names[-1]}; choose two that differ in at most two things"
        )
    rows, columns = (NOTHING, *apart)[-2:]
    sides = [[axis, () if axis == NOTHING else [each[axis] for each in values]] for axis in (rows, columns)]
    return make_matrix({name: getattr(one, name) for name in BASE}, *sides[0], *sides[1])


def _values(request: Request) -> dict[str, str]:
    """What a request has along every axis that two results can differ in."""
    folder = installed_model(request.model)
    values = {
        "model": request.model,
        "solver": request.solver,
        "steps": str(request.steps),
        "guidance": f"{request.guidance:g}",
        "words": request.prompt or request.label or "",
        "seed": str(request.seed),
    }
    own = folder.schemes[0] if len(folder.schemes) == 1 else ""
    if request.scan not in (None, own):
        values["read"] = request.scan
    elif own:
        values["read"] = own
    return values
