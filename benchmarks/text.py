"""Does a text-conditional model follow prompts in words it never saw? `python -m benchmarks.text MODEL`.

64 held-out phrasings, one picture each through the pipeline with default settings, named by emoji-clip among all emoji;
the real pictures of the same emoji are the ceiling, guessing is the floor. In addition new combinations, which no emoji
shows, as a grid to look at: there is no ground truth to score them against.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from zigdemo import zoo
from zigdemo.conditioning import SHIPPED_TOWER, TextSpec
from zigdemo.data import ImageSet
from zigdemo.data.emoji_captions import held_out_phrasings
from zigdemo.evaluation import CLIPScore
from zigdemo.pipeline import Pipeline, Request
from zigdemo.training.publishing.emoji_text import COMPOSITION_SEEDS, COMPOSITIONS, named, text_sheet

EXCLUDED = ("keycap*", "*o’clock", "*-thirty")  # as in the recipes


def drawn(pipe: Pipeline, texts: list[str], seed: int, steps: int) -> np.ndarray:
    """One picture per text, (n, H, W, 3) uint8; text i has seed + i."""
    requests = [
        Request(pipe.folder.id, prompt=text, count=1, seed=seed + i, steps=steps) for i, text in enumerate(texts)
    ]
    return np.stack([np.asarray(pipe(request).images[0]) for request in requests])


def main() -> None:
    """Measure, and write the numbers and the grid of combinations."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text")
    parser.add_argument("model", help="id or folder of a model of emoji by text")
    parser.add_argument("--data", default="data/fluent-emoji")
    parser.add_argument("--count", type=int, default=64, help="phrasings, half of them synonyms")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    chosen = parser.parse_args()
    data, pipe = ImageSet.load(chosen.data, exclude=EXCLUDED), Pipeline.load(chosen.model)
    texts, rows = held_out_phrasings(data.label_names, data.groups, data.keywords, chosen.count, seed=1)
    scorer = CLIPScore(TextSpec(SHIPPED_TOWER).load(pipe.device, (zoo.WEIGHTS,)))
    made = drawn(pipe, texts, 1000, chosen.steps)
    result = {
        "model": chosen.model,
        "weights": pipe.weights,
        "scorer": scorer.tower.name,
        "steps": chosen.steps,
        **named(scorer, made, rows, data),
        "texts": [
            {"text": text, "means": data.label_names[row], "cosine": round(float(score), 3)}
            for text, row, score in zip(texts, rows, scorer.similarity(texts, made), strict=True)
        ],
        "torch": torch.__version__,
        "cpu": platform.machine(),
    }
    print(json.dumps({key: value for key, value in result.items() if key != "texts"}, indent=1))
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "text.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    combined = [drawn(pipe, list(COMPOSITIONS), seed, chosen.steps) for seed in COMPOSITION_SEEDS]
    Image.fromarray(text_sheet(combined)).save(chosen.out / "compositions.png", optimize=True)


if __name__ == "__main__":
    main()
