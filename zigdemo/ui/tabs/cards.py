"""The *Cards* tab: every installed model, what it draws and how good it is; and adding others."""

from __future__ import annotations

from functools import lru_cache, partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ... import zoo
from ...backbones import FAMILIES
from ...zoo.hub import SOURCES
from ..adding import build_adding
from ..borders import handler
from ..frame import Frame
from ..runs import QUIET
from ..settings import PICTURES, installed_model, installed_models, model_choices
from ..sharing import choice_json
from ..texts import data_url
from .pictures import TAB as PICTURES_TAB

ORIGINS = {
    "shipped (toy)": "Trained for this demo on little data and compute, to show the architecture at work",
    "official": "The weights published by the authors",
    "yours": "Trained or added by you",
    "untrained": "Random weights: it draws noise",
}
MOST_GRID_BYTES = 2**23
GRIDS = ("grid.webp", "grid.png")
FEW = 6  # models that are surveyed at a glance; with more there is a search
MOUNT = """
const mount = (tries) => window.zigdemoModels ? window.zigdemoModels.mount(element, trigger)
  : tries > 0 && setTimeout(() => mount(tries - 1), 50);
mount(200);
"""


def percent(share: float) -> str:
    """A share from 0 to 1 in percent, with no more digits than one wants to read."""
    text = f"{100 * share:.{1 if share >= 0.01 else 2}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}\N{NO-BREAK SPACE}%"


def _backbone(folder: zoo.ModelFolder) -> str:
    family = folder.family.removesuffix(" official")
    return FAMILIES[family].config.__name__.removesuffix("Config") if family in FAMILIES else family


def _draws(folder: zoo.ModelFolder) -> tuple[str, str]:
    """What a model draws, as a word to filter by and as a sentence."""
    size = getattr(folder.model, "size", None)
    pixels = "" if size is None else f" of {size[1] * _factor(folder)} × {size[0] * _factor(folder)} pixels"
    items = f"clips of {folder.frames} frames{pixels and ','}{pixels}" if folder.frames else f"pictures{pixels}"
    kind = "clips" if folder.frames else "pictures"
    if folder.labels is not None:
        return f"{kind} by label", f"Draws {items}, by {len(folder.labels):,} labels."
    if getattr(folder.model, "text_width", 0):
        return f"{kind} by prompt", f"Draws {items}, by {'prompt' if folder.text else 'text features'}."
    return f"{kind}, unconditional", f"Draws {items}, unconditional."


def _factor(folder: zoo.ModelFolder) -> int:
    """Pixels to the side of a latent, 1 for a model of pixels."""
    return 1 if folder.latents is None else folder.latents.factor


def _scans(folder: zoo.ModelFolder) -> str:
    if not folder.schemes:
        return "none; nothing to choose"
    return f"trained with {', '.join(folder.schemes)}; others of its kind run too and are marked as not trained"


def _scores(folder: zoo.ModelFolder) -> list[str]:
    """The measured scores of these weights, each a sentence."""
    about, scores = folder.about, []
    if isinstance(about.get("retrieval_top1"), float) and isinstance(about.get("retrieval_floor"), float):
        scores.append(
            f"For {percent(about['retrieval_top1'])} of {about.get('retrieval_count', '?')} labels the generated "
            f"picture is closest to the right original; chance {percent(about['retrieval_floor'])}."
        )
    text = about.get("text_retrieval")
    if isinstance(text, dict) and all(isinstance(text.get(key), float) for key in ("top1", "ceiling_top1", "floor")):
        scores.append(
            f"For {percent(text['top1'])} of {text.get('n', '?')} prompts in new words the picture is recognised as "
            f"what was asked for; real pictures {percent(text['ceiling_top1'])}, chance {percent(text['floor'])}."
        )
    obedience = about.get("obedience")
    if isinstance(obedience, dict) and all(isinstance(obedience.get(key), float) for key in ("shown", "guessing")):
        ceiling = obedience.get("ceiling")
        real = f"real pictures {percent(ceiling)}, " if isinstance(ceiling, float) else ""
        scores.append(
            f"Of what {obedience.get('prompts', '?')} prompts in new words ask for, {percent(obedience['shown'])} is "
            f"in the picture; {real}chance {percent(obedience['guessing'])}."
        )
    for one in about.get("scores") or () if isinstance(about.get("scores"), list) else ():
        if isinstance(one, dict) and one.get("floor_of") == "guessing" and isinstance(one.get("floor"), float):
            scores.append(
                f"For {percent(float(one.get('value') or 0))} of {one.get('count', '?')} "
                f"{'clips' if folder.frames else 'pictures'} the {one.get('name')}; chance {percent(one['floor'])}."
            )
    return scores


@lru_cache(maxsize=64)
def _embedded(file: Path, stamp: int) -> str:
    """A picture as a data URL. stamp: its time, so that a new one is read again."""
    with Image.open(file) as image:
        return data_url(image.convert("RGB"), "WEBP")


def _samples(folder: zoo.ModelFolder) -> str:
    """The sample grid of the model card, to enlarge with a click; nothing where there is none."""
    file = next((folder.path / name for name in GRIDS if (folder.path / name).is_file()), None)
    if file is None or file.stat().st_size > MOST_GRID_BYTES:
        return '<div class="samples none">No samples</div>'
    by_text = folder.about.get("obedience")
    caption = "One prompt per row, one seed per column" if by_text else "Real above, generated below"
    name = escape(folder.id)
    return (
        f'<button type="button" class="samples" aria-label="Enlarge the samples of {name}" '
        f'data-caption="{name}. {caption}."><img alt="samples of {name}" '
        f'src="{_embedded(file, file.stat().st_mtime_ns)}"><span>{caption}</span></button>'
    )


def _card(folder: zoo.ModelFolder, live: bool) -> str:
    kind, draws = _draws(folder)
    scores = _scores(folder)
    facts = {
        "backbone": f"{folder.family}, {folder.model.parameters / 1e6:.2f} M weights",
        "mixing": getattr(folder.model, "mixing", ""),
        "scan": _scans(folder),
        "predicts": {"clean": "the clean image"}.get(folder.prediction, f"the {folder.prediction}"),
        "training": f"{seen:,} images seen" if isinstance(seen := folder.about.get("images_seen"), int) else "",
        "origin": ORIGINS.get(folder.origin, ""),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(str(fact))}</dd>" for name, fact in facts.items() if fact)
    measured = "".join(f"<p>{escape(score)}</p>" for score in scores or ["Not measured."])
    name, backbone, origin = escape(folder.id), escape(_backbone(folder)), escape(folder.origin)
    scan = f", scan {', '.join(folder.schemes)}" if folder.schemes else ""
    in_place = f' data-draw="{name}"' if live and not folder.frames else ""
    return (
        f'<article data-backbone="{backbone}" data-draws="{kind}" data-origin="{origin}">{_samples(folder)}'
        f'<h3><span translate="no">{name}</span> '
        f'<span class="origin" title="{ORIGINS.get(folder.origin, "")}">{origin}</span></h3>'
        f'<p class="kind">{backbone}{escape(scan)}</p><p class="draws">{escape(draws)}</p>{measured}'
        f"<details><summary>Details</summary><dl>{rows}</dl></details>"
        f'<a class="draw" href="?model={name}"{in_place} aria-label="Draw with this: {name}">Draw with this</a>'
        "</article>"
    )


def _option(value: str) -> str:
    return f'<option value="{escape(value)}">{escape(value)}</option>'


def _finder(folders: list[zoo.ModelFolder]) -> str:
    """The search box and the filters, for many models."""
    if len(folders) <= FEW:
        return ""
    filters = {
        "backbone": ("Backbone", {_backbone(folder) for folder in folders}),
        "draws": ("Draws", {_draws(folder)[0] for folder in folders}),
        "origin": ("Origin", {folder.origin for folder in folders}),
    }
    selects = "".join(
        f'<label>{title}<select name="{name}"><option value="">all</option>'
        f"{''.join(map(_option, sorted(values)))}</select></label>"
        for name, (title, values) in filters.items()
    )
    return (
        f'<div class="finder" role="search"><label>Search<input type="search" placeholder="name, scan, words"></label>'
        f'{selects}<output role="status">{len(folders)} models</output></div>'
    )


def models_html(live: bool = False) -> str:
    """One card per installed model. live: whether the page itself, rather than a link, opens the Pictures tab."""
    folders = installed_models()
    if not folders:
        return "<p>No model is installed yet.</p>"
    cards = "".join(_card(folder, live) for folder in folders)
    nothing = '<p class="nothing" hidden>No model fits; search for less.</p>'
    return f'{_finder(folders)}<div class="models">{cards}</div>{nothing}'


def official_html() -> str:
    """The published checkpoints, each with the command that downloads it."""
    installed = {folder.id for folder in zoo.available()}
    items = []
    for name, source in SOURCES.items():
        how = "installed" if name in installed else f"<code>python -m zigdemo.zoo import {escape(name)}</code>"
        items.append(f"<li><b>{escape(source.family)}</b>, {escape(source.about)}: {how}</li>")
    return f'<ul class="official" translate="no">{"".join(items)}</ul>'


@handler(lambda sentence: (gr.skip(), gr.skip()))
def _draw_with(event: gr.EventData) -> tuple[Any, str]:
    """Updates of the Pictures tab's model and of the choice to that of a card."""
    folder = installed_model(getattr(event, "model", None))
    PICTURES.refuse(folder)
    return gr.update(choices=model_choices(PICTURES), value=folder.id), choice_json({"model": folder.id})


def build_cards_tab(frame: Frame) -> None:
    """Lay the tab out; call inside a gr.Tab."""
    make_cards = partial(models_html, frame.model is not None)
    cards = gr.HTML("", padding=False, elem_id="models", js_on_load=MOUNT)
    frame.page.load(make_cards, None, cards, **QUIET)  # whenever the page opens, as models come and go
    if frame.model is not None and frame.follow_model is not None:
        chosen = cards.select(_draw_with, None, [frame.model, frame.choice], **QUIET)
        frame.follow_model(chosen)
        frame.open_after(chosen.then, PICTURES_TAB)
    with gr.Accordion("Add a model", open=False, elem_id="add"):
        build_adding(frame, cards, make_cards)
    with gr.Accordion("Official checkpoints from the command line", open=False):
        gr.Markdown("Large files, best used on a GPU; downloaded once, and read without executing anything in them.")
        frame.page.load(official_html, None, gr.HTML("", padding=False), **QUIET)
