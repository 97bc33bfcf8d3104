"""The *Generate* tab: choose, watch it appear, keep the pictures with their settings inside."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from .. import media
from ..pipeline import MOST_SEED, Current, Request, Step
from . import texts
from .files import save_pictures
from .more import OWN, START, build_more, negative_of, of_solver
from .settings import (
    MOST_GUIDANCE,
    MOST_PICTURES,
    MOST_STEPS,
    NAMES,
    SUGGESTIONS,
    check_shown,
    first_label,
    first_prompt,
    from_link,
    known_options,
    model_choices,
    model_here,
    models_here,
    scheme_choices,
    show_strengths,
    shown_values,
    solver_choices,
    to_request,
)

log = logging.getLogger(__name__)
MOST_NEW_SEED = 2**31 - 1
PREVIEW_SECONDS = 0.15  # least time between two previews, so that fast models are not slowed by showing them
PAST_PICTURES = 24
STOP_SECONDS = 60.0  # most that Stop waits for the step under way
SKIP = gr.skip()
NO_CHANGE = (SKIP,) * (len(NAMES) + 4 + len(SUGGESTIONS))  # of what `_shown` updates
MODELS = Current()


@dataclass(frozen=True)
class Run:
    """A run under way: someone may ask it to stop, and wait until it has ended."""

    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


RUNS: dict[str, Run] = {}  # by page


def _examples(names: list[str], text: bool) -> tuple[Any, ...]:
    """Updates of the row of examples and of each example; a model of texts reads all of them."""
    return gr.update(visible=bool(names) or text), *(gr.update(visible=text or name in names) for name in SUGGESTIONS)


def _scan_settings(model: str, chosen: str | None = None) -> dict[str, Any]:
    """Choices, value and visibility of the scan control, which a model without a scan does not have."""
    schemes = scheme_choices(model)
    return {"choices": schemes, "value": chosen or (schemes[0][1] if schemes else None), "visible": bool(schemes)}


def _shown(request: Request) -> tuple[Any, ...]:
    """Updates of the controls of NAMES, of start, randomise, the solver's note and the examples."""
    folder = check_shown(request)
    names, values = list(folder.labels or ()), shown_values(request)
    updates: dict[str, Any] = {name: values[name] for name in NAMES}
    text = folder.text is not None
    updates["prompt"] = gr.update(value=request.prompt or "", visible=text)
    updates["strengths"] = gr.update(value=values["strengths"], visible=text)
    updates["label"] = gr.update(choices=names, value=request.label, visible=folder.labels is not None)
    updates["negative"] = negative_of(names, request.negative)
    updates["scan"] = gr.update(**_scan_settings(folder.id, request.scan))
    said, *live = of_solver(request.solver)
    updates |= {name: {**update, "value": values[name]} for name, update in zip(OWN, live, strict=True)}
    return (*updates.values(), values["start"] or START, False, said, *_examples(names, text))


def _sentence(fault: Exception) -> str:
    if isinstance(fault, ValueError):
        return str(fault)
    log.error("generation failed", exc_info=fault)
    return f"Something went wrong inside ({type(fault).__name__}); the server's log says more. Please try again."


def _warn(sentence: str) -> None:
    gr.Warning(escape(sentence))  # a toast shows HTML, and a sentence may quote a stranger's file or link


def generate(
    model: str,
    label: str | None = None,
    scan: str | None = None,
    solver: str = "heun",
    steps: int = 25,
    guidance: float = 2.0,
    seed: int = 0,
    count: int = 4,
    negative: str | None = None,
    guide_from: float = 0.0,
    guide_to: float = 1.0,
    options: dict[str, Any] | None = None,
    image: gr.FileData | None = None,
    start: float = START,
    prompt: str | None = None,
    strengths: dict[str, float] | None = None,
) -> tuple[list[gr.FileData], str]:
    """API: draw pictures; returns PNG files with their settings inside, and a line about the run.

    options: of the solver, by name, and "shift" and "rescale". image: a picture to start from; start: how much of it
    is kept, from 0.05 to 0.95. prompt, strengths: for models of texts, what to draw and how much its words count.
    """
    try:
        picture = None if image is None else media.read_picture(_uploaded(image))
        request = to_request(
            model, label, scan, solver, steps, guidance, seed, count, negative, guide_from, guide_to,
            start if picture else 0.0, prompt, show_strengths(strengths or {}), **known_options(options),
        )  # fmt: skip
        for step in MODELS.get(model_here(model)).stream(request, previews=False, image=picture):
            last = step
        files = [gr.FileData(path=path) for path in save_pictures(last.result)]
    except Exception as fault:  # noqa: BLE001 - the border of the program: no traceback reaches a user
        raise gr.Error(_sentence(fault), print_exception=False) from None
    return files, texts.summary(last)


def _uploaded(file: Any) -> str:
    """Path of a file that was uploaded to this server, never of another file of it."""
    path = Path(str(file.get("path") if isinstance(file, dict) else file.path)).resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()):
        raise ValueError("image must be an uploaded picture; send it with gradio_client.handle_file")
    return str(path)


def models() -> list[dict[str, Any]]:
    """API: the models here, what they are and how honest their weights are."""
    return [{"id": e.id, "family": e.family, "origin": e.origin, "schemes": list(e.schemes)} for e in models_here()]


def labels(model: str) -> list[str]:
    """API: the labels a model knows."""
    try:
        return list(model_here(model).labels or ())
    except ValueError as fault:
        raise gr.Error(str(fault), print_exception=False) from None


OUTPUTS = ("seed", "preview", "gallery", "files", "folded", "progress", "go", "stop", "past", "history")


def _change(running: bool | None = None, line: str | None = None, **changes: Any) -> tuple[Any, ...]:
    """Updates of OUTPUTS; running sets the two buttons, line the text over the pictures."""
    if running is not None:
        changes.update(go=gr.update(interactive=not running), stop=gr.update(interactive=running))
    if line is not None:
        changes["progress"] = texts.line_html(line)
    return tuple(changes.get(name, SKIP) for name in OUTPUTS)


def _run(page: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
    """The Generate button: yields updates of OUTPUTS, one a shown step."""
    *settings, start, image, randomise, past = values
    chosen = dict(zip(NAMES, settings, strict=True))
    run = RUNS[page.session_hash or ""] = Run()
    if randomise:
        chosen["seed"] = random.SystemRandom().randrange(MOST_NEW_SEED)
    try:
        picture = None if image is None else media.read_picture(image)
        request = to_request(**chosen, start=start if picture else 0.0)
        yield _change(True, texts.STARTING, seed=chosen["seed"])
        shown = -math.inf
        pipe = MODELS.get(model_here(request.model))
        cut = pipe.text and request.prompt and pipe.text.prompt(request.prompt).warning
        if cut:
            _warn(cut)
        with closing(pipe.stream(request, image=picture)) as steps:
            for step in steps:
                if run.stop.is_set():  # said here too, as the page is sent the last yield again when a run ends
                    yield _change(False, texts.STOPPED)
                    return
                if step.result is None and time.monotonic() - shown >= PREVIEW_SECONDS:
                    yield _change(
                        preview=gr.update(value=texts.pictures_html(step.preview), visible=True),
                        gallery=gr.update(visible=False),
                        progress=texts.progress_html(step),
                    )
                    shown = time.monotonic()
        yield _finished(step, past)
    except Exception as fault:  # noqa: BLE001 - the border of the program: no traceback reaches a user
        sentence = _sentence(fault)
        _warn(sentence)
        yield _change(False, sentence)
    finally:
        run.ended.set()
        if RUNS.get(page.session_hash or "") is run:
            del RUNS[page.session_hash or ""]


def _finished(step: Step, past: list[str]) -> tuple[Any, ...]:
    files = save_pictures(step.result)
    past = [path for path in files + past if Path(path).is_file()][:PAST_PICTURES]
    return _change(
        False,
        texts.summary(step),
        preview=gr.update(visible=False),
        gallery=gr.update(value=files, visible=True),
        files=files,
        folded=gr.update(visible=True),
        past=past,
        history=past,
    )


def _stop(page: gr.Request) -> tuple[Any, ...]:
    """Stop the run of this page after the step under way; what it showed last stays.

    Answers when the run has ended, so that no late progress can follow the answer.
    """
    run = RUNS.get(page.session_hash or "")
    if run is not None:
        run.stop.set()
        run.ended.wait(STOP_SECONDS)
    return _change(False, texts.STOPPED)


_READING = threading.Lock()  # catching warnings swaps state of the whole process


def _restore(file: str | None) -> tuple[Any, ...]:
    """Settings of a PNG made here, into the controls; a file that is none is one sentence and changes nothing."""
    if file is None:
        return NO_CHANGE
    try:
        with _READING, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = Request.from_metadata(file)
        controls = _shown(found)
    except ValueError as fault:
        _warn(str(fault))
        return NO_CHANGE
    for warning in caught:
        if warning.category is UserWarning:
            _warn(str(warning.message))
    gr.Info(texts.RESTORED_OVER_PICTURE if found.common_option("start") else texts.RESTORED)
    return controls


def _open_link(request: gr.Request) -> tuple[Any, ...]:
    found, left_out = from_link(dict(request.query_params))
    if left_out:
        _warn(" ".join(left_out))
    return NO_CHANGE if found is None else _shown(found)


def _of_model(model: str) -> tuple[Any, ...]:
    """Updates of prompt, strengths, label, negative, scan, the row of examples and each example for another model."""
    names, prompt = list(model_here(model).labels or ()), first_prompt(model)
    return (
        gr.update(value=prompt or "", visible=prompt is not None),
        gr.update(value="", visible=prompt is not None),
        gr.update(choices=names, value=first_label(model), visible=bool(names)),
        negative_of(names),
        gr.update(**_scan_settings(model)),
        *_examples(names, prompt is not None),
    )


def _surprise(model: str) -> tuple[Any, Any]:
    """Updates of prompt and label: one of the labels, or two words that were not drawn together before."""
    folder = model_here(model)
    if folder.text is not None:
        return f"{random.choice(texts.COLOURS)} {random.choice(texts.THINGS)}", SKIP
    return SKIP, random.choice(folder.labels or [None])


def _example(name: str, model: str) -> tuple[Any, Any]:
    """Updates of prompt and label by an example."""
    return (name, SKIP) if model_here(model).text is not None else (SKIP, name)


def build_generate_tab(page: gr.Blocks) -> None:
    """Lay the tab out; call inside a gr.Tab of `page`."""
    gr.api(generate, api_name="generate", concurrency_limit=1, concurrency_id="generate")
    gr.api(models, api_name="models")
    gr.api(labels, api_name="labels")
    here = model_choices()
    if not here:
        gr.Markdown(texts.NO_WEIGHTS)
        return
    first = model_here(here[0][1])
    names, text = list(first.labels or ()), first.text is not None
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            model = gr.Dropdown(here, value=first.id, label="Model")
            prompt = gr.Textbox(
                first_prompt(first.id) or "", label="Prompt", info="A few words, in English.", max_lines=3, visible=text
            )
            label = gr.Dropdown(
                names,
                value=first_label(first.id),
                label="Label",
                info="Type to search.",
                visible=bool(names),
            )
            with gr.Row(elem_id="chips", visible=bool(names) or text) as chip_row:
                surprise = gr.Button("Surprise me", size="sm", elem_id="surprise")
                chips = [gr.Button(name, size="sm", visible=text or name in names) for name in SUGGESTIONS]
            scan = gr.Dropdown(label="Scan scheme", **_scan_settings(first.id))
            with gr.Row():
                solver = gr.Dropdown(solver_choices(), value="heun", label="Solver", min_width=180, elem_id="solver")
                count = gr.Slider(1, MOST_PICTURES, value=4, step=1, label="Pictures", min_width=180)
            with gr.Row():
                steps = gr.Slider(1, MOST_STEPS, value=25, step=1, label="Steps", min_width=180)
                guidance = gr.Slider(0, MOST_GUIDANCE, value=2, step=0.1, label="Guidance", min_width=180)
            with gr.Row():
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=MOST_SEED, min_width=180)
                randomise = gr.Checkbox(False, label="New seed each time", min_width=180, elem_id="randomise")
            said, more = build_more(names, "heun", text)
        with gr.Column(scale=3, min_width=280):
            with gr.Row(elem_id="actions"):
                go = gr.Button("Generate", variant="primary", min_width=120, scale=3)
                stop = gr.Button("Stop", interactive=False, min_width=80, scale=1)
            progress = gr.HTML(texts.line_html(texts.READY), elem_id="progress", padding=False)
            preview = gr.HTML(texts.placeholder_html("No pictures yet"), elem_id="preview", padding=False)
            gallery = gr.Gallery(
                show_label=False,
                elem_id="result",
                columns=4,
                fit_columns=False,
                object_fit="contain",
                height="auto",
                format="png",
                interactive=False,
                visible=False,
                buttons=["download", "fullscreen"],
            )
            with gr.Accordion("PNG files, each with its settings inside", open=False, visible=False) as folded:
                files = gr.Files(show_label=False, interactive=False, elem_id="files")
                gr.Markdown("Earlier in this visit")
                history = gr.Gallery(
                    show_label=False,
                    elem_id="history",
                    columns=6,
                    height="auto",
                    format="png",
                    interactive=False,
                    buttons=["download", "fullscreen"],
                )
            with gr.Row(equal_height=False):
                dropped = gr.File(
                    label="Restore settings from a PNG", file_types=[".png"], height=112, scale=3, elem_id="restore"
                )
                link = gr.Button("Copy link to settings", size="sm", scale=1, min_width=160, elem_id="link")
    past = gr.State([])

    start, image = more.pop("start"), more.pop("image")
    shared = [model, prompt, label, scan, solver, steps, guidance, seed, count, *more.values()]
    shown = [*shared, start, randomise, said, chip_row, *chips]
    outputs = [seed, preview, gallery, files, folded, progress, go, stop, past, history]
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    go.click(None, None, None, js=texts.SHOW_PROGRESS, **quiet)
    waiting = go.click(lambda: _change(True, texts.WAITING), None, outputs, queue=False, **quiet)
    inputs = [*shared, start, image, randomise, past]
    running = waiting.then(_run, inputs, outputs, concurrency_limit=1, concurrency_id="generate", **quiet)
    stop.click(
        lambda: (texts.line_html(texts.STOPPING), gr.update(interactive=False)),
        None,
        [progress, stop],
        queue=False,
        **quiet,
    )
    stop.click(_stop, None, outputs, concurrency_limit=None, **quiet)
    stop.click(None, None, None, cancels=running)
    of_model = [prompt, more["strengths"], label, more["negative"], scan, chip_row, *chips]
    model.input(_of_model, model, of_model, **quiet)
    solver.input(of_solver, solver, [said, *(more[name] for name in OWN)], **quiet)
    dropped.upload(_restore, dropped, shown, **quiet)
    surprise.click(_surprise, model, [prompt, label], **quiet)
    for chip in chips:
        chip.click(partial(_example, chip.value), model, [prompt, label], **quiet)
    link.click(lambda *_: gr.Info(texts.LINK_COPIED), shared, None, js=texts.LINK_SCRIPT, **quiet)
    page.load(_open_link, None, shown, **quiet)
