"""What the *Fine-tune* tab reads and shows: pictures within bounds, plans, previews, curves and lines."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from .. import zoo
from ..checks import as_whole
from ..data.folders import Limits, Pictures, read_pictures
from ..training.finetuning.finetune import Tuning, default_steps, pixel_size, portrait_prompts, tunable
from ..training.finetuning.jobs import JobStatus, Plan
from . import texts
from .settings import PICTURES, model_choices, model_here, models_here

MOST_SHOWN = 24  # pictures of the preview
PORTRAIT_PROMPTS = 64  # offered to a model of portraits, so that it does not forget them
CHART = (640, 200, 84)  # width, height and margin of the curve of the loss


@dataclass(frozen=True)
class Bounds:
    """What one visitor may ask for. pictures, steps, batch: at most. keep_seconds: how long ended runs stay."""

    pictures: int
    steps: int
    batch: int
    limits: Limits
    keep_seconds: float


OWN = Bounds(100_000, 100_000, 1024, Limits(), 30 * 24 * 3600.0)
SPACE = Bounds(200, 600, 64, Limits(2000, 16 * 2**20, 128 * 2**20, 16_000_000), 6 * 3600.0)


def on_space() -> bool:
    """Whether strangers share this machine."""
    return "SPACE_ID" in os.environ


def bounds() -> Bounds:
    """Those of a Space, or of a machine of one's own."""
    return SPACE if on_space() else OWN


def runs_folder() -> Path:
    """Where the runs of the page lie."""
    return Path(os.environ.get("ZIGDEMO_RUNS", zoo.WEIGHTS.parent / "runs" / "fine-tuning"))


def starts() -> list[tuple[str, str]]:
    """The models of pictures that can be fine-tuned here, by labels or by prompts."""
    found = []
    for shown, name in model_choices(PICTURES):
        try:
            folder = tunable(model_here(name).path)
        except ValueError:
            continue
        told = folder.labels is not None or folder.text is not None
        if told and folder.model.size[0] == folder.model.size[1]:
            found.append((shown, name))
    return found


def kept_prompts(model: str) -> list[str] | None:
    """What a model of texts is to go on drawing; None for a model of labels, whose labels are known.

    Its file names no prompts: captions of portraits are offered for a model of these, else the labels that a model of
    labels learned from the same data, if one is here.
    """
    folder = model_here(model)
    if folder.text is None:
        return None
    data = folder.about.get("data")
    if data == "portraits":
        return portrait_prompts(PORTRAIT_PROMPTS)
    alike = (each for each in models_here(PICTURES) if each.labels and each.about.get("data") == data is not None)
    return list(next((each.labels for each in alike), ()))


def read(model: str, files: list[str] | None, folder: str | None, label: str | None) -> Pictures:
    """The pictures given, at the size of the model. Raises ValueError with one sentence where there are none."""
    if model not in [name for _, name in starts()]:
        raise ValueError(f"{str(model)[:60]!r} cannot be fine-tuned here; choose a model of the list")
    size, limits = pixel_size(model_here(model))[0], bounds().limits
    label = (label or "").strip() or None
    if files:
        found = read_pictures([Path(file) for file in files], size, label, limits)
    elif folder and folder.strip() and not on_space():
        found = read_pictures(Path(folder.strip()).expanduser(), size, label, limits)
    else:
        raise ValueError("give pictures first: drop some files, or one zip, into the box")
    if len(found.images) > bounds().pictures:
        raise ValueError(f"these are {len(found.images):,} pictures; give {bounds().pictures:,} at most here")
    return found


def plan_of(
    model: str, name: str, method: str, steps: Any, batch: Any, prompts: str | None, pictures: Pictures
) -> tuple[Plan, Tuning]:
    """What was asked for, with steps as the trainer would choose them. Raises ValueError with one sentence.

    prompts: what a model of texts goes on drawing, one a line; without meaning for a model of labels.
    """
    most, free = bounds(), steps in (None, "")
    steps = min(default_steps(len(pictures.images)), most.steps) if free else as_whole("steps", steps, 1, most.steps)
    batch = 32 if batch in (None, "") else as_whole("batch", batch, 1, most.batch)
    lines = [] if kept_prompts(model) is None else [line.strip() for line in (prompts or "").splitlines()]
    kept = tuple(line for line in lines if line)
    plan = Plan(model, (name or "").strip(), method, steps, batch, prompts=kept)
    return plan, Tuning(plan.method, steps=plan.steps, batch=plan.batch, rehearse=plan.rehearse, prompts=kept)


def look_html(pictures: Pictures) -> str:
    """The first pictures as the network will see them, each under its label."""
    shown = zip(pictures.images[:MOST_SHOWN], pictures.labels, strict=False)
    tiles = "".join(
        f'<figure><img alt="{escape(label)}" src="{texts.data_url(Image.fromarray(image))}">{escape(label)}</figure>'
        for image, label in shown
    )
    return f'<div class="tiles">{tiles}</div>'


def look_line(pictures: Pictures) -> str:
    """What was read and what was not, as Markdown."""
    labels, count = list(dict.fromkeys(pictures.labels)), len(pictures.images)
    named = ", ".join(labels[:8]) + (", …" if len(labels) > 8 else "")
    said = [f"**{count:,} picture{'s' * (count != 1)}**, label{'s' * (len(labels) != 1)}: {plain(named)}."]
    counted = (f"{count} picture", f"{len(pictures.skipped)} left out")  # said here with more
    said += [f"{plain(note)}." for note in pictures.notes if not note.startswith(counted)]
    if pictures.skipped:
        more = f" and {len(pictures.skipped) - 5} more" if len(pictures.skipped) > 5 else ""
        said.append(f"Left out: {plain('; '.join(pictures.skipped[:5]))}{more}.")
    return "\n\n".join(said)


def plain(text: str) -> str:
    """Text of a stranger that Markdown takes as text."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()#+-!|<>&~" else letter for letter in text)


def curve_html(seen: JobStatus) -> str:
    """The loss over the steps."""
    if len(seen.losses) < 2:
        return ""
    width, height, margin = CHART
    low, high = min(loss for _, loss in seen.losses), max(loss for _, loss in seen.losses)
    last = max(seen.steps, seen.losses[-1][0])

    def place(step: int, loss: float) -> str:
        across = margin + (width - margin - 8) * step / last
        down = 10 + (height - 40) * (high - loss) / max(high - low, 1e-9)
        return f"{across:.1f} {down:.1f}"

    floor = height - 30
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="loss by step">'
        f'<line x1="{margin}" y1="{floor}" x2="{width - 8}" y2="{floor}"/>'
        f'<text x="{margin - 6}" y="16" text-anchor="end">{high:.3f}</text>'
        f'<text x="{margin - 6}" y="{floor}" text-anchor="end">{low:.3f}</text>'
        f'<text x="{margin}" y="{height - 10}">loss</text>'
        f'<text x="{width - 8}" y="{height - 10}" text-anchor="end">{last:,} steps</text>'
        f'<path d="M{"L".join(place(*point) for point in seen.losses)}"/></svg>'
    )


def sample_html(seen: JobStatus) -> str:
    """The newest samples: real pictures above, drawn ones below."""
    if seen.sample is None:
        return ""
    try:
        with Image.open(seen.sample) as image:
            source = texts.data_url(image.convert("RGB"))
    except OSError:  # it is being written
        return ""
    return f'<img alt="samples" src="{source}"><p>Samples: a real picture, and below it what the model draws.</p>'


def run_line(name: str, seen: JobStatus) -> str:
    """How far a run is, as Markdown."""
    left = "" if seen.seconds_left is None else f", about {_duration(seen.seconds_left)} left"
    loss = f", loss {seen.losses[-1][1]:.3f}" if seen.losses else ""
    done = {
        "starting": "reads the pictures and draws what the model knows, so that it is not forgotten.",
        "running": f"step {seen.step:,} of {seen.steps:,}{loss}{left}.",
        "paused": f"paused at step {seen.step:,} of {seen.steps:,}.",
        "stopping": "stops after the step it is in, and keeps what there is by then.",
        "done": f"done{loss}. It is in the list of models now.",
        "stopped": f"stopped at step {seen.step:,} of {seen.steps:,}. " + (
            "The model as it was by then is in the list of models." if seen.model else plain(seen.sentence)),
        "failed": f"failed: {plain(seen.sentence)}",
        "lost": plain(seen.sentence),
    }  # fmt: skip
    return f"**{plain(name)}**: {done[seen.state]}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"
