"""The controls under *More* in the Pictures tab: options of the solver, guidance, a picture to start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from ..checks import choice
from ..diffusion import FORMS, LAST_STEPS, SAMPLERS
from ..diffusion.samplers import refusal
from . import fields
from .settings import MORE, OPTIONS

# Options that some solvers have; none has all.
SOLVER_OPTIONS = tuple(dict.fromkeys(name for solver in SAMPLERS.values() for name in solver.options))
START = 0.4  # the share of a start picture that is kept
FORM_NAMES = {
    "constant": "constant",
    "sbdm": "SBDM, of the forward process",
    "sigma": "sigma, the share of noise",
    "linear": "linear",
    "decreasing": "decreasing",
    "increasing-decreasing": "increasing, then decreasing",
}
LAST_STEP_NAMES = {
    "none": "none",
    "mean": "mean, no fresh noise",
    "tweedie": "Tweedie, the clean sample",
    "euler": "Euler",
}


def why_not(solver: str) -> str:
    """Why the controls of SDE solvers are greyed out for this solver; empty if they are not."""
    reason = refusal(solver, "linear", "velocity", form="sigma")
    return "" if "form" in SAMPLERS[solver].options or reason is None else reason.split(";")[0]


def of_solver(solver: str) -> tuple[Any, ...]:
    """Updates of the note and of the controls in SOLVER_OPTIONS; those that the solver does not have are greyed out."""
    options = SAMPLERS[choice("solver", solver, SAMPLERS)].options
    updates = [
        gr.update(interactive=True, value=options[name]) if name in options else gr.update(interactive=False)
        for name in SOLVER_OPTIONS
    ]
    return gr.update(value=note(solver)), *updates


def note(solver: str) -> str:
    """A line about a solver: ODE or SDE, order, network calls, and why some controls are grey."""
    entry = SAMPLERS[solver]
    calls = "as many network calls as it needs" if entry.calls is None else f"{entry.calls} network call"
    calls += "s" if entry.calls and entry.calls > 1 else ""
    kind = (
        "SDE or posterior, adds noise on the way" if entry.stochastic else "ODE, the same noise gives the same picture"
    )
    line = f"**{entry.label}**: {kind}; order {entry.order}, {calls} per step."
    reason = why_not(solver)
    return f"{line}\n\nGrey below: {reason}." if reason else line


def build_more(labels: list[str], solver: str, text: bool) -> tuple[gr.Markdown, dict[str, gr.components.Component]]:
    """The note about the solver, and the controls by name: those of MORE, then "start" and "image".

    labels, text: of the first model, and whether it reads prompts.
    """
    options = SAMPLERS[solver].options
    controls: dict[str, gr.components.Component] = {}

    def initial(name: str) -> dict[str, Any]:
        return {"value": OPTIONS[name], "interactive": name in options}

    with gr.Accordion("More: solver options, guidance, start from a picture", open=False, elem_id="more"):
        solver_note = gr.Markdown(note(solver))
        with gr.Row():
            controls["form"] = fields.Dropdown(
                [(FORM_NAMES[n], n) for n in FORMS], label="Noise form", min_width=200, **initial("form")
            )
            controls["strength"] = fields.Number(
                label="Noise strength", minimum=0, step=0.1, min_width=120, **initial("strength")
            )
        with gr.Row():
            last_steps = [(LAST_STEP_NAMES[n], n) for n in LAST_STEPS]
            controls["last_step"] = fields.Dropdown(
                last_steps, label="Last step", min_width=200, **initial("last_step")
            )
            controls["last_size"] = fields.Slider(
                0, 0.5, step=0.01, label="Length of the last step", min_width=240, **initial("last_size")
            )
        controls["eta"] = fields.Slider(0, 1, step=0.05, label="DDIM eta", **initial("eta"))
        with gr.Row():
            controls["atol"] = fields.Number(
                label="Dormand-Prince atol", minimum=1e-9, min_width=120, **initial("atol")
            )
            controls["rtol"] = fields.Number(
                label="Dormand-Prince rtol", minimum=1e-9, min_width=120, **initial("rtol")
            )
        with gr.Row():
            controls["shift"] = fields.Number(
                OPTIONS["shift"], label="Time shift", info="Above 1: more steps at high noise.", minimum=0.05,
                maximum=20, step=0.25, min_width=200,
            )  # fmt: skip
            controls["rescale"] = fields.Slider(
                0, 1, value=OPTIONS["rescale"], step=0.05, label="Guidance rescale", info="Against oversaturation.",
                min_width=240,
            )  # fmt: skip
        with gr.Row():
            controls["guide_from"] = fields.Slider(
                0, 1, value=0, step=0.05, label="Guide from time (0 is noise)", min_width=240
            )
            controls["guide_to"] = fields.Slider(0, 1, value=1, step=0.05, label="to time (1 is data)", min_width=240)
        controls["negative"] = fields.Dropdown(
            _with_none(labels), value="", label="Negative",
            info="What guidance moves away from, in place of no label or an empty prompt.",
            allow_custom_value=True,
        )  # fmt: skip
        controls["strengths"] = gr.Textbox(
            label="Word strengths", info="How much single words of the prompt count: red=1.5, heart=0.5", max_lines=1,
            visible=text,
        )  # fmt: skip
        with gr.Row():
            image = fields.Image(
                label="Start from a picture", type="filepath", sources=["upload", "clipboard"], height=180,
                min_width=240, elem_id="start-picture",
            )  # fmt: skip
            controls["start"] = fields.Slider(
                0.05, 0.95, value=START, step=0.05, label="How much of it to keep", min_width=240,
                info="Low: nearly redrawn. High: nearly unchanged.",
            )  # fmt: skip
    return solver_note, {**{name: controls[name] for name in MORE}, "start": controls["start"], "image": image}


def _with_none(labels: Sequence[str | tuple[str, str]]) -> list[str | tuple[str, str]]:
    return [("nothing", ""), *labels]


def negative_of(labels: Sequence[str | tuple[str, str]], value: str | None = None) -> dict[str, Any]:
    """Update of the control "negative" for a model with these labels, or pairs of their texts and them."""
    return gr.update(choices=_with_none(labels), value=value or "")
