"""The *Models* tab: every model here, what it can do and how honest its weights are; and the official ones to fetch."""

from __future__ import annotations

from html import escape

import gradio as gr
from PIL import Image

from ... import zoo
from ...zoo.hub import SOURCES
from ..frame import Frame
from ..settings import models_here
from ..texts import data_url

ORIGINS = {
    "shipped (toy)": "Made here on little data and little compute, to show the architecture at work",
    "official": "The publisher's own weights",
    "yours": "Trained or brought here by you",
    "untrained": "Random weights: what it draws is noise",
}
MOST_GRID_BYTES = 2**23
GRIDS = ("grid.webp", "grid.png")


def _draws(folder: zoo.ModelFolder) -> str:
    model = folder.model
    size = getattr(model, "size", None)
    what = "pictures" if size is None else f"{size[1]} × {size[0]} pixels"
    if folder.frames:
        what = f"clips of {folder.frames} frames" + ("" if size is None else f", {what}")
    if folder.labels is not None:
        return f"{what}, by {len(folder.labels):,} labels"
    if getattr(model, "text_width", 0):
        return f"{what}, by prompt" if folder.text else f"{what}, by text features"
    return f"{what}, by class number" if model.labels else f"{what}, without any condition"


def _scans(folder: zoo.ModelFolder) -> str:
    if not folder.schemes:
        return "none; nothing to choose"
    return f"trained with {', '.join(folder.schemes)}; others of its kind run too, marked as not trained"


def _honesty(folder: zoo.ModelFolder) -> str:
    """What was measured of these weights, or that nothing was."""
    about, said = folder.about, []
    if isinstance(about.get("retrieval_top1"), float) and isinstance(about.get("retrieval_floor"), float):
        said.append(
            f"of {about.get('retrieval_count', '?')} labels drawn, {about['retrieval_top1']:.1%} come nearest to their "
            f"own picture (guessing: {about['retrieval_floor']:.2%})"
        )
    text = about.get("text_retrieval")
    if isinstance(text, dict) and all(isinstance(text.get(key), float) for key in ("top1", "ceiling_top1", "floor")):
        said.append(
            f"of {text.get('n', '?')} prompts in new words, {text['top1']:.1%} are named right from the picture (real "
            f"pictures: {text['ceiling_top1']:.1%}, guessing: {text['floor']:.2%})"
        )
    shown = about.get("obedience")
    if isinstance(shown, dict) and all(isinstance(shown.get(key), float) for key in ("shown", "guessing")):
        ceiling = f"real pictures: {shown['ceiling']:.1%}, " if isinstance(shown.get("ceiling"), float) else ""
        said.append(
            f"of what {shown.get('prompts', '?')} prompts in new words ask for, {shown['shown']:.1%} is shown "
            f"({ceiling}guessing: {shown['guessing']:.1%})"
        )
    if isinstance(about.get("images_seen"), int):
        said.append(f"{about['images_seen']:,} images seen in training")
    return "; ".join(said) or "not measured"


def _grid(folder: zoo.ModelFolder) -> str:
    """The card's sample grid as an image inside the page, or nothing."""
    file = next((folder.path / name for name in GRIDS if (folder.path / name).is_file()), None)
    if file is None or file.stat().st_size > MOST_GRID_BYTES:
        return ""
    by_text = folder.about.get("obedience")
    summary = "Samples: a prompt a row, a seed a column" if by_text else "Samples: real above, generated below"
    with Image.open(file) as image:
        source = data_url(image.convert("RGB"), "WEBP")
    return (
        f"<details><summary>{summary}</summary>"
        f'<img loading="lazy" alt="samples of {escape(folder.id)}" src="{source}"></details>'
    )


def _card(folder: zoo.ModelFolder) -> str:
    facts = {
        "backbone": f"{folder.family}, {folder.model.parameters / 1e6:.2f} M weights",
        "mixing": getattr(folder.model, "mixing", ""),
        "draws": _draws(folder),
        "scan": _scans(folder),
        "predicts": {"clean": "the clean image"}.get(folder.prediction, f"the {folder.prediction}"),
        "measured": _honesty(folder),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(str(fact))}</dd>" for name, fact in facts.items() if fact)
    meaning = ORIGINS.get(folder.origin, "")
    return (
        f'<article><h3>{escape(folder.id)} <span class="origin">{escape(folder.origin)}</span></h3>'
        f"<p>{meaning}</p><dl>{rows}</dl>{_grid(folder)}</article>"
    )


def models_html() -> str:
    """One card a model here."""
    cards = "".join(_card(folder) for folder in models_here())
    return f'<div class="models">{cards}</div>' if cards else "<p>No model is here yet.</p>"


def official_html() -> str:
    """The published checkpoints, and the command that brings each here."""
    here = {folder.id for folder in zoo.available()}
    items = []
    for name, source in SOURCES.items():
        how = "it is here" if name in here else f"<code>python -m zigdemo.zoo import {escape(name)}</code>"
        items.append(f"<li><b>{escape(source.family)}</b>, {escape(source.about)}: {how}</li>")
    return f'<ul class="official">{"".join(items)}</ul>'


def build_models_tab(frame: Frame) -> None:
    """Lay the tab out; call inside a gr.Tab."""
    gr.HTML(models_html, padding=False, elem_id="models")  # a function: read again whenever the page opens
    with gr.Accordion("Official checkpoints", open=False):
        gr.Markdown("Large files, best on a GPU; they are fetched once and checked without running anything in them.")
        gr.HTML(official_html, padding=False)
