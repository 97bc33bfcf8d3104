"""Do word maps fall on the part that a word names? `python -m benchmarks.word_masks --masks MASKS.zip [MODEL ...]`

Claim: in zigma-portraits attention to the words of a part, over all layers and heads, half way (t = 0.45), has a mean
area under the ROC curve of at least 0.97 over hair, clothes, glasses, beard and background, against ground-truth masks
of portraits that were never trained on; the effect of the words, at least 0.90. Chance is 0.5.

Each portrait is encoded and noised to a time t, and the network predicts under a prompt that names all its parts. Maps
(rows, columns) are resized bilinearly to the picture's size, and every pixel value serves as a threshold. Pointing: the
share of portraits whose largest patch has its centre on the part.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zigdemo import zoo
from zigdemo.data.portrait_captions import with_article
from zigdemo.data.portrait_files import MASKED_PARTS, PortraitZip
from zigdemo.explain import EffectRecorder, Recorder, attends, heat
from zigdemo.ops.heap import keep_freed_memory
from zigdemo.pipeline import Pipeline, Request, to_pixels

RESULT = Path(__file__).parent / "results/word_masks.json"
TIMES = (0.15, 0.3, 0.45, 0.6, 0.8)
MIDDLE = 0.45  # the time of the claim, and of the layers and heads one by one
LEAST_PIXELS = 40  # of a part that counts


def phrases(attributes: dict[str, str]) -> dict[str, str]:
    """The prompt's phrase for each part that a portrait has, in the order of the prompt."""
    said = {}
    if colour := attributes.get("hairColor"):
        said["hair"] = f"{colour} hair"
    if "wears" in attributes:
        said["wears"] = attributes["wears"]
    if "beard" in attributes:
        said["beard"] = attributes["beard"]
    said["clothes"] = with_article(f"{attributes['clothesColor']} {attributes['clothes']}")
    said["background"] = f"{attributes['background']} background"
    return said


def tokens_of(pipe: Pipeline, prompt: str, phrase: str) -> list[int]:
    """Indices of the features of a phrase's words, without articles."""
    words = pipe.words(prompt)
    wanted = [word for word, _ in pipe.words(phrase)[1:-1]]
    spelled = [word for word, _ in words]
    start = next(i for i in range(len(spelled)) if spelled[i : i + len(wanted)] == wanted)
    return [i for word, indices in words[start : start + len(wanted)] if word not in ("a", "an") for i in indices]


def area(values: np.ndarray, mask: np.ndarray) -> float:
    """Area under the ROC curve of values against a mask of the same shape; ties count half."""
    inside, outside = values[mask], np.sort(values[~mask])
    below, not_above = (np.searchsorted(outside, inside, side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(outside)))


def judged(values: np.ndarray, mask: np.ndarray) -> tuple[float, bool]:
    """Area under the curve of a map on a grid, and whether its largest patch has its centre on the mask."""
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    height, width = mask.shape
    middle = int((row + 0.5) * height / values.shape[0]), int((column + 0.5) * width / values.shape[1])
    return area(heat.upsampled(values, mask.shape), mask), bool(mask[middle])


def looked_at(pipe: Pipeline, record: Recorder | EffectRecorder, prompt: str, x: Tensor, t: float) -> None:
    """Record one network call on a noisy picture."""
    request = Request(pipe.folder.id, prompt=prompt, count=1, steps=1)
    record.begin(pipe.network, request)
    record.next_step(0)
    with torch.inference_mode():
        record.watch(pipe.network, [0])(x, torch.tensor([t]), pipe.text.features(prompt))


def noisy(clean: Tensor, number: int, t: float) -> Tensor:
    """The latents of a portrait with noise seeded by its number."""
    return t * clean + (1 - t) * torch.randn(clean.shape, generator=torch.Generator().manual_seed(number))


def maps_of(
    pipe: Pipeline, prompt: str, said: dict[str, str], x: Tensor, t: float
) -> Iterator[tuple[str, str, np.ndarray]]:
    """(kind of map, part, values on the grid) of every part, for one noisy portrait."""
    tokens = {part: tokens_of(pipe, prompt, phrase) for part, phrase in said.items()}
    effect = EffectRecorder([(said[part], tokens[part]) for part in said])
    looked_at(pipe, effect, prompt, x, t)
    for place, part in enumerate(said):
        yield "effect", part, effect.maps.map([place]).numpy()
    if not attends(pipe.network.config):
        return
    attention = Recorder()
    looked_at(pipe, attention, prompt, x, t)
    maps, first = attention.maps, len(attention.maps.leading)
    _, layers, heads, _, _ = maps.probabilities.shape
    for part in said:
        own = [first + i for i in tokens[part]]
        yield "attention", part, maps.map(own).numpy()
        if t == MIDDLE:
            for layer in range(layers):
                yield f"attention, layer {layer + 1}", part, maps.map(own, layers=[layer]).numpy()
            for head in range(heads):
                yield f"attention, head {head + 1}", part, maps.map(own, heads=[head]).numpy()


def measure(pipe: Pipeline, portraits: PortraitZip, count: int) -> dict[str, dict]:
    """By kind of map and time: area and pointing of every part, and their means over the parts."""
    found: dict[tuple[str, float], dict[str, list]] = defaultdict(lambda: defaultdict(list))
    for number in range(min(count, len(portraits))):
        attributes = portraits.attributes[number]
        said = phrases(attributes)
        masks = {part: portraits.mask(number, part) for part in MASKED_PARTS}
        prompt = f"a {attributes['style']} portrait, " + ", ".join(said.values())
        clean = pipe.latents.encode(to_pixels(Image.fromarray(portraits.picture(number)), pipe.size))
        for t in TIMES:
            x = noisy(clean, number, t)
            for kind, part, values in maps_of(pipe, prompt, said, x, t):
                mask = masks[part]
                if mask is not None and LEAST_PIXELS <= mask.sum() <= mask.size - LEAST_PIXELS:
                    found[kind, t][part].append(judged(values, mask))
    result: dict[str, dict] = defaultdict(dict)
    for (kind, t), parts in found.items():
        areas = {part: float(np.mean([one for one, _ in parts[part]])) for part in MASKED_PARTS}
        pointing = {part: float(np.mean([hit for _, hit in parts[part]])) for part in MASKED_PARTS}
        result[kind][f"{t:g}"] = {
            "area": {
                "mean": round(float(np.mean(list(areas.values()))), 4),
                **{k: round(v, 4) for k, v in areas.items()},
            },
            "pointing": {part: round(value, 3) for part, value in pointing.items()},
            "portraits": {part: len(parts[part]) for part in MASKED_PARTS},
        }
    return dict(result)


def plot(result: dict[str, dict], path: Path) -> None:
    """Area by time for attention and effect: one line per part, one panel per model and kind."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [(model, kind) for model, kinds in result.items() for kind in ("attention", "effect") if kind in kinds]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(3.1 * len(panels), 3.2), sharey=True, squeeze=False)
    shades = dict(zip(MASKED_PARTS, ("#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e"), strict=True))
    for axis, (model, kind) in zip(axes[0], panels, strict=True):
        for part in MASKED_PARTS:
            times = sorted(result[model][kind], key=float)
            axis.plot([float(t) for t in times], [result[model][kind][t]["area"][part] for t in times],
                      marker="o", ms=3, color=shades[part], label=part)  # fmt: skip
        axis.axhline(0.5, color="#9aa0a6", lw=1, ls=":")
        axis.set_title(f"{model}\n{kind}", fontsize=9)
        axis.set_xlabel("t (0 noise, 1 data)", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("area under the ROC curve")
    axes[0][-1].legend(fontsize=7, frameon=False, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="ids or folders (default: every shipped model of portraits)")
    parser.add_argument("--masks", type=Path, required=True, help="a zip of portraits with true masks")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--out", type=Path, default=RESULT)
    chosen = parser.parse_args(arguments)
    keep_freed_memory()
    portraits = PortraitZip(chosen.masks)
    models = chosen.models or [entry.id for entry in zoo.available() if entry.about.get("data") == "portraits"]
    result = json.loads(chosen.out.read_text(encoding="utf-8")) if chosen.out.is_file() else {}
    for model in models:
        pipe = Pipeline.load(model)
        result[pipe.folder.id] = measure(pipe, portraits, chosen.count)
        for kind, by_time in result[pipe.folder.id].items():
            for t, values in by_time.items():
                parts = ", ".join(f"{part} {value:.3f}" for part, value in values["area"].items())
                print(f"{pipe.folder.id}, {kind}, t = {t}: {parts}")
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        plot(result, chosen.out.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
