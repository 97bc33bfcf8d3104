"""The *Attention* tab: draw from a prompt, then see where each word acts, by layer, head and step."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from .. import examples as shipped
from .. import fields, live, runs, texts
from ..answers import WordsOf
from ..borders import endpoint, handler
from ..controls import build_actions, changes, connect
from ..estimates import seconds_of_call, starting_text
from ..frame import Frame
from ..looking import (
    CHIP_NAMES,
    CHIPS,
    Updates,
    build_chips,
    busy_html,
    chips_of,
    link_script,
    numbers_in,
    stoppable,
)
from ..maps import frames_of, places, plain_html, side_by_side, text_models
from ..runs import PREVIEW_SECONDS, QUIET, STATE_SECONDS, Run, sentence
from ..settings import CLIPS, MOST_STEPS, PICTURES, defaults, examples, from_link, installed_model
from ..sharing import Query, share, show_in_address
from ..word_maps import (
    ATTENTION,
    EFFECT,
    Choice,
    Drawing,
    Recording,
    draw,
    export,
    first_choice,
    first_kind,
    picture_html,
    read_choice,
    view_html,
)
from ..worker import TURN, in_turn

TAB = "attention"  # the id of the tab and of its runs
SKIP = gr.skip()
FRAME_SECONDS = 0.15
KINDS = [("What the word changes", EFFECT), ("Attention to the word", ATTENTION)]
SETTINGS = ("model", "prompt", "steps", "seed")
MAPS = 3.0  # times as long as the picture alone takes what is recorded beside it
FILES_SECONDS = 0.3  # that writing them takes, about
SPANS = ("layer_from", "layer_to", "step_from", "step_to", "head")


@endpoint
def attention(model: str, prompt: str, steps: int | None = None, seed: int = 0) -> tuple[WordsOf, list[gr.FileData]]:
    """API: draw from a prompt; returns the maps of each word over all layers, heads and steps, and four files.

    steps: by default the model's own. The first result is {"grid": [rows, columns], "words": [{"word", "tokens", "map",
    "effect"}, ...]}, both maps as [row][column]: "map" is the attention to the word and "effect" what the word changes,
    null for tokens that belong to no word. The files are a PNG sheet of all words and an .npz with everything that was
    recorded, each for effect and for attention.
    """
    drawing = draw(model, prompt, steps, seed)
    files = [gr.FileData(path=path) for path in export(drawing)]
    effects = {word: drawing.effects.map([place]).tolist() for place, word in enumerate(drawing.effects.words)}
    words = [
        {
            "word": name,
            "tokens": list(indices),
            "map": drawing.maps.map(indices).tolist(),
            "effect": effects.get((name, tuple(indices))),
        }
        for name, indices in drawing.tokens
    ]
    return {"grid": list(drawing.maps.grid), "words": words}, files


OUTPUTS = (*SETTINGS, *CHIP_NAMES, "go", "stop", "progress", "picture", "about", "words", "kind", *SPANS, "view")
OUTPUTS += ("play", "save", "files", "drawing", "linked", "query")


def _updates(running: bool | None = None, line: str | None = None, **updates: Any) -> tuple[Any, ...]:
    """Updates of OUTPUTS, as `changes`; while something runs, what it was started with cannot be changed."""
    if running is not None:
        names = (*SETTINGS, *CHIP_NAMES, "play", "save")
        updates = {**{name: gr.update(interactive=not running) for name in names}, **updates}
    return changes(OUTPUTS, running, line, **updates)


def _seconds(model: Any, prompt: Any = None, steps: Any = None, *others: Any, **more: Any) -> float:
    return FILES_SECONDS + MAPS * seconds_of_call(model, prompt=prompt, steps=steps, count=1)


@stoppable(TAB, _updates)
def _draw(
    run: Run, model: str, prompt: str, steps: float, seed: float, kind: str, earlier: Drawing | None,
    linked: Choice | None,
) -> Updates:  # fmt: skip
    """The Draw button: first the picture step by step, then the maps of a word."""
    recording = Recording(model, prompt, steps, seed)
    yield _updates(
        True,
        starting_text(),
        about=texts.ATTENTION_START,
        words=gr.update(visible=False),
        kind=gr.update(visible=False),
        view=texts.placeholder_html(texts.MAPS_EMPTY),
        drawing=None,
        query="",
        files=gr.update(visible=False),
        **{name: gr.update(interactive=False) for name in SPANS},
    )
    shown_at = -math.inf
    with closing(runs.steps_of(run, recording.request, record=recording.record)) as drawn:
        for step in drawn:
            if time.monotonic() - shown_at >= PREVIEW_SECONDS:
                preview = plain_html(side_by_side(frames_of(step)), "preview")
                yield _updates(picture=preview, progress=texts.progress_html(step))
                shown_at = time.monotonic()
    if run.stop.is_set():
        return
    yield _updates(progress=busy_html(texts.LOOKING))
    yield _updates(False, texts.ATTENTION_WORDS, **_drawn(recording.drawing(step.result), kind, earlier, linked))


def _drawn(drawing: Drawing, kind: str, earlier: Drawing | None, linked: Choice | None) -> dict[str, Any]:
    """Updates that show a new drawing: the words of a link, or those of an earlier drawing of the same prompt."""
    if linked is None and earlier is not None and earlier.request.prompt == drawing.request.prompt:
        linked = earlier.choice
    drawing.choice = choice = first_choice(drawing, kind, linked)
    spans = [(one, numbers) for numbers, ends in _ends(drawing) for one in ends]
    return dict(
        words=gr.update(
            choices=[(name, str(place)) for place, (name, _) in enumerate(drawing.tokens)],
            value=list(choice.words),
            visible=True,
        ),
        kind=gr.update(visible=True),
        picture=picture_html(drawing),
        drawing=drawing,
        linked=None,
        **{name: places(count, value=value + 1) for name, (value, count) in zip(SPANS[:4], spans, strict=True)},
        head=gr.update(value=choice.head, maximum=drawing.heads, interactive=True),
        play=gr.update(interactive=True),
        save=gr.update(interactive=True),
        **_shown(drawing),
    )


def _live(
    turn: live.LiveRun, model: str, prompt: str, steps: float, seed: float, kind: str, earlier: Drawing | None
) -> tuple[Any, ...] | None:
    """The maps while the words change; None for a model that is too slow."""
    if not live.quick_enough(installed_model(model)):
        return None
    recording = Recording(model, prompt, live.steps_of(turn, steps), seed)
    step = runs.run_to_end(recording.request, stopped=turn.stopped, record=recording.record)
    if step is None:
        return None
    line = f"{turn.name}: {recording.request.steps} steps. {texts.ATTENTION_WORDS}"
    return _updates(line=line, **_drawn(recording.drawing(step.result), kind, earlier, None))


def _ends(drawing: Drawing) -> list[tuple[int, tuple[int, int]]]:
    """The number of layers and of steps, each with the first and the last one chosen."""
    choice = drawing.choice
    return [
        (drawing.layers, (choice.layers[0], choice.layers[-1])),
        (drawing.request.steps, (choice.steps[0], choice.steps[-1])),
    ]


def _shown(drawing: Drawing) -> dict[str, Any]:
    """Updates that show the maps of the drawing's choice."""
    choice = drawing.choice
    numbers = [end + 1 for _, ends in _ends(drawing) for end in ends] + [choice.head]
    link = {"words": ",".join(choice.words), "kind": choice.kind, **dict(zip(SPANS, numbers, strict=True))}
    return {
        "about": texts.ATTENTION_POINT if len(drawing.frames) == 1 else texts.ATTENTION_CLIP,
        "view": view_html(drawing, choice),
        "query": urlencode(link),
        "files": gr.update(visible=False),
    }


def _of_model(model: str) -> tuple[Any, ...]:
    """Updates of prompt, steps, kind of map, the layer and head controls and the chips for another model."""
    kind = first_kind(model)
    return examples(model)[0], defaults(model)["steps"], kind, *_kind_updates(kind), *chips_of(model)


@handler(lambda sentence: _updates(about=sentence))
def _view(drawing: Drawing | None, names: list[str], kind: str, *spans: float) -> tuple[Any, ...]:
    """The maps of another choice, which from now on is the drawing's; a wrong one leaves the maps as they are."""
    if drawing is None:
        return _updates(about=texts.ATTENTION_START)
    try:
        drawing.choice = read_choice(drawing, names, kind, *spans)
    except ValueError as fault:  # told in the line alone: no word may be chosen for a moment
        return _updates(about=sentence(fault))
    return _updates(**_shown(drawing))


@stoppable(TAB, _updates)
def _play(run: Run, drawing: Drawing | None) -> Updates:
    """The maps step by step, at the chosen layers and head, until something else is chosen; then those of that."""
    if drawing is None:
        yield _updates(False, texts.ATTENTION_START)
        return
    choice = drawing.choice
    steps = (drawing.effects if choice.kind == EFFECT else drawing.maps).steps
    yield _updates(True, texts.PLAYING)
    for step in steps:
        if run.stop.is_set() or drawing.choice is not choice:
            break
        yield _updates(view=view_html(drawing, replace(choice, steps=range(step, step + 1)), strips=False))
        time.sleep(FRAME_SECONDS)
    yield _updates(False, texts.ATTENTION_WORDS, **_shown(drawing))


def _stop(page: gr.Request, drawing: Drawing | None) -> tuple[Any, ...]:
    """The Stop button: ends the run of this page; the maps are those of the choice again."""
    runs.stop(page, TAB)
    if drawing is None:
        return _updates(False, texts.STOPPED)
    return _updates(False, texts.ATTENTION_WORDS, **_shown(drawing))


def _kind_updates(kind: str) -> tuple[dict[str, Any], ...]:
    """Updates of the layer and head controls, which only apply to attention."""
    return (gr.update(visible=kind == ATTENTION),) * 2


@handler(lambda sentence: (texts.line_html(sentence), SKIP))
def _export(drawing: Drawing | None) -> tuple[Any, Any]:
    """The figure, sheets of all words and all numbers as files."""
    if drawing is None:
        return texts.line_html(texts.ATTENTION_START), SKIP
    return texts.line_html(texts.EXPORTED), gr.update(value=export(drawing), visible=True)


def _follow(query: Query, own: Query) -> tuple[Any, ...] | None:
    """Updates of the settings, kind of map and chips for the settings of a link; None if its model takes no words."""
    model = query.get("model")
    if model not in [entry.id for entry in text_models()]:
        return None
    request, _ = from_link(query, CLIPS if installed_model(model).frames else PICTURES)
    if request is None:
        return None
    kind = query.get("kind")
    kind = kind if kind in (EFFECT, ATTENTION) else first_kind(request.model)
    kinds = (SKIP,) * 3 if own.get("model") == model else (kind, *_kind_updates(kind))
    return request.model, request.prompt or "", request.steps, request.seed, *kinds, *chips_of(request.model)


def _open_link(page: gr.Request) -> tuple[Any, ...]:
    """Updates of the settings, kind of map, chips, what to look at and the line for a link to this tab."""
    query = dict(page.query_params)
    # The Pictures or Clips tab says which settings of a link had to be left out.
    shown = _follow(query, {}) if query.get("place") == TAB else None
    if shown is None:
        return (SKIP,) * (len(SETTINGS) + 3 + 1 + CHIPS + 2)
    numbers = {name: max(value, 1) for name, value in numbers_in(query, SPANS[:4]).items()}
    layers = range(numbers.get("layer_from", 1) - 1, numbers.get("layer_to", MOST_STEPS))
    spans = layers, range(numbers.get("step_from", 1) - 1, numbers.get("step_to", MOST_STEPS))
    kind = shown[len(SETTINGS)]
    linked = Choice(tuple(query.get("words", "").split(",")), kind, *spans, numbers_in(query, ("head",)).get("head", 0))
    return *shown, linked, texts.line_html(texts.LINK_OPENED)


def build_attention_tab(frame: Frame) -> None:
    """Lay the tab out; call inside a gr.Tab."""
    gr.api(in_turn(_seconds)(attention), api_name="attention", **TURN)
    if not text_models():
        gr.Markdown(texts.NO_TEXT_MODEL, elem_id="attention-line")
        return
    names = [entry.id for entry in text_models()]
    by_attention = first_kind(names[0]) == ATTENTION
    c: dict[str, Any] = {}  # the controls by their names in OUTPUTS
    with gr.Row(equal_height=False):
        c["model"] = fields.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1, min_width=220)
        c["prompt"] = gr.Textbox(examples(names[0])[0], label="Prompt", lines=2, max_lines=3, scale=3, min_width=280)
        usual = defaults(names[0])["steps"]
        c["steps"] = fields.Slider(1, MOST_STEPS, value=usual, step=1, label="Steps", min_width=150, buttons=[])
        c["seed"] = fields.Number(0, label="Seed", precision=0, minimum=0, min_width=90)
    chip_row, chips = build_chips(names[0])
    shown = shipped.maps() if names[0] == shipped.PORTRAITS else None
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            c["go"], c["stop"], c["progress"] = build_actions(
                texts.ATTENTION_START, "attention-progress", "Draw", "attention-draw"
            )
            picture = shown.lit if shown else texts.placeholder_html(texts.NO_PICTURE)
            c["picture"] = gr.HTML(picture, elem_id="attention-picture", padding=False)
            c["kind"] = fields.Radio(
                KINDS,
                value=first_kind(names[0]),
                label="Map",
                info=texts.ATTENTION_KINDS,
                visible=False,
                elem_id="attention-kind",
            )
            with gr.Row():
                c["step_from"], c["step_to"] = _slider("From step"), _slider("To step")
            with gr.Row(visible=by_attention) as of_layers:
                c["layer_from"], c["layer_to"] = _slider("From layer"), _slider("To layer")
            with gr.Row(visible=by_attention) as of_heads:
                c["head"] = _slider("Head, 0 for all", 0)
        with gr.Column(scale=3, min_width=280):
            c["about"] = gr.Markdown(texts.ATTENTION_FIRST if shown else texts.NO_DRAWING, elem_id="attention-line")
            c["words"] = fields.CheckboxGroup(
                [], show_label=False, visible=False, elem_id="attention-words", elem_classes="prompts", container=False
            )
            empty = texts.placeholder_html(texts.MAPS_EMPTY)
            c["view"] = gr.HTML(shown.words if shown else empty, elem_id="attention-map", padding=False)
            with gr.Row():
                c["play"] = gr.Button("Play the steps", size="sm", interactive=False, min_width=120)
                c["save"] = gr.Button("Export PNG, SVG and numbers", size="sm", interactive=False, min_width=160)
                link = gr.Button("Copy link", size="sm", min_width=120)
            c["files"] = gr.Files(show_label=False, interactive=False, visible=False, elem_id="attention-files")
            c["query"] = gr.Textbox(visible="hidden")
    c |= zip(CHIP_NAMES, chips, strict=True)
    c["drawing"] = gr.State(None, time_to_live=STATE_SECONDS)
    c["linked"] = gr.State(None, time_to_live=STATE_SECONDS)

    outputs, settings = [c[name] for name in OUTPUTS], [c[name] for name in SETTINGS]
    buttons, inputs = (c["go"], c["stop"], c["progress"]), [*settings, c["kind"], c["drawing"], c["linked"]]
    runs_after = connect(buttons, inputs, outputs, _draw, _stop, _updates, [c["drawing"]], _seconds)
    runs_after(c["prompt"].submit)
    gr.on(
        [c["words"].input, c["kind"].input, *(c[name].release for name in SPANS)],
        _view,
        [c["drawing"], c["words"], c["kind"], *(c[name] for name in SPANS)],
        outputs,
        trigger_mode="always_last",
        **QUIET,
    )
    if frame.live is not None:
        moved = [c[name].change for name in ("model", "prompt", "seed")]
        followed = [*settings, c["kind"], c["drawing"]]
        live.connect_live(frame.live, moved, followed, outputs, _live, lambda sentence: _updates(line=sentence))
    c["kind"].input(_kind_updates, c["kind"], [of_layers, of_heads], **QUIET)
    of_model = [c["prompt"], c["steps"], c["kind"], of_layers, of_heads, chip_row, *chips]
    c["model"].input(_of_model, c["model"], of_model, **QUIET)
    for chip in chips:
        chip.click(lambda text: text, chip, c["prompt"], **QUIET)
    playing = c["play"].click(_play, c["drawing"], outputs, **QUIET)
    c["stop"].click(None, None, None, cancels=playing)
    c["save"].click(_export, c["drawing"], [c["progress"], c["files"]], **QUIET)
    link.click(
        lambda *_: gr.Info(texts.LINK_COPIED), [*settings, c["query"]], None, js=link_script(TAB, SETTINGS), **QUIET
    )
    followed = [*settings, c["kind"], of_layers, of_heads, chip_row, *chips]
    share(frame, TAB, dict(zip(SETTINGS, settings, strict=True)), followed, _follow)
    show_in_address(TAB, c["query"])
    frame.page.load(_open_link, None, [*followed, c["linked"], c["progress"]], **QUIET)


def _slider(label: str, least: int = 1) -> gr.Slider:
    """A slider that is disabled until there is a drawing."""
    return fields.Slider(least, 8, value=least, step=1, label=label, interactive=False, min_width=120, buttons=[])
