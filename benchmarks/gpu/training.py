"""Train a recipe, or the network of a scan scheme, for some seconds: `python -m benchmarks.gpu.training`.

What comes back is small: the averaged weights in half precision, of the network and of a tower that was trained too,
and a JSON file with the recipe and the metrics. `python -m benchmarks.gpu.taking OUT RUNS` makes run folders of them,
which `zigdemo.training.export` scores and writes as models.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from zigdemo.training.trainer import loop
from zigdemo.training.trainer.checkpoints import read_checkpoint
from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import Recipe, load_recipe

RECIPES = Path("zigdemo/training/recipes")
TRIAL_STEPS, DRY_STEPS = 40, 2
BATCH, DRY_BATCH = 512, 2
TRAINING_SHARE = 0.9  # of the time that is left after the trial, the rest for files
QUIET = {"log_every": 100_000, "save_every": 100_000, "sample_every": 100_000, "validate_every": 100_000}


def plan(
    recipe: str | None, scheme: str | None, data: str | None, work: Path, dry: bool, settings: Sequence[str] = ()
) -> Recipe:
    """The recipe to train; schemes start anew, all with the same views. A dry run shrinks it to almost nothing.

    settings: "key=value" each, instead of the recipe's.
    """
    base = load_recipe(RECIPES / f"{recipe or 'zigma-portraits'}.yaml", settings)
    batch = BATCH // base.model["frames"] if base.model.get("frames") else BATCH
    if dry or any(one.startswith("batch=") for one in settings):
        batch = DRY_BATCH if dry else base.batch
    changes: dict = {"precision": "fp32" if dry else "bf16", "batch": batch, "data": data or base.data}
    model = dict(base.model)
    if scheme is not None:
        changes["init"], model["scheme"] = None, scheme
    if dry:
        model.update(width=32, depth=1, state_size=2)
        changes |= {"init": None, "start_from": None, "start_blocks": None, "held_out": min(base.held_out, 2)}
    name = scheme or str(recipe)
    return replace(base, name=name, run=str(work / name), model=model, **changes)


def train(recipe: Recipe, seconds: float, out: Path, dry: bool) -> dict:
    """Train for about `seconds`: the speed of the first steps sets the number of all; the results are left in `out`."""
    began = time.perf_counter()
    training = Training(replace(recipe, **QUIET))
    trial = DRY_STEPS if dry else TRIAL_STEPS
    for number in range(trial):
        if number == trial // 2:
            training.loss  # noqa: B018 - waits for the device
            started = time.perf_counter()
        loss = training.update()
        training.step += 1
    loss.item()
    step_seconds = (time.perf_counter() - started) / (trial - trial // 2)
    left = seconds - (time.perf_counter() - began)
    steps = trial + (1 if dry else max(1, int(TRAINING_SHARE * left / step_seconds)))
    shape = {"steps": steps, "warmup": min(200, steps // 10), "cooldown": steps // 2}
    recipe = replace(training.recipe, **shape, log_every=max(1, steps // 50), ema_halflife=max(1.0, steps / 60))
    training.recipe = training.batches.recipe = recipe
    loop.sample_grid = lambda *rest, **named: None  # pictures are drawn where the results are taken
    folder = training.run()
    leave(folder, recipe, out)
    print(f"{recipe.name}: {steps} steps of {recipe.batch}, {1e3 * step_seconds:.1f} ms each", flush=True)
    return {"name": recipe.name, "steps": steps, "batch": recipe.batch, "step_seconds": step_seconds}


def leave(folder: Path, recipe: Recipe, out: Path) -> None:
    """Write the results of a run folder into `out`, under the name of the recipe."""
    content = read_checkpoint(folder)
    states = {"network": content["emas"][0]}
    if "tower" in content:
        states["tower"] = content["tower"]["average"]
    for name, state in states.items():
        halves = {key: value.half().contiguous() for key, value in state.items() if value.is_floating_point()}
        save_file(halves, out / f"{recipe.name}.{name}.safetensors")
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    kept = ("step", "images_seen", "labels", "place")
    told = {"recipe": asdict(recipe), "metrics": list(map(json.loads, lines)), **{k: content[k] for k in kept}}
    (out / f"{recipe.name}.json").write_text(json.dumps(told), encoding="utf-8")


def main() -> None:
    """Train one, and add it to the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu.training", description=__doc__)
    parser.add_argument("--recipe")
    parser.add_argument("--scheme")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--data", help="prepared set (default: the recipe's)")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting")
    parser.add_argument("--dry", action="store_true")
    chosen = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = True
    chosen.out.mkdir(parents=True, exist_ok=True)
    work = chosen.out.parent / f"{chosen.out.name}-work"
    shutil.rmtree(work, ignore_errors=True)  # of one that was stopped
    recipe = plan(chosen.recipe, chosen.scheme, chosen.data, work, chosen.dry, chosen.set)
    made = train(recipe, chosen.seconds, chosen.out, chosen.dry)
    shutil.rmtree(work, ignore_errors=True)
    file = chosen.out / "part-models.json"
    models = json.loads(file.read_text(encoding="utf-8"))["models"] if file.is_file() else []
    file.write_text(json.dumps({"models": [*models, made]}), encoding="utf-8")


if __name__ == "__main__":
    main()
