"""Controls that the Generate and the Video tab share, and how their buttons act."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from ..pipeline import MOST_SEED, Request
from . import runs, texts
from .runs import QUIET, TURN
from .settings import (
    MOST_GUIDANCE,
    MOST_STEPS,
    Kind,
    defaults,
    first_label,
    first_prompt,
    model_choices,
    model_here,
    scheme_choices,
    solver_choices,
)

MOST_NEW_SEED = 2**31 - 1


def scan_settings(model: str, chosen: str | None = None) -> dict[str, Any]:
    """Choices, value and visibility of the scan control, which a model without a scan does not have."""
    schemes = scheme_choices(model)
    return {"choices": schemes, "value": chosen or (schemes[0][1] if schemes else None), "visible": bool(schemes)}


def condition_of(model: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What prompt, label and scan control show for another model."""
    names, prompt = list(model_here(model).labels or ()), first_prompt(model)
    return (
        {"value": prompt or "", "visible": prompt is not None},
        {"choices": names, "value": first_label(model), "visible": bool(names)},
        scan_settings(model),
    )


def build_condition(kind: Kind) -> dict[str, gr.components.Component]:
    """Model, prompt and label, by name; the first model of the kind is chosen."""
    here = model_choices(kind)
    prompt, label, _ = condition_of(here[0][1])
    return {
        "model": gr.Dropdown(here, value=here[0][1], label="Model"),
        "prompt": gr.Textbox(label="Prompt", info="A few words, in English.", max_lines=3, **prompt),
        "label": gr.Dropdown(label="Label", info="Type to search.", **label),
    }


def build_sampling(kind: Kind, count: int, randomise_id: str) -> tuple[dict[str, gr.components.Component], gr.Checkbox]:
    """Scan, solver, steps, guidance, seed and count, by name, and the box that asks for a new seed each time."""
    made: dict[str, gr.components.Component] = {}
    first = model_choices(kind)[0][1]
    own = defaults(first)
    made["scan"] = gr.Dropdown(label="Scan scheme", **scan_settings(first))
    with gr.Row():
        made["solver"] = gr.Dropdown(
            solver_choices(), value=own["solver"], label="Solver", min_width=180, elem_classes="solver"
        )
        made["count"] = gr.Slider(1, kind.most, value=count, step=1, label=kind.name, min_width=180)
    with gr.Row():
        made["steps"] = gr.Slider(1, MOST_STEPS, value=own["steps"], step=1, label="Steps", min_width=180)
        made["guidance"] = gr.Slider(0, MOST_GUIDANCE, value=own["guidance"], step=0.1, label="Guidance", min_width=180)
    with gr.Row():
        made["seed"] = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=MOST_SEED, min_width=180)
        randomise = gr.Checkbox(
            False, label="New seed each time", min_width=180, elem_id=randomise_id, elem_classes="randomise"
        )
    return made, randomise


def build_actions(ready: str, progress_id: str) -> tuple[gr.Button, gr.Button, gr.HTML]:
    """The buttons Generate and Stop, and the line of progress; on a phone the buttons stay in sight."""
    with gr.Row(elem_classes="actions"):
        go = gr.Button("Generate", variant="primary", min_width=120, scale=3)
        stop = gr.Button("Stop", interactive=False, min_width=80, scale=1)
    line = gr.HTML(texts.line_html(ready), elem_id=progress_id, elem_classes="progress-line", padding=False)
    return go, stop, line


def changes(
    outputs: Sequence[str], running: bool | None = None, line: str | None = None, **given: Any
) -> tuple[Any, ...]:
    """Updates of the named outputs, none of those not given.

    running: sets the outputs go and stop, the two buttons. line: sets the output progress.
    """
    if running is not None:
        given.update(go=gr.update(interactive=not running), stop=gr.update(interactive=running))
    if line is not None:
        given["progress"] = texts.line_html(line)
    return tuple(given.get(name, gr.skip()) for name in outputs)


def restore(
    file: str | None, show: Callable[[Request], tuple[Any, ...]], said: Callable[[Request], str]
) -> tuple[Any, ...] | None:
    """What `show` makes of the request inside a file made here, told as `said` says it.

    None for no file, and for one that cannot be used, which is told in one sentence.
    """
    if file is None:
        return None
    try:
        found, warnings = runs.read_request(file)
        controls = show(found)
    except ValueError as fault:
        runs.warn(str(fault))
        return None
    for warning in warnings:
        runs.warn(warning)
    gr.Info(said(found))
    return controls


def connect(
    buttons: tuple[gr.Button, gr.Button, gr.HTML],
    inputs: Sequence[gr.components.Component],
    outputs: Sequence[gr.components.Component],
    run: Callable[..., Any],
    stop_run: Callable[..., Any],
    change: Callable[..., tuple[Any, ...]],
) -> Callable[[Any], None]:
    """Let Generate run and Stop stop. Returns what lets a run follow another event as it follows Generate.

    buttons: of `build_actions`. run: a generator of updates of the outputs. stop_run: answers once the run has ended.
    change: (running, line) -> updates of the outputs.
    """
    go, stop, line = buttons
    go.click(None, None, None, js=texts.show_progress(line.elem_id), **QUIET)

    def runs_after(event: Any) -> None:
        waiting = event(lambda: change(True, texts.WAITING), None, outputs, queue=False, **QUIET)
        running = waiting.then(run, inputs, outputs, **TURN, **QUIET)
        # Apart, as the button's own outputs would be marked as failed with what is cancelled.
        stop.click(None, None, None, cancels=running)

    runs_after(go.click)
    stop.click(
        lambda: (texts.line_html(texts.STOPPING), gr.update(interactive=False)), None, [line, stop], queue=False,
        **QUIET,
    )  # fmt: skip
    stop.click(stop_run, None, outputs, concurrency_limit=None, **QUIET)
    return runs_after
