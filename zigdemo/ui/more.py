"""The controls under *More* in the Generate tab: the solver's own options, guidance, a picture to start from."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..diffusion import FORMS, LAST_STEPS, SAMPLERS
from ..diffusion.samplers import refusal
from .settings import MORE, OPTIONS

OWN = tuple(dict.fromkeys(name for solver in SAMPLERS.values() for name in solver.options))  # not of every solver
START = 0.4  # of a given picture
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
    """Why the greyed-out controls of SDE solvers do not act, in words; empty where they do."""
    reason = refusal(solver, "linear", "velocity", form="sigma")
    return "" if "form" in SAMPLERS[solver].options or reason is None else reason.split(";")[0]


def of_solver(solver: str) -> tuple[Any, ...]:
    """Updates of the note and of the controls in OWN: those that the solver does not have are greyed out."""
    own = SAMPLERS[solver].options
    live = [gr.update(interactive=name in own, **({"value": own[name]} if name in own else {})) for name in OWN]
    return gr.update(value=note(solver)), *live


def note(solver: str) -> str:
    """One line about a solver: its order, its network calls, and why some controls are grey."""
    entry = SAMPLERS[solver]
    calls = "as many network calls as it needs" if entry.calls is None else f"{entry.calls} network call"
    calls += "s" if entry.calls and entry.calls > 1 else ""
    kind = (
        "SDE or posterior, draws noise on its way" if entry.stochastic else "ODE, the same noise gives the same picture"
    )
    line = f"**{entry.label}**: {kind}; order {entry.order}, {calls} a step."
    reason = why_not(solver)
    return f"{line} Grey below: {reason}." if reason else line


def build_more(labels: list[str], solver: str, text: bool) -> tuple[gr.Markdown, dict[str, gr.components.Component]]:
    """The controls by name: those of MORE, then "start" and "image". labels, text: of the first model, and whether it
    reads prompts.
    """
    own, made = SAMPLERS[solver].options, {}

    def live(name: str) -> dict[str, Any]:
        return {"value": OPTIONS[name], "interactive": name in own}

    with gr.Accordion("More: solver options, guidance, start from a picture", open=False, elem_id="more"):
        said = gr.Markdown(note(solver))
        with gr.Row():
            made["form"] = gr.Dropdown(
                [(FORM_NAMES[n], n) for n in FORMS], label="Noise form", min_width=200, **live("form")
            )
            made["strength"] = gr.Number(label="Noise strength", minimum=0, step=0.1, min_width=120, **live("strength"))
        with gr.Row():
            last_steps = [(LAST_STEP_NAMES[n], n) for n in LAST_STEPS]
            made["last_step"] = gr.Dropdown(last_steps, label="Last step", min_width=200, **live("last_step"))
            made["last_size"] = gr.Slider(
                0, 0.5, step=0.01, label="Length of the last step", min_width=240, **live("last_size")
            )
        made["eta"] = gr.Slider(0, 1, step=0.05, label="DDIM eta", **live("eta"))
        with gr.Row():
            made["atol"] = gr.Number(label="Dormand-Prince atol", minimum=1e-9, min_width=120, **live("atol"))
            made["rtol"] = gr.Number(label="Dormand-Prince rtol", minimum=1e-9, min_width=120, **live("rtol"))
        with gr.Row():
            made["shift"] = gr.Number(
                OPTIONS["shift"], label="Time shift", info="Above 1: more steps in the noise.", minimum=0.05,
                maximum=20, step=0.25, min_width=200,
            )  # fmt: skip
            made["rescale"] = gr.Slider(
                0, 1, value=OPTIONS["rescale"], step=0.05, label="Guidance rescale", info="Tames burnt colours.",
                min_width=240,
            )  # fmt: skip
        with gr.Row():
            made["guide_from"] = gr.Slider(
                0, 1, value=0, step=0.05, label="Guide from time (0 is noise)", min_width=240
            )
            made["guide_to"] = gr.Slider(0, 1, value=1, step=0.05, label="to time (1 is data)", min_width=240)
        made["negative"] = gr.Dropdown(
            _with_none(labels), value="", label="Keep away from", info="In place of no label or an empty prompt.",
            allow_custom_value=True,
        )  # fmt: skip
        made["strengths"] = gr.Textbox(
            label="Word strengths", info="How much words of the prompt count: red=1.5, heart=0.5", max_lines=1,
            visible=text,
        )  # fmt: skip
        with gr.Row():
            image = gr.Image(
                label="Start from a picture", type="filepath", sources=["upload", "clipboard"], height=180,
                min_width=240, elem_id="start-picture",
            )  # fmt: skip
            made["start"] = gr.Slider(
                0.05, 0.95, value=START, step=0.05, label="Keep of it", min_width=240,
                info="Low: drawn nearly anew. High: nearly the same.",
            )  # fmt: skip
    return said, {**{name: made[name] for name in MORE}, "start": made["start"], "image": image}


def _with_none(labels: list[str]) -> list[tuple[str, str]]:
    return [("nothing", ""), *((name, name) for name in labels)]


def negative_of(labels: list[str], chosen: str | None = None) -> dict[str, Any]:
    """Update of the control "negative" for a model with these labels."""
    return gr.update(choices=_with_none(labels), value=chosen or "")
