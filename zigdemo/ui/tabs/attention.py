"""The *Attention* tab: draw from a prompt, then see where each word acts, by layer, head and step."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ...checks import as_whole
from ...explain import AttentionMaps, EffectMaps, EffectRecorder, Recorder, RecordGroup, heat
from ...pipeline import Request
from .. import texts
from ..borders import endpoint, handler, unchecked
from ..controls import updates_of
from ..files import pictures_folder
from ..frame import Frame
from ..maps import (
    enlarged,
    figure_html,
    legend_html,
    one_picture,
    places,
    plain_html,
    side_by_side,
    text_models,
    tiles_html,
)
from ..runs import MODELS, QUIET, STATE_SECONDS, TURN, sentence
from ..settings import MOST_STEPS, defaults, examples, installed_model
from ..words import lit_html

SKIP = gr.skip()
MOST_BYTES = 2**26  # of the maps of one drawing, which are kept for its page
STRIP = 8  # small maps below the large one, at most
FRAME_SECONDS = 0.15
EFFECT, ATTENTION = "effect", "attention"
KINDS = [("What the word changes", EFFECT), ("Attention to the word", ATTENTION)]


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture, or the frames of a clip, with the recorded attention to each word of its prompt and its effect."""

    request: Request
    frames: list[Image.Image]
    maps: AttentionMaps
    effects: EffectMaps
    words: list[tuple[str, Sequence[int]]]

    @property
    def picture(self) -> Image.Image:
        """The picture, or the middle frame."""
        return self.frames[len(self.frames) // 2]

    @property
    def tokens(self) -> list[tuple[str, tuple[int, ...]]]:
        """Every token of the condition, grouped under names."""
        return self.maps.tokens(self.words)

    def token_indices(self, names: Sequence[str]) -> list[int]:
        """The tokens of names, each given by its place in `tokens` as a string. Raises ValueError if there are none."""
        known = {str(place): indices for place, (_, indices) in enumerate(self.tokens)}
        tokens = sorted({i for name in names or () for i in known.get(name, ())})
        if not tokens:
            raise ValueError("choose a word to see where it acts")
        return tokens

    def word_places(self, names: Sequence[str]) -> list[int]:
        """The places in `words` of names given as for `token_indices`. Raises ValueError if no name is a word."""
        tokens = set(self.token_indices(names))
        places = [place for place, (_, indices) in enumerate(self.words) if tokens & set(indices)]
        if not places:
            raise ValueError("only a word can be left out to see what it changes; choose one, or Attention to the word")
        return places


def draw(model: str, prompt: str, steps: float | None, seed: float) -> Drawing:
    """Draw one picture or clip from a prompt and record it. Raises ValueError with one sentence.

    The pipeline's `words(prompt)` gives each word with the indices of its tokens, start and end tokens among them.
    """
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError("the prompt is empty; write a few words of what to draw")
    if model not in [entry.id for entry in text_models()]:
        raise ValueError(f"{str(model)[:60]!r} attends to no words; choose a text model with cross-attention")
    request = one_picture(model, prompt, None, None, steps, seed)
    pipe = MODELS.get(installed_model(model))
    words = pipe.words(prompt)
    recorder, effects = Recorder(most_bytes=MOST_BYTES), EffectRecorder(words)
    result = pipe(request, record=RecordGroup(recorder, effects))
    frames = [Image.fromarray(frame) for frame in result.clips[0]] if result.clips else result.images
    return Drawing(request, frames, recorder.maps, effects.maps, words)


def _span(name: str, first: Any, last: Any, most: int) -> range:
    """The indices, from 0, between `first` and `last`, which count from 1 and may be in either order.

    Raises ValueError with one sentence for a number out of range.
    """
    ends = sorted((as_whole(f"first {name}", first, 1, most), as_whole(f"last {name}", last, 1, most)))
    return range(ends[0] - 1, ends[1])


def view_html(
    drawing: Drawing, names: Sequence[str], kind: str, layers: range, steps: range, head: int, strips: bool = True
) -> str:
    """A map of some words over the picture, and below it small ones by layer and by step.

    names: as for `Drawing.token_indices`. kind: EFFECT, which has neither layers nor heads, or ATTENTION. head: 0 for
    all. strips: whether to add the small maps. For a clip, over its middle frame and then over every frame, on one
    colour scale. Raises ValueError with one sentence if there is no map of these names.
    """
    title = " + ".join(name for place, (name, _) in enumerate(drawing.tokens) if str(place) in names)
    when = f"step {steps[0] + 1}" if len(steps) == 1 else f"steps {steps[0] + 1} to {steps[-1] + 1}"
    if kind == EFFECT:
        words = drawing.word_places(names)
        by_step = _thin(range(drawing.request.steps))
        maps = [drawing.effects.map(words, [i]).numpy() for i in by_step]
        html = _figure_html(drawing, title, when, drawing.effects.map(words, steps).numpy(), "change of the prediction")
        return html + (_small_html(drawing, "By step", by_step, maps) if strips else "")
    indices, heads = drawing.token_indices(names), None if head == 0 else [head - 1]
    where = f"layer {layers[0] + 1}" if len(layers) == 1 else f"layers {layers[0] + 1} to {layers[-1] + 1}"
    about = f"{where} · {when} · {f'head {head}' if head else 'all heads'}"
    html = _figure_html(drawing, title, about, drawing.maps.map(indices, layers, steps, heads).numpy(), "attention")
    if not strips:
        return html
    by_layer = _thin(range(drawing.maps.probabilities.shape[1]))
    by_step = _thin(range(drawing.request.steps))
    of_layers = [drawing.maps.map(indices, [i], steps, heads).numpy() for i in by_layer]
    of_steps = [drawing.maps.map(indices, layers, [i], heads).numpy() for i in by_step]
    return (
        html
        + _small_html(drawing, "By layer", by_layer, of_layers)
        + _small_html(drawing, "By step", by_step, of_steps)
    )


def _figure_html(drawing: Drawing, title: str, about: str, values: Any, unit: str) -> str:
    low, peak, count = float(values.min()), float(values.max()), len(drawing.frames)
    by_frame = values.reshape(-1, *values.shape[-2:])
    side = max(enlarged(drawing.picture).size)
    image = heat.overlay(drawing.picture, by_frame[count // 2], side, low=low, peak=peak)
    legend = legend_html(peak, f"mean {values.mean():.2g}, {unit}", low)
    about = about if count == 1 else f"{about} · frame {count // 2 + 1}"
    html = f'<div class="maps one">{figure_html(title, about, image, legend)}</div>'
    if count == 1:
        return html
    small = [heat.overlay(*pair, 96, low=low, peak=peak) for pair in zip(drawing.frames, by_frame, strict=True)]
    return html + tiles_html("By frame", [(str(i), one) for i, one in enumerate(small, 1)])


def _small_html(drawing: Drawing, title: str, numbers: range, maps: list[Any]) -> str:
    maps = [one.reshape(-1, *one.shape[-2:])[len(drawing.frames) // 2] for one in maps]
    low, peak = min(float(one.min()) for one in maps), max(float(one.max()) for one in maps)
    small = [heat.overlay(drawing.picture, one, 96, low=low, peak=peak) for one in maps]
    return tiles_html(title, [(str(i + 1), one) for i, one in zip(numbers, small, strict=True)])


def _thin(indices: range) -> range:
    """At most STRIP of the indices, evenly spaced."""
    return indices[:: -(-len(indices) // STRIP)]


def export(drawing: Drawing) -> list[str]:
    """Write a sheet of all words and the arrays, of both kinds of map, into a new folder; returns their paths."""
    folder = Path(tempfile.mkdtemp(dir=pictures_folder()))
    sheets = folder / "effect.png", folder / "attention.png"
    drawing.effects.word_sheet(drawing.frames).save(sheets[0])
    drawing.maps.word_sheet(drawing.frames, drawing.words).save(sheets[1])
    arrays = (
        drawing.effects.save_npz(folder / "effect.npz"),
        drawing.maps.save_npz(folder / "attention.npz", drawing.words),
    )
    return [str(path) for path in (*sheets, *arrays)]


@endpoint
def attention(
    model: str, prompt: str, steps: int | None = None, seed: int = 0
) -> tuple[dict[str, Any], list[gr.FileData]]:
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


OUTPUTS = (
    "line", "words", "kind", "picture", "view", "drawing", "layer_from", "layer_to", "step_from", "step_to", "head",
    "go", "play", "save", "files",
)  # fmt: skip


_updates = partial(updates_of, OUTPUTS)


@handler(lambda sentence: _updates(line=sentence, go=gr.update(interactive=True)))
def _draw(model: str, prompt: str, steps: float, seed: float, kind: str = EFFECT) -> Iterator[tuple[Any, ...]]:
    """The Draw button."""
    yield _updates(line=texts.STARTING, go=gr.update(interactive=False), files=gr.update(visible=False))
    drawing = draw(model, prompt, steps, seed)
    choices = [(name, str(place)) for place, (name, _) in enumerate(drawing.tokens)]
    words = _first_word(drawing)
    _, layers, heads, _, _ = drawing.maps.probabilities.shape
    total = drawing.request.steps
    yield _updates(
        line=texts.ATTENTION_WORDS,
        words=gr.update(choices=choices, value=words, visible=True),
        kind=gr.update(visible=True),
        picture=_picture_html(drawing),
        view=view_html(drawing, words, kind, range(layers), range(total), 0),
        drawing=drawing,
        layer_from=places(layers, 1),
        layer_to=places(layers, layers),
        step_from=places(total, 1),
        step_to=places(total, total),
        head=gr.update(value=0, maximum=heads, interactive=True),
        **{name: gr.update(interactive=True) for name in ("go", "play", "save")},
    )


def _picture_html(drawing: Drawing) -> str:
    """The picture below its words, each of which lights up its attention; for a clip, the frames alone."""
    if len(drawing.frames) > 1:
        return plain_html(side_by_side(drawing.frames), drawing.request.prompt)
    words = drawing.words[1:-1]  # without start and end tokens
    first = len(drawing.maps.leading)
    maps = [drawing.maps.map([first + i for i in indices]).numpy() if indices else None for _, indices in words]
    words_with_maps = [
        (word, one if any(c.isalnum() for c in word) else None) for (word, _), one in zip(words, maps, strict=True)
    ]
    return lit_html(drawing.picture, words_with_maps)


def _first_kind(model: str) -> str:
    """The kind of map to show first: the one that was measured to mark words best in this model."""
    return ATTENTION if installed_model(model).about.get("word_map") == ATTENTION else EFFECT


def _model_updates(model: str) -> tuple[Any, ...]:
    """Updates of prompt, steps, kind of map and the layer and head controls for another model."""
    kind = _first_kind(model)
    return examples(model)[0], defaults(model)["steps"], kind, *_kind_updates(kind)


def _first_word(drawing: Drawing) -> list[str]:
    """The last word of the prompt, usually the thing drawn; the first token if there is no word."""
    words = [i for i, (name, _) in enumerate(drawing.tokens) if any(letter.isalnum() for letter in name)]
    of_prompt = [i for i in words if drawing.tokens[i][0].casefold() in drawing.request.prompt.casefold()]
    return [str((of_prompt or words or [0])[-1])]


def _view(
    drawing: Drawing | None, names: list[str], kind: str, layer_from: float, layer_to: float, step_from: float,
    step_to: float, head: float,
) -> tuple[Any, Any]:  # fmt: skip
    """Updates of the line and the maps for another choice."""
    if drawing is None:
        return texts.ATTENTION_START, SKIP
    try:
        _, layers, heads, _, _ = drawing.maps.probabilities.shape
        spans = _span("layer", layer_from, layer_to, layers), _span("step", step_from, step_to, drawing.request.steps)
        return texts.ATTENTION_WORDS, view_html(drawing, names, kind, *spans, as_whole("head", head, 0, heads))
    except ValueError as fault:
        return sentence(fault), SKIP


def _play(drawing: Drawing | None, names: list[str], kind: str, *choice: float) -> Iterator[tuple[Any, Any]]:
    """Yield the map step by step, at the chosen layers and head, and then the map as before."""
    line, last = _view(drawing, names, kind, *choice)
    if last is not SKIP:
        layers = drawing.maps.probabilities.shape[1]
        span, head = _span("layer", choice[0], choice[1], layers), int(choice[4])
        for step in (drawing.effects if kind == EFFECT else drawing.maps).steps:
            yield SKIP, view_html(drawing, names, kind, span, range(step, step + 1), head, strips=False)
            time.sleep(FRAME_SECONDS)
    yield line, last


def _kind_updates(kind: str) -> tuple[dict[str, Any], ...]:
    """Updates of the layer and head controls, which only apply to attention."""
    return (gr.update(visible=kind == ATTENTION),) * 2


def _export(drawing: Drawing | None) -> tuple[Any, Any]:
    if drawing is None:
        return texts.ATTENTION_START, SKIP
    return texts.EXPORTED, gr.update(value=export(drawing), visible=True)


def build_attention_tab(frame: Frame) -> None:
    """Lay the tab out; call inside a gr.Tab."""
    gr.api(attention, api_name="attention", **TURN)
    folders = text_models()
    if not folders:
        gr.Markdown(texts.NO_TEXT_MODEL, elem_id="attention-line")
        return
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            model = gr.Dropdown(
                [entry.id for entry in folders], value=folders[0].id, label="Model", visible=len(folders) > 1
            )
            prompt = gr.Textbox(examples(folders[0].id)[0], label="Prompt", max_lines=3)
            with gr.Row(elem_classes="chip-row"):
                chips = [gr.Button(name, size="sm") for name in examples(folders[0].id)[1:4]]
            with gr.Row():
                default = defaults(folders[0].id)["steps"]
                steps = gr.Slider(1, MOST_STEPS, value=default, step=1, label="Steps", min_width=150, buttons=[])
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=100)
            go = gr.Button("Draw", variant="primary", elem_id="attention-draw")
            picture = gr.HTML(texts.placeholder_html(texts.NO_PICTURE), elem_id="attention-picture", padding=False)
        with gr.Column(scale=3, min_width=280):
            line = gr.Markdown(texts.ATTENTION_START, elem_id="attention-line")
            words = gr.CheckboxGroup([], show_label=False, visible=False, elem_id="attention-words", container=False)
            kind = gr.Radio(
                KINDS,
                value=_first_kind(folders[0].id),
                label="Map",
                info=texts.ATTENTION_KINDS,
                visible=False,
                elem_id="attention-kind",
            )
            with gr.Row():
                step_from, step_to = _slider("From step"), _slider("To step")
            by_attention = _first_kind(folders[0].id) == ATTENTION
            with gr.Row(visible=by_attention) as of_layers:
                layer_from, layer_to = _slider("From layer"), _slider("To layer")
            with gr.Row(visible=by_attention) as of_heads:
                head = _slider("Head, 0 for all", 0)
            view = gr.HTML(texts.placeholder_html(texts.MAPS_EMPTY), elem_id="attention-map", padding=False)
            with gr.Row():
                play = gr.Button("Play the steps", size="sm", interactive=False, min_width=120)
                save = gr.Button("Export", size="sm", interactive=False, min_width=120)
            files = gr.Files(show_label=False, interactive=False, visible=False, elem_id="attention-files")
    drawing = gr.State(None, time_to_live=STATE_SECONDS)

    spans = [layer_from, layer_to, step_from, step_to, head]
    outputs = [line, words, kind, picture, view, drawing, *spans, go, play, save, files]
    view_inputs = [drawing, words, kind, *spans]
    gr.on([go.click, prompt.submit], _draw, [model, prompt, steps, seed, kind], outputs, **TURN, **QUIET)
    gr.on(
        [words.input, kind.input, *(one.release for one in spans)],
        _view,
        view_inputs,
        [line, view],
        trigger_mode="always_last",
        **QUIET,
    )
    kind.input(_kind_updates, kind, [of_layers, of_heads], **QUIET)
    model.input(_model_updates, model, [prompt, steps, kind, of_layers, of_heads], **QUIET)
    for chip in chips:
        chip.click(lambda text: text, chip, prompt, **QUIET)
    play.click(_play, view_inputs, [line, view], **QUIET)
    save.click(_export, drawing, [line, files], **QUIET)


def _slider(label: str, least: int = 1) -> gr.Slider:
    """A slider that is disabled until there is a drawing."""
    slider = gr.Slider(least, 8, value=least, step=1, label=label, interactive=False, min_width=120, buttons=[])
    return unchecked(slider)
