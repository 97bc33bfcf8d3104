"""Export of models of drawn people: filmstrips by prompt, the tower that learned along, and the card."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from ... import zoo
from ...conditioning import TextSpec, TextTower
from ...data import CLASSES
from ...data.figures.captions import names_of, training_words
from ...evaluation.figure_judge import FIGURE_JUDGE, load_figure_judge
from ...evaluation.figures import figure_score
from ...latents import AutoencoderSpec
from ...pipeline import Pipeline
from ...zoo import CONFIG, TENSORS, ModelFolder, read_folder, write_folder
from ...zoo.parts import named_parts, take_along
from ..trainer.recipe import Recipe, part_places
from ..trainer.samples import filmstrips
from .card import run_card
from .parts import TOWER_FILES, move, write_learned_tower

GRID = "grid.webp"
# Prompts that the grid shows and the page offers; it starts with the first. After them come the names of all classes.
EXAMPLES = (
    "a person with long red hair in a blue shirt does jumping jacks",
    "a woman in an orange shirt riding a bicycle on a beach",
    "a bald man in a green top lifts a barbell overhead in a gym",
    "somebody in a yellow shirt and purple trousers walks a dog at night",
    "a girl with a black bun swings a golf club on a field",
    "hula hoop",
)
GRID_SEEDS = 2


def export_figures(
    out: Path,
    network: nn.Module,
    recipe: Recipe,
    tower: TextTower | None,
    autoencoder: AutoencoderSpec | None,
    about: dict[str, Any],
    *,
    origin: str,
    defaults: dict[str, Any],
    count: int,
    force: bool,
) -> ModelFolder:
    """Write a model folder of drawn people by prompt, drawn through the pipeline as on the page.

    tower: one that was trained too, which is written beside `out` under its name and "-text", so that models that
    learned with another one keep theirs; None if it stayed as it was. count: prompts of the score; 0, or without a
    judge: no score. Raises ValueError if `out` has a model that shows more of the classes, and changes nothing.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    text = recipe.text_spec if tower is None else TextSpec(f"{out.name}-text")
    examples = [*EXAMPLES[:-1], *(names_of(label)[1] for label in CLASSES)]
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as aside:
        fresh = Path(aside, out.name)
        if tower is not None:
            write_learned_tower(Path(aside, text.tower), tower, recipe, training_words())
        arguments = {"prediction": recipe.prediction, "labels": None, "origin": origin, "latents": autoencoder}
        arguments |= {"text": text, "defaults": defaults}
        write_folder(fresh, network, about=about, card="", **arguments)
        pipe = Pipeline.load(fresh)
        judge = zoo.WEIGHTS / FIGURE_JUDGE
        if count and judge.is_dir():
            score, _ = figure_score(pipe, load_figure_judge(judge, pipe.device), count)
            about = {**about, "figures": score.content()}
        if not force:
            _refuse_to_replace(out, about)
        about = {**about, "examples": examples}
        _grid(pipe).save(fresh / GRID, quality=88, method=6)
        card = _card(out.name, pipe, recipe, about)
        write_folder(fresh, network, about=about, card=card, **arguments)
        move((TENSORS, CONFIG, "README.md", GRID), fresh, out)
        if tower is not None:
            move(TOWER_FILES, Path(aside, text.tower), out.parent / text.tower)
        others = None if tower is not None else text  # a tower that learned along is in place already
        take_along(named_parts(autoencoder, others), part_places(recipe), out)
    return read_folder(out)


def _refuse_to_replace(out: Path, about: dict[str, Any]) -> None:
    """Raises ValueError if the folder `out` has a model that is not known to be worse."""
    if not (out / CONFIG).is_file():
        return
    new, old = (_accuracy(facts) for facts in (about, read_folder(out).about))
    if new is None:
        raise ValueError(f"{out} is there already, and the run is not scored; --force replaces it")
    if old is not None and old >= new:
        raise ValueError(f"{out} shows {old:.3f} of the classes and the run {new:.3f}; the better one stays")


def _accuracy(facts: dict[str, Any]) -> float | None:
    """The score among the facts of a model, None if there is none that is a number."""
    scores = facts.get("figures")
    value = scores.get("accuracy") if isinstance(scores, dict) else None
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _grid(pipe: Pipeline) -> Image.Image:
    """A filmstrip for each prompt of EXAMPLES and each seed, one below the other."""
    rows = [filmstrips(np.stack(pipe(pipe.request(prompt=prompt, count=GRID_SEEDS)).clips)) for prompt in EXAMPLES]
    return Image.fromarray(np.concatenate(np.concatenate(rows)))


def _card(name: str, pipe: Pipeline, recipe: Recipe, about: dict[str, Any]) -> str:
    """The README.md of a model of drawn people."""
    config, request = pipe.network.config, pipe.request()
    metadata = {"license": "cc-by-4.0", "language": "en", "tags": ["text-to-video"]}
    return run_card(
        "figures", metadata, name, recipe, about, pipe.network,
        pixels=pipe.size[0],
        autoencoder=pipe.folder.latents.source if pipe.folder.latents else "",
        tower=pipe.folder.text.tower,
        prompts=EXAMPLES,
        seeds=GRID_SEEDS,
        classes=len(CLASSES),
        clips=f"{about['clips']:,}",
        dropout=f"{config.label_dropout:.0%}",
        tokens=int(np.prod(config.token_grid)),
        request=request,
        guidance=f"{request.guidance:g}",
        note=about.get("note", ""),
    )  # fmt: skip
