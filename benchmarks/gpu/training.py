"""Train a recipe, or the network of a scan scheme, for some seconds: `python -m benchmarks.gpu.training`."""

from __future__ import annotations

import argparse
import json
import shutil
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import torch

from zigdemo.training.publishing.export import export
from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import Recipe, load_recipe

RECIPES = Path("zigdemo/training/recipes")
TRIAL_STEPS, DRY_STEPS = 40, 2
BATCH, DRY_BATCH = 512, 2
EXPORT_SHARE = 0.8  # of the time for training, the rest for samples and files
QUIET = {"log_every": 100_000, "save_every": 100_000, "sample_every": 100_000}


def plan(recipe: str | None, scheme: str | None, data: str, work: Path, dry: bool) -> Recipe:
    """The recipe to train; schemes start anew, all with the same views. A dry run shrinks it to almost nothing."""
    base = load_recipe(RECIPES / f"{recipe or 'zigma-portraits'}.yaml")
    changes: dict = {"precision": "fp32" if dry else "bf16", "batch": DRY_BATCH if dry else BATCH}
    model = dict(base.model)
    if scheme is not None:
        changes["init"], model["scheme"] = None, scheme
    if dry:
        model.update(width=32, depth=1, state_size=2)
        changes["init"] = None
    name = scheme or str(recipe)
    return replace(base, name=name, data=data, run=str(work / name), model=model, **changes)


def train(recipe: Recipe, seconds: float, out: Path, dry: bool) -> dict:
    """Train for about `seconds`: the speed of a few steps sets their number; the model is left as one zip."""
    trial = DRY_STEPS if dry else TRIAL_STEPS
    began = time.perf_counter()
    probe = Training(replace(recipe, run=f"{recipe.run}-trial", steps=trial, cooldown=0, warmup=0, **QUIET))
    for number in range(trial):
        if number == trial // 2:
            started = time.perf_counter()
        loss = probe.update()
        probe.step += 1
    loss.item()
    step_seconds = (time.perf_counter() - started) / (trial - trial // 2)
    del probe
    left = seconds - (time.perf_counter() - began)
    steps = trial if dry else max(trial, int(EXPORT_SHARE * left / step_seconds))
    shape = {"steps": steps, "warmup": min(200, steps // 10), "cooldown": steps // 3}
    often = {"log_every": max(1, steps // 50), "save_every": steps, "sample_every": steps}
    folder = Training(replace(recipe, ema_halflife=max(1.0, steps / 60), **shape, **often)).run()
    model = export(folder, folder / "model", origin="shipped (toy)", count=4 if dry else 256, force=True)
    with zipfile.ZipFile(out / f"{recipe.name}.zip", "w", zipfile.ZIP_STORED) as archive:
        for path in sorted((folder / "model").iterdir()):
            archive.write(path, path.name)
        archive.write(folder / "metrics.jsonl", "metrics.jsonl")
    return {"name": recipe.name, "steps": steps, "step_seconds": step_seconds, "about": model.about}


def main() -> None:
    """Train one, and add it to the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu.training", description=__doc__)
    parser.add_argument("--recipe")
    parser.add_argument("--scheme")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--dry", action="store_true")
    chosen = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = True
    work = chosen.out.parent / f"{chosen.out.name}-work"
    recipe = plan(chosen.recipe, chosen.scheme, chosen.data, work, chosen.dry)
    made = train(recipe, chosen.seconds, chosen.out, chosen.dry)
    shutil.rmtree(work, ignore_errors=True)
    file = chosen.out / "part-models.json"
    models = json.loads(file.read_text(encoding="utf-8"))["models"] if file.is_file() else []
    file.write_text(json.dumps({"models": [*models, made]}), encoding="utf-8")


if __name__ == "__main__":
    main()
