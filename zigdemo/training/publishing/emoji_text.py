"""What the export of a model of texts adds: its score on phrasings it never saw, compositions, and the card."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...conditioning import TextTower
from ...data import ImageSet
from ...data.emoji_captions import held_out_phrasings
from ...evaluation import CLIPScore
from ..trainer.recipe import Recipe
from ..trainer.samples import draw
from .card import run_card

# New combinations: no emoji is any of these. They show what the model makes of words it knows from elsewhere.
COMPOSITIONS = (
    "blue cat",
    "heart with glasses",
    "green heart with a hat",
    "red apple with a face",
    "purple car",
    "cat wearing a crown",
    "pink elephant",
    "golden fish",
    "pizza with a smile",
    "black flower",
    "angry cloud",
    "a house on fire",
    "robot with a heart",
    "yellow frog",
    "moon with sunglasses",
    "a blue rose",
)
COMPOSITION_SEEDS = (0, 1)


def draw_texts(network: torch.nn.Module, recipe: Recipe, tower: TextTower, texts: list[str], seed: int) -> np.ndarray:
    """One picture a text, by the page's default settings: uint8 (n, H, W, 3)."""
    cond = tower.encode(texts)
    return draw(network, recipe.prediction, cond, tower.features("").expand_as(cond), steps=25, seed=seed)


def text_score(
    network: torch.nn.Module, recipe: Recipe, data: ImageSet, tower: TextTower, scorer: CLIPScore, count: int
) -> dict[str, Any]:
    """How often the scorer names pictures drawn for phrasings kept away from training, with floor and ceiling."""
    texts, rows = held_out_phrasings(data.label_names, data.groups, data.keywords, count, seed=1)
    made = draw_texts(network, recipe, tower, texts, seed=1000)
    return {"scorer": scorer.tower.name, **named(scorer, made, rows, data)}


def named(scorer: CLIPScore, made: np.ndarray, rows: np.ndarray, data: ImageSet) -> dict[str, Any]:
    """Naming of pictures drawn for `held_out_phrasings`, and as ceiling of the real ones of the same emoji.

    All of them, and by kind: the even ones have the name in a new template, the odd ones a synonym in place of it.
    """

    def scores(part: slice) -> dict[str, float | int]:
        targets, real = data.labels[rows[part]], np.asarray(data.images[rows[part]])
        drawn = scorer.naming(made[part], targets, data.label_names)
        ceiling = scorer.naming(real, targets, data.label_names)
        found = {"top1": drawn.top1, "top5": drawn.top5, "ceiling_top1": ceiling.top1, "ceiling_top5": ceiling.top5}
        return {"n": drawn.count, **{key: round(value, 4) for key, value in found.items()}}

    kinds = {"templates": scores(slice(0, None, 2)), "synonyms": scores(slice(1, None, 2))}
    return {**scores(slice(None)), "floor": round(1 / len(data.label_names), 5), **kinds}


def composition_grid(network: torch.nn.Module, recipe: Recipe, tower: TextTower) -> np.ndarray:
    """Every composition once a seed, as one uint8 picture."""
    return text_sheet([draw_texts(network, recipe, tower, list(COMPOSITIONS), seed) for seed in COMPOSITION_SEEDS])


def text_sheet(rounds: list[np.ndarray], columns: int = 8) -> np.ndarray:
    """Pictures of the same texts in several rounds, (n, S, S, 3) uint8 each; the rounds of a text one above another."""
    framed = [np.pad(one, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=255) for one in rounds]
    rows = [np.concatenate(list(one[i : i + columns]), 1) for i in range(0, len(rounds[0]), columns) for one in framed]
    return np.concatenate(rows)


def text_card(name: str, recipe: Recipe, about: dict[str, Any], network: torch.nn.Module, grid_names: list[str]) -> str:
    """The README.md of a model of emoji by text."""
    config, scores = network.config, about["text_retrieval"]
    metadata = {"license": "apache-2.0", "language": "en", "tags": ["text-to-image"]}
    return run_card(
        "emoji-text", metadata, name, recipe, about, network,
        grid_names=grid_names,
        pictures=f"{about['labels']:,}",
        compositions=[", ".join(COMPOSITIONS[:8]), ", ".join(COMPOSITIONS[8:])],
        dropout=f"{config.label_dropout:.0%}",
        heads=getattr(config, "text_heads", None) or config.heads,
        kinds=[("new sentences", scores["templates"]), ("synonyms", scores["synonyms"]), ("all", scores)],
    )  # fmt: skip
