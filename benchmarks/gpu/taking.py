"""Run folders of what `benchmarks.gpu.training` left: `python -m benchmarks.gpu.taking OUT RUNS`, then export them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from safetensors.torch import load_file

from zigdemo.conditioning import TextTower
from zigdemo.training.trainer.checkpoints import write_checkpoint
from zigdemo.training.trainer.recipe import Recipe, part_places
from zigdemo.training.trainer.tower import lengthen


def take(file: Path, runs: Path) -> Path:
    """The run folder of the training described in `file`, with a checkpoint of its averaged weights alone."""
    told = json.loads(file.read_text(encoding="utf-8"))
    recipe = Recipe(**told["recipe"])
    folder = runs / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    recipe.save(folder / "recipe.yaml")
    lines = "".join(json.dumps(line) + "\n" for line in told["metrics"])
    (folder / "metrics.jsonl").write_text(lines, encoding="utf-8")
    state = {name: value.float() for name, value in load_file(file.with_suffix(".network.safetensors")).items()}
    content = {name: told[name] for name in ("step", "images_seen", "labels", "place")} | {"emas": [state]}
    if (learned := file.with_suffix(".tower.safetensors")).is_file():
        content["tower"] = {"average": _tower(recipe).clip_model.state_dict() | load_file(learned)}
    write_checkpoint(folder, told["step"], content, keep_last=1)
    return folder


def _tower(recipe: Recipe) -> TextTower:
    """The tower that the recipe starts from, as long as it was trained."""
    tower = recipe.text_spec.load(places=part_places(recipe))
    return lengthen(tower, recipe.tower_context) if recipe.tower_context else tower


def main() -> None:
    """Make the run folders of all trainings in a folder of results."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu.taking", description=__doc__)
    parser.add_argument("out", type=Path, help="folder with the results")
    parser.add_argument("runs", type=Path, help="folder for the run folders")
    chosen = parser.parse_args()
    for file in sorted(chosen.out.glob("*.json")):
        if file.with_suffix(".network.safetensors").is_file():
            print(take(file, chosen.runs))


if __name__ == "__main__":
    main()
