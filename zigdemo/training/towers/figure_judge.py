"""Train the judge of figures: `python -m zigdemo.training.judge figures OUT`, on a GPU if there is one.

Clips are drawn by all cores and kept on the device, a share of them also as an autoencoder gives them back; every batch
is roughened anew.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from ...checks import number, whole
from ...data import CLASSES
from ...data.figures.pool import Plan, drawn
from ...devices import choose_device
from ...evaluation.figure_judge import SIDE_PX, FigureJudge, FigureNetwork, to_input
from ...evaluation.judge import CONFIG, TENSORS
from ...huggingface import fill_card
from ...latents import Autoencoder, named_spec
from ...ops.heap import keep_freed_memory
from ...zoo import WEIGHTS
from ..publishing.card import CARDS, commit, millions, place
from .command import run_command

PER_CLASS = 40  # held-out clips
HELD_OUT_SEED = 1_000_003  # of clips that are never trained on
RECONSTRUCTED = 3  # every third piece of clips is trained on as the autoencoder gives it back, too
AT_ONCE = 256  # frames per call of the autoencoder on a GPU


@dataclass(frozen=True)
class Clips:
    """Drawn clips on the device. pixels: (n, T, 3, SIDE_PX, SIDE_PX) uint8; labels: (n,) int64; decoded: how many of
    them, the last ones, were given back by the autoencoder.
    """

    pixels: Tensor
    labels: Tensor
    decoded: int


def draw_clips(
    count: int, seed: int, space: Autoencoder | None, device: torch.device, every: int, workers: int | None = None
) -> Clips:
    """Clips of all classes in turn, and every `every`-th piece of them also as the autoencoder gives it back."""
    plan = Plan(count, seed, CLASSES, workers=workers)
    kept: dict[bool, list[tuple[Tensor, Tensor]]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        for place, piece in enumerate(drawn(plan, Path(folder, "drawn.npy"), places=2 * plan.processes)):
            clips = torch.from_numpy(piece.clips.copy()).to(device)
            labels = torch.tensor([CLASSES.index(figure.label) for figure in piece.figures], device=device)
            kept[False].append((_small(to_input(clips)), labels))
            if space is not None and place % every == 0:
                kept[True].append((_small(to_input(reconstructed(clips, space))), labels))
        del piece  # the file of its clips must not be open when the folder goes, for Windows
    parts = kept[False] + kept[True]
    pixels, labels = (torch.cat([part[i] for part in parts]) for i in (0, 1))
    return Clips(pixels, labels, sum(len(labels) for _, labels in kept[True]))


def _small(clips: Tensor) -> Tensor:
    """The network's input as bytes."""
    return ((clips + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


@torch.inference_mode()
def reconstructed(clips: Tensor, space: Autoencoder) -> Tensor:
    """Clips (n, T, H, W, 3) uint8 as the autoencoder gives them back."""
    at_once = 1 if clips.device.type == "cpu" else AT_ONCE
    frames = clips.flatten(0, 1).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.autocast(clips.device.type, torch.bfloat16, enabled=clips.device.type != "cpu"):
        decoded = space.decode(space.encode(frames, at_once=at_once), at_once=at_once)
    return (
        (127.5 * decoded.float() + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).unflatten(0, clips.shape[:2])
    )


def roughened(clips: Tensor) -> Tensor:
    """Augmentation that imitates generated clips: mirror, shift, blur, tint, noise and flicker; (n, T, 3, S, S)."""
    count, device = len(clips), clips.device

    def chance(share: float) -> Tensor:
        return (torch.rand(count, 1, 1, 1, 1, device=device) < share).float()

    clips = torch.where(chance(0.5).bool(), clips.flip(-1), clips)
    across, down = (int(by) for by in torch.randint(-4, 5, (2,)))
    clips = F.pad(clips.flatten(1, 2), (4, 4, 4, 4), mode="replicate")
    clips = clips[..., 4 + down : 4 + down + SIDE_PX, 4 + across : 4 + across + SIDE_PX].unflatten(1, (-1, 3))
    frames = clips.flatten(0, 1)
    soft = F.avg_pool2d(F.pad(frames, (1, 1, 1, 1), mode="replicate"), 3, stride=1).unflatten(0, clips.shape[:2])
    clips = clips + torch.rand(count, 1, 1, 1, 1, device=device) * chance(0.6) * (soft - clips)
    frames = clips.flatten(0, 1)
    # Neighbouring pixels that moved together, as latents that are a little wrong decode to.
    blocks = F.interpolate(torch.randn(len(frames), 3, SIDE_PX // 4, SIDE_PX // 4, device=device), scale_factor=4)
    level = 0.15 * torch.rand(count, 1, 1, 1, 1, device=device) ** 2
    clips = clips + level * (torch.randn_like(clips) + blocks.unflatten(0, clips.shape[:2]))
    tint = 1 + 0.05 * torch.randn(count, 1, 3, 1, 1, device=device)
    return clips * tint + 0.03 * chance(0.3) * torch.randn(count, clips.shape[1], 1, 1, 1, device=device)


def train(
    clips: Clips, steps: int | None, seconds: float | None, batch: int, lr: float, seed: int = 0
) -> tuple[FigureNetwork, int]:
    """A network trained for some steps, or for some seconds, and the steps that it took.

    Raises FloatingPointError if the loss is not finite.
    """
    device = clips.pixels.device
    torch.manual_seed(seed)
    network = FigureNetwork().to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=0.02)
    start, step, loss = time.monotonic(), 0, torch.zeros(())
    while True:
        share = step / steps if steps else (time.monotonic() - start) / (seconds or 1)
        if share >= 1:
            _refuse_infinite(loss, step)
            return network, step
        for group in optimizer.param_groups:
            group["lr"] = lr * min(share / 0.1 + 0.01, 0.5 + 0.5 * math.cos(math.pi * share))
        rows = torch.randint(len(clips.labels), (batch,), device=device)
        pixels = roughened(clips.pixels[rows].float() / 127.5 - 1)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu"):
            logits = network(pixels)
        loss = F.cross_entropy(logits.float(), clips.labels[rows], label_smoothing=0.02)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        if step % 50 == 0:  # reading the loss waits for the device
            _refuse_infinite(loss, step)
            print(f"step {step}: loss {loss.item():.3f}, {time.monotonic() - start:.0f} s", flush=True)


def _refuse_infinite(loss: Tensor, step: int) -> None:
    if not math.isfinite(loss.item()):
        raise FloatingPointError(f"the loss is {loss.item()} at step {step}; lower --lr")


@torch.inference_mode()
def accuracies(network: FigureNetwork, clips: Clips) -> tuple[float, float | None]:
    """Share of clips whose class the network reads right: of those as drawn, and of those given back."""
    network.eval()
    right = torch.cat(
        [
            network(pixels.float() / 127.5 - 1).argmax(1) == labels
            for pixels, labels in zip(clips.pixels.split(64), clips.labels.split(64), strict=True)
        ]
    ).float()
    drawn_ones = len(right) - clips.decoded
    return right[:drawn_ones].mean().item(), right[drawn_ones:].mean().item() if clips.decoded else None


def make_figure_judge(
    out: Path, clips: int, steps: int | None, seconds: float | None, batch: int, lr: float, autoencoder: str | None,
    workers: int | None = None, per_class: int = PER_CLASS,
) -> dict[str, Any]:  # fmt: skip
    """Draw clips, train a judge on them and write it to `out`; returns facts and accuracy on held-out clips.

    Raises ValueError for an unusable autoencoder and for numbers that make no training, FloatingPointError if the loss
    is not finite.
    """
    for name, value in (("clips", clips), ("batch", batch), ("steps", steps), ("workers", workers)):
        if value is not None:
            whole(name, value, least=1)
    for name, value in (("lr", lr), ("seconds", seconds)):
        if value is not None:
            number(name, value, above=0)
    keep_freed_memory()
    device, start = choose_device(), time.monotonic()
    space = None
    if autoencoder is not None:
        space = named_spec(autoencoder, (WEIGHTS,)).load(device, (WEIGHTS,))
    clips_kept = draw_clips(clips, 0, space, device, RECONSTRUCTED, workers)
    held_out = draw_clips(per_class * len(CLASSES), HELD_OUT_SEED, space, device, 1, workers)
    print(f"{len(clips_kept.labels)} clips drawn in {time.monotonic() - start:.0f} s", flush=True)
    network, taken = train(clips_kept, steps, seconds, batch, lr)
    with torch.no_grad():
        for value in (*network.parameters(), *network.buffers()):  # what is shipped is what is measured
            if value.is_floating_point():
                value.copy_(value.half())
    ceiling, decoded = accuracies(network, held_out)
    about = {
        "clips": clips, "held_out": per_class * len(CLASSES), "steps": taken, "batch": batch, "ceiling": ceiling,
        "ceiling_decoded": decoded, "autoencoder": autoencoder, "commit": commit(),
    }  # fmt: skip
    write_figure_judge(out, FigureJudge(network), about)
    return about


def write_figure_judge(folder: Path, judge: FigureJudge, about: dict[str, Any]) -> None:
    """Write the weights in fp16, the classes they were trained on, and the card."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.half().cpu().contiguous() for k, v in judge.network.state_dict().items() if v.is_floating_point()}
    save_file(state, folder / TENSORS, metadata={"format": "pt"})
    content = {"classes": list(CLASSES), "about": about}
    (folder / CONFIG).write_text(json.dumps(content, indent=1), encoding="utf-8")
    (folder / "README.md").write_text(card(folder.name, judge, about), encoding="utf-8")


def card(name: str, judge: FigureJudge, about: dict[str, Any]) -> str:
    """The README.md of a judge."""
    return fill_card(
        CARDS / "figure-judge.md",
        {"license": "cc-by-4.0", "tags": ["zigdemo", "video-classification"]},
        name=name,
        millions=millions(judge.network),
        side_px=SIDE_PX,
        clips=f"{about['clips']:,}",
        steps=f"{about['steps']:,}",
        compute=f"{place()}, {'bf16' if torch.cuda.is_available() else 'fp32'}",
        classes=len(CLASSES),
        about=about,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a judge on figures that it draws itself; an error is one sentence and exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m zigdemo.training.judge figures", description=main.__doc__)
    parser.add_argument("out", type=Path, help="output folder")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="optimiser steps (default: 1500)")
    length.add_argument("--seconds", type=float, metavar="S", help="train for so long, drawing not counted")
    parser.add_argument("--clips", type=int, default=12_000, help="clips to draw first (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--workers", type=int, metavar="N", help="processes that draw (default: cores)")
    parser.add_argument(
        "--autoencoder", default="pictures-f8", help="give back a share of the clips; none: not (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    steps = 1500 if options.steps is None and options.seconds is None else options.steps
    autoencoder = None if options.autoencoder == "none" else options.autoencoder
    return run_command(
        lambda: make_figure_judge(
            options.out, options.clips, steps, options.seconds, options.batch, options.lr, autoencoder, options.workers
        )
    )
