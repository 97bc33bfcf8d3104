"""Scores of a model of figures: `python -m zigdemo.evaluation figures MODEL --count N`.

Class accuracy by the judge, motion, Frechet distance on the judge's features, and the difference between seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..backbones.checks import item_shape
from ..data import CLASSES, held_out_figures
from ..data.figures import figure_at
from ..data.figures.captions import names_of
from ..devices import choose_device
from ..diffusion import own_items, sample_items
from ..ops.heap import keep_freed_memory
from ..pipeline import Pipeline
from .figure_judge import FIGURE_JUDGE, FigureJudge, load_figure_judge
from .frechet import FeatureMoments, floor, frechet_distance
from .obedience import spread
from .scores import Score, score_table
from .video import mean_frame_difference

COUNT = 290
VARIED_PROMPTS, SEEDS = 8, 4  # prompts, and seeds of each, for the differences between seeds and between prompts
REAL_SEED = 2_000_003  # of the real clips to compare with
AT_ONCE = 64  # frames per call of the autoencoder on a GPU


@dataclass(frozen=True)
class FigureScore:
    """Scores of a model of figures on prompts that training never uses.

    accuracy: share of `prompts` clips that show the class asked for, by the judge, which reads `ceiling` of the real
    ones right (None if nobody measured it); guessing: by chance. by_class: accuracy of each class. motion: mean frame
    difference as a ratio to that of real clips. frechet: distance of the judge's features to those of real clips;
    frechet_floor: of as many real clips. between_seeds, between_prompts: as in PromptScore. seconds: per clip.
    """

    prompts: int
    accuracy: float
    ceiling: float | None
    motion: float
    frechet: float
    frechet_floor: float
    between_seeds: float
    between_prompts: float
    seconds: float
    guessing: float = 1 / len(CLASSES)
    by_class: dict[str, float] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """The scores as a JSON object."""
        return {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(self).items()}

    def scores(self) -> list[Score]:
        """The scores as rows of a table."""
        right = "" if self.ceiling is None else f"; real clips {self.ceiling:.3f}"
        rows = (
            (f"class read by {FIGURE_JUDGE}", self.accuracy, self.guessing, f"guessing{right}"),
            ("motion against real clips", self.motion, 1.0, "real clips"),
            (f"Frechet distance on {FIGURE_JUDGE}", self.frechet, self.frechet_floor, "real/real"),
            ("difference of two seeds (levels of 255)", self.between_seeds, self.between_prompts, "two prompts"),
        )
        return [Score(name, value, self.prompts, low, of, 0) for name, value, low, of in rows]


@torch.inference_mode()
def draw_prompts(pipe: Pipeline, prompts: Sequence[str], seeds: Sequence[int], **settings: Any) -> np.ndarray:
    """A clip for each prompt and seed, uint8 (n, T, H, W, 3), many at a time.

    settings: of a Request, by default the model's. Raises ValueError for a model that draws no clips by prompt.
    """
    if pipe.text is None or not pipe.frames:
        raise ValueError(f"{pipe.folder.id} draws no clips by prompt; choose a model of figures")
    request, encode = pipe.request(prompt=prompts[0], **settings), pipe.text.encode
    cond = torch.cat([encode(prompts[start : start + 64]) for start in range(0, len(prompts), 64)])
    run = sample_items(
        pipe.network, item_shape(pipe.network.config), list(seeds), cond, encode([""]), request.sampling,
        prediction=pipe.folder.prediction, device=pipe.device, path=pipe.path,
    )  # fmt: skip
    for parts in run:
        last = parts
    at_once = 1 if pipe.device.type == "cpu" else AT_ONCE
    clips = []
    for state in own_items([part.x for part in last], len(prompts)):
        clips.append(pipe.latents.to_bytes(pipe.latents.decode(state, at_once)).numpy())
    return np.stack(clips)


def figure_score(
    pipe: Pipeline, judge: FigureJudge, count: int = COUNT, by_name: bool = False, **settings: Any
) -> tuple[FigureScore, np.ndarray]:
    """Score a model on `count` prompts, the classes in turn, one seed each; returns the score and the clips.

    by_name: the prompts are the classes' names rather than held-out captions. settings: of a Request, by default the
    model's. Raises ValueError for a model that draws no clips by prompt and for fewer than 2 prompts.
    """
    if count < 2:
        raise ValueError(f"a score needs 2 clips or more, not {count}; choose a larger count")
    held_out = held_out_figures(count)
    labels = [asked["label"] for _, asked in held_out]
    prompts = [names_of(label)[0] for label in labels] if by_name else [prompt for prompt, _ in held_out]
    started = time.monotonic()
    clips = draw_prompts(pipe, prompts, range(count), **settings)
    seconds = (time.monotonic() - started) / count
    varied = prompts[: min(VARIED_PROMPTS, count)]
    pairs = [(prompt, seed) for prompt in varied for seed in range(SEEDS)]
    more = draw_prompts(pipe, *zip(*pairs, strict=True), **settings).reshape(len(varied), SEEDS, *clips.shape[1:])
    real = real_clips(2 * count, clips.shape[1], clips.shape[2])
    features, real_features = judge.embed(clips), judge.embed(real)
    right = np.array([a == b for a, b in zip(judge.classes_of(features), labels, strict=True)])

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return frechet_distance(FeatureMoments.of(a), FeatureMoments.of(b))

    low, _, _ = floor(distance, real_features, count)
    score = FigureScore(
        prompts=count,
        accuracy=float(right.mean()),
        ceiling=judge.ceiling,
        motion=float(mean_frame_difference(clips).mean() / mean_frame_difference(real).mean()),
        # As the floor: against as many real clips.
        frechet=distance(real_features[count:], features),
        frechet_floor=low,
        between_seeds=float(np.mean([spread(_stacked(row)) for row in more])),
        between_prompts=spread(_stacked(more[:, 0])),
        seconds=seconds,
        by_class={name: float(right[[label == name for label in labels]].mean()) for name in CLASSES if name in labels},
    )
    return score, clips


def real_clips(count: int, frames: int, side: int) -> np.ndarray:
    """Clips of all classes in turn that no set contains, uint8 (count, frames, side, side, 3)."""
    return np.stack([figure_at(number, REAL_SEED).frames(frames, side) for number in range(count)])


def _stacked(clips: np.ndarray) -> np.ndarray:
    """Clips (n, T, H, W, 3) as pictures with their frames below each other, (n, T * H, W, 3)."""
    return clips.reshape(len(clips), -1, *clips.shape[3:])


def main(arguments: Sequence[str] | None = None) -> int:
    """Score a model of drawn people and print a table; an error is one sentence and exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m zigdemo.evaluation figures", description=main.__doc__)
    parser.add_argument("model", help="a model of figures: an id or a folder")
    parser.add_argument("--count", type=int, default=COUNT, help="prompts, the classes in turn (default: %(default)s)")
    parser.add_argument("--names", action="store_true", help="prompt with the classes' names, not held-out captions")
    parser.add_argument("--judge", metavar="DIR", help=f"the judge (default: the shipped {FIGURE_JUDGE})")
    parser.add_argument("--steps", type=int, help="solver steps (default: the model's)")
    parser.add_argument("--guidance", type=float, help="guidance scale (default: the model's)")
    parser.add_argument("--solver", help="solver (default: the model's)")
    parser.add_argument("--out", type=Path, default=Path("scores.json"), help="output file (default: scores.json)")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    settings = {name: getattr(options, name) for name in ("steps", "guidance", "solver")}
    try:
        device = choose_device()
        judge = load_figure_judge(*filter(None, [options.judge]), device=device)
        pipe = Pipeline.load(options.model, device)
        score, _ = figure_score(pipe, judge, options.count, options.names, **settings)
        print(score_table(score.scores()))
        content = {"model": options.model, "names": options.names, **settings, **score.content()}
        content |= {"zigdemo": __version__, "torch": torch.__version__, "device": str(device)}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except (ValueError, OSError, MemoryError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    return 0
