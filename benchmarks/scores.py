"""Sensitivity of the offline scores: `python -m benchmarks.scores [MODEL ...]`.

By default on the real emoji: a random half is damaged and scored against the other half by every offline extractor, to
show each score's floor and what it responds to; the table is that of docs/evaluation.md. With names of models these are
scored instead. Both write into results/scores.json.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from zigdemo.data import ImageSet
from zigdemo.evaluation import FeatureMoments, frechet_distance, kernel_distance, load_features, precision_recall
from zigdemo.evaluation.__main__ import METRICS, score_share
from zigdemo.evaluation.features import Features
from zigdemo.evaluation.materials import Material, generate, plan_draws
from zigdemo.pipeline import Pipeline

OUT = Path(__file__).parent / "results" / "scores.json"
EXCLUDED = ("keycap*", "*o’clock", "*-thirty")  # as in the recipes
MODELS = ("zigma-emoji", "dit-emoji", "dig-emoji")
OFFLINE = ("efficientnet-lite0", "emoji-clip")
PART, COLLAPSED, DRAWS = 600, 60, 3


def blurred(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gaussian blur of sigma 1 pixel."""
    weights = torch.exp(-torch.arange(-4.0, 5).square() / 2)
    weights = (weights / weights.sum()).expand(3, 1, 9)
    x = F.pad(torch.from_numpy(pictures).permute(0, 3, 1, 2).float(), (4,) * 4, mode="replicate")
    x = F.conv2d(F.conv2d(x, weights[:, :, None], groups=3), weights[..., None], groups=3)
    return x.round().byte().permute(0, 2, 3, 1).numpy()


def noisy(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise with a standard deviation of 5 % of full brightness."""
    return np.clip(pictures + rng.normal(0, 0.05 * 255, pictures.shape), 0, 255).round().astype(np.uint8)


def collapsed(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many pictures, but of only COLLAPSED kinds."""
    return pictures[np.arange(len(pictures)) % COLLAPSED]


DAMAGES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "none (the floor)": lambda pictures, rng: pictures,
    "blur, sigma 1 px": blurred,
    "5 % noise": noisy,
    f"collapse to {COLLAPSED}": collapsed,
}


def sanity(features: Features, pictures: np.ndarray, part: int, draws: int) -> dict[str, dict[str, list[float]]]:
    """Damage to score to its mean and deviation over several splits into two parts of `part` pictures."""
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in DAMAGES}
    vectors = features(pictures)
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(pictures))[: 2 * part]
        real, other = vectors[rows[:part]], pictures[rows[part:]]
        for name, damage in DAMAGES.items():
            made = features(damage(other, rng))
            distance = frechet_distance(FeatureMoments.of(real), FeatureMoments.of(made))
            found[name].append((distance, kernel_distance(real, made, seed=seed)[0], *precision_recall(real, made)))
    measures = ("frechet", "kid", "precision", "recall")
    return {
        name: {
            key: [float(np.mean(column)), float(np.std(column, ddof=1)) if draws > 1 else 0.0]
            for key, column in zip(measures, zip(*rows, strict=True), strict=True)
        }
        for name, rows in found.items()
    }


def sanity_table(found: dict[str, dict[str, dict[str, list[float]]]]) -> str:
    """The results of `sanity` as Markdown."""
    lines = ["| features | damage | Frechet distance | KID | precision | recall |", "|---|---|---|---|---|---|"]
    for features, by_damage in found.items():
        for damage, scores in by_damage.items():
            cells = [f"{mean:.3g} ± {spread:.1g}" for mean, spread in scores.values()]
            cells[0] = "{:.1f} ± {:.1f}".format(*scores["frechet"])
            lines.append(f"| {features} | {damage} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print and write; parts that are not measured keep their results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scores", description=main.__doc__)
    parser.add_argument("models", nargs="*", help=f"of labels (such as {', '.join(MODELS)}); none: the real set alone")
    parser.add_argument("--data", default="data/fluent-emoji")
    parser.add_argument("--count", type=int, default=200, help="pictures a model draws")
    parser.add_argument("--part", type=int, default=PART, help="pictures of each half of the real set")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--features", nargs="*", default=OFFLINE)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    data = ImageSet.load(chosen.data, exclude=EXCLUDED)
    extractors = [load_features(name) for name in chosen.features]
    result = (
        json.loads(chosen.out.read_text(encoding="utf-8")) if chosen.out.is_file() else {"sanity": {}, "models": {}}
    )
    if not chosen.models:
        pictures = np.asarray(data.images)
        result["sanity"] = {each.name: sanity(each, pictures, chosen.part, DRAWS) for each in extractors}
        result["sanity_setting"] = {"part": chosen.part, "draws": DRAWS}
    real = Material(np.asarray(data.images), [data.label_names[label] for label in data.labels])
    for model in chosen.models:
        pipe = Pipeline.load(model)
        draws = plan_draws(pipe, real, chosen.count, seed=0, steps=chosen.steps)
        made, rows = generate(pipe, draws), np.array([row for draw in draws for row in draw.rows])
        scores = score_share(made, rows, real, extractors[0], METRICS)
        for each in extractors[1:]:
            scores += score_share(made, rows, real, each, METRICS[:3])
        result["models"][model] = [asdict(score) for score in scores]
        print(model, *scores, sep="\n  ")
    result |= {"torch": torch.__version__, "cpu": platform.machine()}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if not chosen.models:
        print(sanity_table(result["sanity"]))


if __name__ == "__main__":
    main()
