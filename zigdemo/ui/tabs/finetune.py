"""The *Fine-tune* tab: give pictures, look at them as they are read, start, and watch, pause or stop the run.

The run is a process of its own (`training.jobs`): the page only looks at its folder, so that closing the browser, or
even the page's program, does not end it. The browser keeps the folder's name, and finds it again.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from ...data.folders import Pictures
from ...training.finetuning.finetune import estimate
from ...training.finetuning.jobs import ENDED, NAME, Job, clean, jobs, start
from .. import runs, texts
from ..borders import told
from ..files import pictures_folder
from ..frame import Frame
from ..runs import QUIET, STATE_SECONDS, TURN
from ..settings import PICTURES, model_choices, model_here
from ..tuning import (
    bounds,
    curve_html,
    kept_prompts,
    look_html,
    look_line,
    on_space,
    plain,
    plan_of,
    read,
    run_line,
    runs_folder,
    sample_html,
    starts,
)

SKIP = gr.skip()
LOOK_SECONDS = 2.0  # between two looks at a run
METHOD_NAMES = {"lora": "LoRA: small additions everywhere", "conditioning": "the labels alone", "full": "all weights"}


# What a look at a run changes.
SHOWN = ("line", "curve", "sample", "timer", "pause", "stop", "go_on", "use", "pack", "go", "job")


def _change(**changes: Any) -> tuple[Any, ...]:
    return tuple(changes.get(name, SKIP) for name in SHOWN)


def job_of(name: str | None) -> Job:
    """A run by the name of its folder, never by a path. Raises ValueError for none."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError("there is no fine-tuning yet; give pictures and press Start")
    return Job(runs_folder() / name)


def _watch(name: str | None) -> tuple[Any, ...]:
    """Everything that is shown of a run; the timer goes on while it is at work."""
    try:
        job = job_of(name)
        plan, seen = job.plan, job.status()
    except ValueError:
        return _change(timer=gr.Timer(active=False), job=None)
    going, stopping = seen.state not in ENDED, seen.state == "stopping"
    return _change(
        line=run_line(plan.name, seen),
        curve=curve_html(seen),
        sample=sample_html(seen),
        timer=gr.Timer(active=going),
        pause=gr.update(visible=going and not stopping, value="Resume" if seen.state == "paused" else "Pause"),
        stop=gr.update(visible=going, interactive=not stopping),
        go_on=gr.update(visible=not going and seen.model is None),
        use=gr.update(visible=seen.model is not None),
        pack=gr.update(visible=seen.model is not None),
        go=gr.update(interactive=not going),
        job=name,
    )


@told(lambda sentence: _change(line=plain(sentence)))
def _start(
    pictures: Pictures | None, model: str, name: str, method: str, steps: Any, batch: Any, prompts: str | None
) -> tuple[Any, ...]:
    """The Start button."""
    if pictures is None:  # which was said when they were looked at
        return _change()
    plan, _ = plan_of(model, name, method, steps, batch, prompts, pictures)
    if on_space():  # names are shared there
        plan = replace(plan, name=f"{plan.name[:50]}-{secrets.token_hex(3)}")
    clean(runs_folder(), bounds().keep_seconds, models=on_space())
    job = start(runs_folder() / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(8)}", plan, pictures)
    return _watch(job.folder.name)


@told(lambda sentence: _change(line=plain(sentence)))
def _press(name: str | None, button: str) -> tuple[Any, ...]:
    """Pause or Resume, by what the button says, Stop, and Go on."""
    job = job_of(name)
    {"Pause": job.pause, "Resume": job.resume, "Stop": job.stop, "Go on": job.go_on}[button]()
    return _watch(name)


def _look(model: str, files: list[str] | None, folder: str | None, label: str | None) -> tuple[Any, Any, Any]:
    """Pictures, their preview and what was read of them; nothing that was given is lost."""
    try:
        found = read(model, files, folder, label)
        return found, look_html(found), look_line(found)
    except Exception as fault:
        return None, "", plain(runs.warned(fault))


def _estimate(
    pictures: Pictures | None, model: str, name: str, method: str, steps: Any, batch: Any, prompts: str | None
) -> Iterator[str]:
    """How long it will take here, measured on a few steps."""
    try:
        if pictures is None:
            raise ValueError("look at the pictures first: drop some into the box")
        _, tuning = plan_of(model, name or "estimate", method, steps, batch, prompts, pictures)
        yield "Trying a few steps here."
        yield f"{estimate(model_here(model).path, pictures.image_set(), tuning)}."
    except Exception as fault:
        yield plain(runs.warned(fault))


def _prompts_box(model: str) -> dict[str, Any]:
    """The prompts to keep, as they are offered for the model that is started from."""
    prompts = kept_prompts(model)
    return {"value": "\n".join(prompts or ()), "visible": prompts is not None}


def _pack(name: str | None) -> Any:
    """The new model's folder as a zip."""
    try:
        job = job_of(name)
        if (model := job.status().model) is None:
            raise ValueError("there is no model yet")
        packed = shutil.make_archive(str(pictures_folder() / model.name), "zip", model.parent, model.name)
        return gr.update(value=packed, visible=True)
    except Exception as fault:
        runs.warned(fault)
        return SKIP


def _use(name: str | None) -> tuple[Any, Any]:
    """Open Generate with the new model."""
    try:
        model = job_of(name).out.name
        return gr.update(selected=texts.GENERATE_TAB), gr.update(choices=model_choices(PICTURES), value=model)
    except ValueError as fault:
        runs.warned(fault)
        return SKIP, SKIP


def earlier() -> list[tuple[str, str]]:
    """The runs of this machine, for its owner; strangers see their own alone."""
    if on_space():
        return []
    return [(f"{job.plan.name}, {job.status().state}", job.folder.name) for job in jobs(runs_folder())][:50]


def build_followed() -> tuple[gr.BrowserState, gr.Timer]:
    """The run that a browser follows, and the clock of its looks; call outside tabs, which wake up when they open."""
    # The secret hides nothing; with one of its own at each start, Gradio could not read what it wrote before.
    job = gr.BrowserState(None, storage_key="zigdemo-finetune", secret="zigdemo")
    return job, gr.Timer(LOOK_SECONDS, active=False)


def build_finetune_tab(frame: Frame) -> None:
    """Lay the tab out; call inside its gr.Tab."""
    page = frame.page
    gr.Markdown(texts.FINETUNE_INTRO)
    choices = starts()
    if not choices or frame.model is None:
        gr.Markdown(texts.NO_WEIGHTS)
        return
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            model = gr.Dropdown(choices, value=choices[0][1], label="Start from")
            files = gr.File(
                file_count="multiple", label="Pictures, or one zip of them", height=150, elem_id="finetune-files"
            )
            folder = gr.Textbox(
                label="Or a folder on this machine",
                placeholder="/home/me/pictures",
                visible=not on_space(),
                elem_id="finetune-folder",
            )
            label = gr.Textbox(label="Label", info=texts.FINETUNE_LABEL, elem_id="finetune-label")
            look = gr.Button("Look at the pictures", size="sm")
            prompts = gr.Textbox(
                label="Prompts it should not forget",
                info=texts.FINETUNE_PROMPTS,
                lines=3,
                max_lines=6,
                elem_id="finetune-prompts",
                **_prompts_box(choices[0][1]),
            )
            name = gr.Textbox("my-emoji", label="Name of the new model", elem_id="finetune-name")
            with gr.Accordion("More: what learns, how long", open=False):
                method = gr.Radio(
                    [(said, key) for key, said in METHOD_NAMES.items()], value="lora", label="What learns"
                )
                with gr.Row():
                    steps = gr.Number(None, label="Steps", info="Empty: by the pictures.", min_width=120)
                    batch = gr.Number(32, label="Pictures a step", min_width=120)
            with gr.Row():
                ask = gr.Button("How long will it take?", size="sm", min_width=140)
            took = gr.Markdown(elem_id="finetune-estimate")
            go = gr.Button("Start", variant="primary", elem_id="finetune-start")
        with gr.Column(scale=3, min_width=280):
            said = gr.Markdown(elem_id="finetune-said")
            preview = gr.HTML(texts.placeholder_html("No pictures yet"), elem_id="finetune-look", padding=False)
            line = gr.Markdown(elem_id="finetune-line")
            curve = gr.HTML(elem_id="finetune-curve", padding=False)
            with gr.Row():
                pause = gr.Button("Pause", size="sm", visible=False, min_width=90)
                stop = gr.Button("Stop", size="sm", visible=False, min_width=90)
                go_on = gr.Button("Go on", size="sm", visible=False, min_width=90)
                use = gr.Button("Use it in Generate", size="sm", variant="primary", visible=False, min_width=140)
                pack = gr.Button("Download it", size="sm", visible=False, min_width=110)
            packed = gr.File(show_label=False, interactive=False, visible=False, elem_id="finetune-packed")
            sample = gr.HTML(elem_id="finetune-sample", padding=False)
            past = gr.Dropdown([], label="Earlier runs", visible=False, elem_id="finetune-past")
    pictures = gr.State(None, time_to_live=STATE_SECONDS)
    job, timer = frame.followed
    shown = [line, curve, sample, timer, pause, stop, go_on, use, pack, go, job]

    given, seen = [model, files, folder, label], [pictures, preview, said]
    gr.on([files.upload, look.click, label.submit, folder.submit], _look, given, seen, **QUIET)
    asked = [pictures, model, name, method, steps, batch, prompts]
    model.change(lambda chosen: gr.update(**_prompts_box(chosen)), model, prompts, **QUIET)
    ask.click(_estimate, asked, took, **TURN, **QUIET)
    go.click(_look, given, seen, **QUIET).then(_start, asked, shown, **QUIET)
    for button in (pause, stop, go_on):
        button.click(_press, [job, button], shown, **QUIET)
    timer.tick(_watch, job, shown, **QUIET)
    page.load(_watch, job, shown, **QUIET)
    page.load(lambda: gr.update(choices=(found := earlier()), visible=bool(found)), None, past, **QUIET)
    past.input(_watch, past, shown, **QUIET)
    pack.click(_pack, job, packed, **QUIET)
    frame.follow_model(use.click(_use, job, [frame.tabs, frame.model], **QUIET))
