"""The *Fine-tune* tab: upload pictures, preview them as they are read, start a run, and watch, pause or stop it.

The run is a separate process (`training.finetuning.jobs`): the page only reads its folder, so that closing the browser,
or even the page's program, does not end it. The browser keeps the folder's name, and finds the run again.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from ...data.folders import Pictures
from ...training.finetuning.finetune import estimate
from ...training.finetuning.jobs import ENDED, NAME, Job, clean, jobs, start
from .. import fields, runs, texts
from ..address import is_shared
from ..borders import handler
from ..bounds import bounds
from ..controls import updates_of
from ..files import new_folder, runs_folder
from ..frame import Frame
from ..owners import is_own
from ..runs import QUIET, STATE_SECONDS
from ..settings import PICTURES, installed_model, model_choices
from ..sharing import choice_json
from ..tuning import (
    curve_html,
    look_html,
    look_line,
    new_name,
    plan_of,
    read,
    rehearsal_prompts,
    run_line,
    sample_html,
    starts,
    usual_steps,
)
from ..visitors import NO_COOKIE, is_stranger, visitor_of
from ..worker import TURN, in_turn
from .pictures import TAB as PICTURES_TAB

SKIP = gr.skip()
AUTOMATIC = "automatic"  # in the empty box of steps
ESTIMATE_SECONDS = 30.0  # that estimating the time of a run takes, about
NO_RUN = "there is no fine-tuning run yet; upload pictures and press Start"
STATUS_SECONDS = 2.0  # between two updates of the status of a run
METHOD_NAMES = {"lora": "LoRA: small additions everywhere", "conditioning": "the labels alone", "full": "all weights"}

# What the status of a run changes.
OUTPUTS = ("line", "curve", "sample", "timer", "pause", "stop", "go_on", "use", "pack", "delete", "go", "job")


_updates = partial(updates_of, OUTPUTS)


def job_of(name: str | None) -> Job:
    """A run by the name of its folder, never by a path. Raises ValueError for anything else."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(NO_RUN)
    job = Job(runs_folder() / name)
    if not is_own(job):
        raise ValueError(NO_RUN)
    return job


def _status_updates(name: str | None) -> tuple[Any, ...]:
    """Everything that is shown of a run; the timer keeps ticking until the run ends."""
    try:
        job = job_of(name)
        plan, status = job.plan, job.status()
    except ValueError:
        return _updates(timer=gr.Timer(active=False), job=None)
    running, stopping = status.state not in ENDED, status.state == "stopping"
    return _updates(
        line=run_line(plan.name, status),
        curve=curve_html(status),
        sample=sample_html(status),
        timer=gr.Timer(active=running),
        pause=gr.update(visible=running and not stopping, value="Resume" if status.state == "paused" else "Pause"),
        stop=gr.update(visible=running, interactive=not stopping),
        go_on=gr.update(visible=not running and status.model is None),
        use=gr.update(visible=status.model is not None),
        pack=gr.update(visible=status.model is not None),
        delete=gr.update(visible=not running),
        go=gr.update(interactive=not running),
        job=name,
    )


@handler(lambda sentence: _updates(line=texts.plain(sentence)))
def _start(
    page: gr.Request, pictures: Pictures | None, model: str, name: str, method: str, steps: Any, batch: Any,
    prompts: str | None,
) -> tuple[Any, ...]:  # fmt: skip
    """The Start button."""
    if pictures is None:  # the preview has said why
        return _updates()
    plan, _ = plan_of(model, name, method, steps, batch, prompts, pictures)
    if is_shared():
        owner = visitor_of(page)
        if owner.startswith(NO_COOKIE):
            raise ValueError("a model needs an owner; allow this page to keep a cookie, and reload it")
        plan = replace(plan, name=f"{plan.name[:50]}-{secrets.token_hex(3)}", owner=owner)  # all share its names
    clean(runs_folder(), bounds().train_keep_hours * 3600.0, models=is_shared())
    job = start(runs_folder() / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(8)}", plan, pictures)
    end = threading.Timer(bounds().train_minutes * 60.0, job.stop)  # with the model as it is then
    end.daemon = True
    end.start()
    return _status_updates(job.folder.name)


@handler(lambda sentence: _updates(line=texts.plain(sentence)))
def _press(name: str | None, button: str) -> tuple[Any, ...]:
    """The buttons Pause, Resume, Stop and Go on, told apart by their labels."""
    job = job_of(name)
    {"Pause": job.pause, "Resume": job.resume, "Stop": job.stop, "Go on": job.go_on}[button]()
    return _status_updates(name)


def _preview(
    page: gr.Request, model: str, files: list[str] | None, folder: str | None, label: str | None
) -> tuple[Any, Any, Any, Any]:
    """The pictures, their preview, what was read, and the steps they take; a fault leaves the inputs as they are."""
    try:
        pictures = read(model, files, folder, label, is_stranger(page))
        return pictures, look_html(pictures), look_line(pictures), _steps_box(len(pictures.images))
    except Exception as fault:
        return None, "", texts.plain(runs.toast(fault)), _steps_box()


def _estimate(
    pictures: Pictures | None, model: str, name: str, method: str, steps: Any, batch: Any, prompts: str | None
) -> Iterator[str]:
    """How long training will take on this machine, measured on a few steps."""
    try:
        if pictures is None:
            raise ValueError("there are no pictures yet; drop some into the box")
        _, tuning = plan_of(model, name or "estimate", method, steps, batch, prompts, pictures)
        yield "Trying a few steps."
        yield f"{estimate(installed_model(model).path, pictures.image_set(), tuning)}."
    except Exception as fault:
        yield texts.plain(runs.toast(fault))


def _steps_box(pictures: int = 0) -> dict[str, Any]:
    """What the empty box of steps shows: the number that is taken, once there are pictures."""
    return gr.update(placeholder=f"automatic: {usual_steps(pictures):,}" if pictures else AUTOMATIC)


def _of_model(model: str, name: str) -> tuple[Any, Any]:
    """Updates for another model to start from: prompts to rehearse, and the new model's name unless one was typed."""
    suggested = {new_name(start) for _, start in starts()}
    keep = bool(str(name or "").strip()) and name not in suggested
    return gr.update(**_prompts_box(model)), SKIP if keep else new_name(model)


def _prompts_box(model: str) -> dict[str, Any]:
    """What the box of prompts to rehearse shows for a model to start from."""
    prompts = rehearsal_prompts(model)
    return {"value": "\n".join(prompts or ()), "visible": prompts is not None}


def _pack(name: str | None) -> Any:
    """The new model's folder as a zip."""
    try:
        job = job_of(name)
        if (model := job.status().model) is None:
            raise ValueError("there is no model yet; wait until the run is done, or stop it")
        archive = shutil.make_archive(str(new_folder() / model.name), "zip", model.parent, model.name)
        return gr.update(value=archive, visible=True)
    except Exception as fault:
        runs.toast(fault)
        return SKIP


@handler(lambda sentence: _updates(line=texts.plain(sentence)))
def _delete(name: str | None) -> tuple[Any, ...]:
    """Delete a run and its model."""
    job = job_of(name)
    model = job.plan.name
    job.delete()
    hidden = {each: gr.update(visible=False) for each in ("go_on", "use", "pack", "delete")}
    return _updates(line=f"{texts.plain(model)} is deleted.", curve="", sample="", job=None, **hidden)


def _use(name: str | None) -> tuple[Any, Any]:
    """Updates of the Pictures tab's model and of the choice to the new one."""
    try:
        model = job_of(name).out.name
        return gr.update(choices=model_choices(PICTURES), value=model), choice_json({"model": model})
    except ValueError as fault:
        runs.toast(fault)
        return SKIP, SKIP


def earlier_runs() -> list[tuple[str, str]]:
    """(text on the page, folder name) of the runs on this machine, where many share it one's own."""
    own = (job for job in jobs(runs_folder()) if is_own(job))
    return [(f"{job.plan.name}, {job.status().state}", job.folder.name) for job in own][:50]


def build_run_state() -> tuple[gr.BrowserState, gr.Timer]:
    """The run that a browser follows and the timer of its updates; call outside the tabs, which load when opened."""
    # The secret protects nothing; with a new one at each start, Gradio could not read what it stored before.
    job = gr.BrowserState(None, storage_key="zigdemo-finetune", secret="zigdemo")
    return job, gr.Timer(STATUS_SECONDS, active=False)


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
            model = fields.Dropdown(choices, value=choices[0][1], label="Start from")
            files = fields.File(
                file_count="multiple", label="Pictures, captions, archives", height=150, elem_id="finetune-files"
            )
            folder = gr.Textbox(
                label="Or a folder on this machine",
                placeholder="/home/me/pictures",
                visible=not is_shared(),
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
            name = gr.Textbox(new_name(choices[0][1]), label="Name of the new model", elem_id="finetune-name")
            with gr.Accordion("More: what learns, how long", open=False):
                method = fields.Radio(
                    [(text, key) for key, text in METHOD_NAMES.items()], value="lora", label="What learns"
                )
                with gr.Row():
                    # No gr.Number: Gradio makes a 0 of an empty one when it is first shown.
                    steps = gr.Textbox(
                        label="Steps",
                        info="Empty: as many as the pictures need.",
                        placeholder=AUTOMATIC,
                        max_lines=1,
                        min_width=120,
                        elem_id="finetune-steps",
                    )
                    batch = fields.Number(32, label="Pictures per step", min_width=120)
            with gr.Row():
                ask = gr.Button("How long will it take?", size="sm", min_width=140)
            duration = gr.Markdown(elem_id="finetune-estimate")
            go = gr.Button("Start", variant="primary", elem_id="finetune-start")
        with gr.Column(scale=3, min_width=280):
            reading = gr.Markdown(elem_id="finetune-said")
            preview = gr.HTML(texts.placeholder_html("No pictures yet"), elem_id="finetune-look", padding=False)
            line = gr.Markdown(elem_id="finetune-line")
            curve = gr.HTML(elem_id="finetune-curve", padding=False)
            with gr.Row():
                pause = gr.Button("Pause", size="sm", visible=False, min_width=90)
                stop = gr.Button("Stop", size="sm", visible=False, min_width=90)
                go_on = gr.Button("Go on", size="sm", visible=False, min_width=90)
                use = gr.Button("Draw with it", size="sm", variant="primary", visible=False, min_width=140)
                pack = gr.Button("Download it", size="sm", visible=False, min_width=110)
                delete = gr.Button("Delete it", size="sm", visible=False, min_width=90)
            packed = fields.File(show_label=False, interactive=False, visible=False, elem_id="finetune-packed")
            sample = gr.HTML(elem_id="finetune-sample", padding=False)
            past = fields.Dropdown([], label="Earlier runs", visible=False, elem_id="finetune-past")
    pictures = gr.State(None, time_to_live=STATE_SECONDS)
    job, timer = frame.run_state
    outputs = [line, curve, sample, timer, pause, stop, go_on, use, pack, delete, go, job]

    sources, preview_outputs = [model, files, folder, label], [pictures, preview, reading, steps]
    gr.on([files.upload, look.click, label.submit, folder.submit], _preview, sources, preview_outputs, **QUIET)
    plan_inputs = [pictures, model, name, method, steps, batch, prompts]
    model.change(_of_model, [model, name], [prompts, name], **QUIET)
    ask.click(in_turn(lambda *inputs: ESTIMATE_SECONDS)(_estimate), plan_inputs, duration, **TURN, **QUIET)
    go.click(_preview, sources, preview_outputs, **QUIET).then(_start, plan_inputs, outputs, **QUIET)
    for button in (pause, stop, go_on):
        button.click(_press, [job, button], outputs, **QUIET)
    timer.tick(_status_updates, job, outputs, **QUIET)
    page.load(_status_updates, job, outputs, **QUIET)
    page.load(lambda: gr.update(choices=(past_runs := earlier_runs()), visible=bool(past_runs)), None, past, **QUIET)
    past.input(_status_updates, past, outputs, **QUIET)
    pack.click(_pack, job, packed, **QUIET)
    delete.click(_delete, job, outputs, **QUIET)
    chosen = use.click(_use, job, [frame.model, frame.choice], **QUIET)
    frame.follow_model(chosen)
    frame.open_after(chosen.then, PICTURES_TAB)
