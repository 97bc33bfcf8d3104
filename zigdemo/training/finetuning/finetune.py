"""Teach a model new labels from a few pictures: `python -m zigdemo.training.finetune MODEL DATA OUT`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from ... import __version__
from ...backbones import FAMILIES
from ...data import ImageSet, draw_attributes, portrait_caption
from ...data.folders import read_pictures
from ...data.images import IMAGES
from ...data.latents import prepare_latents
from ...data.preparation import write_image_set
from ...zoo import ModelFolder, find, write_folder
from ...zoo.parts import take_along
from ..trainer.checkpoints import refuse_a_second_start
from ..trainer.loop import Training
from ..trainer.lora import METHODS, merged
from ..trainer.progress import stopping_on_signals
from ..trainer.recipe import Recipe
from ..trainer.samples import draw

KEPT_FACTS = ("data", "examples", "word_map")  # of the starting model, true of the fine-tuned one too
REHEARSED = "rehearsed"  # group of the pictures that the starting model drew itself
REHEARSE_STEPS = 12
LEARNING_RATES = {"full": 2e-4, "lora": 2e-3, "conditioning": 2e-3}


@dataclass(frozen=True)
class Tuning:
    """What a person decides of a fine-tuning; None is chosen by the number of pictures.

    method, rank: what learns, see `lora.adapt`. steps: optimiser updates of `batch` pictures. lr: learning rate.
    rehearse: old labels that the starting model draws once, to be trained on beside the new pictures so that they
    stay; rehearse_share: their part of every batch. prompts: the same for a model of texts, which names no labels; a
    model of portraits has captions of portraits where none are given.
    """

    method: str = "lora"
    rank: int = 16
    steps: int | None = None
    batch: int = 32
    lr: float | None = None
    rehearse: int = 256
    rehearse_share: float = 0.5
    prompts: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method {self.method!r} is unknown; choose one of {', '.join(METHODS)}")
        if not 0 <= self.rehearse_share < 1:
            raise ValueError(f"rehearse_share must be from 0 to below 1, not {self.rehearse_share!r}")

    def rehearsed(self, folder: ModelFolder) -> list[str]:
        """The labels or prompts that the starting model draws, as many as `rehearse` of all, drawn at random."""
        known = folder.labels or self.prompts
        if not known and folder.about.get("data") == "portraits":
            known = portrait_prompts(self.rehearse, self.seed)
        count = min(self.rehearse, len(known)) if self.rehearse_share else 0
        return [known[row] for row in np.sort(np.random.default_rng(self.seed).permutation(len(known))[:count])]


@dataclass(frozen=True)
class Estimate:
    """Measured on this machine: seconds of the whole, bytes of memory that the process takes, and steps."""

    seconds: float
    memory_bytes: int
    steps: int

    def __str__(self) -> str:
        took = f"{self.seconds:.0f} seconds" if self.seconds < 100 else f"{self.seconds / 60:.0f} minutes"
        return f"{self.steps} steps: about {took} and {self.memory_bytes / 2**30:.1f} GB here"


class Control:
    """Pauses, resumes and stops a run from another thread; give it as `watch`. then: called after every step too."""

    def __init__(self, then: Callable[[Training], None] | None = None) -> None:
        self.then, self._going, self._stopped = then, threading.Event(), False
        self._going.set()

    def pause(self) -> None:
        """Let the run wait after the step it is in."""
        self._going.clear()

    def resume(self) -> None:
        """Let it go on."""
        self._going.set()

    def stop(self) -> None:
        """Let it end after the step it is in, paused or not; its checkpoint stays."""
        self._stopped = True
        self._going.set()

    def __call__(self, training: Training) -> None:
        if self.then is not None:
            self.then(training)
        self._going.wait()
        if self._stopped:
            training.stop()


def portrait_prompts(count: int, seed: int = 0) -> list[str]:
    """Captions of portraits drawn at random: what a model of portraits is to go on drawing."""
    rng = np.random.default_rng(seed)
    return [portrait_caption(draw_attributes(rng), rng) for _ in range(count)]


def default_steps(pictures: int) -> int:
    """Steps for a number of pictures: 300 for 20, growing slower than they do, 10 to 10,000 and beyond."""
    return int(np.clip(round(300 * (pictures / 20) ** 0.45, -1), 200, 20_000))


def tunable(name: str | Path) -> ModelFolder:
    """The model to start from. Raises ValueError with one sentence for one that cannot be fine-tuned here."""
    folder = find(name)
    if folder.family not in FAMILIES or folder.interpolant != "linear":
        raise ValueError(
            f"{folder.id} was trained on another path; fine-tune a model on the linear path, such as zigma-emoji"
        )
    return folder


def pictures_for(folder: ModelFolder, source: str | Path, label: str | None = None) -> ImageSet:
    """The pictures of a prepared image set, or of anything that `read_pictures` reads, at the size of a model."""
    height, width = pixel_size(folder)
    if height != width:
        raise ValueError(f"{folder.id} draws {width} x {height} pixels; fine-tuning needs a square model")
    if (Path(source) / IMAGES.array_file).is_file():
        return ImageSet.load(source)
    return read_pictures(source, height, label).image_set()


def pixel_size(folder: ModelFolder) -> tuple[int, int]:
    """Height and width of the pictures that a model draws, whether itself or through its autoencoder."""
    factor = folder.latents.factor if folder.latents else 1
    return folder.model.size[0] * factor, folder.model.size[1] * factor


def recipe_of(folder: ModelFolder, pictures: ImageSet, out: Path, run: Path, tuning: Tuning) -> Recipe:
    """The recipe of a fine-tuning. pictures: the new ones."""
    steps = tuning.steps or default_steps(len(pictures))
    return Recipe(
        name=out.name,
        data=str(run / "data"),
        run=str(run),
        model={"family": folder.family, **asdict(folder.model)},
        text=folder.text.content() if folder.text else None,
        init=str(folder.path),
        keep_labels=folder.labels is not None,
        method=tuning.method,
        rank=tuning.rank,
        shares={REHEARSED: tuning.rehearse_share} if tuning.rehearsed(folder) else {},
        prediction=folder.prediction,
        steps=steps,
        batch=tuning.batch,
        lr=tuning.lr or LEARNING_RATES[tuning.method],
        warmup=min(20, steps // 10),
        cooldown=steps // 3,
        ema_halflife=max(1.0, steps / 20),
        time_mean=-0.3 if folder.latents else -0.8,
        time_spread=1.0,
        seed=tuning.seed,
        log_every=max(1, min(10, steps // 20)),
        save_every=max(1, steps // 8),
        sample_every=max(1, steps // 4),
    )


def rehearse(folder: ModelFolder, names: list[str], seed: int) -> np.ndarray:
    """A picture of each label or prompt, by the model itself: (names, S, S, 3) uint8."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if folder.labels is None:
        tower = folder.load_text(device)
        cond = tower.encode(names)
        null = tower.features("").expand_as(cond)
    else:
        cond = torch.tensor([folder.labels.index(name) for name in names])
        null = torch.full_like(cond, len(folder.labels))
    space = folder.load_latents(device)
    return draw(folder.load(device), folder.prediction, cond, null, steps=REHEARSE_STEPS, seed=seed, space=space)


def write_data(folder: ModelFolder, pictures: ImageSet, recipe: Recipe, tuning: Tuning) -> None:
    """The new pictures, and after them the rehearsed ones, as the set of the run; their latents where it has some."""
    size = pixel_size(folder)
    if (pictures.size, pictures.size) != size:
        raise ValueError(f"the pictures are {pictures.size} px and {folder.id} takes {size}; prepare them with that")
    images = [np.asarray(pictures.images)]
    samples = [
        {"key": str(row), "label": pictures.label_names[label], "group": "new", "keywords": pictures.keywords[row]}
        for row, label in enumerate(pictures.labels)
    ]
    if names := tuning.rehearsed(folder):
        images.append(rehearse(folder, names, tuning.seed))
        samples += [{"key": name, "label": name, "group": REHEARSED, "keywords": []} for name in names]
    info = {"dataset": "fine-tuning", "new": len(pictures), REHEARSED: len(samples) - len(pictures)}
    data = Path(recipe.data)
    if folder.latents is None:
        write_image_set(data, np.concatenate(images), samples, info)
        return
    drawn = data.with_name(f"{data.name}-pictures")  # encoded once, in place of once a step
    write_image_set(drawn, np.concatenate(images), samples, info)
    prepare_latents(data, drawn, folder.latents, folder.places)


def finetune(
    model: str | Path,
    pictures: ImageSet,
    out: str | Path,
    tuning: Tuning = Tuning(),
    *,
    run: str | Path | None = None,
    resume: bool = False,
    watch: Callable[[Training], None] | None = None,
) -> ModelFolder:
    """Fine-tune a model and write the result as the model folder `out`; where it is stopped, what there is by then.

    model: a shipped id or a model folder. pictures: the new ones, of the size that the model takes; their labels stand
    beside its own afterwards. run: the run folder, runs/NAME of out by default, from which `resume` goes on.
    watch: called after every step, see `Training.run` and `Control`.
    Raises ValueError, OSError, MemoryError or FloatingPointError with one sentence.
    """
    folder, out = tunable(model), Path(out)
    recipe = recipe_of(folder, pictures, out, Path(run or Path("runs", out.name)), tuning)
    if not resume:
        refuse_a_second_start(recipe.run)
    if not (resume and Path(recipe.data).is_dir()):
        write_data(folder, pictures, recipe, tuning)
    training = Training(recipe, resume)
    training.run(watch)
    network = merged(deepcopy(training.ema)).float()
    about = {
        "fine_tuned_from": folder.id,
        "weights": folder.sha256[:16],
        "method": tuning.method,
        "new_labels": [name for name in pictures.label_names if name not in (folder.labels or ())],
        "new_pictures": len(pictures),
        "steps": training.step,
        "images_seen": training.images_before + training.step * recipe.batch,
        **{name: folder.about[name] for name in KEPT_FACTS if name in folder.about},
        "zigdemo": __version__,
        "torch": torch.__version__,
    }
    labels = training.data.label_names if folder.labels is not None else None
    card = model_card(out.name, folder, recipe, about)
    written = write_folder(
        out,
        network,
        prediction=folder.prediction,
        labels=labels,
        origin="yours",
        about=about,
        card=card,
        text=folder.text,
        latents=folder.latents,
        defaults=folder.defaults,
    )
    take_along(written.parts, folder.places, out)
    return written


def estimate(model: str | Path, pictures: ImageSet, tuning: Tuning = Tuning()) -> Estimate:
    """How long `finetune` will take here and how much memory, from three of its steps, which are thrown away."""
    folder = tunable(model)
    with tempfile.TemporaryDirectory() as aside:
        recipe = recipe_of(folder, pictures, Path(aside, "out"), Path(aside), tuning)
        few = replace(tuning, rehearse=min(tuning.rehearse, 16))
        began = time.monotonic()
        write_data(folder, pictures, recipe, few)
        share = len(tuning.rehearsed(folder)) / max(1, len(few.rehearsed(folder)))
        drawing = (time.monotonic() - began) * share
        training = Training(recipe)
        training.update()  # the first also compiles and allocates
        began = time.monotonic()
        for _ in range(3):
            training.update()
        seconds = (time.monotonic() - began) / 3
    cuda = torch.cuda.is_available()
    memory = torch.cuda.max_memory_allocated() if cuda else psutil.Process().memory_info().rss
    return Estimate(drawing + seconds * recipe.steps, memory, recipe.steps)


def model_card(name: str, folder: ModelFolder, recipe: Recipe, about: dict[str, Any]) -> str:
    """The README.md of a fine-tuned model."""
    new = ", ".join(about["new_labels"]) or "none; pictures of labels that it had"
    learned = {"full": "all weights", "lora": f"LoRA of rank {recipe.rank}, merged", "conditioning": "conditioning"}
    kept = f"{recipe.shares[REHEARSED]:.0%} of every batch drawn by the start" if recipe.shares else "no"
    return f"""---
tags: [zigdemo, diffusion, {folder.family}]
---
# {name}

`{folder.id}` fine-tuned on {about["new_pictures"]:,} pictures. New labels: {new}.

| | |
|---|---|
| learned | {learned[recipe.method]} |
| steps | {about["steps"]:,} of {recipe.batch}, AdamW {recipe.lr:g} |
| rehearsal of old labels | {kept} |

No score was measured. The licence of the starting weights holds for these too, and so does that of the new pictures.
"""


def main(arguments: list[str] | None = None) -> int:
    """Fine-tune a model on pictures of yours; a fault is one sentence and exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m zigdemo.training.finetune", description=main.__doc__)
    parser.add_argument("model", help="a shipped id such as zigma-emoji, or a model folder")
    parser.add_argument("data", help="an image set, or a folder, zip, tar shard or hf:OWNER/NAME of pictures")
    parser.add_argument("out", help="the model folder to write")
    parser.add_argument("--label", help="the label of all pictures (default: by captions and names)")
    parser.add_argument("--estimate", action="store_true", help="say how long it will take, and stop")
    parser.add_argument("--method", default="lora", choices=METHODS)
    parser.add_argument("--steps", type=int, help="optimiser updates (default: by the number of pictures)")
    parser.add_argument("--lr", type=float, help="learning rate (default: by the method)")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rank", type=int, default=16, help="of the additions, for lora")
    parser.add_argument("--rehearse", type=int, default=256, help="old labels drawn once and trained on beside")
    parser.add_argument("--prompts", type=Path, help="the same for a model of texts: a file of prompts, one a line")
    parser.add_argument("--run", type=Path, help="the run folder (default: runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="go on with the run of this name")
    chosen = parser.parse_args(arguments)
    try:
        lines = chosen.prompts.read_text(encoding="utf-8").splitlines() if chosen.prompts else []
        tuning = Tuning(
            chosen.method,
            chosen.rank,
            chosen.steps,
            chosen.batch,
            chosen.lr,
            rehearse=chosen.rehearse,
            prompts=tuple(line for line in lines if line.strip()),
        )
        pictures = pictures_for(tunable(chosen.model), chosen.data, chosen.label)
        if chosen.estimate:
            print(estimate(chosen.model, pictures, tuning))
            return 0
        control = Control()
        with stopping_on_signals(control.stop):  # also before the first step
            folder = finetune(
                chosen.model, pictures, chosen.out, tuning, run=chosen.run, resume=chosen.resume, watch=control
            )
    except (ValueError, FloatingPointError, MemoryError, OSError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    print(json.dumps(folder.about, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
