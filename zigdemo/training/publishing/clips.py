"""What the export of a model of clips scores and says: motion and classes beside the real clips, and strips."""

from __future__ import annotations

import numpy as np
import torch

from ...data import ClipSet
from ...evaluation.features import load_features, over_time
from ...evaluation.retrieval import class_retrieval
from ...evaluation.scores import Score, score_table
from ...evaluation.video import clip_scores
from ..trainer.recipe import Recipe
from ..trainer.samples import conditions, draw, filmstrips, pair_grid


def clip_score(network: torch.nn.Module, recipe: Recipe, data: ClipSet, count: int, seed: int = 1) -> list[Score]:
    """Scores of `count` clips, classes by turns, drawn by the page's default settings.

    The real clips are windows of all of the data, which the model has learned; variants of one motion are alike, so
    the floors, of halves of these, are no held-out scores.
    """
    rows = rows_by_class(data, count, seed)
    made = draw(network, recipe.prediction, *conditions(data, rows, None), steps=25, seed=1000)
    frames = network.config.frames
    real = data.draw(np.arange(len(data)), frames, range(len(data)))
    pictures = load_features("auto")
    found = class_retrieval(made, data.labels[rows], np.asarray(data.clips), data.labels)
    return [
        Score("nearest real clip is of its class", found.top1, found.count, found.chance, "guessing", seed),
        *clip_scores(pictures, over_time(pictures), real, made, seed),
    ]


def rows_by_class(data: ClipSet, count: int, seed: int) -> np.ndarray:
    """Clips drawn at random, one of each class before the second of any."""
    order = np.random.default_rng(seed).permutation(len(data))
    turns = [list(order[data.labels[order] == label]) for label in range(len(data.label_names))]
    rounds = max(map(len, turns))
    return np.array([turn[i] for i in range(rounds) for turn in turns if i < len(turn)][:count])


def strips(network: torch.nn.Module, recipe: Recipe, data: ClipSet, seed: int = 0) -> np.ndarray:
    """A strip of eight frames of each class, a real clip above a made one, as one uint8 picture."""
    rows = rows_by_class(data, len(data.label_names), seed)
    made = draw(network, recipe.prediction, *conditions(data, rows, None), steps=25, seed=seed)
    real = data.draw(rows, network.config.frames, [seed] * len(rows))
    return pair_grid(filmstrips(real), filmstrips(made), columns=2)


def clip_card(name: str, recipe: Recipe, about: dict, network: torch.nn.Module, scores: list[Score]) -> str:
    """The README.md of a model folder of clips."""
    config, family = network.config, recipe.model["family"]
    weights = sum(p.numel() for p in network.parameters())
    shape = f"width {config.width}, depth {config.depth}, patch {config.patch}, {config.mixing}"
    before, here = about["images_seen"] - about["images_in_this_run"], about["images_in_this_run"]
    seen = f"{here:,} clips seen" + (f", starting from weights that had seen {before:,}" if before else "")
    return f"""---
license: apache-2.0
tags: [zigdemo, diffusion, video, {family}]
---
# {name}

A toy: {family} with {weights / 1e6:.2f} M weights that draws clips of {config.frames} frames, {config.size[0]} x
{config.size[1]} pixels, of {config.labels} actions:
{", ".join(about["classes"])}.
It learned {about["clips"]} clips. Those of one action share their motion and differ in skin tone and gender: it shows
what the architecture does and how its scan works, and invents neither people nor motions. What such clips share it
draws best; skin, hair and clothes may change on the way through a clip.

![Every action, eight of {config.frames} frames: a real clip, below it a generated one](grid.png)

| | |
|---|---|
| data | animated Fluent Emoji, {about["clips"]} clips of {about["data"]}, on white (`zigdemo.training.prepare`) |
| network | {shape} |
| objective | linear interpolant, predicts the {recipe.prediction} clip, loss on the velocity |
| recipe | `zigdemo/training/recipes/{recipe.name}.yaml`, batch {recipe.batch}, AdamW {recipe.lr:g} |
| compute | {seen}, 2 CPU cores, bf16 matrix products |
| commit | {about["commit"]} |

## Scores

Clips drawn by 25 Heun steps, guidance 2, actions by turns, against windows of the clips it learned. The two Frechet
distances are on offline features, so they are neither FID nor FVD; read them beside their floor alone.

{score_table(scores)}

Weights: fp16, Apache-2.0. The clips learned from are Microsoft's Fluent Emoji, MIT licence, Copyright (c)
Microsoft Corporation; the notice is in the NOTICE file of the project and must stay with these weights.
"""
