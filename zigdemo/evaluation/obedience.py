"""How many of the attributes that prompts ask for a model draws, by the judge, with guessing as the floor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import KINDS, Attributes, draw_attributes, held_out_prompts
from ..pipeline import Pipeline
from .judge import Judge, Obedience

PROMPTS = 512
VARIED_PROMPTS, SEEDS = 32, 8  # prompts, and seeds of each, for the differences between seeds and between prompts


@dataclass(frozen=True)
class PromptScore:
    """Scores of a model on held-out prompts.

    obedience: over all prompts, of which there are `prompts`. guessing: share of the asked attributes that random
    portraits show. ceiling: share the judge finds in real portraits, None if it does not say. between_seeds: mean
    difference of two seeds of one prompt; between_prompts: of two prompts; both as root mean square over 4 x 4 blocks,
    in levels of 255. seconds: per picture.
    """

    obedience: Obedience
    prompts: int
    guessing: float
    ceiling: float | None
    between_seeds: float
    between_prompts: float
    seconds: float

    def content(self) -> dict[str, Any]:
        """The scores as a JSON object."""
        return {
            "prompts": self.prompts,
            "asked": sum(self.obedience.asked.values()),
            "shown": round(self.obedience.share, 4),
            "by_kind": self.obedience.by_kind(),
            "guessing": round(self.guessing, 4),
            "ceiling": None if self.ceiling is None else round(self.ceiling, 4),
            "between_seeds": round(self.between_seeds, 2),
            "between_prompts": round(self.between_prompts, 2),
        }


def prompt_score(
    pipe: Pipeline,
    judge: Judge,
    count: int = PROMPTS,
    watch: Callable[[int], None] | None = None,
    **settings: Any,
) -> tuple[PromptScore, np.ndarray]:
    """Score a model on `count` held-out prompts, one seed each, by default with the model's default settings.

    watch: called with the number of pictures so far. settings: of a Request, overriding the defaults. Returns the score
    and the pictures (count, H, W, 3) uint8. Raises ValueError for a model that takes no prompt.
    """
    prompts = held_out_prompts(count)
    pictures, seconds = [], 0.0
    for number, (prompt, _) in enumerate(prompts):
        result = pipe(pipe.request(prompt=prompt, count=1, seed=number, **settings))
        pictures.append(np.asarray(result.images[0]))
        seconds += result.seconds
        if watch:
            watch(number + 1)
    asked = [attributes for _, attributes in prompts]
    seeds = [
        [np.asarray(one) for one in pipe(pipe.request(prompt=prompt, count=SEEDS, **settings)).images]
        for prompt, _ in prompts[: min(VARIED_PROMPTS, count)]
    ]
    obedience = judge.obedience(np.stack(pictures), asked)
    score = PromptScore(
        obedience,
        count,
        guessing(asked),
        judge.ceiling_of(obedience.asked),
        float(np.mean([spread(np.stack(row)) for row in seeds])),
        spread(np.stack([row[0] for row in seeds])),
        seconds / count,
    )
    return score, np.stack(pictures)


def guessing(asked: Sequence[Attributes], draws: int = 2000) -> float:
    """Share of the asked attributes that random portraits show, from 0 to 1. draws: number of random portraits."""
    rng = np.random.default_rng(0)
    portraits = [draw_attributes(rng) for _ in range(draws)]
    frequency = {kind: {v: np.mean([one.get(kind) == v for one in portraits]) for v in KINDS[kind]} for kind in KINDS}
    shares = [frequency[kind][value] for one in asked for kind, value in one.items()]
    return float(np.mean(shares))


def spread(pictures: np.ndarray) -> float:
    """Mean pairwise difference of pictures (n, H, W, 3), root mean square over 4 x 4 blocks, in levels of 255."""
    count, height, width = pictures.shape[:3]
    tiles = pictures[:, : height // 4 * 4, : width // 4 * 4].reshape(count, height // 4, 4, width // 4, 4, 3)
    blocks = tiles.mean((2, 4), dtype=np.float64).reshape(count, -1)
    distances = [np.sqrt(np.mean((a - b) ** 2)) for i, a in enumerate(blocks) for b in blocks[i + 1 :]]
    return float(np.mean(distances)) if distances else 0.0
