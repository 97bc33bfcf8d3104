"""The papers' claims, small: `python -m benchmarks.claims`, into results/claims.json and .png; see docs/claims.md.

Networks of about 0.8 M parameters are trained on the Fluent Emoji at 32 px on raw pixels, with their eight groups as
labels, all on the same pictures in the same order with the same noise: by scan scheme (ZigMa), by backbone, and by
patch size (ZigMa). Each is scored on held-out pictures (mean velocity loss over time, the same noise for all) and by
the Frechet distance of its samples. Seeds change the initial weights, the order of the pictures and the noise.

Finished networks are kept in the results and are not trained again: all of them take hours on two cores.
`--only-draw` trains none and writes the tables and the plot of the results anew.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.claims_report import plot, tables
from benchmarks.video import peak_kb
from zigdemo.data import ImageSet
from zigdemo.data.preparation import write_image_set
from zigdemo.evaluation import FeatureMoments, frechet_distance, load_features
from zigdemo.ops import backends
from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import Recipe, load_data
from zigdemo.training.trainer.rules import split
from zigdemo.training.trainer.samples import draw

SIDE, STEPS, BATCH, HELD_OUT, DRAWN = 32, 250, 32, 128, 256
ZIGMA = {"family": "zigma", "depth": 8, "state_size": 8, "patch": 2}
SCHEMES = ("zigzag-8", "sweep", "random-8", "hilbert-8", "bidirectional", "zigzag-1", "zigzag-2", "zigzag-4",
           "shuffled-1", "shuffled-4", "shuffled-16", "shuffled-64")  # fmt: skip
# About as many weights each; zigzag-8 is the first of all three comparisons.
CASES: dict[str, dict[str, object]] = {
    **{scheme: {**ZIGMA, "scheme": scheme} for scheme in SCHEMES},
    "DiT": {"family": "dit", "depth": 4, "heads": 4, "patch": 2},
    "DiG": {"family": "dig", "depth": 4, "heads": 3, "patch": 2},
    "DiffuSSM": {"family": "diffussm", "depth": 4, "patch": 2},
    "patch 4": {**ZIGMA, "scheme": "zigzag-8", "patch": 4},
    "patch 8": {**ZIGMA, "scheme": "zigzag-8", "patch": 8},
}


def write_groups(folder: Path, data: str) -> None:
    """Write the emoji at 32 px, labelled by group, as an image set."""
    emoji = ImageSet.load(data)
    by = emoji.size // SIDE
    pixels = np.asarray(emoji.images).reshape(len(emoji), SIDE, by, SIDE, by, 3).mean((2, 4)).round().astype(np.uint8)
    samples = [{"key": str(i), "label": group, "group": group, "keywords": []} for i, group in enumerate(emoji.groups)]
    write_image_set(folder, pixels, samples, {"dataset": "fluent-emoji by group", "size": SIDE})


def recipe(case: str, seed: int, data: str, run: str, quick: bool) -> Recipe:
    """The recipe, the same for all but the network and the seed."""
    steps = 2 if quick else STEPS
    small = {"width": 24} if quick else {"width": 96}
    return Recipe(
        name=case, data=data, run=run, model={"size": [SIDE, SIDE], **small, **CASES[case]}, prediction="clean",
        steps=steps, batch=4 if quick else BATCH, lr=2e-3, warmup=min(50, steps), cooldown=steps // 3,
        ema_halflife=steps / 10, time_mean=-0.8, time_spread=1.0, held_out=4 if quick else HELD_OUT, seed=seed,
        log_every=steps, save_every=steps, sample_every=steps, validate_every=steps,
    )  # fmt: skip


def measure(case: str, seed: int, data: str, features_name: str, quick: bool) -> dict[str, object]:
    """Train one network, and score it."""
    with tempfile.TemporaryDirectory() as run:
        made = recipe(case, seed, data, run, quick)
        training = Training(made)
        seconds: list[float] = []
        last = time.perf_counter()

        def watch(training: Training) -> None:
            nonlocal last
            now = time.perf_counter()
            seconds.append(now - last)
            last = now

        training.run(watch)
        if not training.finished:
            raise SystemExit("stopped; start it again to go on")
        lines = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    held_out = next(line for line in reversed(lines) if "held_out_loss" in line)
    images = load_data(made)
    seen, _ = split(len(images), made.held_out)
    count = 8 if quick else DRAWN
    rows = seen[np.random.default_rng(0).permutation(len(seen))[:count]]
    labels = torch.from_numpy(images.labels[rows])
    null = torch.full_like(labels, len(images.label_names))
    pictures = draw(training.ema, made.prediction, labels, null, steps=2 if quick else 8, guidance=1.0, seed=1)
    features = load_features(features_name)
    real = np.asarray(images.images)[np.setdiff1d(seen, rows)]
    distance = frechet_distance(FeatureMoments.of(features(real)), FeatureMoments.of(features(pictures)))
    floor = frechet_distance(
        FeatureMoments.of(features(real)), FeatureMoments.of(features(np.asarray(images.images)[rows]))
    )
    return {
        "case": case,
        "seed": seed,
        "weights": sum(p.numel() for p in training.ema.parameters()),
        "seconds_a_step": statistics.median(seconds),
        "images_seen": made.steps * made.batch,
        "held_out_loss": held_out["held_out_loss"],
        "by_time": held_out["by_time"],
        "frechet": distance,
        "frechet_floor": floor,
    }


def step_kb(case: str, data: str, quick: bool) -> int:
    """Peak memory in kilobytes of a training step beyond weights, moments and data, in a separate process."""
    with tempfile.TemporaryDirectory() as run:
        backends.warm_up()
        training = Training(recipe(case, 0, data, run, quick))
        before = peak_kb()
        training.update()
        return peak_kb() - before


def main() -> None:
    """Train what is missing in the results, in the order of CASES for each seed, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description=main.__doc__)
    parser.add_argument("--data", default="data/fluent-emoji")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES), metavar="CASE")
    parser.add_argument("--features", default="efficientnet-lite0")
    parser.add_argument("--quick", action="store_true", help="two steps of one case, to see that it runs")
    parser.add_argument("--only-draw", action="store_true", help="measure nothing; only the tables and the plot")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "claims.json")
    parser.add_argument("--child", choices=list(CASES), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(step_kb(chosen.child, chosen.data, chosen.quick))
        return
    result = json.loads(chosen.out.read_text()) if chosen.out.is_file() else {"runs": [], "kilobytes": {}}
    if chosen.only_draw and not result["runs"]:
        parser.error(f"{chosen.out} has no results to draw; measure them first, without --only-draw")
    if not chosen.only_draw:
        measure_missing(chosen, result)
    print(tables(result))
    plot(result, chosen.out.with_suffix(".png"))


def measure_missing(chosen: argparse.Namespace, result: dict[str, Any]) -> None:
    """Train and score the networks that the results lack, and write the results after each."""
    done = {(run["case"], run["seed"]) for run in result["runs"]}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder, "emoji"))
        write_groups(Path(data), chosen.data)
        cases = chosen.cases[:1] if chosen.quick else chosen.cases
        # Before anything is trained: a child's peak starts at what its parent holds.
        for case in [case for case in cases if case not in result["kilobytes"]]:
            command = [sys.executable, "-m", "benchmarks.claims", "--child", case, "--data", data]
            command += ["--quick"] * chosen.quick
            answer = subprocess.run(command, capture_output=True, text=True, check=True)
            result["kilobytes"][case] = int(answer.stdout)
        for seed in range(1 if chosen.quick else chosen.seeds):
            for case in cases:
                if (case, seed) in done:
                    continue
                result["runs"].append(run := measure(case, seed, data, chosen.features, chosen.quick))
                result["torch"], result["features"] = torch.__version__, chosen.features
                chosen.out.write_text(json.dumps(result, indent=1) + "\n")
                print(f"{case}, seed {seed}: loss {run['held_out_loss']:.4f}, Frechet {run['frechet']:.0f}", flush=True)


if __name__ == "__main__":
    main()
