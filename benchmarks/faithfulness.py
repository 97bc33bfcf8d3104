"""Do attention maps mark what draws a word? `python -m benchmarks.faithfulness`, on the shipped text model.

For each of 100 prompts, "a picture of a <name>", one picture is drawn and its attention recorded. The quarter of the
patches that the map of the name's last word marks most is painted white, the colour behind every emoji, and the fall
of the score between picture and word (cosine by the small CLIP) is compared with that of as many patches at random,
eight times: anywhere; among the patches that are not white already, which a map may not know better than a mask of the
object does; and, as scattered holes spoil a picture more than one large hole, the map's own patches moved round. The
maps are the mean of all layers, and each layer's own. A tie or a difference in favour of the random ones counts
against the map. p: of a sign test.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch

from zigdemo import zoo
from zigdemo.evaluation import ClipScore
from zigdemo.explain import Recorder
from zigdemo.pipeline import Pipeline, Request

MODEL, LABELS_OF, PROMPTS, SHARE, TRIES, WHITE = "zigma-emoji-text", "zigma-emoji", 100, 0.25, 8, 250


def names(count: int, seed: int = 0) -> list[str]:
    """Names of emoji whose last word is plain, drawn at random."""
    known = [name for name in zoo.find(LABELS_OF).labels if name.replace(" ", "").isalpha() and name.isascii()]
    return [known[i] for i in np.random.default_rng(seed).permutation(len(known))[:count]]


def painted(picture: np.ndarray, patches: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """A copy of a picture (H, W, 3) with patches, raster indices, white."""
    rows, columns = picture.shape[0] // grid[0], picture.shape[1] // grid[1]
    copy = picture.copy()
    for patch in patches:
        row, column = patch // grid[1] * rows, patch % grid[1] * columns
        copy[row : row + rows, column : column + columns] = 255
    return copy


def moved_patches(patches: np.ndarray, grid: tuple[int, int], dice: np.random.Generator) -> np.ndarray:
    """The patches, all moved by the same number of rows and columns, what leaves on one side entering on the other."""
    down, right = dice.integers(grid[0]), dice.integers(grid[1])
    return (patches // grid[1] + down) % grid[0] * grid[1] + (patches % grid[1] + right) % grid[1]


def drawn_patches(picture: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Raster indices of the patches with something on them."""
    rows, columns = picture.shape[0] // grid[0], picture.shape[1] // grid[1]
    darkest = picture.min(-1).reshape(grid[0], rows, grid[1], columns).min((1, 3))
    return np.flatnonzero(darkest.reshape(-1) < WHITE)


def sign_test(better: int, count: int) -> float:
    """Two-sided p of at least so lopsided a split of `count` fair coins."""
    tail = sum(math.comb(count, k) for k in range(max(better, count - better), count + 1)) / 2**count
    return min(1.0, 2 * tail)


def measure(pipe: Pipeline, score: ClipScore, name: str, seed: int, steps: int) -> dict[str, float]:
    """The fall of the score of the name's last word, by its map and by chance."""
    record, prompt = Recorder(), f"a picture of a {name}"
    result = pipe(Request(pipe.folder.id, prompt=prompt, count=1, steps=steps, seed=seed), record=record)
    picture, maps = np.asarray(result.images[0].convert("RGB")), record.maps
    word, tokens = [pair for pair in pipe.words(prompt) if pair[0] == name.split()[-1].lower()][-1]
    layers = range(maps.probabilities.shape[1])
    marks = [maps.map(tokens), *(maps.map(tokens, layers=[layer]) for layer in layers)]
    marked = marks[0].flatten().numpy()
    size = max(1, round(SHARE * marked.size))
    dice, everywhere, there = np.random.default_rng(seed), np.arange(marked.size), drawn_patches(picture, maps.grid)
    some = [dice.choice(everywhere, size, replace=False) for _ in range(TRIES)]
    inside = [dice.choice(there, min(size, len(there)), replace=False) for _ in range(TRIES)]
    most = [np.argsort(-mark.flatten().numpy())[:size] for mark in marks]
    moved = [moved_patches(patches, maps.grid, dice) for patches in most for _ in range(TRIES)]
    choices = [*most, *some, *inside, *moved]
    pictures = np.stack([picture, *(painted(picture, patches, maps.grid) for patches in choices)])
    found = score.similarity([word] * len(pictures), pictures)
    fall = found[0] - found[1:]
    by_map, chance = fall[: len(marks)], fall[len(marks) : len(marks) + 2 * TRIES]
    by_moved = fall[len(marks) + 2 * TRIES :].reshape(len(marks), TRIES).mean(1)
    names = ["map", *(f"map of layer {layer + 1}" for layer in layers)]
    return {
        **dict(zip(names, map(float, by_map), strict=True)),
        "anywhere": float(chance[:TRIES].mean()),
        "on the object": float(chance[TRIES:].mean()),
        **{f"{name}, moved": float(one) for name, one in zip(names, by_moved, strict=True)},
    }


def main() -> None:
    """Measure, print and write benchmarks/results/faithfulness.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "faithfulness.json"))
    chosen = parser.parse_args()
    torch.manual_seed(0)
    pipe = Pipeline.load(chosen.model, device="cpu")
    score = ClipScore(pipe.text)
    falls = [measure(pipe, score, name, seed, chosen.steps) for seed, name in enumerate(names(chosen.prompts))]
    result = {"model": chosen.model, "prompts": len(falls), "share": SHARE, "mean fall": {}, "map falls more": {}}
    for kind in falls[0]:
        result["mean fall"][kind] = float(np.mean([one[kind] for one in falls]))
    for name in (name for name in falls[0] if f"{name}, moved" in falls[0]):
        result["map falls more"][name] = {}
        for kind in ("anywhere", "on the object", f"{name}, moved"):
            better = sum(one[name] > one[kind] for one in falls)
            result["map falls more"][name][kind] = {"prompts": better, "p": sign_test(better, len(falls))}
    print(json.dumps(result, indent=1))
    path = Path(chosen.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
