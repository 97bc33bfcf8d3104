"""What the export of a model of texts adds: its score on phrasings it never saw, compositions, and the card."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..conditioning import TextTower
from ..evaluation import ClipScore
from .data import ImageSet
from .data.captions import held_out_phrasings
from .recipe import Recipe
from .samples import draw

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
    network: torch.nn.Module, recipe: Recipe, data: ImageSet, tower: TextTower, scorer: ClipScore, count: int
) -> dict[str, Any]:
    """Retrieval of pictures drawn for texts in phrasings kept away from training, with floor and ceiling."""
    texts, rows = held_out_phrasings(data.label_names, data.groups, data.keywords, count, seed=1)
    made = draw_texts(network, recipe, tower, texts, seed=1000)
    drawn, real = scorer.beside_real(texts, made, rows, np.asarray(data.images))
    return {
        "scorer": scorer.tower.name,
        "n": drawn.count,
        "top1": round(drawn.top1, 4),
        "top5": round(drawn.top5, 4),
        "ceiling_top1": round(real.top1, 4),
        "ceiling_top5": round(real.top5, 4),
        "floor": round(drawn.chance, 5),
    }


def composition_grid(network: torch.nn.Module, recipe: Recipe, tower: TextTower) -> np.ndarray:
    """Every composition once a seed, uint8: columns are compositions, eight a row, the seeds one above the other."""
    blocks = []
    for first in range(0, len(COMPOSITIONS), 8):
        texts = list(COMPOSITIONS[first : first + 8])
        for seed in COMPOSITION_SEEDS:
            made = draw_texts(network, recipe, tower, texts, seed=seed)
            made = np.pad(made, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=255)
            blocks.append(np.concatenate(list(made), 1))
    return np.concatenate(blocks)


def text_card(name: str, recipe: Recipe, about: dict[str, Any], network: torch.nn.Module, grid_names: list[str]) -> str:
    """The README.md of the folder of a model of texts."""
    config, score = network.config, about["text_retrieval"]
    weights = sum(p.numel() for p in network.parameters())
    before, here = about["images_seen"] - about["images_in_this_run"], about["images_in_this_run"]
    seen = f"{here:,} images seen" + (f", starting from weights that had seen {before:,}" if before else "")
    names, rows = ", ".join(grid_names), [COMPOSITIONS[:8], COMPOSITIONS[8:]]
    tried = "; ".join(", ".join(row) for row in rows)
    shape = f"width {config.width}, depth {config.depth}, patch {config.patch}, {config.mixing}"
    heads = getattr(config, "text_heads", None) or config.heads
    return f"""---
license: apache-2.0
tags: [zigdemo, diffusion, text-to-image, {recipe.model["family"]}]
---
# {name}

A toy: {recipe.model["family"]} with {weights / 1e6:.2f} M weights that draws emoji of {config.size[0]} x
{config.size[1]} pixels by text, read by the tower `{recipe.text["tower"]}`. It learned {about["labels"]:,} pictures
with captions made of their names and keywords, so it knows their words and little else: a text that means none of them
gives something near one of them, or a mixture.

![40 names drawn at random; real above, generated below](grid.png)

Names of the grid, row by row: {names}.

## New combinations, as they come

No emoji is any of these, two seeds each, none left out: {tried}. Mostly one word wins; where a colour or a part does
go over, it is because other emoji have it.

![Compositions, eight a row, two seeds](compositions.png)

| | |
|---|---|
| data | Fluent Emoji 3D, {about["labels"]:,} pictures, on white (`zigdemo.training.prepare`) |
| network | {shape}, {heads} heads to the text |
| objective | linear interpolant, predicts the {recipe.prediction} image, loss on the velocity |
| captions | another one each time; {config.label_dropout:.0%} of them empty, for guidance |
| recipe | `zigdemo/training/recipes/{recipe.name}.yaml`, batch {recipe.batch}, AdamW {recipe.lr:g} |
| compute | {seen}, 2 CPU cores, bf16 matrix products |
| commit | {about["commit"]} |

## Scores

{score["n"]} texts in phrasings that training never has, half of them a new sentence around the name, half a synonym
without it; one picture each (25 Heun steps, guidance 2), put in the place of the real one among {about["labels"]:,}.
Right is where the scorer `{score["scorer"]}`, itself a toy, finds it first (or among five) by the text. Synonyms often
mean several emoji, so the real pictures are no perfect score either.

| | drawn | real pictures (ceiling) | guessing (floor) |
|---|---|---|---|
| first | {score["top1"]:.3f} | {score["ceiling_top1"]:.3f} | {score["floor"]:.5f} |
| among five | {score["top5"]:.3f} | {score["ceiling_top5"]:.3f} | {5 * score["floor"]:.5f} |

Weights: fp16, Apache-2.0. The pictures learned from are Microsoft's Fluent Emoji, MIT licence, Copyright (c)
Microsoft Corporation; the notice is in the NOTICE file of the project and must stay with these weights.
"""
