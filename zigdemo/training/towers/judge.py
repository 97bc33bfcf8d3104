"""Train the attribute judge of portraits: `python -m zigdemo.training.judge portraits DATA OUT`."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from ...data import KIND_NAMES, KINDS, Attributes, ImageSet, visible
from ...data.portraits import mood_is_hidden
from ...evaluation.judge import CONFIG, SIDE_PX, TENSORS, Judge, JudgeNetwork, by_kind, targets
from ...huggingface import fill_card
from ...ops.heap import keep_freed_memory
from ..publishing.card import CARDS, commit, millions
from ..trainer.processes import place
from ..trainer.rules import split
from .command import run_command

UNKNOWN = -100  # class of a mood hidden by glasses; ignored by the loss
HELD_OUT = 512  # portraits for measuring the accuracy


def roughened(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Augmentation that imitates decoded and generated pictures: mirror, shift, blur, tint, noise; (n, 3, S, S)."""
    count = len(pictures)
    if rng.random() < 0.5:
        pictures = pictures.flip(-1)
    pictures = pictures.roll(tuple(int(by) for by in rng.integers(-2, 3, 2)), (-2, -1))
    soft = F.interpolate(F.avg_pool2d(pictures, 2), scale_factor=2, mode="bilinear")
    share = torch.from_numpy(rng.random((count, 1, 1, 1)) * (rng.random((count, 1, 1, 1)) < 0.6)).float()
    tint = torch.from_numpy(1 + 0.03 * rng.standard_normal((count, 3, 1, 1))).float()
    level = torch.from_numpy(0.08 * rng.random((count, 1, 1, 1)) ** 2).float()
    return (pictures + share * (soft - pictures)) * tint + level * torch.randn_like(pictures)


def train(data: ImageSet, steps: int, batch: int = 64, lr: float = 2e-3, seed: int = 0) -> tuple[Judge, np.ndarray]:
    """A judge trained on the portraits of a set for some steps of `batch` portraits, and the held-out rows.

    Raises ValueError for pictures without attributes, FloatingPointError if the loss is not finite.
    """
    if not data.attributes or not all(data.attributes):
        raise ValueError("the data contain pictures without attributes; prepare portraits")
    keep_freed_memory()
    rows, held_out = split(len(data), HELD_OUT if len(data) > 2 * HELD_OUT else len(data) // 4)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = JudgeNetwork().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    classes = targets(data.attributes)
    classes["mood"][[mood_is_hidden(attributes) for attributes in data.attributes]] = UNKNOWN
    start = time.monotonic()
    for step in range(steps):
        batch_rows = np.sort(rng.choice(rows, batch))
        pixels = torch.from_numpy(data.images[batch_rows]).permute(0, 3, 1, 2).float() / 127.5 - 1
        pixels = roughened(pixels, rng).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(pixels)
        losses = by_kind(logits.float())
        loss = sum(
            F.cross_entropy(losses[kind], classes[kind][batch_rows], label_smoothing=0.02, ignore_index=UNKNOWN)
            for kind in KINDS
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss is {loss.item()} at step {step}; lower --lr")
        if (step + 1) % 50 == 0:
            print(f"step {step + 1} of {steps}: loss {loss.item():.3f}, {time.monotonic() - start:.0f} s", flush=True)
    return Judge(network), held_out


def ceiling(judge: Judge, pictures: np.ndarray, attributes: Sequence[Attributes]) -> dict[str, float]:
    """Accuracy of the judge on real portraits for each kind of attribute, from 0 to 1."""
    return judge.obedience(pictures, list(map(visible, attributes))).by_kind()


def write_judge(folder: Path, judge: Judge, about: dict) -> None:
    """Write the weights in fp16, the attributes they were trained on, and the card."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.half().contiguous() for k, v in judge.network.state_dict().items() if v.is_floating_point()}
    save_file(state, folder / TENSORS, metadata={"format": "pt"})
    content = {"kinds": {kind: list(KINDS[kind]) for kind in KINDS}, "about": about}
    (folder / CONFIG).write_text(json.dumps(content, indent=1), encoding="utf-8")
    (folder / "README.md").write_text(card(folder.name, judge, about), encoding="utf-8")


def card(name: str, judge: Judge, about: dict) -> str:
    """The README.md of a judge."""
    return fill_card(
        CARDS / "judge.md",
        {"license": "cc-by-4.0", "tags": ["zigdemo", "image-classification"]},
        name=name,
        millions=millions(judge.network),
        side_px=SIDE_PX,
        pictures=f"{about['pictures']:,}",
        steps=f"{about['steps']:,}",
        compute=f"{place()}, bf16",
        about=about,
        kinds=[
            (KIND_NAMES[kind], len(KINDS[kind]), share, 1 / len(KINDS[kind]))
            for kind, share in about["ceiling"].items()
        ],
    )


def make_judge(folder: Path, out: Path, steps: int, batch: int, lr: float) -> dict:
    """Train a judge on a folder of portraits and write it to `out`; returns facts and accuracy.

    Raises ValueError for unusable data, FloatingPointError if the loss is not finite.
    """
    data = ImageSet.load(folder)
    judge, held_out = train(data, steps, batch, lr)
    about = {
        "pictures": len(data) - len(held_out),
        "held_out": len(held_out),
        "steps": steps,
        "batch": batch,
        "ceiling": ceiling(judge, data.images[held_out], [data.attributes[row] for row in held_out]),
        "commit": commit(),
    }
    write_judge(out, judge, about)
    return about


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a judge on prepared portraits; an error is one sentence and exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m zigdemo.training.judge portraits", description=main.__doc__)
    parser.add_argument("data", type=Path, help="a folder made by `python -m zigdemo.training.prepare portraits`")
    parser.add_argument("out", type=Path, help="output folder")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    options = parser.parse_args(arguments)
    return run_command(lambda: make_judge(options.data, options.out, options.steps, options.batch, options.lr))
