"""What the export of a model of clips scores and says: motion and classes beside the real clips, and strips."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...data import ClipSet
from ...evaluation.features import load_features, over_time
from ...evaluation.retrieval import class_retrieval
from ...evaluation.scores import Score, score_rows
from ...evaluation.video import clip_scores
from ..trainer.recipe import Recipe
from ..trainer.samples import conditions, draw, filmstrips, pair_grid
from .card import run_card


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


def clip_card(name: str, recipe: Recipe, about: dict[str, Any], network: torch.nn.Module, scores: list[Score]) -> str:
    """The README.md of a model of emoji that move."""
    metadata = {"license": "apache-2.0", "tags": ["video"]}
    return run_card("emoji-clips", metadata, name, recipe, about, network, scores=score_rows(scores))
