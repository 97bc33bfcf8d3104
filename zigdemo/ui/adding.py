"""Adding a model from the page: an official one, a repository, or a file; for the owner of this machine alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import gradio as gr
from huggingface_hub.utils import tqdm

from .. import zoo
from ..huggingface import first_line
from ..zoo.hub import SOURCES
from ..zoo.obtaining import install
from . import fields, runs, texts
from .address import is_shared
from .controls import updates_of
from .frame import Frame
from .looking import busy_html
from .runs import QUIET, Run
from .settings import PICTURES, model_choices
from .visitors import is_stranger

JOB = "import"  # the id of its runs
LOOK_SECONDS = 0.3  # between two updates of the progress line
MEGABYTE = 10**6
OUTPUTS = ("go", "stop", "progress", "cards", "official", "what", "model")


class Stopped(Exception):
    """Raised inside a download when Stop was pressed; what has arrived is kept, and a new import goes on from there."""


def read_settings(text: str | None) -> dict[str, Any]:
    """Names and values from "family=DiT, num_heads=16". Raises ValueError with one sentence."""
    settings: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in (text or "").split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise ValueError(f"settings are written like family=DiT, num_heads=16, not {part[:60]!r}")
        settings[name] = int(value) if value.isascii() and value.isdigit() else value
    return settings


def on_the_page(sentence: str) -> str:
    """A sentence that names arguments of Python or options of the command, naming the boxes of the page instead."""
    sentence = re.sub(r"settings=\{'(\w+)': \.\.\.\}", r"\1=... under Settings", sentence)
    return sentence.replace(" with --name", " under Name").replace("with family=", "under Settings, with family=")


def bar_of(run: Run, tell: Callable[[int, int | None], None]) -> type[tqdm]:
    """A progress bar for downloads that tells the bytes so far and in all, and ends the download on Stop."""

    class Bar(tqdm):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            self.arrived = settings.get("initial") or 0
            super().__init__(*arguments, **settings)

        def update(self, n: float | None = 1) -> bool | None:
            if run.stop.is_set():
                raise Stopped
            self.arrived += n or 0
            tell(int(self.arrived), self.total)
            return super().update(n)

    return Bar


def progress_html(arrived: int, total: int | None) -> str:
    """Progress bar and line of a download; before the first byte and after the last, what is done then."""
    if not arrived or arrived == total:
        return busy_html(texts.CONVERTING if arrived else texts.FETCHING)
    if not total:
        return busy_html(f"{arrived / MEGABYTE:,.0f} MB downloaded")
    return (
        f'<div class="run"><progress value="{arrived}" max="{total}"></progress><span role="status">'
        f"{arrived / MEGABYTE:,.0f} of {total / MEGABYTE:,.0f} MB downloaded</span></div>"
    )


_updates = partial(updates_of, OUTPUTS)


def _running(running: bool, line: str) -> tuple[Any, ...]:
    return _updates(
        go=gr.update(interactive=not running), stop=gr.update(interactive=running), progress=texts.line_html(line)
    )


def add(
    cards: Callable[[], str], page: gr.Request, official: str | None, what: str | None, name: str | None,
    settings: str | None,
) -> Iterator[tuple[Any, ...]]:  # fmt: skip
    """The Import button: yields updates of OUTPUTS. cards: makes the list of models anew."""
    with runs.track(page, JOB) as run:
        try:
            if is_stranger(page):
                raise ValueError(texts.FOR_THE_OWNER)
            source = str(official or what or "").strip()
            if not source:
                raise ValueError("choose an official model, or name a repository or a file")
            reading = read_settings(settings)
            far: list[Any] = [0, None]

            def tell(arrived: int, total: int | None) -> None:
                far[:] = arrived, total

            with ThreadPoolExecutor(1) as worker:
                job = worker.submit(
                    install, source, (name or "").strip() or None, settings=reading, bar=bar_of(run, tell)
                )
                try:
                    while not job.done():
                        yield _updates(progress=progress_html(*far))
                        wait([job], LOOK_SECONDS)
                finally:
                    if not job.done():  # the page was closed
                        run.stop.set()
            folder = job.result()
            yield _done(folder, cards())
        except Stopped:
            yield _running(False, texts.IMPORT_STOPPED)
        except OSError as fault:
            yield _running(False, f"it could not be imported: {first_line(fault)}")
        except Exception as fault:  # told beside the button, where a toast would only cover it
            yield _running(False, on_the_page(runs.sentence(fault)))


def _done(folder: zoo.ModelFolder, cards: str) -> tuple[Any, ...]:
    """Updates after an import: the model is in every list."""
    notes = folder.about.get("notes")
    line = f"{folder.id} is installed: {folder.family}, {folder.model.parameters / 1e6:,.1f} M weights"
    if isinstance(notes, list) and notes:
        line += "; " + "; ".join(map(str, notes))
    return _updates(
        go=gr.update(interactive=True),
        stop=gr.update(interactive=False),
        progress=texts.line_html(f"{line}."),
        cards=cards,
        official=gr.update(choices=official_choices(), value=""),
        what="",
        model=gr.update(choices=model_choices(PICTURES)),
    )


def _stop(page: gr.Request) -> None:
    runs.stop(page, JOB)


def official_choices() -> list[tuple[str, str]]:
    """(text on the page, id) of the published models that are not installed, after none of them."""
    installed = {folder.id for folder in zoo.available()}
    texts = {name: f"{source.family}, {source.about} · {name}" for name, source in SOURCES.items()}
    return [("none", ""), *((text, name) for name, text in texts.items() if name not in installed)]


def build_adding(frame: Frame, cards: gr.HTML, make_cards: Callable[[], str]) -> None:
    """The form that imports a model; on a Space, the sentence that says for whom it is."""
    if is_shared():
        gr.Markdown(texts.FOR_THE_OWNER)
        return
    gr.Markdown(texts.ADD_INTRO)
    with gr.Row(equal_height=False):
        official = fields.Dropdown(official_choices(), value="", label="An official one", min_width=260)
        what = gr.Textbox(
            label="Or another one", placeholder="owner/name, or /path/to/a.pt", max_lines=1, min_width=260,
            info="A repository on huggingface.co, or a file or folder on this machine.", elem_id="add-what",
        )  # fmt: skip
    with gr.Row(equal_height=False):
        name = gr.Textbox(label="Name", info="Under which it is listed; empty: what it is called.", max_lines=1)
        settings = gr.Textbox(
            label="Settings", info="What a file does not say, such as family=DiT, num_heads=16.", max_lines=1
        )
    with gr.Row():
        go = gr.Button("Import", variant="primary", min_width=120, scale=3, elem_id="add-go")
        stop = gr.Button("Stop", interactive=False, min_width=80, scale=1)
    line = gr.HTML(texts.line_html(""), elem_id="add-progress", elem_classes="progress-line", padding=False)
    outputs = {"go": go, "stop": stop, "progress": line, "cards": cards, "official": official, "what": what}
    outputs["model"] = gr.State() if frame.model is None else frame.model
    shown = [outputs[name] for name in OUTPUTS]

    def run(page: gr.Request, *inputs: Any) -> Iterator[tuple[Any, ...]]:
        yield from add(make_cards, page, *inputs)

    # Not in TURN: a download may take long, and drawing goes on meanwhile.
    go.click(lambda: _running(True, texts.STARTING), None, shown, queue=False, **QUIET).then(
        run, [official, what, name, settings], shown, concurrency_limit=1, concurrency_id=JOB, **QUIET
    )
    stop.click(
        lambda: (texts.line_html(texts.STOPPING_IMPORT), gr.update(interactive=False)), None, [line, stop],
        queue=False, **QUIET,
    )  # fmt: skip
    stop.click(_stop, None, None, concurrency_limit=None, **QUIET)
