"""Solver x path x prediction x form x last step x guidance: finite or refused with the reason, and nothing else."""

from pathlib import Path

import pytest

from benchmarks.matrix import STEPS, Cell, cells, outcome, rules_table, small_net
from zigdemo.diffusion import SAMPLERS

PAGE = Path(__file__).parents[2] / "docs" / "samplers.md"


def skip_without_packages():
    for entry in SAMPLERS.values():
        if entry.needs:
            pytest.importorskip(entry.needs)


def test_every_combination_is_finite_or_refused_and_the_page_says_so():
    skip_without_packages()
    rows, total = rules_table(small_net(), counts=(2,))
    text = PAGE.read_text(encoding="utf-8")
    assert "\n".join(rows) in text and f"**{total:,} combinations run, and all are finite.**" in text


@pytest.mark.parametrize("solver", SAMPLERS)
def test_one_step_and_many_are_finite_too(solver):
    if SAMPLERS[solver].needs:
        pytest.importorskip(SAMPLERS[solver].needs)
    own, network = SAMPLERS[solver].options, small_net()
    for cell in cells():
        shaped = (own.get("form"), own.get("last_step")) == (cell.form, cell.last_step)
        if shaped and (cell.solver, cell.guidance) == (solver, "scale 4"):
            assert outcome(cell, network, STEPS) == "finite"


def test_a_refusal_gives_its_reason():
    said = outcome(Cell("heun", "vp", "noise", "sigma", None, "none"), small_net())
    assert said == "heun follows the ODE without noise, so it has no form; leave it empty"
