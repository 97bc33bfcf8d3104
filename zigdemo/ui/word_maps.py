"""A drawing whose words are looked into, for the Attention tab: their maps, as HTML and as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image

from ..checks import as_whole
from ..explain import AttentionMaps, EffectMaps, EffectRecorder, Recorder, RecordGroup, heat
from ..pipeline import Request, Result
from .figures import Figure, Panel, Row, save_figure
from .files import new_folder
from .maps import enlarged, one_picture, panel_html, plain_html, side_by_side, text_models, tiles_html
from .runs import MODELS, ended, run_to_end
from .settings import installed_model
from .turns import checkpoint
from .words import lit_html

MOST_BYTES = 2**26  # of the maps of one drawing, which are kept for its page
STRIP = 8  # small maps below the large one, at most
EFFECT, ATTENTION = "effect", "attention"


@dataclass(frozen=True)
class Choice:
    """What is looked at. words: places in `Drawing.tokens`, as strings. kind: EFFECT, which has neither layers nor
    heads, or ATTENTION. layers, steps: from 0. head: from 1, 0 for all.
    """

    words: tuple[str, ...]
    kind: str
    layers: range
    steps: range
    head: int = 0


@dataclass(eq=False)
class Drawing:
    """A picture, or the frames of a clip, with the recorded attention to each word of its prompt and its effect.

    choice: what was chosen last, of which the page shows the maps.
    """

    can_go: ClassVar[bool] = True  # from a page that was not used for long: its next click says to draw again

    request: Request
    frames: list[Image.Image]
    maps: AttentionMaps
    effects: EffectMaps
    words: list[tuple[str, Sequence[int]]]
    choice: Choice | None = None

    @property
    def picture(self) -> Image.Image:
        """The picture, or the middle frame."""
        return self.frames[len(self.frames) // 2]

    @property
    def layers(self) -> int:
        """The number of recorded layers."""
        return self.maps.probabilities.shape[1]

    @property
    def heads(self) -> int:
        """The number of heads in a layer."""
        return self.maps.probabilities.shape[2]

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


class Recording:
    """A drawing to be made: its request, and the recorder to run it with. Raises ValueError with one sentence.

    The pipeline's `words(prompt)` gives each word with the indices of its tokens, start and end tokens among them.
    """

    def __init__(self, model: str, prompt: str, steps: float | None, seed: float) -> None:
        if not isinstance(prompt, str) or not prompt.strip():
            raise ValueError("the prompt is empty; write a few words of what to draw")
        if model not in [entry.id for entry in text_models()]:
            raise ValueError(f"{str(model)[:60]!r} attends to no words; choose a text model with cross-attention")
        self.request = one_picture(model, prompt, None, None, steps, seed)
        self.words = MODELS.get(installed_model(model)).words(prompt)
        self._attention, self._effects = Recorder(most_bytes=MOST_BYTES), EffectRecorder(self.words)
        self.record = RecordGroup(self._attention, self._effects)

    def drawing(self, result: Result) -> Drawing:
        """The drawing, after a run with `record`."""
        frames = [Image.fromarray(frame) for frame in result.clips[0]] if result.clips else result.images
        return Drawing(self.request, frames, self._attention.maps, self._effects.maps, self.words)


def draw(model: str, prompt: str, steps: float | None, seed: float) -> Drawing:
    """Draw one picture or clip from a prompt and record it. Raises ValueError with one sentence."""
    recording = Recording(model, prompt, steps, seed)
    return recording.drawing(ended(run_to_end(recording.request, record=recording.record)).result)


def _span(name: str, first: Any, last: Any, most: int) -> range:
    """The indices, from 0, between `first` and `last`, which count from 1 and may be in either order.

    Raises ValueError with one sentence for a number out of range.
    """
    ends = sorted((as_whole(f"first {name}", first, 1, most), as_whole(f"last {name}", last, 1, most)))
    return range(ends[0] - 1, ends[1])


def read_choice(
    drawing: Drawing, words: Sequence[str], kind: str, layer_from: Any, layer_to: Any, step_from: Any, step_to: Any,
    head: Any,
) -> Choice:  # fmt: skip
    """The choice of the page's controls, which count from 1. Raises ValueError with one sentence."""
    drawing.token_indices(words)
    if kind == EFFECT:
        drawing.word_places(words)
    layers = _span("layer", layer_from, layer_to, drawing.layers)
    steps = _span("step", step_from, step_to, drawing.request.steps)
    return Choice(tuple(words), kind, layers, steps, as_whole("head", head, 0, drawing.heads))


def first_choice(drawing: Drawing, kind: str, wanted: Choice | None = None) -> Choice:
    """What to show first: what is wanted of words, layers, steps and head if the drawing has it; else its last word."""
    whole = Choice(_last_word(drawing), kind, range(drawing.layers), range(drawing.request.steps))
    if wanted is None:
        return whole
    words = tuple(name for name in wanted.words if name in map(str, range(len(drawing.tokens))))
    return Choice(
        words or whole.words,
        kind,
        whole.layers[wanted.layers.start : wanted.layers.stop] or whole.layers,
        whole.steps[wanted.steps.start : wanted.steps.stop] or whole.steps,
        min(wanted.head, drawing.heads),
    )


def first_kind(model: str) -> str:
    """The kind of map to show first: the one that was measured to mark words best in this model."""
    return ATTENTION if installed_model(model).about.get("word_map") == ATTENTION else EFFECT


def _last_word(drawing: Drawing) -> tuple[str, ...]:
    """The last word of the prompt, usually the thing drawn; the first token if there is no word."""
    words = [i for i, (name, _) in enumerate(drawing.tokens) if any(letter.isalnum() for letter in name)]
    of_prompt = [i for i in words if drawing.tokens[i][0].casefold() in drawing.request.prompt.casefold()]
    return (str((of_prompt or words or [0])[-1]),)


def rows(drawing: Drawing, choice: Choice, strips: bool = True) -> list[Row]:
    """A map of the chosen words over the picture, beside the picture, and below it small ones by frame, layer and step.

    strips: whether to add those by layer and step. A clip has its middle frame large, and every frame on one colour
    scale. Raises ValueError with one sentence if there is no map of these words.
    """
    title = " + ".join(name for place, (name, _) in enumerate(drawing.tokens) if str(place) in choice.words)
    layers, steps = choice.layers, choice.steps
    when = f"step {steps[0] + 1}" if len(steps) == 1 else f"steps {steps[0] + 1} to {steps[-1] + 1}"
    by_step = _thin(range(drawing.request.steps))
    if choice.kind == EFFECT:
        words = drawing.word_places(choice.words)
        large = _large(drawing, title, when, drawing.effects.map(words, steps).numpy(), "change of the prediction")
        maps = [drawing.effects.map(words, [i]).numpy() for i in by_step] if strips else []
        return large + ([_small(drawing, "By step", by_step, maps)] if strips else [])
    indices, heads = drawing.token_indices(choice.words), None if choice.head == 0 else [choice.head - 1]
    where = f"layer {layers[0] + 1}" if len(layers) == 1 else f"layers {layers[0] + 1} to {layers[-1] + 1}"
    about = f"{where} · {when} · {f'head {choice.head}' if choice.head else 'all heads'}"
    large = _large(drawing, title, about, drawing.maps.map(indices, layers, steps, heads).numpy(), "attention")
    if not strips:
        return large
    by_layer = _thin(range(drawing.layers))
    of_layers = [drawing.maps.map(indices, [i], steps, heads).numpy() for i in by_layer]
    of_steps = [drawing.maps.map(indices, layers, [i], heads).numpy() for i in by_step]
    small = [_small(drawing, "By layer", by_layer, of_layers), _small(drawing, "By step", by_step, of_steps)]
    return large + small


def view_html(drawing: Drawing, choice: Choice, strips: bool = True) -> str:
    """The maps of a choice, for a page that has the picture elsewhere; arguments and errors as in `rows`."""
    large, *small = rows(drawing, choice, strips)
    return f'<div class="maps one">{panel_html(large.panels[0])}</div>' + "".join(map(tiles_html, small))


def _large(drawing: Drawing, title: str, about: str, values: Any, unit: str) -> list[Row]:
    low, peak, count = float(values.min()), float(values.max()), len(drawing.frames)
    by_frame = values.reshape(-1, *values.shape[-2:])
    side = max(enlarged(drawing.picture).size)
    image = heat.overlay(drawing.picture, by_frame[count // 2], side, low=low, peak=peak)
    about = about if count == 1 else f"{about} · frame {count // 2 + 1}"
    panel = Panel(title, about, image, (low, peak), f"mean {values.mean():.2g}, {unit}")
    large = Row("", [panel, Panel("The picture", image=enlarged(drawing.picture))], 2)
    if count == 1:
        return [large]
    small = [heat.overlay(*pair, 96, low=low, peak=peak) for pair in zip(drawing.frames, by_frame, strict=True)]
    return [large, Row("By frame", [Panel(str(i), image=one) for i, one in enumerate(small, 1)], STRIP)]


def _small(drawing: Drawing, title: str, numbers: range, maps: list[Any]) -> Row:
    maps = [one.reshape(-1, *one.shape[-2:])[len(drawing.frames) // 2] for one in maps]
    low, peak = min(float(one.min()) for one in maps), max(float(one.max()) for one in maps)
    small = [heat.overlay(drawing.picture, one, 96, low=low, peak=peak) for one in maps]
    return Row(title, [Panel(str(i + 1), image=one) for i, one in zip(numbers, small, strict=True)], STRIP)


def _thin(indices: range) -> range:
    """At most STRIP of the indices, evenly spaced."""
    return indices[:: -(-len(indices) // STRIP)]


def picture_html(drawing: Drawing) -> str:
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


def export(drawing: Drawing) -> list[str]:
    """Write a sheet of all words and the arrays, of both kinds of map, into a new folder; returns their paths.

    What is shown on a page comes first, as a figure in PNG and SVG.
    """
    folder, figure = new_folder(), []
    if drawing.choice is not None:
        request = drawing.request
        kind = "what the word changes" if drawing.choice.kind == EFFECT else "attention to the word"
        about = f"{request.model} · seed {request.seed} · {request.steps} steps · {kind}"
        figure = save_figure(
            Figure(request.prompt, about, rows(drawing, drawing.choice)), folder / f"words-{request.model}"
        )
    checkpoint()
    sheets = folder / "effect.png", folder / "attention.png"
    drawing.effects.word_sheet(drawing.frames).save(sheets[0])
    checkpoint()
    drawing.maps.word_sheet(drawing.frames, drawing.words).save(sheets[1])
    checkpoint()
    arrays = (
        drawing.effects.save_npz(folder / "effect.npz"),
        drawing.maps.save_npz(folder / "attention.npz", drawing.words),
    )
    return [*figure, *(str(path) for path in (*sheets, *arrays))]
