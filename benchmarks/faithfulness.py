"""Do word maps mark the patches that matter for a word? `python -m benchmarks.faithfulness`, on the shipped text model.

For each of 100 prompts, "a picture of a <name>", one picture is generated. The patches with the largest values in a map
of the name's last word are painted white, the background of every emoji, and the drop of the score between picture and
word (cosine by the small CLIP) is compared with that of as many other patches: random ones; random ones that are not
white already; and, as scattered holes hurt more than one large hole, the map's own patches, shifted. The maps are of
the word's effect ("effect"), of attention, over all layers and each, and, as a control that ignores the word, of how
much ink a patch has. A quarter and a half of the patches are painted, with hard edges and with edges that fade over
three pixels, as the scorer may react to hard edges. A tie counts against the map. p: of a sign test.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from zigdemo import zoo
from zigdemo.evaluation import CLIPScore
from zigdemo.explain import EffectRecorder, Recorder, RecordGroup
from zigdemo.pipeline import Pipeline, Request

LABELS_OF, PROMPTS, TRIES, WHITE = "zigma-emoji", 100, 8, 250
CASES = ((0.25, 0.0), (0.25, 3.0), (0.5, 0.0), (0.5, 3.0))  # share of the patches painted, pixels the edges fade over
CONTROLS = ("anywhere", "on the object")


def names(count: int, seed: int = 0) -> list[str]:
    """Random names of emoji whose last word is a plain word."""
    known = [name for name in zoo.find(LABELS_OF).labels if name.replace(" ", "").isalpha() and name.isascii()]
    return [known[i] for i in np.random.default_rng(seed).permutation(len(known))[:count]]


def painted(picture: np.ndarray, patches: np.ndarray, grid: tuple[int, int], edge_px: float = 0.0) -> np.ndarray:
    """A copy of a picture (H, W, 3) with patches (raster indices) painted white; edge_px: blur of their edges."""
    chosen = np.zeros(grid, np.uint8)
    chosen.flat[patches] = 255
    mask = Image.fromarray(chosen).resize(picture.shape[1::-1], Image.Resampling.NEAREST)
    share = np.asarray(mask.filter(ImageFilter.GaussianBlur(edge_px)) if edge_px else mask)[..., None] / 255
    return np.round(picture * (1 - share) + 255 * share).astype(np.uint8)


def moved_patches(patches: np.ndarray, grid: tuple[int, int], dice: np.random.Generator) -> np.ndarray:
    """The patches, all shifted by the same number of rows and columns, with wrap-around."""
    down, right = dice.integers(grid[0]), dice.integers(grid[1])
    return (patches // grid[1] + down) % grid[0] * grid[1] + (patches % grid[1] + right) % grid[1]


def drawn_patches(picture: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Raster indices of the patches that are not blank."""
    rows, columns = picture.shape[0] // grid[0], picture.shape[1] // grid[1]
    darkest = picture.min(-1).reshape(grid[0], rows, grid[1], columns).min((1, 3))
    return np.flatnonzero(darkest.reshape(-1) < WHITE)


def sign_test(better: int, count: int) -> float:
    """Two-sided p of a split at least this uneven of `count` fair coins."""
    tail = sum(math.comb(count, k) for k in range(max(better, count - better), count + 1)) / 2**count
    return min(1.0, 2 * tail)


def look(pipe: Pipeline, name: str, seed: int, steps: int) -> tuple[np.ndarray, str, dict[str, np.ndarray]]:
    """A picture of a name, the name's last word, and its maps (rows, columns)."""
    prompt = f"a picture of a {name}"
    words = pipe.words(prompt)
    place = [i for i, (word, _) in enumerate(words) if word == name.split()[-1].lower()][-1]
    attention, effect = Recorder(), EffectRecorder([words[place]])
    request = Request(pipe.folder.id, prompt=prompt, count=1, steps=steps, seed=seed)
    picture = np.asarray(pipe(request, record=RecordGroup(attention, effect)).images[0].convert("RGB"))
    maps, tokens = attention.maps, words[place][1]
    layers = range(maps.probabilities.shape[1])
    grid = maps.grid
    ink = 255 - picture.min(-1).reshape(grid[0], -1, grid[1], picture.shape[1] // grid[1]).mean((1, 3))
    found = {"effect": effect.maps.map([0]).numpy(), "attention": maps.map(tokens).numpy()}
    found |= {f"attention of layer {layer + 1}": maps.map(tokens, layers=[layer]).numpy() for layer in layers}
    return picture, words[place][0], {**found, "ink": ink}


def falls(
    score: CLIPScore,
    picture: np.ndarray,
    word: str,
    maps: dict[str, np.ndarray],
    share: float,
    edge_px: float,
    seed: int,
) -> dict[str, float]:
    """The drop of the word's score for each map, for each map's shifted patches, and for random ones."""
    grid = next(iter(maps.values())).shape
    count, there = grid[0] * grid[1], drawn_patches(picture, grid)
    size, dice = max(1, round(share * count)), np.random.default_rng(seed)
    most = {name: np.argsort(-one.flatten())[:size] for name, one in maps.items()}
    inside = min(size, len(there))
    choices = {name: [patches] for name, patches in most.items()}
    choices["anywhere"] = [dice.choice(count, size, replace=False) for _ in range(TRIES)]
    choices["on the object"] = [dice.choice(there, inside, replace=False) for _ in range(TRIES)]
    for name, patches in most.items():
        choices[f"{name}, moved"] = [moved_patches(patches, grid, dice) for _ in range(TRIES)]
    pictures = [painted(picture, patches, grid, edge_px) for several in choices.values() for patches in several]
    values = score.similarity([word] * (1 + len(pictures)), np.stack([picture, *pictures]))
    rest: Iterator[float] = iter(values[0] - values[1:])
    return {name: float(np.mean([next(rest) for _ in several])) for name, several in choices.items()}


def summary(found: list[dict[str, float]], maps: list[str]) -> dict[str, dict]:
    """Means with standard errors, and at how many prompts a map's drop exceeds that of each control, with p."""
    means = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
    errors = {name: float(np.std([one[name] for one in found], ddof=1) / len(found) ** 0.5) for name in found[0]}
    wins: dict[str, dict] = {}
    for name in maps:
        wins[name] = {}
        for control in (*CONTROLS, f"{name}, moved"):
            better = sum(one[name] > one[control] for one in found)
            wins[name][control] = {"prompts": better, "p": sign_test(better, len(found))}
    return {"mean fall": means, "standard error": errors, "map falls more": wins}


def plot(cases: dict[str, dict], path: Path) -> None:
    """Bars of the mean drops, one panel per case."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = ["effect", "attention", "ink", "effect, moved", *CONTROLS]
    shade = {"effect": "#cd4071", "attention": "#721f81", "ink": "#fd9668"}
    figure, panels = pyplot.subplots(1, len(cases), figsize=(3 * len(cases), 3.4), sharey=True)
    for panel, (title, case) in zip(panels, cases.items(), strict=True):
        heights, errors = ([case[kind][name] for name in names] for kind in ("mean fall", "standard error"))
        panel.bar(names, heights, yerr=errors, color=[shade.get(name, "#9aa0a6") for name in names], capsize=3)
        panel.set_title(title, fontsize=9)
        panel.tick_params(axis="x", rotation=55, labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("fall of the word's score")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print and write benchmarks/results/faithfulness.json and .png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="id or folder of a model of emoji by text")
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "faithfulness.json"))
    chosen = parser.parse_args()
    torch.manual_seed(0)
    pipe = Pipeline.load(chosen.model, device="cpu")
    score = CLIPScore(pipe.text)
    found: dict[str, list[dict[str, float]]] = {}
    for seed, name in enumerate(names(chosen.prompts)):
        picture, word, maps = look(pipe, name, seed, chosen.steps)
        for share, edge_px in CASES:
            title = f"{share:.0%} painted, {'soft' if edge_px else 'hard'} edges"
            found.setdefault(title, []).append(falls(score, picture, word, maps, share, edge_px, seed))
    cases = {title: summary(values, list(maps)) for title, values in found.items()}
    for title, case in cases.items():
        print(title)
        for name, mean in case["mean fall"].items():
            wins = case["map falls more"].get(name, {})
            beaten = ", ".join(f"{control} {of['prompts']} (p {of['p']:.2g})" for control, of in wins.items())
            print(f"  {name}: {mean:.3f} ± {case['standard error'][name]:.3f}  {beaten}")
    path = Path(chosen.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    result = {"model": chosen.model, "weights": pipe.weights, "prompts": chosen.prompts, "cases": cases}
    path.write_text(json.dumps(result, indent=1) + "\n")
    plot(cases, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
