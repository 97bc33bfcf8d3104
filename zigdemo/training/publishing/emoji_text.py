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
    """The README.md of the folder of a model of texts."""
    config, score = network.config, about["text_retrieval"]
    weights = sum(p.numel() for p in network.parameters())
    before, here = about["images_seen"] - about["images_in_this_run"], about["images_in_this_run"]
    seen = f"{here:,} images seen" + (f", starting from weights that had seen {before:,}" if before else "")
    names, rows = ", ".join(grid_names), [COMPOSITIONS[:8], COMPOSITIONS[8:]]
    tried = "; ".join(", ".join(row) for row in rows)
    shape = f"width {config.width}, depth {config.depth}, patch {config.patch}, {config.mixing}"
    table = "".join(
        f"| {kind} | {one['n']} | {one['top1']:.3f} | {one['ceiling_top1']:.3f} | {one['top5']:.3f} | "
        f"{one['ceiling_top5']:.3f} |\n"
        for kind, one in (("new sentences", score["templates"]), ("synonyms", score["synonyms"]), ("all", score))
    )
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
without it; one picture each (25 Heun steps, guidance 2). Right is where, among the names of all {about["labels"]:,}
emoji, the scorer `{score["scorer"]}`, itself a toy, finds the right one nearest to the picture, or among five. A
synonym often means several emoji, and then only one of them counts. Guessing gives {score["floor"]:.5f}.

| texts | n | first | real pictures (ceiling) | among five | real pictures (ceiling) |
|---|---|---|---|---|---|
{table}
Weights: fp16, Apache-2.0. The pictures learned from are Microsoft's Fluent Emoji, MIT licence, Copyright (c)
Microsoft Corporation; the notice is in the NOTICE file of the project and must stay with these weights.
"""
