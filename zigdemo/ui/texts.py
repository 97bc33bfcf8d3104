"""What the tabs say and how that looks: sentences, small pieces of HTML, CSS, the script of the link."""

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
    "No model is here: put a model folder into `weights/`, or train one with "
    "`python -m zigdemo.training zigdemo/training/recipes/zigma-emoji.yaml`."
)
NO_CLIP_WEIGHTS = (
    "No model of clips is here: put a model folder with `frames` in its config into `weights/`, or train one with "
    "`python -m zigdemo.training zigdemo/training/recipes/zigma-actions.yaml`."
)
_SHOW_PROGRESS = """() => {
  const line = document.getElementById("%s");
  const { top, bottom } = line.getBoundingClientRect();
  if (top < 0 || bottom > window.innerHeight - 80) line.scrollIntoView({ block: "start", behavior: "smooth" });
}"""
SMOOTH_FROM_PX = 128  # pictures of so many pixels are enlarged smoothly, smaller ones pixel by pixel
COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "pink", "black")
THINGS = ("cat", "dog", "fish", "heart", "car", "hat", "flower", "bird", "house", "balloon", "book", "apple")
READY = "Press Generate; the pictures appear step by step."
CLIPS_READY = "Press Generate; the clips appear step by step."
WAITING = "Waiting for a turn; one run at a time."
STARTING = "Starting."
STOPPING = "Stopping after this step."
STOPPED = "Stopped; the preview stays."
LINK_COPIED = "The link to these settings is in the address bar and, where the browser allows it, on the clipboard."
RESTORED = "Settings restored; press Generate to draw the same pictures again."
CLIPS_RESTORED = "Settings restored; press Generate to draw the same clips again."
RESTORED_OVER_PICTURE = "Settings restored; it was drawn over a picture, so give that picture under More again."

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
}"""  # filled in with %, as the scripts are full of braces
LINK_SCRIPT = _LINK_SCRIPT % (json.dumps(MORE), json.dumps(NAMES))
CLIP_LINK_SCRIPT = _LINK_SCRIPT % (json.dumps({}), json.dumps(MAIN))


def show_progress(line: str) -> str:
    """The script that scrolls the line of that id into sight."""
    return _SHOW_PROGRESS % line


def line_html(text: str) -> str:
    """One line where the progress is shown; the text is shown as it is, never as markup."""
    return (
        f'<div class="run"><progress class="off" value="0"></progress><span role="status">{escape(text)}</span></div>'
    )


def progress_html(step: Step) -> str:
    """Bar and line of a run under way."""
    left = f"{step.seconds_left:.0f} s left" if step.seconds_left >= 1 else "nearly done"
    done = step.index + 1
    return (
        f'<div class="run"><progress value="{done}" max="{step.total}"></progress>'
        f"<span>step {done} of {step.total} · {step.nfe} network calls · {left}</span></div>"
    )


def pictures_html(images: list[Image.Image]) -> str:
    """Pictures inside the page itself: nothing is written to disk, nothing flickers while it is fetched."""
    shown = "".join(inline(image, i) for i, image in enumerate(images))
    return f'<div class="pictures{" crisp" if is_crisp(images) else ""}">{shown}</div>'


def is_crisp(images: list[Image.Image]) -> bool:
    """Whether pictures are so small that their pixels are to be seen when they are enlarged."""
    return any(max(image.size) < SMOOTH_FROM_PX for image in images)


def placeholder_html(text: str) -> str:
    """The empty place where pictures will be."""
    return f'<div class="pictures"><p>{escape(text)}</p></div>'


def inline(image: Image.Image, index: int) -> str:
    """A picture of a preview as HTML that has the picture inside."""
    kind = "PNG" if max(image.size) <= 128 else "JPEG"  # large previews would be megabytes a step
    return f'<img alt="preview {index + 1}" src="{data_url(image, kind)}">'


def data_url(image: Image.Image, kind: str = "PNG") -> str:
    """An image as the address of itself, so that nothing is written or fetched. kind: PNG, JPEG or WEBP."""
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=75)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def summary(step: Step) -> str:
    """The line about a finished run: seconds, network calls, seed, model, backend, how honest the weights are."""
    result = step.result
    made, what = (len(result.clips), "clip") if result.clips else (len(result.images), "picture")
    made = f"1 {what}" if made == 1 else f"{made} {what}s"
    return (
        f"{made} in {result.seconds:.1f} s · {result.nfe} network calls each · seed {result.request.seed} · "
        f"{result.request.model}, {result.provenance['origin']} · backend "
        f"{result.provenance['backend']}, device {result.provenance['device']}"
    )


# The tabs that look inside.
INFLUENCE_START = "Draw a picture, then click a patch to see which patches it listens to."
INFLUENCE_CLICK = "Click a patch of the picture."
LOOKING = "Looking inside."
NO_PICTURE = "No picture yet"
MAPS_EMPTY = "The maps appear here."
NO_SCAN_FIELD = "This model mixes all patches at once in every layer; no order keeps any from the others."
SCAN_FIELD = "{count} of {all} patches can have reached this one, by the scan order alone"
FRAME_FIELD = "{count} of {all} patches can have reached this one, through layers over a frame or over a place in time"
SCAN_FIELD_NOTE = "dark: cannot have reached it yet"
GRADIENT = "how much the answer here changes with each patch of the noisy picture"
COMPOSED = "what the layers so far carry here together, half of it in the residual stream"
TOO_MUCH_TO_COMPOSE = "Composing the layers of so large a model would take minutes; look at single layers."
NO_TEXT_MODEL = (
    "No text model is here yet, and only words can be attended to: a model folder in `weights/` whose config has a "
    "`text_width` above 0, such as `zigma-emoji-text`, opens this tab at the next start."
)
ATTENTION_START = "Draw a picture from words, then choose words to see where they act."
ATTENTION_KINDS = (
    "The first leaves the word out and shows where the picture changes: that is what draws it. The second shows which "
    "patches looked at the word, which is not the same."
)
ATTENTION_WORDS = "Choose one word or more; their maps are added."
EXPORTED = "A sheet of all words as PNG, and every number as .npz."

# The Fine-tune tab.
GENERATE_TAB = "generate"  # its id
FINETUNE_INTRO = """### Teach a model pictures of yours
Some 20 pictures of one thing, drawn alike, are enough. What is new stands beside what the model knows, which is trained
on a little too, so that it stays. Nothing leaves this machine, and the run goes on when the page is closed."""
FINETUNE_LABEL = "What all of them show. Empty: by captions (.txt, .jsonl) and file names."
FINETUNE_PROMPTS = "One a line; the model draws up to 256 of them once and trains on these beside the new pictures."

# The Samplers tab.
TOY_INTRO = """### The same noise under an ODE and an SDE
Every point starts as noise and is carried to the data by a field that is known exactly here. The ODE follows it, the
SDE adds noise on the way and takes as much out again: the paths differ, the density they fill does not."""
TOY_WAIT = "Computing the paths."
STRIP_INTRO = """### The same noise on a model
What the model believes the finished picture to be, at eight times on the way, under two solvers."""
STRIP_READY = "Press Draw; both solvers start from the same noise."
STRIP_DONE = "Done; both solvers started from the same noise."
CURVE_INTRO = "### Steps against error"
CURVE_LABEL = "Error of every solver over its network calls, both logarithmic; the table below has the numbers"
TABLE_TITLE = "The numbers; the default in bold"
NO_CURVES = "no measurement is here yet; make one with python -m benchmarks.solvers"


def about_curves(result: dict[str, Any]) -> str:
    """What was measured, in a sentence or two."""
    labels, reference = result["labels"], result["reference"]
    pictures = "picture" if len(labels) == 1 else "pictures"
    return (
        f"{result['model']}, {len(labels)} {pictures}, guidance {result['guidance']:g}. An error is the root mean "
        f"square difference in levels of an 8-bit picture: for an ODE solver to dopri5 with {reference['nfe']} calls, "
        f"for an SDE solver (dashed) to its own result of {result['fine']} calls with the same noise on the way. In "
        f"the last {1 - result['before']:.0%} of the way a network that predicts the clean picture only sharpens it, "
        "which no even steps follow closely; hence the second plot, of the same calls spent before."
    )


def curve_titles(result: dict[str, Any]) -> dict[str, str]:
    """Titles of the two kinds of error, by their key in the measured points."""
    return {"error": "At the end", "before": f"At t = {result['before']}"}


def strips_line(strip: Strip, label: str) -> str:
    """The line about a strip under way."""
    return f"{label}: step {strip.done} of {strip.total}, {strip.nfe} network calls"


def strips_html(strips: list[tuple[str, Strip]]) -> str:
    """Strips below each other, each with its solver's label, network calls and seconds."""
    return f'<div class="strips">{"".join(_strip(label, strip) for label, strip in strips)}</div>'


def _strip(label: str, strip: Strip) -> str:
    cells = []
    for i, (time, image) in enumerate(zip(strip.times, strip.images, strict=True)):
        picture = '<span class="gap"></span>' if image is None else inline(image, i)
        said = "" if time is None else "result" if time == 1 else f"t = {time:.2f}"
        cells.append(f"<li>{picture}{said}</li>")
    steps = "1 step" if strip.total == 1 else f"{strip.total} steps"
    return (
        f'<div class="strip"><p><strong>{escape(label)}</strong> · {steps} · {strip.nfe} network calls · '
        f"{strip.seconds:.1f} s</p><ol>{''.join(cells)}</ol></div>"
    )
