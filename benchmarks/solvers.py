"""Error of every solver against its steps on a trained model: `python -m benchmarks.solvers`.

A few labels, one seed each, guidance 2; every solver of SAMPLERS with its default options, from the same noise. The
error is the root mean square difference of the results, in levels of an 8-bit picture.

ODE solvers are compared with dopri5 at 250 steps and tight tolerances, as all follow the same trajectories. The result
of an SDE solver differs from the ODE's by design, so it is compared with its own result of many steps along the same
Brownian path (`BrownianPath`), which its steps approximate. Both errors answer the same question, how much more steps
would still change, and share one plot.

dopri5 chooses its steps by its tolerance, so its curve is over rtol instead of steps.

A network that predicts the clean image is stiff at the end: the velocity is its difference to x divided by 1 - t, and
uniform steps do not resolve it. `before` is therefore the error at t = BEFORE of the same number of calls spent before
that time, the range in which such a network determines the velocity well; for fixed-step ODE solvers.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zigdemo.diffusion import (
    SAMPLERS,
    BrownianPath,
    Field,
    Noise,
    guided_velocity,
    item_noise,
    refusal,
    sample,
    stepped,
    time_grid,
    uniform_times,
)
from zigdemo.diffusion.fields import Steps
from zigdemo.ops import backends
from zigdemo.ops.heap import keep_freed_memory
from zigdemo.pipeline import Pipeline, Request

LABELS = ("red heart", "hedgehog", "pizza", "rocket")
GUIDANCE = 2.0
CALLS = [4, 8, 16, 32, 50, 100]  # network calls of a run; steps are as many as fit
TOLERANCES = [1e-1, 1e-2, 1e-3]
REFERENCE = {"steps": 250, "atol": 1e-6, "rtol": 1e-5}
FINE_CALLS = 240  # of the run that an SDE solver is compared with
BEFORE = 0.95
LEVELS = 127.5  # a state in [-1, 1] in levels of an 8-bit picture


def field_of(pipe: Pipeline, labels: list[str]) -> Field:
    """The guided velocity field of a model for one item per label."""
    rows = torch.tensor([pipe.labels.index(label) for label in labels])
    null = torch.full_like(rows, len(pipe.labels)) if pipe.network.config.null_label else None
    network = stepped(pipe.network, pipe.path) if pipe.path.name == "ddpm" else pipe.network
    guided = pipe.folder.guided_channels
    return guided_velocity(network, pipe.folder.prediction, rows, null, GUIDANCE, channels=guided, path=pipe.path)


def ended(steps: Steps) -> tuple[Tensor, int]:
    """The result of a run and its network calls."""
    for step in steps:
        last = step
    return last.x, last.nfe


def early(solver: str, field: Field, x: Tensor, steps: int, **options: Any) -> Tensor:
    """The state at BEFORE, after steps that all end before it."""
    times = [BEFORE * time for time in uniform_times(steps)]
    return ended(SAMPLERS[solver].function(field, x, times, **options))[0]


def off(x: Tensor, true: Tensor) -> float:
    """Root mean square difference in levels of 255."""
    return LEVELS * (x - true).square().mean().sqrt().item()


def ode_curve(
    solver: str, field: Field, x: Tensor, true: tuple[Tensor, Tensor], calls: list[int]
) -> list[dict[str, Any]]:
    """Errors of an ODE solver over its steps, or over its tolerances. true: reference states at 1 and at BEFORE."""
    rows, each = [], SAMPLERS[solver].calls
    for value in calls if each else TOLERANCES:
        options, steps = ({}, max(value // each, 1)) if each else ({"rtol": value}, 25)
        reached, nfe = ended(sample(solver, field, x, steps, **options))
        rows.append({"steps": steps, "nfe": nfe, "error": off(reached, true[0]), **options})
        if each:  # an adaptive one would need fewer calls up to there
            rows[-1]["before"] = off(early(solver, field, x, steps), true[1])
    return rows


def sde_curve(solver: str, field: Field, x: Tensor, draw: Noise, calls: list[int], fine: int) -> list[dict[str, Any]]:
    """Error of an SDE solver over its steps, against its own result of `fine` calls along the same Brownian path."""
    each, size = SAMPLERS[solver].calls, SAMPLERS[solver].options.get("last_size", 0.0)
    grids = {steps: time_grid(solver, steps, last_size=size) for steps in (max(n // each, 1) for n in [*calls, fine])}
    path = BrownianPath([time for grid in grids.values() for time in grid], draw)
    found = {steps: ended(sample(solver, field, x, steps, noise=path.noise(grid))) for steps, grid in grids.items()}
    true, _ = found.pop(fine // each)
    return [{"steps": steps, "nfe": nfe, "error": off(reached, true)} for steps, (reached, nfe) in found.items()]


@torch.inference_mode()
def measure(model: str, labels: list[str], calls: list[int], reference: dict[str, Any], fine: int) -> dict[str, Any]:
    """Curves of every solver that the model supports, by name."""
    pipe = Pipeline.load(model, device="cpu", dtype="fp32")
    field = field_of(pipe, labels)
    generators = [torch.Generator().manual_seed(seed) for seed in range(len(labels))]
    shape = (pipe.network.config.in_channels, *pipe.network.config.size)
    x = torch.stack([torch.randn(shape, generator=generator) for generator in generators])
    started = time.perf_counter()
    steps, tolerance = reference["steps"], {name: reference[name] for name in ("atol", "rtol")}
    true, nfe = ended(sample("dopri5", field, x, steps, **tolerance))
    true = (true, early("dopri5", field, x, steps, **tolerance))
    print(f"reference: {nfe} calls, {time.perf_counter() - started:.0f} s", flush=True)
    result: dict[str, Any] = {
        "reference": {"solver": "dopri5", **reference, "nfe": nfe},
        "fine": fine,
        "before": BEFORE,
        "curves": {},
    }
    for name, entry in SAMPLERS.items():
        shaped = (entry.options.get(option) for option in ("form", "last_step"))
        if reason := refusal(name, pipe.path.name, pipe.folder.prediction, *shaped):
            print(f"{name} is left out: {reason}")
            continue
        if entry.stochastic:
            rows = sde_curve(name, field, x, item_noise(generators, x), calls, fine)
        else:
            rows = ode_curve(name, field, x, true, calls)
        result["curves"][name] = {"label": entry.label, "stochastic": entry.stochastic, "points": rows}
        said = [f"{row['nfe']}: {row['error']:.2f}" for row in rows]
        said += [f"{row['nfe']} before the end: {row['before']:.2f}" for row in rows if "before" in row]
        print(f"{name}, {time.perf_counter() - started:.0f} s; levels by calls: {', '.join(said)}", flush=True)
    return result


def plot(result: dict[str, Any], path: Path) -> bool:
    """Error over network calls, both logarithmic; False if matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4.8), layout="constrained", sharey=True)
    for axis, error, title in (
        (axes[0], "error", f"at the end; dashed: SDE, to its own {result['fine']}-call result"),
        (axes[1], "before", f"at t = {result['before']}, ODE solvers of fixed steps"),
    ):
        for curve in result["curves"].values():
            drawn = [(row["nfe"], max(row[error], 1e-3)) for row in curve["points"] if error in row]
            if drawn:
                style = "o--" if curve["stochastic"] else "o-"
                axis.loglog(*zip(*drawn, strict=True), style, ms=4, label=curve["label"])
        axis.set_xlabel("network calls")
        axis.set_title(title, fontsize=10)
        axis.grid(True, which="both", alpha=0.3)
    axes[0].set_ylabel("root mean square error, levels of 255")
    axes[0].legend(fontsize=8, ncols=2)
    figure.suptitle(f"{result['model']}, guidance {result['guidance']:g}")
    figure.savefig(path, dpi=110)
    return True


def main() -> None:
    """Measure, print and write solvers.json, which the page shows, and solvers.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="zigma-emoji")
    parser.add_argument("--pictures", type=int, default=len(LABELS), help="how many of the labels; time grows with it")
    parser.add_argument("--quick", action="store_true", help="one picture and few steps, to see that it runs")
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "solvers.json"))
    chosen = parser.parse_args()
    keep_freed_memory()
    backends.warm_up()
    started = time.perf_counter()
    labels = list(LABELS[: 1 if chosen.quick else chosen.pictures])
    default = Request(chosen.model)
    result: dict[str, Any] = {"model": chosen.model, "labels": labels, "guidance": GUIDANCE}
    result |= {"default": {"solver": default.solver, "steps": default.steps}}
    if chosen.quick:
        result |= measure(chosen.model, labels, [1, 2], {"steps": 2, "atol": 1e-1, "rtol": 1e-1}, 8)
    else:
        result |= measure(chosen.model, labels, CALLS, REFERENCE, FINE_CALLS)
    result |= {"torch": torch.__version__, "machine": platform.processor() or platform.machine()}
    result |= {"threads": torch.get_num_threads(), "seconds": round(time.perf_counter() - started)}
    path = Path(chosen.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    if not plot(result, path.with_suffix(".png")):
        print("matplotlib is not installed; no plot was drawn")


if __name__ == "__main__":
    main()
