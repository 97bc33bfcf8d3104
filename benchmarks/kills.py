"""Killed and resumed runs end in the same weights as uninterrupted ones: `python -m benchmarks.kills`.

Every round is a separate run in its own process, ended by SIGKILL at a random moment and then resumed to the last step.
Some rounds are killed while a checkpoint is being written, as proved by the incomplete file that is left. Weights,
averages and optimiser state must be bit-identical, and metrics.jsonl must have the same lines. The network is tiny: the
order of writes is what is tested.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import torch

from zigdemo.data.preparation import write_image_set
from zigdemo.training.trainer import checkpoints
from zigdemo.training.trainer.checkpoints import FOLDER, read_checkpoint
from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import Recipe

MODEL = {"family": "dit", "size": [16, 16], "patch": 4, "width": 64, "depth": 2, "heads": 2}
SECONDS_AT_MOST = 600


def make_recipe(folder: Path, steps: int = 40) -> Recipe:
    """A tiny run on random pictures, with two averages and a checkpoint every second step."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 16, 16, 3), np.uint8)
    samples = [{"key": str(i), "label": str(i % 4), "group": "noise", "keywords": []} for i in range(len(images))]
    write_image_set(folder / "data", images, samples, {"dataset": "noise"})
    return Recipe(
        name="kills",
        data=str(folder / "data"),
        run=str(folder / "whole"),
        model=MODEL,
        prediction="clean",
        steps=steps,
        batch=8,
        lr=1e-3,
        ema_halflife=[5, 50],
        precision="fp32",
        held_out=2,
        log_every=3,
        save_every=2,
        sample_every=steps,
        validate_every=steps // 2,
    )


def work(recipe: Recipe, resume: bool, halt: int | None) -> None:
    """The work of the process of a round. halt: the checkpoint, counted from 0, in whose middle it waits."""
    torch.set_num_threads(1)
    if halt is not None:
        checkpoints._save = _halting(halt)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        Training(recipe, resume).run()


def _halting(number: int) -> Callable[[dict, IO[bytes]], None]:
    """What writes checkpoints, but writes half of one and then waits."""
    save, written = checkpoints._save, itertools.count()

    def half(content: dict, file: IO[bytes]) -> None:
        if next(written) != number:
            save(content, file)
            return
        whole = io.BytesIO()
        torch.save(content, whole)
        file.write(whole.getvalue()[: whole.tell() // 2])
        file.flush()
        time.sleep(SECONDS_AT_MOST)

    return half


def start(recipe: Recipe, resume: bool, halt: int | None = None) -> multiprocessing.process.BaseProcess:
    """Start a training process from a server that has imported everything and computed nothing."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["zigdemo.training.trainer.loop", "accelerate"])
    process = server.Process(target=work, args=(recipe, resume, halt))
    process.start()
    return process


def half_written(run: Path) -> bool:
    """Whether an incomplete checkpoint exists."""
    try:
        return any(name.endswith(".part") for name in os.listdir(run / FOLDER))
    except FileNotFoundError:
        return False


def kill(recipe: Recipe, seconds: float, halt: int | None) -> bool:
    """Start a run and kill it after some seconds, or in the middle of a checkpoint; False if it ended before."""
    process, ends = start(recipe, resume=False, halt=halt), time.monotonic() + seconds
    while process.is_alive() and not (half_written(Path(recipe.run)) if halt is not None else time.monotonic() > ends):
        time.sleep(1e-3)
    process.kill()
    process.join()
    return process.exitcode == -9 and (halt is None or half_written(Path(recipe.run)))


def finish(recipe: Recipe, resume: bool = True) -> None:
    """Run or resume to the last step. Raises RuntimeError if the process fails."""
    process = start(recipe, resume)
    process.join(SECONDS_AT_MOST)
    if process.exitcode != 0:
        process.kill()
        raise RuntimeError(f"the run in {recipe.run} ended with status {process.exitcode}")


def lines(run: Path) -> list[dict]:
    """The lines of metrics.jsonl without the values that depend on the clock."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("images_per_second", "seconds_left")} for line in found]


def equal(a: object, b: object) -> bool:
    """Whether two trees of tensors are bit-identical."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(equal, a, b))
    return a == b


def rounds(folder: Path, kills: int, writing: int, steps: int = 40, seed: int = 0) -> list[dict]:
    """One line per kill: when, the step it resumed from, whether the result is identical."""
    chance = random.Random(seed)
    recipe = make_recipe(folder, steps)
    finish(recipe, resume=False)
    began = time.monotonic()
    warm = replace(recipe, run=str(folder / "warm"))
    finish(warm, resume=False)
    duration = time.monotonic() - began
    whole, said = read_checkpoint(recipe.run), lines(Path(recipe.run))
    found = []
    for number in range(kills):
        in_write = number < writing
        for attempt in range(50):
            one = replace(recipe, run=str(folder / f"{number}-{attempt}"))
            seconds = chance.uniform(0, duration)
            halt = chance.randrange(recipe.steps // recipe.save_every) if in_write else None
            if kill(one, seconds, halt) and (Path(one.run) / "recipe.yaml").is_file():
                break
        else:
            raise RuntimeError("50 tries did not hit; make the run longer")
        left = read_checkpoint(one.run)
        finish(one)
        same = equal(read_checkpoint(one.run), whole) and lines(Path(one.run)) == said
        step = left["step"] if left else 0
        found.append({"seconds": round(seconds, 3), "in_write": in_write, "from_step": step, "same": same})
    return found


def main() -> int:
    """Kill, resume, compare; write benchmarks/results/kills.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--writing", type=int, default=5, help="of them, during the write of a checkpoint")
    parser.add_argument("--quick", action="store_true", help="two kills, to see that it runs; nothing is written")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "kills.json")
    chosen = parser.parse_args()
    kills, writing = (2, 1) if chosen.quick else (chosen.kills, chosen.writing)
    with tempfile.TemporaryDirectory() as folder:
        found = rounds(Path(folder), kills, writing)
    good = sum(one["same"] for one in found)
    print(f"{good} of {len(found)} killed runs end in the same weights, averages, optimiser and metrics")
    if not chosen.quick:
        content = {"kills": kills, "during_a_write": writing, "same": good, "rounds": found, "torch": torch.__version__}
        chosen.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0 if good == len(found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
