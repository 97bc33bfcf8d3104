"""Controls that the Pictures and Clips tabs share, and what their buttons do."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, closing
from typing import Any

import gradio as gr
from PIL import Image

from ..pipeline import MOST_SEED, Request, Step
from . import fields, runs, texts
from .estimates import starting_text
from .live import LATEST
from .runs import QUIET
from .settings import (
    MOST_GUIDANCE,
    MOST_STEPS,
    Kind,
    defaults,
    first_label,
    first_prompt,
    installed_model,
    label_choices,
    model_choices,
    of_successor,
    scheme_choices,
    solver_choices,
)
from .turns import TURNS
from .worker import TURN, new_run, steps_in_turn

MOST_NEW_SEED = 2**31 - 1


def scan_settings(model: str, scan: str | None = None) -> dict[str, Any]:
    """Choices, value and visibility of the scan control, which is hidden for a model without a scan."""
    schemes = scheme_choices(model)
    return {"choices": schemes, "value": scan or (schemes[0][1] if schemes else None), "visible": bool(schemes)}


def condition_of(model: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What prompt, label and scan controls show for another model."""
    names, prompt = label_choices(model), first_prompt(model)
    return (
        {"value": prompt or "", "visible": prompt is not None},
        {"choices": names, "value": first_label(model), "visible": bool(names)},
        scan_settings(model),
    )


def fill_example(name: str, model: str) -> tuple[Any, Any]:
    """Updates of prompt and label for an example of a model."""
    return (name, gr.skip()) if installed_model(model).text is not None else (gr.skip(), name)


def build_condition(kind: Kind) -> dict[str, gr.components.Component]:
    """Model, prompt and label controls by name, starting with the first model of the kind."""
    choices = model_choices(kind)
    prompt, label, _ = condition_of(choices[0][1])
    return {
        "model": fields.Dropdown(choices, value=choices[0][1], label="Model"),
        "prompt": gr.Textbox(label="Prompt", info="A few words, in English.", max_lines=3, **prompt),
        "label": fields.Dropdown(label="Label", info="Type to search.", **label),
    }


def build_sampling(
    kind: Kind, count: int, randomise_id: str, below_scan: gr.components.Component | None = None
) -> tuple[dict[str, gr.components.Component], gr.Checkbox]:
    """Scan, solver, steps, guidance, seed and count controls by name, and the checkbox for a new seed each time.

    below_scan: laid out below the scan.
    """
    controls: dict[str, gr.components.Component] = {}
    first = model_choices(kind)[0][1]
    usual = defaults(first)
    controls["scan"] = fields.Dropdown(label="Scan scheme", **scan_settings(first))
    if below_scan is not None:
        below_scan.render()
    with gr.Row():
        controls["solver"] = fields.Dropdown(
            solver_choices(), value=usual["solver"], label="Solver", min_width=180, elem_classes="solver"
        )
        controls["count"] = fields.Slider(1, kind.most, value=count, step=1, label=kind.name, min_width=180)
    with gr.Row():
        controls["steps"] = fields.Slider(1, MOST_STEPS, value=usual["steps"], step=1, label="Steps", min_width=180)
        controls["guidance"] = fields.Slider(
            0, MOST_GUIDANCE, value=usual["guidance"], step=0.1, label="Guidance", min_width=180
        )
    with gr.Row():
        controls["seed"] = fields.Number(0, label="Seed", precision=0, minimum=0, maximum=MOST_SEED, min_width=180)
        randomise = gr.Checkbox(
            False, label="New seed each time", min_width=180, elem_id=randomise_id, elem_classes="randomise"
        )
    return controls, randomise


def build_actions(
    ready: str, progress_id: str, name: str = "Draw", elem_id: str | None = None
) -> tuple[gr.Button, gr.Button, gr.HTML]:
    """The button that starts a run, and Stop, which stay visible on a phone, and the progress line.

    name, elem_id: of the first.
    """
    with gr.Row(elem_classes="actions"):
        go = gr.Button(name, variant="primary", min_width=120, scale=3, elem_id=elem_id)
        stop = gr.Button("Stop", interactive=False, min_width=80, scale=1)
    line = gr.HTML(texts.line_html(ready), elem_id=progress_id, elem_classes="progress-line", padding=False)
    return go, stop, line


def changes(
    outputs: Sequence[str], running: bool | None = None, line: str | None = None, **updates: Any
) -> tuple[Any, ...]:
    """Updates of the outputs, by name, as `updates_of`.

    running: sets "go" and "stop", the two buttons. line: sets "progress".
    """
    if running is not None:
        updates.update(go=gr.update(interactive=not running), stop=gr.update(interactive=running))
    if line is not None:
        updates["progress"] = texts.line_html(line)
    return updates_of(outputs, **updates)


def updates_of(outputs: Sequence[str], **updates: Any) -> tuple[Any, ...]:
    """Updates of the outputs, by name; the others keep their values."""
    return tuple(updates.get(name, gr.skip()) for name in outputs)


def drawn(
    page: gr.Request,
    tab: str,
    ask: Callable[[], tuple[Request, Image.Image | None]],
    show: Callable[[Step], tuple[Any, ...]],
    updates: Callable[..., tuple[Any, ...]],
) -> Iterator[tuple[Any, ...]]:
    """What the Draw button of a tab yields: updates for every step shown, and for a fault the sentence about it.

    ask: the request, and a picture to start from. show: updates for a step. updates: as `changes`.
    """
    with runs.track(page, tab) as run:
        try:
            request, picture = ask()
            yield updates(True, starting_text(), seed=request.seed)
            with closing(runs.steps_of(run, request, picture)) as steps:
                for step in steps:
                    yield show(step)
            if run.stop.is_set():  # told here too, as Gradio sends the last yield again when a run ends
                yield updates(False, texts.STOPPED)
        except Exception as fault:
            yield updates(False, runs.toast(fault))


def new_seed() -> int:
    """A seed that nobody chose."""
    return random.SystemRandom().randrange(MOST_NEW_SEED)


def restore(
    file: str | None, show: Callable[[Request], tuple[Any, ...]], message: Callable[[Request], str]
) -> tuple[Any, ...] | None:
    """What `show` returns for the request inside a file of this program, announced with a message.

    None for no file, and for one that cannot be used, with a toast that says why.
    """
    if file is None:
        return None
    try:
        stored, warnings = runs.read_request(file)
        request, left_out = of_successor(stored)
        updates = show(request)
    except ValueError as fault:
        runs.warn(str(fault))
        return None
    for warning in (*warnings, *left_out):
        runs.warn(warning)
    gr.Info(message(request) if request.model == stored.model else texts.RESTORED_WITH_SUCCESSOR)
    return updates


def connect(
    buttons: tuple[gr.Button, gr.Button, gr.HTML],
    inputs: Sequence[gr.components.Component],
    outputs: Sequence[gr.components.Component],
    run: Callable[..., Any],
    stop_run: Callable[..., Any],
    change: Callable[..., tuple[Any, ...]],
    stop_inputs: Sequence[gr.components.Component] = (),
    seconds: Callable[..., float] = lambda *inputs: 1.0,
) -> Callable[..., None]:
    """Connect the Draw and Stop buttons. Returns a function that starts the run, or another one, after another event.

    buttons: of `build_actions`. run: a generator of updates of the outputs, called with the request of the page and the
    inputs. stop_run: returns when the run has ended. change: (running, line) -> updates of the outputs. stop_inputs: of
    `stop_run`. seconds: of work, estimated from the inputs.
    """
    go, stop, line = buttons
    go.click(None, None, None, js=texts.show_progress(line.elem_id), **QUIET)

    def in_line(run: Callable[..., Any]) -> Callable[..., Any]:
        async def take_turn(page: gr.Request, *values: Any) -> AsyncIterator[tuple[Any, ...]]:
            LATEST.end(page)
            key, own = (page.session_hash, line.elem_id), new_run(page, seconds(*values))
            try:
                TURNS.join(own)
            except ValueError as fault:
                yield change(False, runs.toast(fault))
                return
            if (earlier := runs.RUNS.get(key)) is not None:  # a run has one Stop button
                earlier.stop.set()
            runs.RUNS[key] = own
            steps = steps_in_turn(
                page, own, run(page, *values), lambda text: change(True, text), change(False, texts.STOPPED)
            )
            try:
                async with aclosing(steps):
                    async for updates in steps:
                        yield updates
            finally:
                if runs.RUNS.get(key) is own:
                    del runs.RUNS[key]

        return take_turn

    def end(page: gr.Request, *values: Any) -> tuple[Any, ...]:
        runs.stop(page, line.elem_id)
        return stop_run(page, *values)

    def runs_after(event: Any, run: Callable[..., Any] = run, inputs: Sequence[Any] = inputs) -> None:
        event(in_line(run), list(inputs), outputs, **TURN, **QUIET)

    runs_after(go.click)
    stop.click(
        lambda: (texts.line_html(texts.STOPPING), gr.update(interactive=False)), None, [line, stop], queue=False,
        **QUIET,
    )  # fmt: skip
    stop.click(end, list(stop_inputs), outputs, concurrency_limit=None, **QUIET)
    return runs_after
