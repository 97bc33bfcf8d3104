"""Scans of clips at equal budget on drawn people, three seeds: `python -m benchmarks.gpu.clip_scans --out FILE`.

The network of zigma-figures is trained from scratch with every scheme and seed for the same steps, on the same latents
and captions, and compared by its loss on held-out clips and by the seconds that a step takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from zigdemo.training.trainer import loop

from .training import QUIET, plan

SCHEMES = ("factorized-sst", "sweep3d", "zigzag3d-8")


def measure(scheme: str, seed: int, steps: int, data: str | None, dry: bool) -> dict:
    """Train one network and return its losses on held-out clips."""
    with tempfile.TemporaryDirectory() as run:
        made = plan("zigma-figures", scheme, data, Path(run), dry, [f"seed={seed}", "tower_lr=0", "tower_context=0"])
        shape = {"steps": steps, "warmup": steps // 10, "cooldown": steps // 2, "ema_halflife": max(1.0, steps / 60)}
        made = replace(made, start_from=None, start_blocks=None, **{**QUIET, **shape})
        loop.sample_grid = lambda *rest, **named: None
        training, times = loop.Training(made), []

        def watch(training: loop.Training) -> None:
            if training.step in (steps // 2, steps - 1):
                training.loss  # noqa: B018 - waits for the device
                times.append(time.perf_counter())

        training.run(watch)
        lines = map(json.loads, (Path(run) / made.name / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        held_out = next(line for line in lines if "held_out_loss" in line)
    step_seconds = (times[-1] - times[0]) / max(1, steps - 1 - steps // 2)
    return {
        "scheme": scheme, "seed": seed, "steps": steps, "batch": made.batch, "loss": held_out["held_out_loss"],
        "by_time": held_out["by_time"], "step_seconds": step_seconds,
    }  # fmt: skip


def table(runs: list[dict]) -> str:
    """Means and standard deviations over seeds, as Markdown."""
    lines = ["| scheme | loss on held-out clips | ms a step |", "|---|---|---|"]
    for scheme in dict.fromkeys(run["scheme"] for run in runs):
        mine = [run for run in runs if run["scheme"] == scheme]
        losses = [run["loss"] for run in mine]
        spread = f" ± {statistics.stdev(losses):.4f}" if len(losses) > 1 else ""
        speed = 1e3 * statistics.mean(run["step_seconds"] for run in mine)
        lines.append(f"| {scheme} | {statistics.mean(losses):.4f}{spread} | {speed:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Train all of them, the seeds one after the other, and print the table after every seed."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu.clip_scans", description=__doc__)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--data")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dry", action="store_true")
    chosen = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = True
    runs: list[dict] = []
    for seed in range(chosen.seeds):
        for scheme in SCHEMES:
            runs.append(measure(scheme, seed, chosen.steps, chosen.data, chosen.dry))
            chosen.out.write_text(json.dumps({"runs": runs}, indent=1) + "\n", encoding="utf-8")
        print(table(runs), flush=True)


if __name__ == "__main__":
    main()
