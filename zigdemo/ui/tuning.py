"""Inputs and outputs of the *Fine-tune* tab: pictures within bounds, plans, previews, curves and status lines."""

from __future__ import annotations

from html import escape
from itertools import chain, count
from pathlib import Path
from typing import Any

from PIL import Image

from .. import zoo
from ..checks import as_whole
from ..data.folders import Pictures, read_pictures
from ..training.finetuning.finetune import Tuning, default_steps, pixel_size, portrait_prompts, tunable
from ..training.finetuning.jobs import JobStatus, Plan
from . import texts
from .bounds import bounds, file_limits
from .settings import PICTURES, installed_model, installed_models, model_choices

MOST_REASONS = 200  # of files left out that are listed
MOST_SHOWN = 24  # pictures in the preview, at most
PORTRAIT_PROMPTS = 64  # offered to a model of portraits, so that it does not forget them
NAME_LENGTH = 54  # of a suggested name without its number
CHART = (640, 200, 84)  # width, height and left margin of the loss curve


def starts() -> list[tuple[str, str]]:
    """(text on the page, id) of the image models that can be fine-tuned, by labels or by prompts."""
    choices = []
    for text, name in model_choices(PICTURES):
        try:
            folder = tunable(installed_model(name).path)
        except ValueError:
            continue
        conditional = folder.labels is not None or folder.text is not None
        if conditional and folder.model.size[0] == folder.model.size[1]:
            choices.append((text, name))
    return choices


def rehearsal_prompts(model: str) -> list[str] | None:
    """Prompts that a text-conditional model should not forget; None for a model with labels, which rehearses those.

    A model folder lists no prompts: a model of portraits is offered portrait captions, any other the labels of an
    installed model that was trained on the same data, if there is one.
    """
    folder = installed_model(model)
    if folder.text is None:
        return None
    data = folder.about.get("data")
    if data == "portraits":
        return portrait_prompts(PORTRAIT_PROMPTS)
    relatives = (
        each for each in installed_models(PICTURES) if each.labels and each.about.get("data") == data is not None
    )
    return list(next((each.labels for each in relatives), ()))


def read(
    model: str, files: list[str] | None, folder: str | None, label: str | None, is_stranger: bool = False
) -> Pictures:
    """The user's pictures at the size of the model. Raises ValueError with one sentence if there are none.

    is_stranger: whether the visitor may be somebody else than who sits at this machine, whose folders are not theirs.
    """
    if model not in [name for _, name in starts()]:
        refusal = f"{str(model)[:60]!r} cannot be fine-tuned here; choose a model in the list"
        raise ValueError(str(zoo.retired(str(model)) or refusal))
    size, limits = pixel_size(installed_model(model))[0], file_limits()
    label = (label or "").strip() or None
    if files:
        pictures = read_pictures([Path(file) for file in files], size, label, limits)
    elif folder and folder.strip() and is_stranger:
        raise ValueError("only who sits at this machine may name its folders; drop files into the box instead")
    elif folder and folder.strip():
        pictures = read_pictures(Path(folder.strip()).expanduser(), size, label, limits)
    else:
        raise ValueError("give pictures first: drop some files or archives into the box")
    if len(pictures.images) > (most := bounds().train_pictures):
        raise ValueError(f"these are {len(pictures.images):,} pictures; give {most:,} at most here")
    return pictures


def new_name(model: str) -> str:
    """A free name for what a model becomes: my-zigma-emoji, then my-zigma-emoji-2."""
    stem = f"my-{model.removeprefix('my-')}"[:NAME_LENGTH]
    names = chain([stem], (f"{stem}-{number}" for number in count(2)))
    return next(name for name in names if not (zoo.WEIGHTS / name).exists())


def usual_steps(pictures: int) -> int:
    """The steps of a run where none are given."""
    return min(default_steps(pictures), bounds().train_steps)


def _typed(value: Any) -> Any:
    """A whole number that was typed, as a number; anything else as it is, for the check of numbers."""
    text = value.strip() if isinstance(value, str) else value
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10 else text


def plan_of(
    model: str, name: str, method: str, steps: Any, batch: Any, prompts: str | None, pictures: Pictures
) -> tuple[Plan, Tuning]:
    """The plan of a run, with the trainer's default steps if none are given. Raises ValueError with one sentence.

    prompts: to rehearse with a text-conditional model, one per line; ignored for a model with labels.
    """
    most, steps = bounds(), _typed(steps)
    default = steps in (None, "")
    steps = usual_steps(len(pictures.images)) if default else as_whole("steps", steps, 1, most.train_steps)
    batch = 32 if batch in (None, "") else as_whole("batch", batch, 1, most.train_batch)
    lines = [] if rehearsal_prompts(model) is None else [line.strip() for line in (prompts or "").splitlines()]
    rehearsal = tuple(line for line in lines if line)
    plan = Plan(model, (name or "").strip(), method, steps, batch, prompts=rehearsal)
    return plan, Tuning(plan.method, steps=plan.steps, batch=plan.batch, rehearse=plan.rehearse, prompts=rehearsal)


def look_html(pictures: Pictures) -> str:
    """The first pictures as the network will see them, each above its label; then every file that is left out."""
    pairs = zip(pictures.images[:MOST_SHOWN], pictures.labels, strict=False)
    tiles = "".join(
        f'<figure><img alt="{escape(label)}" src="{texts.data_url(Image.fromarray(image))}">{escape(label)}</figure>'
        for image, label in pairs
    )
    return f'<div class="tiles">{tiles}</div>{_left_out_html(pictures.skipped)}'


def _left_out_html(reasons: list[str]) -> str:
    """The files that are left out, each with its reason, folded up."""
    if not reasons:
        return ""
    rows = "".join(f"<li>{escape(reason)}</li>" for reason in reasons[:MOST_REASONS])
    more = f"<li>and {len(reasons) - MOST_REASONS:,} more</li>" if len(reasons) > MOST_REASONS else ""
    files = f"{len(reasons):,} file{'s' * (len(reasons) != 1)} left out, with the reason for each"
    return f'<details class="left-out"><summary>{files}</summary><ul>{rows}{more}</ul></details>'


def look_line(pictures: Pictures) -> str:
    """What was read, as Markdown; what was left out is listed below the pictures."""
    labels, count = list(dict.fromkeys(pictures.labels)), len(pictures.images)
    listed = ", ".join(labels[:8]) + (", …" if len(labels) > 8 else "")
    paragraphs = [f"**{count:,} picture{'s' * (count != 1)}**, label{'s' * (len(labels) != 1)}: {texts.plain(listed)}."]
    counts = (f"{count} picture", f"{len(pictures.skipped)} left out")  # told here in more detail
    paragraphs += [f"{texts.plain(note)}." for note in pictures.notes if not note.startswith(counts)]
    return "\n\n".join(paragraphs)


def curve_html(status: JobStatus) -> str:
    """The loss over the steps."""
    if len(status.losses) < 2:
        return ""
    width, height, margin = CHART
    low, high = min(loss for _, loss in status.losses), max(loss for _, loss in status.losses)
    last = max(status.steps, status.losses[-1][0])

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
        f'<path d="M{"L".join(place(*point) for point in status.losses)}"/></svg>'
    )


def sample_html(status: JobStatus) -> str:
    """The latest samples: real pictures above, generated ones below."""
    if status.sample is None:
        return ""
    try:
        with Image.open(status.sample) as image:
            source = texts.data_url(image.convert("RGB"))
    except OSError:  # while it is being written
        return ""
    return f'<img alt="samples" src="{source}"><p>Samples: a real picture, and below it what the model draws.</p>'


def run_line(name: str, status: JobStatus) -> str:
    """The status of a run, as Markdown."""
    left = "" if status.seconds_left is None else f", about {_duration(status.seconds_left)} left"
    loss = f", loss {status.losses[-1][1]:.3f}" if status.losses else ""
    states = {
        "starting": "reads the pictures and draws what the model knows, to rehearse it.",
        "running": f"step {status.step:,} of {status.steps:,}{loss}{left}.",
        "paused": f"paused at step {status.step:,} of {status.steps:,}.",
        "stopping": "stops after the current step and keeps the model as it is then.",
        "done": f"done{loss}. It is in the list of models now.",
        "stopped": f"stopped at step {status.step:,} of {status.steps:,}. " + (
            "The model at that step is in the list of models." if status.model else texts.plain(status.sentence)),
        "failed": f"failed: {texts.plain(status.sentence)}",
        "lost": texts.plain(status.sentence),
    }  # fmt: skip
    return f"**{texts.plain(name)}**: {states[status.state]}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"
