"""Export of models of portraits: the share of asked attributes that they draw, the grid of pictures and the card."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from ...conditioning import TextTower
from ...data import KIND_NAMES
from ...data.portrait_captions import training_words
from ...evaluation.judge import load_judge
from ...evaluation.obedience import prompt_score
from ...explain import attends
from ...latents import AutoencoderSpec
from ...pipeline import Pipeline
from ...zoo import CONFIG, TENSORS, ModelFolder, read_folder, write_folder
from ...zoo.parts import named_parts, take_along
from ..trainer.recipe import Recipe, part_places
from .card import run_card
from .parts import TOWER_FILES, move, write_learned_tower

GRID = "grid.webp"
GRID_PROMPTS = (
    "a flat portrait of a smiling person with long red hair and glasses, wearing a blue hoodie",
    "a toon portrait, a man with a black beard, angry, in a green jacket on a yellow background",
    "a simple portrait of a person with pink pigtails and sunglasses, laughing, in a checkered shirt",
    "dark skin, a purple afro, winking, an orange sweater, white background",
    "a person in a turban with a moustache, sad",
)
# Prompts that the page offers; it starts with the first.
EXAMPLES = (
    "a smiling person with long red hair and glasses, wearing a blue hoodie",
    "toon portrait, a black beard, angry, green jacket, yellow background",
    "simple portrait, pink pigtails and sunglasses, laughing",
    "dark skin, a purple afro, winking, an orange sweater",
    "a sad face in a turban, with a moustache",
    "green mohawk, an overall, surprised, pink background",
    "bald, round glasses, in love, grey background",
)
GRID_SEEDS = 8


def export_portraits(
    out: Path,
    network: nn.Module,
    recipe: Recipe,
    tower: TextTower | None,
    autoencoder: AutoencoderSpec,
    about: dict[str, Any],
    *,
    origin: str,
    defaults: dict[str, Any],
    count: int,
    force: bool,
) -> ModelFolder:
    """Write a model folder of portraits, scored through the pipeline as on the page.

    tower: one that was trained too, which is written beside `out` under its name; None if it stayed as it was. count:
    prompts of the score. Raises ValueError if `out` has a model that shows more of what is asked, and changes nothing.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as aside:
        fresh = Path(aside, out.name)
        if tower is not None:
            write_learned_tower(Path(aside, recipe.text["tower"]), tower, recipe, training_words())
        arguments = {"prediction": recipe.prediction, "labels": None, "origin": origin, "latents": autoencoder}
        arguments |= {"text": recipe.text_spec, "defaults": defaults}
        write_folder(fresh, network, about=about, card="", **arguments)
        pipe = Pipeline.load(fresh)
        score, _ = prompt_score(pipe, load_judge(), count)
        about = {**about, "obedience": score.content(), "examples": list(EXAMPLES)}
        if attends(network.config):
            # What the page shows first: it falls on the part that a word names (area under the ROC curve 0.97).
            about["word_map"] = "attention"
        if not force:
            _refuse_to_replace(out, about["obedience"]["shown"])
        _grid(pipe).save(fresh / GRID, quality=90, method=6)
        card = _card(out.name, pipe, recipe, about)
        write_folder(fresh, network, about=about, card=card, **arguments)
        move((TENSORS, CONFIG, "README.md", GRID), fresh, out)
        if tower is not None:
            part = recipe.text["tower"]
            move(TOWER_FILES, Path(aside, part), out.parent / part)
        take_along(named_parts(autoencoder, recipe.text_spec), part_places(recipe), out)
    return read_folder(out)


def _refuse_to_replace(out: Path, shown: float) -> None:
    """Raises ValueError if the model in `out` shows at least the share `shown` of what is asked."""
    if not (out / CONFIG).is_file():
        return
    there = (read_folder(out).about.get("obedience") or {}).get("shown", 0.0)
    if there >= shown:
        raise ValueError(f"{out} shows {there:.3f} of what is asked and the run {shown:.3f}; the better one stays")


def _grid(pipe: Pipeline) -> Image.Image:
    """A row for each prompt of GRID_PROMPTS, a column for each seed."""
    rows = [pipe(pipe.request(prompt=prompt, count=GRID_SEEDS)).images for prompt in GRID_PROMPTS]
    return Image.fromarray(np.concatenate([np.concatenate(list(map(np.asarray, row)), 1) for row in rows]))


def _card(name: str, pipe: Pipeline, recipe: Recipe, about: dict[str, Any]) -> str:
    """The README.md of a model of portraits."""
    config, request = pipe.network.config, pipe.request()
    metadata = {"license": "cc-by-4.0", "language": "en", "tags": ["text-to-image"]}
    return run_card(
        "portraits", metadata, name, recipe, about, pipe.network,
        pixels=pipe.size[0],
        autoencoder=pipe.folder.latents.source,
        tower=pipe.folder.text.tower,
        grid_prompts=GRID_PROMPTS,
        grid_seeds=GRID_SEEDS,
        pictures=f"{about['pictures']:,}",
        dropout=f"{config.label_dropout:.0%}",
        tokens=config.grid[0] * config.grid[1],
        request=request,
        guidance=f"{request.guidance:g}",
        note=about.get("note", ""),
        score=about["obedience"],
        kinds=[(KIND_NAMES[kind], share) for kind, share in about["obedience"]["by_kind"].items()],
    )  # fmt: skip
