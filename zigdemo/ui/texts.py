"""Texts of the page, small pieces of HTML, and the scripts behind share links and progress lines."""

from __future__ import annotations

import base64
import io
import json
from html import escape
from typing import Any

from PIL import Image

from ..explain import Strip
from ..pipeline import Step
from .settings import MAIN, MORE, NAMES

NO_WEIGHTS = (
    "No model is installed: put a model folder into `weights/`, or train one with "
    "`python -m zigdemo.training zigdemo/training/recipes/zigma-emoji.yaml`."
)
NO_CLIP_WEIGHTS = (
    "No video model is installed: put a model folder with `frames` in its config into `weights/`, or train one with "
    "`python -m zigdemo.training zigdemo/training/recipes/zigma-actions.yaml`."
)
_SHOW_PROGRESS = """() => {
  window.zigdemoLive?.end();
  const line = document.getElementById("%s");
  const { top, bottom } = line.getBoundingClientRect();
  if (top < 0 || bottom > window.innerHeight - 80) line.scrollIntoView({ block: "start", behavior: "smooth" });
}"""
SMOOTH_FROM_PX = 128  # pictures at least this wide or high are enlarged smoothly, smaller ones pixel by pixel
COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "pink", "black")
THINGS = ("cat", "dog", "fish", "heart", "car", "hat", "flower", "bird", "house", "balloon", "book", "apple")
READY = "Press Draw; the pictures appear step by step."
READY_BELOW = "Press Draw. Below: earlier pictures of this model; their files open with all settings."
CLIPS_READY = "Press Draw; the clips appear step by step."
COMPARE_READY = "Choose a matrix above, or what varies along rows and columns; then press Draw."
TWIN = "Use {}, trained with this scan"
LIVE_LINE = "{}: {}, {} steps, {:.2f} s. Draw makes all pictures."
LIVE = "A quick picture, and the maps of Look inside, follow words, scan and seed, and are refined when these rest."
DRAW_MEANWHILE = "Your own device can draw meanwhile, in Draw and Compare."
WAITING = "Waiting for a turn; one run at a time."
STARTING = "Starting."
COMPILING = "Preparing the kernels for this machine: once, up to a minute."
STOPPING = "Stopping after this step."
STOPPED = "Stopped; the preview stays."
LINK_OPENED = "Settings of the link; press Draw to see what it shows."
LINK_COPIED = "The link to these settings is in the address bar and, if the browser allows it, on the clipboard."
RESTORED = "Settings restored; press Draw to draw the same pictures again."
CLIPS_RESTORED = "Settings restored; press Draw to draw the same clips again."
RESTORED_WITH_SUCCESSOR = "Settings restored for its successor, which draws other pictures with them."
RESTORED_OVER_PICTURE = "Settings restored. This one started from a picture: add that picture again under More."

_LINK_SCRIPT = """(...values) => {
  const url = new URL(window.location.href);
  url.search = "";
  const usual = %s;
  %s.forEach((name, i) => {
    const value = values[i] ?? "";
    if (!(name in usual) || value !== (usual[name] ?? "")) url.searchParams.set(name, value);
  });
  window.history.replaceState(null, "", url);
  if (navigator.clipboard) navigator.clipboard.writeText(url.href).catch(() => {});
  return values;
}"""  # formatted with %, since scripts are full of braces
LINK_SCRIPT = _LINK_SCRIPT % (json.dumps(MORE), json.dumps(NAMES))
CLIP_LINK_SCRIPT = _LINK_SCRIPT % (json.dumps({}), json.dumps(MAIN))


def show_progress(line: str) -> str:
    """The script of a run's button: ends what is live, and scrolls the line with this id into view."""
    return _SHOW_PROGRESS % line


def line_html(text: str) -> str:
    """One line in place of the progress; the text is escaped, never markup."""
    return (
        f'<div class="run"><progress class="off" value="0"></progress><span role="status">{escape(text)}</span></div>'
    )


def progress_html(step: Step) -> str:
    """Progress bar and line of a run in progress."""
    left = f"{step.seconds_left:.0f} s left" if step.seconds_left >= 1 else "nearly done"
    done = step.index + 1
    return (
        f'<div class="run"><progress value="{done}" max="{step.total}"></progress>'
        f"<span>step {done} of {step.total} · {step.nfe} network calls · {left}</span></div>"
    )


def count_html(done: int, total: int, noun: str, seconds_left: float) -> str:
    """Progress bar and line of a run that makes several things: "3 of 16 pictures"."""
    left = f" · {seconds_left:.0f} s left" if done and seconds_left >= 1 else ""
    return (
        f'<div class="run"><progress value="{done}" max="{total}"></progress>'
        f'<span role="status">{done} of {total} {noun}s{left}</span></div>'
    )


def pictures_html(images: list[Image.Image], live: bool = False) -> str:
    """Pictures embedded in the page: nothing is written to disk, and nothing flickers while it loads.

    live: a single one, shown larger.
    """
    tags = "".join(inline(image, i) for i, image in enumerate(images))
    kinds = f"{' crisp' if is_crisp(images) else ''}{' live' if live else ''}"
    return f'<div class="pictures{kinds}">{tags}</div>'


def is_crisp(images: list[Image.Image]) -> bool:
    """Whether pictures are so small that their pixels should stay visible when they are enlarged."""
    return any(max(image.size) < SMOOTH_FROM_PX for image in images)


def placeholder_html(text: str) -> str:
    """The empty place where pictures will appear."""
    return f'<div class="pictures"><p>{escape(text)}</p></div>'


def inline(image: Image.Image, index: int) -> str:
    """A picture of a preview as an HTML image with the data inside."""
    kind = "PNG" if max(image.size) <= 128 else "JPEG"  # large previews as PNG would be megabytes per step
    return f'<img alt="preview {index + 1}" src="{data_url(image, kind)}">'


def data_url(image: Image.Image, kind: str = "PNG") -> str:
    """An image as a data URL, so that nothing is written or fetched. kind: PNG, JPEG or WEBP."""
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=75)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def summary(step: Step) -> str:
    """The line about a finished run: seconds, network calls, seed, model, origin of its weights, backend, device."""
    result = step.result
    count, noun = (len(result.clips), "clip") if result.clips else (len(result.images), "picture")
    items = f"1 {noun}" if count == 1 else f"{count} {noun}s"
    return (
        f"{items} in {result.seconds:.1f} s · {result.nfe} network calls each · seed {result.request.seed} · "
        f"{result.request.model}, {result.provenance['origin']} · backend "
        f"{result.provenance['backend']}, device {result.provenance['device']}"
    )


# The tabs that look inside.
INFLUENCE_START = "Draw a picture, then click a patch to see which patches influence it."
NO_DRAWING = "Nothing is drawn yet."
MAPS_STOPPED = "Stopped; the maps are those of the marked patch as before."
INFLUENCE_CLICK = "Click a patch of the picture."
LOOKING = "Computing the maps."
NO_PICTURE = "No picture yet"
MAPS_EMPTY = "The maps appear here."
NO_SCAN_FIELD = "This model mixes all patches at once in every layer; the scan order hides no patch from any other."
SCAN_FIELD = "{count} of {all} patches can have influenced this one, going by the scan order alone"
FRAME_FIELD = "{count} of {all} patches can have influenced this one, within a frame or through one place in time"
SCAN_FIELD_NOTE = "dark: cannot have influenced it yet"
GRADIENT = "how much the prediction here changes with each patch of the noisy picture"
COMPOSED = "what the layers so far carry here together, half of each through the residual stream"
TOO_MUCH_TO_COMPOSE = "Composing the layers of a model this large would take minutes; look at single layers instead."
NO_TEXT_MODEL = (
    "No text model is installed, and attention maps need words: put a model folder whose config has a `text_width` "
    "above 0, such as `zigma-portraits`, into `weights/` and restart."
)
ATTENTION_START = "Draw a picture from a prompt, then choose words to see where they act."
ATTENTION_KINDS = (
    "Where the prediction changes if the word is left out, or which patches attend to the word, which is not the same. "
    "Shown first: the one that falls better on what the word names, where that was measured."
)
ATTENTION_WORDS = "Choose one or more words; their maps are added."
ATTENTION_POINT = "Where the chosen words act. Or point at a word above the picture."
ATTENTION_FIRST = "An earlier drawing: point at a word above the picture. Draw, or change the prompt, for your own."
ATTENTION_CLIP = "Where the chosen words act, in the middle frame and in every frame."
PLAYING = "Playing the steps."
EXPORTED = "What is shown as PNG and SVG, sheets of all words as PNG, and all numbers as .npz."
MAPS_EXPORTED = "The four maps as PNG and SVG, and the numbers of all layers as .npz."

# The Lesson.
LESSON_FILE = (
    "It opens in any browser, with no network. With a portrait of your own in it: "
    "`python -m zigdemo.lesson export lesson.html --prompt 'a smiling person'`."
)

# The Cost tab.
COST_READY = "Times every operator on this machine, in about 20 s; its dots join those below Measured."
COST_MEASURED = "Measured; the dashed lines are this machine's."
COST_STOPPED = "Stopped; what was measured stays."

# The Models tab.
FOR_THE_OWNER = (
    "Only whoever sits at this machine can add models: start the page on your own computer and open it there as "
    "http://127.0.0.1:7860, or run `python -m zigdemo.zoo import`."
)
ADD_INTRO = "Read without executing anything in it. Official ones are large, best used on a GPU, and downloaded once."
FETCHING = "Looking for it."
CONVERTING = "Everything is here; converting and checking it."
STOPPING_IMPORT = "Stopping."
IMPORT_STOPPED = "Stopped; what was downloaded is kept, and Import goes on from there."

# The Fine-tune tab.
FINETUNE_INTRO = """### Teach a model your own pictures
About 20 pictures of one thing in one style are enough. New labels are added to the old ones, which are rehearsed so
that they are not forgotten. Nothing leaves this machine, and the run continues when the page is closed."""
FINETUNE_LABEL = "What all of them show. Empty: taken from captions, folders or file names."
FINETUNE_PROMPTS = "One per line. The model draws up to 256 of them once and rehearses the results in training."

# The Samplers tab.
TOY_INTRO = """### The same noise under an ODE and an SDE
Every point starts as noise and is carried to the data by a field that is known exactly here. The ODE follows it, the
SDE adds noise on the way and removes as much again: the paths differ, the density they fill does not."""
TOY_WAIT = "Computing the paths."
STRIP_INTRO = """### The same noise on a model
The clean picture that the model had predicted last by eight times along the way, under two solvers; a column is one
time."""
STRIP_READY = "Press Draw; both solvers start from the same noise."
STRIP_DONE = "Done; both solvers started from the same noise."
CURVE_INTRO = "### Steps against error"
CURVE_LABEL = "Error of every solver against its network calls, both logarithmic; the table below has the numbers"
TABLE_TITLE = "The numbers; the default in bold"
NO_CURVES = "there is no measurement yet; make one with python -m benchmarks.solvers"


def about_curves(result: dict[str, Any]) -> str:
    """What was measured, in a few sentences."""
    labels, reference = result["labels"], result["reference"]
    pictures = "picture" if len(labels) == 1 else "pictures"
    return (
        f"{result['model']}, {len(labels)} {pictures}, guidance {result['guidance']:g}. The error is the root mean "
        "square difference in levels of an 8-bit picture. ODE solvers are compared with dopri5 at "
        f"{reference['nfe']} calls, SDE solvers (dotted) with their own result of {result['fine']} calls and the same "
        f"noise on the way. Over the last {1 - result['before']:.0%} of the time a network that predicts the clean "
        "picture only sharpens it, which no evenly spaced steps follow closely; so the second plot stops at "
        f"t = {result['before']}, with the same number of calls spent up to there."
    )


def curve_titles(result: dict[str, Any]) -> dict[str, str]:
    """Title of each kind of error, by its key in the measured points."""
    return {"error": "At the end", "before": f"At t = {result['before']}"}


def strips_line(strip: Strip, label: str) -> str:
    """The line about a strip in progress."""
    return f"{label}: step {strip.done} of {strip.total}, {strip.nfe} network calls"


def strips_html(strips: list[tuple[str, Strip]]) -> str:
    """Strips below each other, each with its solver's label, network calls and seconds."""
    return f'<div class="strips">{"".join(_strip(label, strip) for label, strip in strips)}</div>'


def _strip(label: str, strip: Strip) -> str:
    cells = []
    for i, (time, called, image) in enumerate(zip(strip.times, strip.called, strip.images, strict=True)):
        picture = '<span class="gap"></span>' if image is None else inline(image, i)
        about = "" if called is None else f' title="predicted at t = {called:.2f}"'
        cells.append(f"<li{about}>{picture}{'result' if time == 1 else f't = {time:.2f}'}</li>")
    steps = "1 step" if strip.total == 1 else f"{strip.total} steps"
    return (
        f'<div class="strip"><p><strong>{escape(label)}</strong> · {steps} · {strip.nfe} network calls · '
        f"{strip.seconds:.1f} s</p><ol>{''.join(cells)}</ol></div>"
    )


def fault_markdown(fault: Exception) -> str:
    """The sentence of a fault as a paragraph of Markdown."""
    text = str(fault)
    return plain(f"{text[:1].upper()}{text[1:]}.")


def plain(text: str) -> str:
    """Text of a stranger, escaped for Markdown."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()#+-!|<>&~" else letter for letter in text)
