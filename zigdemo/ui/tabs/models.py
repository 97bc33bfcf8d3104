"""The *Models* tab: every installed model, what it draws and how good it is; and the official ones to download."""

from __future__ import annotations

from html import escape

import gradio as gr
from PIL import Image

from ... import zoo
from ...zoo.hub import SOURCES
from ..frame import Frame
from ..settings import installed_models
from ..texts import data_url

ORIGINS = {
    "shipped (toy)": "Trained for this demo on little data and compute, to show the architecture at work",
    "official": "The weights published by the authors",
    "yours": "Trained or added by you",
    "untrained": "Random weights: it draws noise",
}
MOST_GRID_BYTES = 2**23
GRIDS = ("grid.webp", "grid.png")


def _draws(folder: zoo.ModelFolder) -> str:
    model = folder.model
    size = getattr(model, "size", None)
    items = "pictures" if size is None else f"{size[1]} × {size[0]} pixels"
    if folder.frames:
        items = f"clips of {folder.frames} frames" + ("" if size is None else f", {items}")
    if folder.labels is not None:
        return f"{items}, by {len(folder.labels):,} labels"
    if getattr(model, "text_width", 0):
        return f"{items}, by prompt" if folder.text else f"{items}, by text features"
    return f"{items}, by class number" if model.labels else f"{items}, unconditional"


def _scans(folder: zoo.ModelFolder) -> str:
    if not folder.schemes:
        return "none; nothing to choose"
    return f"trained with {', '.join(folder.schemes)}; others of its kind run too and are marked as not trained"


def _scores(folder: zoo.ModelFolder) -> str:
    """The measured scores of these weights, or that there are none."""
    about, scores = folder.about, []
    if isinstance(about.get("retrieval_top1"), float) and isinstance(about.get("retrieval_floor"), float):
        scores.append(
            f"for {about['retrieval_top1']:.1%} of {about.get('retrieval_count', '?')} labels the generated picture is "
            f"closest to the right original (chance: {about['retrieval_floor']:.2%})"
        )
    text = about.get("text_retrieval")
    if isinstance(text, dict) and all(isinstance(text.get(key), float) for key in ("top1", "ceiling_top1", "floor")):
        scores.append(
            f"for {text['top1']:.1%} of {text.get('n', '?')} prompts in new words the picture is recognised as "
            f"what was asked for (real pictures: {text['ceiling_top1']:.1%}, chance: {text['floor']:.2%})"
        )
    obedience = about.get("obedience")
    if isinstance(obedience, dict) and all(isinstance(obedience.get(key), float) for key in ("shown", "guessing")):
        ceiling = obedience.get("ceiling")
        real = f"real pictures: {ceiling:.1%}, " if isinstance(ceiling, float) else ""
        scores.append(
            f"{obedience['shown']:.1%} of what {obedience.get('prompts', '?')} prompts in new words ask for is shown "
            f"({real}chance: {obedience['guessing']:.1%})"
        )
    if isinstance(about.get("images_seen"), int):
        scores.append(f"{about['images_seen']:,} images seen in training")
    return "; ".join(scores) or "not measured"


def _grid(folder: zoo.ModelFolder) -> str:
    """The sample grid of the model card, embedded in the page, or nothing."""
    file = next((folder.path / name for name in GRIDS if (folder.path / name).is_file()), None)
    if file is None or file.stat().st_size > MOST_GRID_BYTES:
        return ""
    by_text = folder.about.get("obedience")
    summary = "Samples: one prompt per row, one seed per column" if by_text else "Samples: real above, generated below"
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
        "measured": _scores(folder),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(str(fact))}</dd>" for name, fact in facts.items() if fact)
    meaning = ORIGINS.get(folder.origin, "")
    return (
        f'<article><h3>{escape(folder.id)} <span class="origin">{escape(folder.origin)}</span></h3>'
        f"<p>{meaning}</p><dl>{rows}</dl>{_grid(folder)}</article>"
    )


def models_html() -> str:
    """One card per installed model."""
    cards = "".join(_card(folder) for folder in installed_models())
    return f'<div class="models">{cards}</div>' if cards else "<p>No model is installed yet.</p>"


def official_html() -> str:
    """The published checkpoints, each with the command that downloads it."""
    installed = {folder.id for folder in zoo.available()}
    items = []
    for name, source in SOURCES.items():
        how = "installed" if name in installed else f"<code>python -m zigdemo.zoo import {escape(name)}</code>"
        items.append(f"<li><b>{escape(source.family)}</b>, {escape(source.about)}: {how}</li>")
    return f'<ul class="official">{"".join(items)}</ul>'


def build_models_tab(frame: Frame) -> None:
    """Lay the tab out; call inside a gr.Tab."""
    gr.HTML(models_html, padding=False, elem_id="models")  # a function, so that it is called whenever the page opens
    with gr.Accordion("Official checkpoints", open=False):
        gr.Markdown("Large files, best used on a GPU; downloaded once, and read without executing anything in them.")
        gr.HTML(official_html, padding=False)
