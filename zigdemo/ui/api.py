"""Endpoints for programs: draw pictures, list models and their labels; those of other tabs stand beside their tab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from .. import media
from . import runs, texts
from .answers import ModelOf, Setting
from .borders import endpoint
from .bounds import bounds
from .estimates import REFUSED_SECONDS, seconds_of_call
from .files import save_pictures
from .more import START
from .settings import (
    PICTURES,
    installed_model,
    installed_models,
    known_options,
    show_strengths,
    to_request,
    with_defaults,
)
from .worker import TURN, in_turn


def add_endpoints() -> None:
    """Add them to the page; call inside it."""
    gr.api(in_turn(seconds_of_call)(generate), api_name="generate", **TURN)
    gr.api(in_turn(_seconds_of_one)(draw), api_name="draw", **TURN)
    gr.api(models, api_name="models")
    gr.api(labels, api_name="labels")


@endpoint
def generate(
    model: str,
    label: str | None = None,
    scan: str | None = None,
    solver: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
    count: int = 4,
    negative: str | None = None,
    guide_from: float = 0.0,
    guide_to: float = 1.0,
    options: dict[str, Setting] | None = None,
    image: gr.FileData | None = None,
    start: float = START,
    prompt: str | None = None,
    strengths: dict[str, float] | None = None,
) -> tuple[list[gr.FileData], str]:
    """API: draw pictures; returns PNG files with their settings inside, and a line about the run.

    solver, steps, guidance: by default the model's own. negative: what guidance moves away from, a label, or a prompt
    for text-conditional models. guide_from, guide_to: guidance applies between these times. options: of the solver, by
    name, also "shift" and "rescale". image: a picture to start from; start: how much of it to keep, from 0.05 to 0.95.
    prompt, strengths: for text-conditional models, what to draw and how much its words count.
    """
    picture = None if image is None else media.read_picture(_upload_path(image), bounds().picture_mp * 10**6)
    settings = with_defaults(model, solver, steps, guidance)
    request = to_request(
        model, label, scan, *settings, seed, count, negative, guide_from, guide_to,
        start if picture else 0.0, prompt, show_strengths(strengths or {}), **known_options(options),
    )  # fmt: skip
    last = runs.last_step(request, PICTURES, picture)
    files = [gr.FileData(path=path) for path in save_pictures(last.result)]
    return files, texts.summary(last)


@endpoint
def draw(
    prompt: str | None = None, model: str | None = None, label: str | None = None, scan: str | None = None,
    seed: int = 0,
) -> gr.FileData:  # fmt: skip
    """API: draw one picture by the model's own settings; returns a PNG file with its settings inside.

    prompt: for models that read text, label for the others, see /models and /labels. model: by default the first one.
    scan: a scheme other than the model's, such as "zigzag-8" or "hilbert-8".
    """
    files, _ = generate(_first(model), label, scan, seed=seed, count=1, prompt=prompt)
    return files[0]


def _first(model: str | None) -> str:
    """A model, by default the one that is offered first of those that draw pictures. Raises ValueError for none."""
    names = [folder.id for folder in installed_models(PICTURES)]
    if model is None and not names:
        raise ValueError("no model that draws pictures is installed; copy the weights folder there again")
    return model or names[0]


def _seconds_of_one(prompt: Any = None, model: Any = None, label: Any = None, scan: Any = None, seed: Any = 0) -> float:
    try:
        return seconds_of_call(_first(model), label, scan, count=1, prompt=prompt)
    except ValueError:
        return REFUSED_SECONDS


def _upload_path(file: Any) -> str:
    """The path of an uploaded file. Raises ValueError for any other file of the server."""
    path = file.get("path") if isinstance(file, dict) else getattr(file, "path", None)
    try:
        uploaded = Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve())
    except (TypeError, ValueError, OSError):  # no path, or none that a file can have
        uploaded = False
    if not uploaded:
        raise ValueError("image must be an uploaded picture; send it with gradio_client.handle_file")
    return str(path)


@endpoint
def models() -> list[ModelOf]:
    """API: the installed models with family, origin of the weights, schemes, and frames, null for image models."""
    return [
        {"id": e.id, "family": e.family, "origin": e.origin, "schemes": list(e.schemes), "frames": e.frames}
        for e in installed_models()
    ]


@endpoint
def labels(model: str) -> list[str]:
    """API: the labels of a model."""
    return list(installed_model(model).labels or ())
