"""Export of clip models: scores of motion and classes against the real clips, filmstrips, and the card."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...conditioning import TextTower
from ...data import ClipSet
from ...evaluation.features import load_features, over_time
from ...evaluation.retrieval import class_retrieval
from ...evaluation.scores import Score, score_rows
from ...evaluation.video import clip_scores
from ..trainer.recipe import Recipe
from ..trainer.samples import conditions, draw, filmstrips, pair_grid
from .card import run_card


def clip_score(
    network: torch.nn.Module, recipe: Recipe, data: ClipSet, tower: TextTower | None, count: int, seed: int = 1
) -> list[Score]:
    """Scores of `count` generated clips, the classes in turn, drawn with the page's default settings.

    The real clips are windows of all of the data, which the model was trained on, and clips of one motion are alike. So
    the floors, which compare real clips with each other, are not those of clips that the model never saw.
    """
    rows = rows_by_class(data, count, seed)
    generated = draw(network, recipe.prediction, *conditions(data, rows, tower), steps=25, seed=1000)
    frames = network.config.frames
    real = data.draw(np.arange(len(data)), frames, range(len(data)))
    pictures = load_features("auto")
    nearest = class_retrieval(generated, data.labels[rows], np.asarray(data.clips), data.labels)
    return [
        Score("nearest real clip is of its class", nearest.top1, nearest.count, nearest.chance, "guessing", seed),
        *clip_scores(pictures, over_time(pictures), real, generated, seed),
    ]


def rows_by_class(data: ClipSet, count: int, seed: int) -> np.ndarray:
    """Rows (count,) of clips drawn at random, one of each class before the second of any; fewer if there are fewer."""
    order = np.random.default_rng(seed).permutation(len(data))
    by_class = [list(order[data.labels[order] == label]) for label in range(len(data.label_names))]
    most = max(map(len, by_class))
    return np.array([rows[i] for i in range(most) for rows in by_class if i < len(rows)][:count])


def strips(
    network: torch.nn.Module, recipe: Recipe, data: ClipSet, tower: TextTower | None, seed: int = 0
) -> np.ndarray:
    """A filmstrip per class, of a real clip above a generated one, as one picture (H, W, 3) uint8."""
    rows = rows_by_class(data, len(data.label_names), seed)
    generated = draw(network, recipe.prediction, *conditions(data, rows, tower), steps=25, seed=seed)
    real = data.draw(rows, network.config.frames, [seed] * len(rows))
    return pair_grid(filmstrips(real), filmstrips(generated), columns=2)


def clip_card(name: str, recipe: Recipe, about: dict[str, Any], network: torch.nn.Module, scores: list[Score]) -> str:
    """The README.md of a model of animated emoji."""
    metadata = {"license": "apache-2.0", "tags": ["video"]}
    return run_card("emoji-clips", metadata, name, recipe, about, network, scores=score_rows(scores))
