"""All combinations of sampling settings, finite or refused, and measured orders: `python -m benchmarks.matrix`.

Solver x path x prediction x form x last step x guidance on a small network, from one step to five; and the order of
convergence of each solver on a mixture that is known exactly. Writes docs/samplers.md; the test of the matrix runs the
same functions.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn

from zigdemo.diffusion import (
    FORMS,
    LAST_STEPS,
    PATHS,
    PREDICTIONS,
    SAMPLERS,
    TOYS,
    guided_velocity,
    item_noise,
    refusal,
    sample,
    uniform_times,
)

GUIDANCES = {"none": (1.0, 0.0), "scale 4": (4.0, 0.0), "scale 4, rescaled": (4.0, 0.7)}
STEPS = (1, 2, 5)
BEFORE = 0.9  # on the VP and DDPM paths sigma ends like a root, on which no solver of even steps keeps its order
FEW_AND_MORE = {order: (24, 48) if order > 2 else (64, 128) for order in range(1, 6)}  # steps of a slope's two runs


@dataclass(frozen=True)
class Cell:
    """One combination; form and last_step are None if not given."""

    solver: str
    path: str
    prediction: str
    form: str | None
    last_step: str | None
    guidance: str


class SmallNet(nn.Module):
    """Two dense layers over the pixels, with time and label; random weights, so its predictions are not consistent."""

    def __init__(self) -> None:
        super().__init__()
        self.label = nn.Embedding(3, 24)
        self.enter, self.leave = nn.Linear(12 + 2, 24), nn.Linear(24, 12)

    def forward(self, x: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        t = t.to(x)[:, None]
        inside = self.enter(torch.cat([x.flatten(1), torch.cos(6 * t), t], 1)) + self.label(cond)
        return self.leave(torch.nn.functional.silu(inside)).reshape(x.shape)


def small_net() -> SmallNet:
    """The network of the matrix, always the same; outputs are a few times as large as a picture's values."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SmallNet()
        with torch.no_grad():
            network.leave.weight.mul_(3)
    return network.requires_grad_(False)


def cells() -> Iterator[Cell]:
    """All combinations."""
    yield from (
        Cell(*chosen)
        for chosen in product(SAMPLERS, PATHS, PREDICTIONS, [None, *FORMS], [None, *LAST_STEPS], GUIDANCES)
    )


def outcome(cell: Cell, network: nn.Module, counts: Sequence[int] = STEPS) -> str:
    """Whether a cell is "finite" or "not finite" at each of these numbers of steps, or the reason of its refusal.

    Raises ValueError if `sample` contradicts `refusal`.
    """
    reason = refusal(cell.solver, cell.path, cell.prediction, cell.form, cell.last_step)
    options = {name: getattr(cell, name) for name in ("form", "last_step")}
    # What a cell leaves out would be filled in by the solver's defaults, so None is passed on where it has the option.
    options = {n: v for n, v in options.items() if v is not None or n in SAMPLERS[cell.solver].options}
    label, null = torch.tensor([0, 1]), torch.tensor([2, 2])
    scale, rescale = GUIDANCES[cell.guidance]
    path = PATHS[cell.path]
    field = guided_velocity(network, cell.prediction, label, null, scale, rescale=rescale, path=path)
    for steps in counts:
        generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
        x = torch.stack([torch.randn(3, 2, 2, generator=generator) for generator in generators])
        try:
            run = list(sample(cell.solver, field, x, steps, noise=item_noise(generators, x), **options))
        except ValueError as fault:
            if str(fault) != reason:
                raise ValueError(f"{cell}: {fault}, where refusal says {reason}") from fault
            return reason
        if reason:
            raise ValueError(f"{cell} runs, where refusal says {reason}")
        if len(run) != steps or not all(torch.isfinite(part).all() for step in run for part in (step.x, step.clean)):
            return "not finite"
    return "finite"


def slopes(solver: str) -> dict[str, float]:
    """Measured order of a fixed-step ODE solver on each path, from halving its steps."""
    toy, found = TOYS["pair"](), {}
    start = torch.randn(32, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def end(name: str, path: str, steps: int) -> Tensor:
        times = [BEFORE * time for time in uniform_times(steps)]
        *_, last = SAMPLERS[name].function(toy.field(path=PATHS[path]), start, times)
        return last.x

    for path in PATHS:
        exact = end("rk4", path, 400)
        ends = [end(solver, path, steps) for steps in FEW_AND_MORE[SAMPLERS[solver].order]]
        few, more = ((reached - exact).square().mean().sqrt() for reached in ends)
        found[path] = math.log2(few / more)
    return found


def rules_table(network: nn.Module, counts: Sequence[int] = STEPS) -> tuple[list[str], int]:
    """Markdown, a row for the solvers of one rule, and how many combinations run.

    Raises ValueError for one that runs and is not finite.
    """
    runs: Counter = Counter()
    reasons: dict[str, list[str]] = {name: [] for name in SAMPLERS}
    for cell in cells():
        said = outcome(cell, network, counts)
        if said == "not finite":
            raise ValueError(f"{cell} is not finite")
        reason = said.removeprefix(f"{cell.solver} ").removesuffix("; leave it empty")
        if said == "finite":
            runs[cell.solver] += 1
        elif reason not in reasons[cell.solver]:
            reasons[cell.solver].append(reason)
    rules: dict[str, list[str]] = {}
    for name in SAMPLERS:
        rules.setdefault("; ".join(sorted(reasons[name])), []).append(name)
    rows = ["| solvers | why others are refused: each | combinations that run |", "|---|---|---:|"]
    rows += [f"| {', '.join(names)} | {rule} | {sum(map(runs.get, names)):,} |" for rule, names in rules.items()]
    return rows, runs.total()


def order_table() -> list[str]:
    """Markdown of the measured orders of the ODE solvers."""
    rows = [f"| solver | order | {' | '.join(PATHS)} |", "|---|---:|" + "---:|" * len(PATHS)]
    for name, entry in SAMPLERS.items():
        if not entry.stochastic and entry.calls is not None:
            rows.append(f"| {name} | {entry.order} | {' | '.join(f'{slope:.2f}' for slope in slopes(name).values())} |")
    return rows


MEANINGS = """
A run goes from noise at t = 0 to data at t = 1. Every state on the way is a mixture, alpha(t) data + sigma(t) noise.

- **Path**: the rule for alpha and sigma. "linear" is t and 1 - t, "gvp" sine and cosine, "vp" and "ddpm" those of
  diffusion models in continuous time and in 1,000 steps. A network works on the path it was trained on.
- **Prediction**: what the network returns for a mixture: its velocity (the direction to move in), the clean data, the
  noise, or the score. Each follows from any other, so every solver gets what it needs.
- **Solver**: how to step. Those of the **ODE** follow the velocity, and the same noise always gives the same picture.
  Those of the **SDE** also add fresh noise in every step and, by the score, take as much away: the paths differ, the
  distribution of the pictures at each time does not. "ddpm" adds noise too, of a fixed amount, and so does "ddim" with
  an eta above 0.
- **Form** (*Noise form* on the page): how much fresh noise, w(t), an SDE solver adds at which time; *strength* scales
  it. Any w of 0 or more is valid with small enough steps, and w is limited so that a step does not overshoot.
- **Last step**: how an SDE solver ends, as fresh noise in its last step would stay in the picture. That
  step is short, by default 0.04 of the time (*Length of the last step*).
- **Guidance**: the prediction with the prompt or label, moved away from the one without it by a scale; *rescaled*, its
  contrast is brought back towards the unguided one.
- **Score** (of the toy on the page): how far the points at the end would have to move, on average along a direction, to
  be spread like the true density (the sliced Wasserstein-1 distance). An ODE and an SDE are scored against the same
  density. Beside it stands the score of as many points of the density itself, as so few points are never at 0.
- **Clean prediction** (of a model on the page): the picture that the network would end at, asked at a state on the way.
  A column shows the last one before its time, the same time for every solver.

| form | w(t) at strength 1 |
|---|---|
| constant | 1 |
| sbdm | sigma^2 alpha'/alpha - sigma sigma', that of the process that turns data into noise |
| sigma, the default | sigma(t), the share of noise |
| linear | 1 - t |
| decreasing | (1 + cos(pi t))^2 / 4 |
| increasing-decreasing | sin(pi t)^2 |

| last step | what it does |
|---|---|
| none | is a step like all others, as long as they are: its noise stays |
| mean, the default | is a step like the others, without the fresh noise |
| tweedie | goes to the predicted clean sample |
| euler | is a step of the ODE |
"""


def page() -> str:
    """docs/samplers.md."""
    rows, total = rules_table(small_net())
    sizes = {
        "solvers": SAMPLERS,
        "paths": PATHS,
        "predictions": PREDICTIONS,
        "forms": [*FORMS, "not given"],
        "last steps": [*LAST_STEPS, "not given"],
        "guidances": GUIDANCES,
    }
    lines = [
        "# Samplers: which settings combine, and how fast the solvers converge",
        "",
        "Written by `python -m benchmarks.matrix`; `tests/diffusion/test_matrix.py` checks it with the same functions.",
        "",
        "## What the settings mean",
        MEANINGS,
        "## What goes together",
        "",
        *(f"- {len(values)} {name}: {'; '.join(values)}" for name, values in sizes.items()),
        "",
        f"Each combination is run with {', '.join(map(str, STEPS))} steps on a small network with random weights, and",
        "counts as finite if every state and every predicted clean sample is. Every path goes with every prediction",
        "and guidance. A solver of the ODE takes neither a form nor a last step, as there is no noise to shape; DDPM",
        "takes neither, as its noise is given; the solvers of the SDE need both. All else is refused with its reason.",
        f"**{total:,} combinations run, and all are finite.**",
        "",
        *rows,
        "",
        "## Orders of convergence",
        "",
        "Slope of the error over the step size, from two runs of which the second has twice as many steps, on a",
        f"mixture of two Gaussians whose field is known exactly, from t = 0 to {BEFORE}. dopri5 chooses its own steps.",
        "",
        *order_table(),
        "",
        "SDE solvers converge in law: with 100 to 200 steps every form, path, prediction and last step reaches the",
        "mean and covariance of a Gaussian, by chi-square tests at p > 0.01 (`tests/diffusion/test_known_answers.py`).",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write docs/samplers.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=str(Path(__file__).parents[1] / "docs" / "samplers.md"))
    chosen = parser.parse_args()
    Path(chosen.out).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
