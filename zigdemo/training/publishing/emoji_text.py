"""Export of text-conditional emoji models: the score on new phrasings, pictures of new combinations, and the card."""

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

# New combinations: none of them is an emoji. They show how far the model combines words that it knows.
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
    """One picture per text, drawn with the page's default settings: (n, H, W, 3) uint8."""
    cond = tower.encode(texts)
    return draw(network, recipe.prediction, cond, tower.features("").expand_as(cond), steps=25, seed=seed)


def text_score(
    network: torch.nn.Module, recipe: Recipe, data: ImageSet, tower: TextTower, scorer: CLIPScore, count: int
) -> dict[str, Any]:
    """How often the scorer names the pictures of `count` phrasings held out of training, with floor and ceiling."""
    texts, rows = held_out_phrasings(data.label_names, data.groups, data.keywords, count, seed=1)
    generated = draw_texts(network, recipe, tower, texts, seed=1000)
    return {"scorer": scorer.tower.name, **named(scorer, generated, rows, data)}


def named(scorer: CLIPScore, generated: np.ndarray, rows: np.ndarray, data: ImageSet) -> dict[str, Any]:
    """Shares of pictures drawn for `held_out_phrasings` that the scorer names right, from 0 to 1.

    generated: (n, H, W, 3) uint8. rows: (n,), the emoji that each is of; its real picture gives the ceiling. Given for
    all pictures and by kind: even phrasings have the name in a new template, odd ones a synonym instead of the name.
    """

    def scores(part: slice) -> dict[str, float | int]:
        targets, real = data.labels[rows[part]], np.asarray(data.images[rows[part]])
        drawn = scorer.naming(generated[part], targets, data.label_names)
        ceiling = scorer.naming(real, targets, data.label_names)
        shares = {"top1": drawn.top1, "top5": drawn.top5, "ceiling_top1": ceiling.top1, "ceiling_top5": ceiling.top5}
        return {"n": drawn.count, **{key: round(value, 4) for key, value in shares.items()}}

    kinds = {"templates": scores(slice(0, None, 2)), "synonyms": scores(slice(1, None, 2))}
    return {**scores(slice(None)), "floor": round(1 / len(data.label_names), 5), **kinds}


def composition_grid(network: torch.nn.Module, recipe: Recipe, tower: TextTower) -> np.ndarray:
    """Every composition once per seed, as one picture (H, W, 3) uint8."""
    return text_sheet([draw_texts(network, recipe, tower, list(COMPOSITIONS), seed) for seed in COMPOSITION_SEEDS])


def text_sheet(rounds: list[np.ndarray], columns: int = 8) -> np.ndarray:
    """One picture of several rounds of pictures of the same texts, with the rounds of a text one above the other.

    rounds: (n, S, S, 3) uint8 each. Returns (H, W, 3) uint8.
    """
    framed = [np.pad(pictures, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=255) for pictures in rounds]
    starts = range(0, len(rounds[0]), columns)
    rows = [np.concatenate(list(pictures[i : i + columns]), 1) for i in starts for pictures in framed]
    return np.concatenate(rows)


def text_card(name: str, recipe: Recipe, about: dict[str, Any], network: torch.nn.Module, grid_names: list[str]) -> str:
    """The README.md of a text-conditional model of emoji."""
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
