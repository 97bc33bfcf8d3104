"""The *Attention* tab: draw from words, then see where each of them acts, by layer, head and step."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ...checks import as_whole
from ...explain import AttentionMaps, EffectMaps, EffectRecorder, Recorder, RecordGroup, heat
from ...pipeline import Request
from .. import texts
from ..borders import endpoint, told
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
from ..settings import FIRST, MOST_STEPS, defaults, examples, model_here
from ..words import lit_html

SKIP = gr.skip()
MOST_BYTES = 2**26  # of the maps of one drawing, kept for its page
STRIP = 8  # small maps beside the large one, at most
FRAME_SECONDS = 0.15
EFFECT, ATTENTION = "effect", "attention"
KINDS = [("What the word changes", EFFECT), ("Attention to the word", ATTENTION)]


@dataclass(frozen=True, eq=False)
class Drawn:
    """A picture drawn from words, or the frames of a clip, the recorded attention to each, and what each changes."""

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
        """Every token of the condition under a name."""
        return self.maps.tokens(self.words)

    def indices(self, chosen: Sequence[str]) -> list[int]:
        """Tokens of the chosen names, each given by its place in `tokens` as a string; ValueError for none."""
        known = {str(place): indices for place, (_, indices) in enumerate(self.tokens)}
        found = sorted({i for name in chosen or () for i in known.get(name, ())})
        if not found:
            raise ValueError("choose a word to see where it acts")
        return found

    def places(self, chosen: Sequence[str]) -> list[int]:
        """Places among the words of the chosen names; ValueError for none, as for tokens that are no word's."""
        tokens = set(self.indices(chosen))
        found = [place for place, (_, indices) in enumerate(self.words) if tokens & set(indices)]
        if not found:
            raise ValueError("only a word can be left out to see what it changes; choose one, or Attention to the word")
        return found


def draw(model: str, prompt: str, steps: float | None, seed: float) -> Drawn:
    """Draw one picture from words and record it. Raises ValueError with one sentence.

    The pipeline's `words(prompt)` gives each word with the indices of its tokens, start and end tokens among them.
    """
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError("write a prompt, a few words of what to draw")
    if model not in [entry.id for entry in text_models()]:
        raise ValueError(f"{str(model)[:60]!r} attends to no words; choose a text model with cross-attention")
    request = one_picture(model, prompt, None, None, steps, seed)
    pipe = MODELS.get(model_here(model))
    words = pipe.words(prompt)
    recorder, effects = Recorder(most_bytes=MOST_BYTES), EffectRecorder(words)
    result = pipe(request, record=RecordGroup(recorder, effects))
    frames = [Image.fromarray(frame) for frame in result.clips[0]] if result.clips else result.images
    return Drawn(request, frames, recorder.maps, effects.maps, words)


def _span(name: str, first: Any, last: Any, most: int) -> range:
    """The indices from `first` to `last`, which count from 1, in either order."""
    ends = sorted((as_whole(f"first {name}", first, 1, most), as_whole(f"last {name}", last, 1, most)))
    return range(ends[0] - 1, ends[1])


def view_html(
    drawn: Drawn, chosen: Sequence[str], kind: str, layers: range, steps: range, head: int, strips: bool = True
) -> str:
    """A map of the chosen words over the picture, and below it small ones by layer and by step. head: 0 for all.

    kind: EFFECT, which has neither layers nor heads, or ATTENTION. Of a clip over its middle frame, and below it over
    every frame, all coloured alike.
    """
    names = " + ".join(name for place, (name, _) in enumerate(drawn.tokens) if str(place) in chosen)
    when = f"step {steps[0] + 1}" if len(steps) == 1 else f"steps {steps[0] + 1} to {steps[-1] + 1}"
    if kind == EFFECT:
        places = drawn.places(chosen)
        by_step = _thin(range(drawn.request.steps))
        maps = [drawn.effects.map(places, [i]).numpy() for i in by_step]
        html = _figure_html(drawn, names, when, drawn.effects.map(places, steps).numpy(), "change of the prediction")
        return html + (_small_html(drawn, "By step", by_step, maps) if strips else "")
    indices, heads = drawn.indices(chosen), None if head == 0 else [head - 1]
    where = f"layer {layers[0] + 1}" if len(layers) == 1 else f"layers {layers[0] + 1} to {layers[-1] + 1}"
    about = f"{where} · {when} · {f'head {head}' if head else 'all heads'}"
    html = _figure_html(drawn, names, about, drawn.maps.map(indices, layers, steps, heads).numpy(), "attention")
    if not strips:
        return html
    by_layer = _thin(range(drawn.maps.probabilities.shape[1]))
    by_step = _thin(range(drawn.request.steps))
    of_layers = [drawn.maps.map(indices, [i], steps, heads).numpy() for i in by_layer]
    of_steps = [drawn.maps.map(indices, layers, [i], heads).numpy() for i in by_step]
    return html + _small_html(drawn, "By layer", by_layer, of_layers) + _small_html(drawn, "By step", by_step, of_steps)


def _figure_html(drawn: Drawn, names: str, about: str, values: Any, unit: str) -> str:
    low, peak, count = float(values.min()), float(values.max()), len(drawn.frames)
    by_frame = values.reshape(-1, *values.shape[-2:])
    side = max(enlarged(drawn.picture).size)
    image = heat.overlay(drawn.picture, by_frame[count // 2], side, low=low, peak=peak)
    legend = legend_html(peak, f"mean {values.mean():.2g}, {unit}", low)
    about = about if count == 1 else f"{about} · frame {count // 2 + 1}"
    html = f'<div class="maps one">{figure_html(names, about, image, legend)}</div>'
    if count == 1:
        return html
    small = [heat.overlay(*pair, 96, low=low, peak=peak) for pair in zip(drawn.frames, by_frame, strict=True)]
    return html + tiles_html("By frame", [(str(i), one) for i, one in enumerate(small, 1)])


def _small_html(drawn: Drawn, title: str, numbers: range, maps: list[Any]) -> str:
    maps = [one.reshape(-1, *one.shape[-2:])[len(drawn.frames) // 2] for one in maps]
    low, peak = min(float(one.min()) for one in maps), max(float(one.max()) for one in maps)
    small = [heat.overlay(drawn.picture, one, 96, low=low, peak=peak) for one in maps]
    return tiles_html(title, [(str(i + 1), one) for i, one in zip(numbers, small, strict=True)])


def _thin(indices: range) -> range:
    """At most STRIP of them, evenly."""
    return indices[:: -(-len(indices) // STRIP)]


def export(drawn: Drawn) -> list[str]:
    """Write, of both kinds of map, the sheet of all words and the arrays into a folder of their own; their paths."""
    folder = Path(tempfile.mkdtemp(dir=pictures_folder()))
    sheets = folder / "effect.png", folder / "attention.png"
    drawn.effects.word_sheet(drawn.frames).save(sheets[0])
    drawn.maps.word_sheet(drawn.frames, drawn.words).save(sheets[1])
    arrays = drawn.effects.save_npz(folder / "effect.npz"), drawn.maps.save_npz(folder / "attention.npz", drawn.words)
    return [str(path) for path in (*sheets, *arrays)]


@endpoint
def attention(
    model: str, prompt: str, steps: int | None = None, seed: int = 0
) -> tuple[dict[str, Any], list[gr.FileData]]:
    """API: draw from words and record; returns each word's maps, over all layers, heads and steps, and four files.

    steps: the model's own where they are not given. The first is {"grid": [rows, columns], "words": [{"word", "tokens",
    "map": [row][column], "effect": alike}, ...]}, "map" of the attention to the word and "effect" of what it changes,
    null for tokens that are no word's. The files are a PNG with the map of every word, of effect and attention, and an
    .npz of each with all that was recorded.
    """
    drawn = draw(model, prompt, steps, seed)
    files = [gr.FileData(path=path) for path in export(drawn)]
    effects = {word: drawn.effects.map([place]).tolist() for place, word in enumerate(drawn.effects.words)}
    words = [
        {
            "word": name,
            "tokens": list(indices),
            "map": drawn.maps.map(indices).tolist(),
            "effect": effects.get((name, tuple(indices))),
        }
        for name, indices in drawn.tokens
    ]
    return {"grid": list(drawn.maps.grid), "words": words}, files


OUTPUTS = (
    "line", "words", "kind", "picture", "view", "drawn", "layer_from", "layer_to", "step_from", "step_to", "head",
    "go", "play", "save", "files",
)  # fmt: skip


def _change(**changes: Any) -> tuple[Any, ...]:
    """Updates of OUTPUTS."""
    return tuple(changes.get(name, SKIP) for name in OUTPUTS)


@told(lambda sentence: _change(line=sentence, go=gr.update(interactive=True)))
def _draw(model: str, prompt: str, steps: float, seed: float, kind: str = EFFECT) -> Iterator[tuple[Any, ...]]:
    """The Draw button."""
    yield _change(line=texts.STARTING, go=gr.update(interactive=False), files=gr.update(visible=False))
    drawn = draw(model, prompt, steps, seed)
    choices = [(name, str(place)) for place, (name, _) in enumerate(drawn.tokens)]
    shown = _first_word(drawn)
    _, layers, heads, _, _ = drawn.maps.probabilities.shape
    total = drawn.request.steps
    yield _change(
        line=texts.ATTENTION_WORDS,
        words=gr.update(choices=choices, value=shown, visible=True),
        kind=gr.update(visible=True),
        picture=_lit(drawn),
        view=view_html(drawn, shown, kind, range(layers), range(total), 0),
        drawn=drawn,
        layer_from=places(layers, 1),
        layer_to=places(layers, layers),
        step_from=places(total, 1),
        step_to=places(total, total),
        head=gr.update(value=0, maximum=heads, interactive=True),
        **{name: gr.update(interactive=True) for name in ("go", "play", "save")},
    )


def _lit(drawn: Drawn) -> str:
    """The picture under its words, each of which lights up its attention; of a clip the frames alone."""
    if len(drawn.frames) > 1:
        return plain_html(side_by_side(drawn.frames), drawn.request.prompt)
    words = drawn.words[1:-1]  # without start and end
    first = len(drawn.maps.leading)
    maps = [drawn.maps.map([first + i for i in indices]).numpy() if indices else None for _, indices in words]
    named = [
        (word, one if any(c.isalnum() for c in word) else None) for (word, _), one in zip(words, maps, strict=True)
    ]
    return lit_html(drawn.picture, named)


def _first_kind(model: str) -> str:
    """The kind of map that is shown first: what was measured to mark the words best in this model."""
    return ATTENTION if model_here(model).about.get("word_map") == ATTENTION else EFFECT


def _of_model(model: str) -> tuple[Any, ...]:
    """Updates of prompt, steps, kind of map and the controls of attention for another model."""
    kind = _first_kind(model)
    return examples(model)[0], defaults(model)["steps"], kind, *_kind(kind)


def _first_word(drawn: Drawn) -> list[str]:
    """The last word of the prompt, which most often is the thing drawn; the first token where there is no word."""
    words = [i for i, (name, _) in enumerate(drawn.tokens) if any(letter.isalnum() for letter in name)]
    own = [i for i in words if drawn.tokens[i][0].casefold() in drawn.request.prompt.casefold()]
    return [str((own or words or [0])[-1])]


def _view(
    drawn: Drawn | None, chosen: list[str], kind: str, layer_from: float, layer_to: float, step_from: float,
    step_to: float, head: float,
) -> tuple[Any, Any]:  # fmt: skip
    """Line and maps for another choice."""
    if drawn is None:
        return texts.ATTENTION_START, SKIP
    try:
        _, layers, heads, _, _ = drawn.maps.probabilities.shape
        spans = _span("layer", layer_from, layer_to, layers), _span("step", step_from, step_to, drawn.request.steps)
        return texts.ATTENTION_WORDS, view_html(drawn, chosen, kind, *spans, as_whole("head", head, 0, heads))
    except ValueError as fault:
        return sentence(fault), SKIP


def _play(drawn: Drawn | None, chosen: list[str], kind: str, *choice: float) -> Iterator[tuple[Any, Any]]:
    """The map step by step, at the chosen layers and head; then as before."""
    line, last = _view(drawn, chosen, kind, *choice)
    if last is not SKIP:
        layers = drawn.maps.probabilities.shape[1]
        span, head = _span("layer", choice[0], choice[1], layers), int(choice[4])
        for step in (drawn.effects if kind == EFFECT else drawn.maps).steps:
            yield SKIP, view_html(drawn, chosen, kind, span, range(step, step + 1), head, strips=False)
            time.sleep(FRAME_SECONDS)
    yield line, last


def _kind(kind: str) -> tuple[dict[str, Any], ...]:
    """Layers and heads are of attention alone."""
    return (gr.update(visible=kind == ATTENTION),) * 2


def _export(drawn: Drawn | None) -> tuple[Any, Any]:
    if drawn is None:
        return texts.ATTENTION_START, SKIP
    return texts.EXPORTED, gr.update(value=export(drawn), visible=True)


def build_attention_tab(frame: Frame) -> None:
    """Lay the tab out; call inside a gr.Tab."""
    gr.api(attention, api_name="attention", **TURN)
    here = sorted(text_models(), key=lambda entry: (*FIRST, entry.id).index(entry.id))
    if not here:
        gr.Markdown(texts.NO_TEXT_MODEL, elem_id="attention-line")
        return
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            model = gr.Dropdown([entry.id for entry in here], value=here[0].id, label="Model", visible=len(here) > 1)
            prompt = gr.Textbox(examples(here[0].id)[0], label="Prompt", max_lines=3)
            with gr.Row(elem_classes="chip-row"):
                chips = [gr.Button(name, size="sm") for name in examples(here[0].id)[1:4]]
            with gr.Row():
                own = defaults(here[0].id)["steps"]
                steps = gr.Slider(1, MOST_STEPS, value=own, step=1, label="Steps", min_width=150, buttons=[])
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=100)
            go = gr.Button("Draw", variant="primary", elem_id="attention-draw")
            picture = gr.HTML(texts.placeholder_html(texts.NO_PICTURE), elem_id="attention-picture", padding=False)
        with gr.Column(scale=3, min_width=280):
            line = gr.Markdown(texts.ATTENTION_START, elem_id="attention-line")
            words = gr.CheckboxGroup([], show_label=False, visible=False, elem_id="attention-words", container=False)
            kind = gr.Radio(
                KINDS,
                value=_first_kind(here[0].id),
                label="Map",
                info=texts.ATTENTION_KINDS,
                visible=False,
                elem_id="attention-kind",
            )
            with gr.Row():
                step_from, step_to = _slider("From step"), _slider("To step")
            by_attention = _first_kind(here[0].id) == ATTENTION
            with gr.Row(visible=by_attention) as of_layers:
                layer_from, layer_to = _slider("From layer"), _slider("To layer")
            with gr.Row(visible=by_attention) as of_heads:
                head = _slider("Head, 0 for all", 0)
            view = gr.HTML(texts.placeholder_html(texts.MAPS_EMPTY), elem_id="attention-map", padding=False)
            with gr.Row():
                play = gr.Button("Play the steps", size="sm", interactive=False, min_width=120)
                save = gr.Button("Export", size="sm", interactive=False, min_width=120)
            files = gr.Files(show_label=False, interactive=False, visible=False, elem_id="attention-files")
    drawn = gr.State(None, time_to_live=STATE_SECONDS)

    spans = [layer_from, layer_to, step_from, step_to, head]
    outputs = [line, words, kind, picture, view, drawn, *spans, go, play, save, files]
    chosen = [drawn, words, kind, *spans]
    gr.on([go.click, prompt.submit], _draw, [model, prompt, steps, seed, kind], outputs, **TURN, **QUIET)
    gr.on(
        [words.input, kind.input, *(one.release for one in spans)],
        _view,
        chosen,
        [line, view],
        trigger_mode="always_last",
        **QUIET,
    )
    kind.input(_kind, kind, [of_layers, of_heads], **QUIET)
    model.input(_of_model, model, [prompt, steps, kind, of_layers, of_heads], **QUIET)
    for chip in chips:
        chip.click(lambda text: text, chip, prompt, **QUIET)
    play.click(_play, chosen, [line, view], **QUIET)
    save.click(_export, drawn, [line, files], **QUIET)


def _slider(label: str, least: int = 1) -> gr.Slider:
    """A slider that waits for a drawing."""
    slider = gr.Slider(least, 8, value=least, step=1, label=label, interactive=False, min_width=120, buttons=[])
    slider.preprocess = lambda payload: payload  # an empty box is a sentence of ours, not a traceback
    return slider
