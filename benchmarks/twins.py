"""Effect of a scan scheme on networks trained with it and without: `python -m benchmarks.twins MODEL ...`.

Every model draws the same labels from the same noise with every scheme that one of the models was trained with. Scores
are label retrieval among all real pictures and the distance to the label's own; rows are models, columns schemes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from zigdemo.data import ImageSet
from zigdemo.evaluation import label_retrieval
from zigdemo.evaluation.materials import Material, generate, plan_draws
from zigdemo.pipeline import Pipeline

from .scores import EXCLUDED

OUT = Path(__file__).parent / "results" / "twins.json"
SHOWN = 8  # pictures of each model and scheme in the grid


def distance(made: np.ndarray, real: np.ndarray) -> float:
    """Root mean square difference of two sets of pictures, uint8, in grey levels."""
    return float(np.sqrt(((made.astype(np.float32) - real) ** 2).mean()))


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """Retrieval and distances as Markdown; the scheme a network was trained with is bold."""
    schemes = list(next(iter(found.values())))
    lines = [f"| drawn under | {' | '.join(schemes)} |", "|---" * (len(schemes) + 1) + "|"]
    for model, scores in found.items():
        cells = [f"{each['right']:.3f} ({each['distance']:.1f})" for each in scores.values()]
        own = [f"**{cell}**" if each["trained"] else cell for cell, each in zip(cells, scores.values(), strict=True)]
        lines.append(f"| {model} | {' | '.join(own)} |")
    return "\n".join(lines)


def main() -> None:
    """Generate, score, print and write, with a grid of the pictures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.twins", description=main.__doc__)
    parser.add_argument("models", nargs="+", help="ids or folders of models of the same labels")
    parser.add_argument("--data", default="data/fluent-emoji")
    parser.add_argument("--count", type=int, default=200, help="pictures of each model under each scheme")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    data = ImageSet.load(chosen.data, exclude=EXCLUDED)
    real = Material(np.asarray(data.images), [data.label_names[label] for label in data.labels])
    pipes = {model: Pipeline.load(model) for model in chosen.models}
    schemes = list(dict.fromkeys(scheme for pipe in pipes.values() for scheme in pipe.schemes))
    found: dict[str, dict[str, dict[str, float]]] = {}
    strips = []
    for model, pipe in pipes.items():
        draws = plan_draws(pipe, real, chosen.count, seed=0, steps=chosen.steps)
        rows = np.array([row for draw in draws for row in draw.rows])
        found[model] = {}
        for scheme in schemes:
            made = generate(pipe, [replace(draw, request=replace(draw.request, scan=scheme)) for draw in draws])
            shown = np.linspace(0, len(made) - 1, min(SHOWN, len(made))).round().astype(int)
            strips.append(np.concatenate(made[shown], axis=1))
            found[model][scheme] = {
                "right": label_retrieval(made, rows, real.items).top1,
                "distance": distance(made, real.items[rows]),
                "trained": scheme in pipe.schemes,
            }
            print(model, scheme, found[model][scheme], flush=True)
    setting = {
        "count": chosen.count,
        "steps": chosen.steps,
        "guessing": 1 / len(real.items),
        "torch": torch.__version__,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps({"found": found, **setting}, indent=1) + "\n", encoding="utf-8")
    Image.fromarray(np.concatenate(strips)).save(chosen.out.with_suffix(".png"), optimize=True)
    print(table(found))


if __name__ == "__main__":
    main()
