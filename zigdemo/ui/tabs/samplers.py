"""The *Samplers* tab: ODE and SDE from the same noise, on a toy and on a model, and error against network calls."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Any

import gradio as gr

from ...checks import as_whole, choice
from ...diffusion import FORMS, SAMPLERS, TOYS, refusal
from ...explain import Strip, Trajectory, clean_strip
from .. import fields, texts
from ..answers import CurvesOf, PathsOf, StripOf, ToyOf
from ..borders import endpoint, handler
from ..error_curve import curves_html, measurement
from ..estimates import seconds_of_call, starting_text
from ..frame import Frame
from ..more import FORM_NAMES
from ..runs import MODELS, PREVIEW_SECONDS
from ..settings import (
    MOST_GUIDANCE,
    MOST_STEPS,
    PICTURES,
    first_label,
    first_prompt,
    from_link,
    installed_model,
    label_choices,
    model_choices,
    to_request,
)
from ..sharing import Query, share
from ..theme import mount_script
from ..toys import FIRST, MOST_SEED, MOST_TOY_STEPS, run_toy, toy_data
from ..turns import checkpoint
from ..worker import TURN, in_turn

TAB = "samplers"  # the id of the tab


def _solver_choices(stochastic: bool) -> list[tuple[str, str]]:
    return [(e.label, n) for n, e in SAMPLERS.items() if e.stochastic == stochastic and not _missing(n)]


def _missing(solver: str) -> bool:
    """Whether the solver's package is not installed."""
    options = SAMPLERS[solver].options
    return refusal(solver, "linear", "velocity", options.get("form"), options.get("last_step")) is not None


@endpoint
def toy_paths(
    toy: str = "ring",
    ode: str = "heun",
    sde: str = "euler-maruyama",
    steps: int = 20,
    form: str | None = None,
    seed: int = 0,
) -> ToyOf:
    """API: the paths of the same 128 noise points under both solvers: times, states, network calls, score, error.

    score: distance of the end points to the true density; floor: what as many true points score. error: distance of the
    end points to the exact ones, for an SDE those on the same Brownian path.
    """
    run = run_toy(toy, ode, sde, steps, form, seed)

    def as_dict(path: Trajectory) -> PathsOf:
        states = (path.states * 1e4).round() / 1e4
        return {
            "solver": path.solver, "times": path.times, "states": states.tolist(), "nfe": path.nfe, "score": path.score,
            "error": path.error,
        }  # fmt: skip

    scores = {"floor": asdict(run.floor), "noise_score": run.noise_score}
    return {"toy": toy, "ode": as_dict(run.ode), "sde": as_dict(run.sde), **scores}


def _show_toy(*settings: Any) -> tuple[Any, Any]:
    """New data for the player, or a sentence why there is none (the last picture stays)."""
    try:
        return json.dumps(toy_data(*settings)), gr.update(visible=False)
    except ValueError as fault:
        return gr.skip(), gr.update(value=texts.fault_markdown(fault), visible=True)


def _form_of(sde: str) -> Any:
    """Update of the noise form control, which is hidden for ancestral solvers."""
    visible = "form" in SAMPLERS[choice("solver", sde, SAMPLERS)].options
    return gr.update(visible=visible, value=SAMPLERS[sde].options["form"] if visible else None)


def _strips(
    model: str, label: str | None, first: str, second: str, steps: float, guidance: float, seed: float,
    prompt: str | None = None,
) -> Iterator[list[Strip]]:  # fmt: skip
    """Yield the strips of both solvers as they grow. Raises ValueError before any work."""
    PICTURES.refuse(installed_model(model))
    as_whole("steps", steps, 1, MOST_STEPS)
    requests = [
        to_request(model, label, None, solver, steps, guidance, seed, 1, prompt=prompt) for solver in (first, second)
    ]
    pipe, finished = MODELS.get(installed_model(model)), []
    for request in requests:
        with closing(clean_strip(pipe, request, before_call=checkpoint)) as strips:
            for strip in strips:
                yield [*finished, strip]
        finished.append(strip)


def _seconds(model: Any, *others: Any, **more: Any) -> float:
    return 2 * seconds_of_call(model, count=1)


@endpoint
def solver_strips(
    model: str,
    label: str | None = None,
    first: str = "heun",
    second: str = "euler-maruyama",
    steps: int = 25,
    guidance: float = 2.0,
    seed: int = 0,
    prompt: str | None = None,
) -> list[StripOf]:
    """API: the clean picture last predicted by eight times under two solvers from the same noise, as PNG data URLs.

    times are the same for both; called: when the network predicted each picture. prompt: for text-conditional models.
    """
    for strips in _strips(model, label, first, second, steps, guidance, seed, prompt):
        last = strips
    return [
        {
            "solver": s.solver,
            "times": s.times,
            "called": s.called,
            "images": [i and texts.data_url(i) for i in s.images],
            "nfe": s.nfe,
            "seconds": s.seconds,
        }
        for s in last
    ]


@endpoint
def steps_against_error() -> CurvesOf:
    """API: the measured error of every solver over its steps and network calls."""
    return measurement()


def _buttons(running: bool) -> tuple[Any, Any]:
    """Updates of Draw and Stop."""
    return gr.update(interactive=not running), gr.update(interactive=running)


@handler(lambda sentence: (gr.skip(), texts.line_html(sentence), *_buttons(False)))
def _draw(*settings: Any) -> Iterator[tuple[Any, ...]]:
    """The Draw button: yields updates of the strips, the line, Draw and Stop."""
    yield gr.skip(), texts.line_html(starting_text()), *_buttons(True)
    last_shown = 0.0
    for strips in _strips(*settings):
        with_labels = [(SAMPLERS[strip.solver].label, strip) for strip in strips]
        if time.monotonic() - last_shown >= PREVIEW_SECONDS:
            label, strip = with_labels[-1]
            yield texts.strips_html(with_labels), texts.line_html(texts.strips_line(strip, label)), *_buttons(True)
            last_shown = time.monotonic()
    yield texts.strips_html(with_labels), texts.line_html(texts.STRIP_DONE), *_buttons(False)


def _model_solvers(model: str) -> list[tuple[str, str]]:
    """(label, name) of the solvers that work with a model."""
    folder = installed_model(model)
    options = {name: entry.options for name, entry in SAMPLERS.items()}
    return [
        (SAMPLERS[name].label, name)
        for name, values in options.items()
        if refusal(name, folder.interpolant, folder.prediction, values.get("form"), values.get("last_step")) is None
    ]


def _model_updates(model: str) -> tuple[Any, ...]:
    """Updates of the prompt, the label and both solvers for another model."""
    names, solvers, prompt = label_choices(model), _model_solvers(model), first_prompt(model)
    return (
        gr.update(value=prompt or "", visible=prompt is not None),
        gr.update(choices=names, value=first_label(model), visible=bool(names)),
        gr.update(choices=solvers, value="heun"),
        gr.update(choices=solvers, value="euler-maruyama"),
    )


def _follow(query: Query, own: Query) -> tuple[Any, ...] | None:
    """Updates of the strips' settings for the settings of a link; None if they are for no model of this tab."""
    request, _ = from_link(query)
    if request is None:
        return None
    prompt, label, *solvers = _model_updates(request.model)
    return (
        gr.update(value=request.model),
        {**prompt, "value": request.prompt or ""},
        {**label, "value": request.label},
        *((gr.skip(),) * 2 if own.get("model") == request.model else solvers),
        request.steps,
        request.guidance,
        request.seed,
    )


def _build_toy(opened: list[Any]) -> None:
    gr.Markdown(texts.TOY_INTRO)
    toy, ode, sde, steps, form, seed = FIRST
    with gr.Row():
        controls = [
            fields.Dropdown([(n.capitalize(), n) for n in TOYS], value=toy, label="Toy", min_width=140),
            fields.Dropdown(_solver_choices(False), value=ode, label="ODE solver", min_width=160),
            fields.Dropdown(_solver_choices(True), value=sde, label="SDE solver", min_width=160),
        ]
    with gr.Row():
        controls += [
            fields.Slider(1, MOST_TOY_STEPS, value=steps, step=1, label="Number of steps", min_width=200, buttons=[]),
            fields.Dropdown(
                [(FORM_NAMES[n], n) for n in FORMS],
                value=form,
                label="SDE noise over time",
                min_width=240,
            ),
            fields.Number(seed, label="Noise seed", precision=0, minimum=0, maximum=MOST_SEED, min_width=120),
        ]
    message = gr.Markdown(visible=False, elem_id="toy-message")
    player = gr.HTML(
        html_template=f'<div class="toy-player"><p class="toy-wait">{texts.TOY_WAIT}</p></div>',
        js_on_load=mount_script("toy-player", "zigdemoTrajectories"),
        apply_default_css=False,
        padding=False,
        elem_id="toy-player",
    )
    quiet = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
    controls[2].input(_form_of, controls[2], controls[4], show_progress="hidden", api_visibility="private")
    gr.on([*opened, *(control.change for control in controls)], _show_toy, controls, [player, message], **quiet)


def _build_strips(frame: Frame) -> None:
    gr.Markdown(texts.STRIP_INTRO)
    choices = model_choices()
    if not choices:
        gr.Markdown(texts.NO_WEIGHTS)
        return
    first = installed_model(choices[0][1])
    names, solvers = label_choices(first.id), _model_solvers(first.id)
    with gr.Row():
        model = fields.Dropdown(choices, value=first.id, label="Model", min_width=200)
        prompt = gr.Textbox(first_prompt(first.id) or "", label="Prompt", visible=first.text is not None, min_width=200)
        label = fields.Dropdown(names, value=first_label(first.id), label="Label", visible=bool(names), min_width=200)
        first_solver = fields.Dropdown(solvers, value="heun", label="First solver", min_width=200)
        second_solver = fields.Dropdown(solvers, value="euler-maruyama", label="Second solver", min_width=200)
    with gr.Row():
        steps = fields.Slider(1, MOST_STEPS, value=25, step=1, label="Steps", min_width=240, buttons=[])
        guidance = fields.Slider(0, MOST_GUIDANCE, value=2, step=0.1, label="Guidance", min_width=240, buttons=[])
        seed = fields.Number(0, label="Seed", precision=0, minimum=0, maximum=MOST_SEED, min_width=120)
    with gr.Row():
        go = gr.Button("Draw", variant="primary", scale=3, min_width=120)
        stop = gr.Button("Stop", interactive=False, scale=1, min_width=80, elem_id="strip-stop")
    line = gr.HTML(texts.line_html(texts.STRIP_READY), elem_id="strip-line", padding=False)
    strips = gr.HTML(texts.strips_html([]), elem_id="strips", padding=False)
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    run = go.click(
        in_turn(_seconds)(_draw),
        [model, label, first_solver, second_solver, steps, guidance, seed, prompt], [strips, line, go, stop],
        **TURN, **quiet,
    )  # fmt: skip
    # A separate listener without outputs: cancelling marks the outputs of its listener as failed.
    stop.click(None, None, None, cancels=run)
    stop.click(
        lambda: (texts.line_html(texts.STOPPED), gr.update(interactive=True), gr.update(interactive=False)),
        None,
        [line, go, stop],
        **quiet,
    )
    model.input(_model_updates, model, [prompt, label, first_solver, second_solver], **quiet)
    shared = {"model": model, "prompt": prompt, "label": label, "steps": steps, "guidance": guidance, "seed": seed}
    followed = [model, prompt, label, first_solver, second_solver, steps, guidance, seed]
    share(frame, TAB, shared, followed, _follow)


def build_samplers_tab(frame: Frame) -> None:
    """Lay the tab out; call inside its gr.Tab."""
    gr.api(toy_paths, api_name="toy_paths")
    gr.api(in_turn(_seconds)(solver_strips), api_name="solver_strips", **TURN)
    gr.api(steps_against_error, api_name="steps_against_error")
    _build_toy(frame.opened)
    _build_strips(frame)
    gr.Markdown(texts.CURVE_INTRO)
    gr.HTML(curves_html(), padding=False, elem_id="errors")
