"""Make a model folder from a run: `python -m zigdemo.training.export RUN OUT`, scored, with its card and grid."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ... import __version__, zoo
from ...backbones import build
from ...conditioning import SHIPPED_TOWER, TextSpec, TextTower
from ...data import ImageSet
from ...data.prepared import INFO_FILE
from ...evaluation import CLIPScore, Retrieval, label_retrieval
from ...evaluation.scores import Score, score_rows
from ...latents import PIXELS
from ...ops.heap import keep_freed_memory
from ...zoo import DEFAULTS, ModelFolder, read_folder, write_folder
from ..trainer.checkpoints import read_checkpoint
from ..trainer.lora import adapt, merged
from ..trainer.processes import place
from ..trainer.recipe import Recipe, autoencoder_spec, load_data, load_recipe, model_config, part_places
from ..trainer.samples import conditions, draw, filmstrips, pair_grid, real_pictures
from ..trainer.tower import lengthen
from .card import commit, run_card
from .clips import clip_card, clip_score, strips
from .emoji_text import composition_grid, text_card, text_score
from .figures import export_figures
from .portraits import export_portraits

# Of a data set: what writes its models, what their history counts, and under which name their facts say how many.
WITH_TOWERS = {
    "portraits": (export_portraits, "portraits", "pictures"),
    "figures": (export_figures, "clips", "clips"),
}
GRID_SEED = 2024  # draws the 40 labels of the card, the same for every model of a label set


def score(network: torch.nn.Module, recipe: Recipe, data: ImageSet, count: int, seed: int = 1) -> Retrieval:
    """Label retrieval of `count` labels chosen at random, one picture each, drawn with the page's default settings."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(data))[:count])
    generated = draw(network, recipe.prediction, *conditions(data, rows, None), steps=25, seed=1000)
    return label_retrieval(generated, rows, np.asarray(data.images))


def export(
    run: str | Path,
    out: str | Path,
    *,
    origin: str,
    count: int = 400,
    force: bool = False,
    defaults: dict[str, Any] | None = None,
    note: str = "",
) -> ModelFolder:
    """Write the averaged weights of a run as a model folder; refuses to replace a folder that scores better.

    run: a run folder with recipe.yaml and a checkpoint. count: labels, or texts, that the score draws. defaults: as in
    ModelFolder. note: a sentence for the card of a model of portraits or figures. Other models of latents are not
    scored here, `zigdemo.evaluation` does that. Raises ValueError with one sentence.
    """
    run, out = Path(run), Path(out)
    recipe = load_recipe(run / "recipe.yaml")
    content = read_checkpoint(run)
    if content is None:
        raise ValueError(f"there is no checkpoint in {run}; train first")
    data = load_data(recipe)
    if content["labels"] != data.label_names:
        raise ValueError(f"{run} was trained on other labels than {recipe.data} has now; prepare the data again")
    network, tower, spec = _averaged(recipe, content, data), _tower(recipe, content), autoencoder_spec(recipe)
    dataset = _dataset(recipe)
    if tower and (dataset == "figures" or (dataset == "portraits" and spec)):
        write, noun, counted = WITH_TOWERS[dataset]
        facts = {"data": dataset, counted: len(data), "history": _history(recipe, content, noun), "note": note}
        return write(
            out, network, recipe, tower if "tower" in content else None, spec, _about(recipe, content, facts),
            origin=origin, defaults=defaults or {}, count=count, force=force,
        )  # fmt: skip
    if "tower" in content:
        raise ValueError(f"{run} has a tower that was trained too; those of portraits and figures alone are exported")
    clips, scores = ([], {}) if spec else _scores(network, recipe, data, tower, count)
    if not force:
        _refuse_to_replace(out, scores, data, tower)
    about = _about(recipe, content, scores)
    out.mkdir(parents=True, exist_ok=True)
    card, labels = _pictures_and_card(out, network, recipe, data, tower, about, clips), data.label_names
    return write_folder(
        out, network, prediction=recipe.prediction, labels=labels if tower is None else None, origin=origin,
        about=about, card=card, text=recipe.text_spec, latents=spec, defaults=defaults,
    )  # fmt: skip


def _averaged(recipe: Recipe, content: dict[str, Any], data: ImageSet) -> torch.nn.Module:
    """The network of a checkpoint with its averaged weights, rounded to fp16: what is shipped is what is scored."""
    network = build(model_config(recipe, len(data.label_names)))
    adapt(network, recipe.method, recipe.rank)
    network.load_state_dict(content["emas"][0])
    return merged(network).half().float().eval()


def _tower(recipe: Recipe, content: dict[str, Any]) -> TextTower | None:
    """The text tower of a run, with its averaged weights if it was trained too; None for a model without text."""
    if recipe.text_spec is None:
        return None
    tower = recipe.text_spec.load(places=part_places(recipe))
    if "tower" in content:
        tower = lengthen(tower, recipe.tower_context) if recipe.tower_context else tower
        tower.clip_model.load_state_dict(content["tower"]["average"])
    return tower


def _scores(
    network: torch.nn.Module, recipe: Recipe, data: ImageSet, tower: TextTower | None, count: int
) -> tuple[list[Score], dict[str, Any]]:
    """The scores of a model of pixels: those of clips as a list, and all as facts for its config."""
    if network.config.frames:
        clips = clip_score(network, recipe, data, tower, count)
        return clips, {"clips": len(data), "classes": data.label_names, "scores": [asdict(each) for each in clips]}
    if tower is None:
        return [], _label_scores(score(network, recipe, data, min(count, len(data))))
    scorer = CLIPScore(TextSpec(SHIPPED_TOWER).load(places=(zoo.WEIGHTS,)))
    return [], {"labels": len(data), "text_retrieval": text_score(network, recipe, data, tower, scorer, count)}


def _refuse_to_replace(out: Path, scores: dict[str, Any], data: ImageSet, tower: TextTower | None) -> None:
    """Raises ValueError if the folder `out` has a model that is not known to be worse."""
    if not (out / "config.json").is_file():
        return
    if not scores:
        raise ValueError(f"{out} is there already, and a model of latents is not scored; --force replaces it")
    old = read_folder(out)
    same = old.text is not None if tower else old.labels is not None and set(old.labels) >= set(data.label_names)
    if same and _rank(old.about) >= _rank(scores):
        raise ValueError(f"{out} scores {_rank(old.about):.3f} and the run {_rank(scores):.3f}; the better one stays")


def _about(recipe: Recipe, content: dict[str, Any], scores: dict[str, Any]) -> dict[str, Any]:
    """The facts under "about" in the config of a model: data, steps, scores, versions."""
    return {
        "data": recipe.data.rstrip("/").rsplit("/", 1)[-1],
        "groups": recipe.groups,
        "exclude": recipe.exclude,
        "steps": content["step"],
        "images_seen": content["images_seen"],
        "images_in_this_run": content["step"] * recipe.batch,
        "place": content.get("place") or place(),
        **scores,
        "commit": commit(),
        "zigdemo": __version__,
        "torch": torch.__version__,
    }


def _history(recipe: Recipe, content: dict[str, Any], noun: str) -> list[str]:
    """A phrase for each training that the weights went through, this one last; noun: what it was trained on."""
    start = recipe.init or recipe.start_from
    about = read_folder(start).about if start else {}
    before = about.get("history") or ([f"{about['images_seen']:,} pictures"] if about.get("images_seen") else [])
    taken = "" if recipe.init or not start else f", starting from the weights of {Path(start).name} that fit"
    where = content.get("place") or place()
    return [*map(str, before), f"{content['step'] * recipe.batch:,} {noun} on {where}{taken}"]


def _dataset(recipe: Recipe) -> str | None:
    """The name in the info file of the prepared data, None if there is none."""
    try:
        info = json.loads((Path(recipe.data) / INFO_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return info.get("dataset") if isinstance(info, dict) else None


def _is_emoji(recipe: Recipe) -> bool:
    """Whether the data are the Fluent Emoji, still or animated, which have cards of their own."""
    return _dataset(recipe) in ("fluent-emoji", "fluent-actions")


def _plain_grid(network: torch.nn.Module, recipe: Recipe, data: ImageSet, tower: TextTower | None) -> np.ndarray:
    """Up to 20 pictures drawn at random, or strips of 4 clips, real above generated, as one picture (H, W, 3) uint8."""
    frames, spec = network.config.frames, autoencoder_spec(recipe)
    space = spec.load(places=part_places(recipe)) if spec else PIXELS
    rows = np.sort(np.random.default_rng(GRID_SEED).permutation(len(data))[: 4 if frames else 20])
    generated = draw(network, recipe.prediction, *conditions(data, rows, tower), steps=25, space=space)
    real = real_pictures(data, rows, frames, space)
    if frames:
        return pair_grid(filmstrips(real), filmstrips(generated), columns=1)
    return pair_grid(real, generated, columns=min(10, len(rows)))


def _pictures_and_card(
    out: Path, network: torch.nn.Module, recipe: Recipe, data: ImageSet, tower: TextTower | None, about: dict[str, Any],
    clips: list[Score],
) -> str:  # fmt: skip
    """Write the grids of a model into its folder, and return its card. clips: its scores, if it draws clips."""
    if autoencoder_spec(recipe) or not _is_emoji(recipe):
        Image.fromarray(_plain_grid(network, recipe, data, tower)).save(out / "grid.png", optimize=True)
        return plain_card(out.name, recipe, about, network, clips)
    if network.config.frames:
        Image.fromarray(strips(network, recipe, data, tower)).save(out / "grid.png", optimize=True)
        return clip_card(out.name, recipe, about, network, clips)
    rows = np.sort(np.random.default_rng(GRID_SEED).permutation(len(data))[:40])
    generated = draw(network, recipe.prediction, *conditions(data, rows, tower), steps=25, seed=0)
    grid = pair_grid(np.asarray(data.images[rows]), generated, columns=10)
    Image.fromarray(grid).save(out / "grid.png", optimize=True)
    names = [data.label_names[data.labels[row]] for row in rows]
    if tower is not None:
        Image.fromarray(composition_grid(network, recipe, tower)).save(out / "compositions.png", optimize=True)
    return (model_card if tower is None else text_card)(out.name, recipe, about, network, names)


def _rank(about: dict) -> float:
    """A number that is larger for the better of two exports of one kind; for clips the negative of their distance."""
    if "scores" in about:
        return -next(each["value"] for each in about["scores"] if each["name"].startswith("video"))
    return (about.get("text_retrieval") or {"top1": about.get("retrieval_top1", 0.0)})["top1"]


def _label_scores(retrieval: Retrieval) -> dict[str, float | int]:
    """A label retrieval as facts for a config."""
    return {
        "retrieval_top1": round(retrieval.top1, 4),
        "retrieval_top5": round(retrieval.top5, 4),
        "retrieval_floor": round(retrieval.chance, 5),
        "retrieval_count": retrieval.count,
    }


def model_card(
    name: str, recipe: Recipe, about: dict[str, Any], network: torch.nn.Module, grid_names: list[str]
) -> str:
    """The README.md of a model of emoji by label."""
    groups = "all groups" if recipe.groups is None else ", ".join(recipe.groups)
    left_out = f" without {', '.join(recipe.exclude)}" if recipe.exclude else ""
    per_label = f"{about['images_in_this_run'] / network.config.labels:.0f}"
    return run_card(
        "emoji", {"license": "apache-2.0"}, name, recipe, about, network,
        grid_names=grid_names, grid_seed=GRID_SEED, groups=groups + left_out, per_label=per_label,
    )  # fmt: skip


def plain_card(name: str, recipe: Recipe, about: dict[str, Any], network: torch.nn.Module, clips: list[Score]) -> str:
    """The README.md of a model of any other data, or of latents."""
    autoencoder = recipe.latents["source"] if recipe.latents else ""
    return run_card("plain", {}, name, recipe, about, network, autoencoder=autoencoder, scores=score_rows(clips))


def main(arguments: list[str] | None = None) -> int:
    """Export a run; an error is one sentence and exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m zigdemo.training.export", description=main.__doc__)
    parser.add_argument("run")
    parser.add_argument("out")
    parser.add_argument(
        "--origin", default="yours", help="where the weights come from, shown on the page (default: yours)"
    )
    parser.add_argument("--count", type=int, default=400, help="labels or prompts drawn for the score")
    parser.add_argument("--solver", help="default solver of the model (default: that of every request)")
    parser.add_argument("--steps", type=int, help="its default steps")
    parser.add_argument("--guidance", type=float, help="its default guidance")
    parser.add_argument("--note", default="", help="a sentence for the card of a model of portraits or figures")
    parser.add_argument("--force", action="store_true", help="replace even a folder that scores better")
    chosen = parser.parse_args(arguments)
    keep_freed_memory()
    try:
        defaults = {name: getattr(chosen, name) for name in DEFAULTS if getattr(chosen, name) is not None}
        folder = export(
            chosen.run, chosen.out, origin=chosen.origin, count=chosen.count, force=chosen.force, defaults=defaults,
            note=chosen.note,
        )  # fmt: skip
    except (ValueError, OSError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    print(json.dumps(folder.about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
