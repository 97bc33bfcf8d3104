"""Overhead of the trainer per training step: `python -m benchmarks.training`.

The recipe of zigma-emoji, batch 64 of 64 px. A step of the trainer, which draws the batch, times and noise, averages
the weights and logs the loss, against a bare loop on the same network: forward, loss, backward, gradient clipping and
AdamW on a fixed batch. Both alternate in one process. Limits: 1.05 for the step, 0.02 for the share of a step in which
the network waits for its batch.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from zigdemo.data.preparation import write_image_set
from zigdemo.diffusion import interpolate, velocity_loss
from zigdemo.ops import backends
from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import Recipe, load_recipe

RECIPE = Path(__file__).parents[1] / "zigdemo/training/recipes/zigma-emoji.yaml"
BARS = {"step ratio": 1.05, "waiting share": 0.02}


def bare_loop(training: Training) -> Callable[[], None]:
    """A bare training step on the network of a run and its first batch."""
    recipe, model = training.recipe, training.accelerator.unwrap_model(training.model)
    batch = training.batches(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-9, weight_decay=recipe.weight_decay)

    def step() -> None:
        clean, cond, t, noise = batch
        x = interpolate(clean, noise, t)
        with training.accelerator.autocast():
            output = model(x, t, cond)
        velocity_loss(recipe.prediction, output.float(), clean, noise, x, t).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad()

    return step


def timed(work: Callable[[], object]) -> float:
    """Seconds of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(recipe: Recipe, turns: int) -> dict[str, float]:
    """Medians of interleaved steps of each loop, and of drawing a batch."""
    training = Training(recipe)
    training.model.train()
    bare = bare_loop(training)
    rows = []
    for turn in range(turns + 2):
        training.step = turn
        first = (training.update, bare) if turn % 2 else (bare, training.update)
        seconds = {work: timed(work) for work in first}
        waiting = timed(lambda step=turn: training.batches(step))
        if turn >= 2:  # the first ones compile and allocate
            rows.append((seconds[training.update], seconds[bare], waiting))
    step, alone, waiting = (statistics.median(column) for column in zip(*rows, strict=True))
    return {
        "step": step,
        "bare step": alone,
        "batch": waiting,
        "step ratio": statistics.median(row[0] / row[1] for row in rows),
        "waiting share": statistics.median(row[2] / row[0] for row in rows),
    }


def tiny(recipe: Recipe, folder: str) -> Recipe:
    """The same on noise with a meaninglessly small network, for tests."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    samples = [{"key": str(n), "label": str(n), "group": "noise", "keywords": []} for n in range(8)]
    write_image_set(Path(folder, "data"), pixels, samples, {"dataset": "noise"})
    model = {**recipe.model, "width": 24, "depth": 1}
    return replace(recipe, data=str(Path(folder, "data")), model=model, batch=4, exclude=[])


def main() -> None:
    """Measure, print and write benchmarks/results/training.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data/fluent-emoji")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="a tiny network on noise, to see that it runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "training.json")
    chosen = parser.parse_args()
    backends.warm_up()
    with tempfile.TemporaryDirectory() as folder:
        recipe = replace(load_recipe(RECIPE), data=chosen.data, run=str(Path(folder, "run")), init=None)
        result = measure(tiny(recipe, folder) if chosen.quick else recipe, 2 if chosen.quick else chosen.turns)
    for name, bar in BARS.items():
        print(f"{name} {result[name]:.3f} (bar {bar})")
    result |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
    result |= {"machine": platform.processor() or platform.machine()}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
