"""A score together with its floor, sample size and seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """One number about generated material.

    name: what was measured, and on which features. count: number of generated pictures or clips. floor: the baseline
    for the value, if random the mean over several draws with standard deviation floor_error; floor_of: what the
    baseline is, such as "real/real 200:1399", "guessing" or "real clips". seed: of all random draws. error: standard
    error of the value, None if there is no estimate.
    """

    name: str
    value: float
    count: int
    floor: float
    floor_of: str
    seed: int
    error: float | None = None
    floor_error: float | None = None

    def __str__(self) -> str:
        value, floor = _with_error(self.value, self.error), _with_error(self.floor, self.floor_error)
        return f"{self.name}: {value} (n {self.count}, floor {floor} {self.floor_of}, seed {self.seed})"


def score_rows(scores: Iterable[Score]) -> list[tuple[str, ...]]:
    """Name, value, count, floor and seed of each, as cells of a table."""
    return [
        (each.name, _with_error(each.value, each.error), str(each.count),
         f"{_with_error(each.floor, each.floor_error)} ({each.floor_of})", str(each.seed))
        for each in scores
    ]  # fmt: skip


def score_table(scores: Iterable[Score]) -> str:
    """Scores as a Markdown table."""
    rows, head = score_rows(scores), ("score", "value", "n", "floor", "seed")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, tuple("-" * width for width in widths), *rows]
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)


def _with_error(value: float, error: float | None) -> str:
    return f"{value:.4g}" if error is None else f"{value:.4g} ± {error:.2g}"
