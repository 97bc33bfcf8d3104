"""Factorised scans of clips against others at equal budget, three seeds: `python -m benchmarks.clip_scans`.

One small ZigMa (about 1 M parameters, more with the second scan of the bidirectional block) is trained on the animated
emoji, 16 frames of 32 px, for the same number of clips with every scheme and seed, and scored against windows of the
training clips. Needs `python -m zigdemo.training.prepare fluent-actions --size 32 --out data/fluent-actions-32`.
Updates benchmarks/results/clip_scans.json after every run and skips finished ones; docs/video.md shows it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import torch

from zigdemo.training.publishing.clips import clip_score
from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import Recipe, load_data

SCHEMES = ("factorized-sst", "sweep3d", "bidirectional", "zigzag3d-8")
LABELS = ["Biking", "BouncingBall", "Cartwheeling", "ClappingHands", "HorseRacing", "Juggling", "RowingBoat", "Running",
          "Snowboarder", "Surfing", "Swimming", "WavingHand"]  # fmt: skip
PAPER = {  # UCF101, frame-wise FID / FVD-5k on 4 GPUs, arXiv 2403.13802
    "factorized-sst": (216.1, 210.2),
    "zigzag3d-8": (238.1, 282.3),
    "bidirectional": (256.1, 320.2),
}


def recipe(scheme: str, seed: int, data: str, run: str, quick: bool) -> Recipe:
    """The recipe, the same for all but scheme and seed."""
    model = {"family": "zigma", "size": [32, 32], "frames": 16, "patch": 4, "width": 144, "depth": 6, "state_size": 8,
             "scheme": scheme, "position": "shared", "frame_position": True, "refine": 16}  # fmt: skip
    steps = 2 if quick else 300
    return Recipe(
        name=f"{scheme} {seed}", data=data, run=run, model=model, labels=LABELS, prediction="clean", steps=steps,
        batch=8, lr=2e-3, warmup=min(50, steps), cooldown=steps // 3, ema_halflife=40, time_mean=-0.8, time_spread=1.0,
        seed=seed, log_every=steps, save_every=steps, sample_every=steps,
    )  # fmt: skip


def measure(scheme: str, seed: int, data: str, quick: bool) -> dict[str, object]:
    """Train and score one network."""
    with tempfile.TemporaryDirectory() as run:
        made = recipe(scheme, seed, data, run, quick)
        training = Training(made)
        started = time.perf_counter()
        training.run()
        seconds = time.perf_counter() - started
        network = training.ema.eval()
        scores = clip_score(network, made, load_data(made), 2 if quick else 48, seed=1)
    weights = sum(p.numel() for p in network.parameters())
    return {"scheme": scheme, "seed": seed, "weights": weights, "seconds_a_step": seconds / made.steps,
            "clips_seen": made.steps * made.batch, "scores": [asdict(score) for score in scores]}  # fmt: skip


def table(runs: list[dict]) -> str:
    """Means and standard deviations over seeds with the paper's numbers, as Markdown."""
    names = [score["name"] for score in runs[0]["scores"]]
    lines = ["| scheme | weights | s a step | " + " | ".join(names) + " | paper: frame FID / FVD |"]
    lines.append("|---" * (len(names) + 4) + "|")
    for scheme in SCHEMES:
        mine = [run for run in runs if run["scheme"] == scheme]
        if not mine:
            continue
        cells = [scheme, f"{mine[0]['weights']:,}", f"{statistics.mean(run['seconds_a_step'] for run in mine):.2f}"]
        for place in range(len(names)):
            values = [run["scores"][place]["value"] for run in mine]
            spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.3g}{spread}")
        cells.append(" / ".join(map(str, PAPER[scheme])) if scheme in PAPER else "")
        lines.append("| " + " | ".join(cells) + " |")
    floors = [f"{score['floor']:.3g} ({score['floor_of']})" for score in runs[0]["scores"]]
    lines.append("| *floor* | | | " + " | ".join(floors) + " | |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing in the results, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data/fluent-actions-32")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="two steps, one seed, to see that it runs")
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "clip_scans.json"))
    chosen = parser.parse_args()
    path = Path(chosen.out)
    runs = json.loads(path.read_text())["runs"] if path.is_file() else []
    done = {(run["scheme"], run["seed"]) for run in runs}
    for seed in range(1 if chosen.quick else chosen.seeds):
        for scheme in SCHEMES[:1] if chosen.quick else SCHEMES:
            if (scheme, seed) in done:
                continue
            runs.append(measure(scheme, seed, chosen.data, chosen.quick))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"torch": torch.__version__, "runs": runs}, indent=1) + "\n")
            print(f"{scheme}, seed {seed}: {runs[-1]['seconds_a_step']:.2f} s a step", flush=True)
    print(table(runs))


if __name__ == "__main__":
    main()
