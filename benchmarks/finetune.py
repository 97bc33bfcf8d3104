"""Fine-tuning `zigma-emoji` on 20 new pictures: new label learned, old ones kept? `python -m benchmarks.finetune`.

The new label is a toy of stacked rings in random colours, drawn by this script, so that anyone can repeat it. Two
scores, each by the nearest picture in block-averaged pixels (`evaluation.label_retrieval`): that of the old labels
before and after, among the real emoji; and how many of 20 samples of the new label are nearest to one of 200 other
stacks of rings that were never trained on, among all emoji.
"""

from __future__ import annotations

import argparse
import colorsys
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from zigdemo.data import ImageSet
from zigdemo.evaluation import label_retrieval
from zigdemo.pipeline import Pipeline
from zigdemo.training.finetuning.finetune import Tuning, estimate, finetune
from zigdemo.training.trainer.samples import draw, pair_grid

MODEL, NEW = "zigma-emoji", "stacking rings"
SHARP = 4  # pictures are drawn so many times larger and shrunk


def rings(rng: np.random.Generator, size: int = 64) -> np.ndarray:
    """A picture of the toy: three to six coloured rings on a pole, widest at the bottom; (size, size, 3) uint8."""
    side, count = size * SHARP, int(rng.integers(3, 7))
    picture = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(picture)
    middle, top, bottom = side * rng.uniform(0.46, 0.54), side * rng.uniform(0.12, 0.18), side * rng.uniform(0.84, 0.92)
    pole = side * 0.035
    pen.rounded_rectangle((middle - pole, top - side * 0.06, middle + pole, bottom), pole, fill=(205, 160, 100))
    height, hue = (bottom - top) / count, rng.uniform()
    for i in range(count):
        half = side * (0.14 + 0.26 * i / (count - 1))
        red, green, blue = colorsys.hsv_to_rgb((hue + i / count) % 1, 0.75, 0.92)
        for shade, inset in ((0.8, 0.0), (1.0, 0.12), (1.15, 0.3)):  # darker at the rim, a light band above
            colour = tuple(min(255, int(255 * shade * part)) for part in (red, green, blue))
            box = (middle - half * (1 - inset / 2), top + height * (i + inset / 2),
                   middle + half * (1 - inset / 2), top + height * (i + 1 - inset * 0.9))  # fmt: skip
            pen.rounded_rectangle(box, height / 2, fill=colour)
    return np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS))


def new_pictures(count: int, seed: int, size: int = 64) -> ImageSet:
    """`count` stacks of rings as an image set with one label."""
    rng = np.random.default_rng(seed)
    images = np.stack([rings(rng, size) for _ in range(count)])
    return ImageSet(images, [NEW], np.zeros(count, np.int64), ["new"] * count, [[] for _ in range(count)])


def old_score(pipe: Pipeline, data: ImageSet, count: int, seed: int = 1) -> float:
    """Label retrieval of random labels among the real emoji, one picture each with the page's settings."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(data))[:count])
    label = torch.tensor([pipe.labels.index(data.label_names[data.labels[row]]) for row in rows])
    null = torch.full_like(label, len(pipe.labels))
    made = draw(pipe.network, pipe.folder.prediction, label, null, steps=25, seed=1000)
    return label_retrieval(made, rows, np.asarray(data.images)).top1


def new_score(pipe: Pipeline, data: ImageSet, count: int = 20) -> tuple[float, np.ndarray]:
    """The share of samples of the new label that are nearest to other stacks of rings, and the samples."""
    label = torch.full((count,), pipe.labels.index(NEW))
    made = draw(pipe.network, pipe.folder.prediction, label, torch.full_like(label, len(pipe.labels)), steps=25, seed=7)
    gallery = np.concatenate([np.asarray(data.images), new_pictures(200, seed=99).images])
    blocks = [
        images.reshape(len(images), 16, 4, 16, 4, 3).mean((2, 4)).reshape(len(images), -1) for images in (made, gallery)
    ]
    nearest = torch.cdist(*(torch.from_numpy(part) for part in blocks)).argmin(1)
    return float((nearest >= len(data)).float().mean()), made


def main() -> int:
    """Measure, print, and write benchmarks/results/finetune.json and a picture of the samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data/fluent-emoji")
    parser.add_argument("--method", default="lora")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--rank", type=int, default=Tuning.rank)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--rehearse", type=int, default=Tuning.rehearse)
    parser.add_argument("--share", type=float, default=Tuning.rehearse_share)
    parser.add_argument("--count", type=int, default=200, help="old labels scored")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "finetune.json")
    chosen = parser.parse_args()
    data = ImageSet.load(chosen.data, exclude=["keycap*", "*o’clock", "*-thirty"])
    tuning = Tuning(
        chosen.method, chosen.rank, chosen.steps, lr=chosen.lr, rehearse=chosen.rehearse, rehearse_share=chosen.share
    )
    pictures = new_pictures(20, seed=0)
    expected = estimate(MODEL, pictures, tuning)
    before = old_score(Pipeline.load(MODEL, device="cpu"), data, chosen.count)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        made = finetune(MODEL, pictures, Path(folder, "rings"), tuning, run=Path(folder, "run"))
        seconds = time.monotonic() - began
        pipe = Pipeline.load(made.path, device="cpu")
    after, (new, samples) = old_score(pipe, data, chosen.count), new_score(pipe, data)
    Image.fromarray(pair_grid(pictures.images, samples, columns=10)).save(chosen.out.with_suffix(".png"), optimize=True)
    content = {
        "method": chosen.method, "rank": chosen.rank, "steps": expected.steps, "lr": chosen.lr,
        "rehearse": chosen.rehearse, "share": chosen.share,
        "seconds": round(seconds, 1), "seconds_estimated": round(expected.seconds, 1),
        "memory_bytes": expected.memory_bytes, "old_before": before, "old_after": after, "old_labels": chosen.count,
        "drop": round(1 - after / before, 4), "new": new, "new_samples": len(samples),
        "floor": 200 / (200 + len(data)), "machine": platform.machine(), "threads": torch.get_num_threads(),
    }  # fmt: skip
    chosen.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(content))
    return 0 if content["drop"] < 0.05 and new > 0.5 else 1


if __name__ == "__main__":
    raise SystemExit(main())
