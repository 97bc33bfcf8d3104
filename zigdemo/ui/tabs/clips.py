"""The *Clips* tab: draw clips, watch them appear, keep them with their settings inside."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from ...checks import choice
from ...media import CLIP_KINDS
from ...pipeline import Request, Step
from .. import examples, fields, runs, texts
from ..borders import endpoint
from ..controls import (
    build_actions,
    build_condition,
    build_sampling,
    changes,
    condition_of,
    connect,
    drawn,
    new_seed,
    restore,
    scan_settings,
)
from ..estimates import seconds_of_call, seconds_of_values
from ..files import save_clips
from ..frame import Frame
from ..players import earlier_html, empty_html, preview_html, result_html
from ..runs import QUIET
from ..settings import (
    CLIPS,
    MAIN,
    check_shown,
    from_link,
    installed_model,
    installed_models,
    label_choices,
    model_choices,
    shown_values,
    to_request,
    with_defaults,
)
from ..sharing import Query, share
from ..stack import stack_html
from ..worker import TURN, in_turn

TAB = "clips"  # the id of the tab and of its runs
PAST_CLIPS = 12
SKIP = gr.skip()
OUTPUTS = ("seed", "stage", "progress", "go", "stop", "past", "folded", "history")
_updates = partial(changes, OUTPUTS)
NO_CHANGE = (SKIP,) * (len(MAIN) + 2)  # for the outputs of `_show`


@endpoint
def generate_clip(
    model: str,
    label: str | None = None,
    scan: str | None = None,
    solver: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
    count: int = 1,
    prompt: str | None = None,
    kind: str = "mp4",
) -> tuple[list[gr.FileData], str]:
    """API: draw clips; returns one file per clip with its settings inside, and a line about the run.

    solver, steps, guidance: by default the model's own. count: 1 to 4. prompt: for text-conditional models. kind: of
    file: mp4, gif, webp, or png for a filmstrip.
    """
    choice("kind", kind, CLIP_KINDS)
    settings = with_defaults(model, solver, steps, guidance)
    request = to_request(model, label, scan, *settings, seed, count, prompt=prompt, kind=CLIPS)
    last = runs.last_step(request, CLIPS)
    files = [gr.FileData(path=paths[kind]) for paths in save_clips(last.result, [kind])]
    return files, texts.summary(last)


def _run(page: gr.Request, *inputs: Any) -> Iterator[tuple[Any, ...]]:
    """The Draw button: yields updates of OUTPUTS, one per step shown."""
    *values, randomise, past = inputs
    settings = dict(zip(MAIN, values, strict=True))
    if randomise:
        settings["seed"] = new_seed()

    def ask() -> tuple[Request, None]:
        request = to_request(**settings, kind=CLIPS)
        CLIPS.refuse(installed_model(request.model))
        return request, None

    def show(step: Step) -> tuple[Any, ...]:
        return _result_updates(step, past) if step.result else _progress_updates(step)

    yield from drawn(page, TAB, ask, show, _updates)


def _progress_updates(step: Step) -> tuple[Any, ...]:
    return _updates(stage=preview_html(step), progress=texts.progress_html(step))


def _result_updates(step: Step, past: list[str]) -> tuple[Any, ...]:
    files = save_clips(step.result)
    earlier = [path for path in past if Path(path).is_file()]
    return _updates(
        False,
        texts.summary(step),
        stage=result_html(step.result, files),
        past=([paths["mp4"] for paths in files] + earlier)[:PAST_CLIPS],
        folded=gr.update(visible=bool(earlier)),
        history=earlier_html(earlier),
    )


def _stop(page: gr.Request) -> tuple[Any, ...]:
    """The Stop button: stops the run of this page and returns when it has ended."""
    runs.stop(page, TAB)
    return _updates(False, texts.STOPPED)


def _show(request: Request) -> tuple[Any, ...]:
    """Updates of the controls of MAIN, of the new-seed checkbox and of the scan drawing, to show a request.

    Raises ValueError with one sentence if this tab cannot show it.
    """
    folder, values = check_shown(request, CLIPS), shown_values(request)
    updates: dict[str, Any] = {name: values[name] for name in MAIN}
    updates["prompt"] = gr.update(value=request.prompt or "", visible=folder.text is not None)
    updates["label"] = gr.update(
        choices=label_choices(folder.id), value=request.label, visible=folder.labels is not None
    )
    updates["scan"] = gr.update(**scan_settings(folder.id, request.scan))
    return *updates.values(), False, stack_html(folder, request.scan)


def _restore(file: str | None) -> tuple[Any, ...]:
    return restore(file, _show, lambda request: texts.CLIPS_RESTORED) or NO_CHANGE


def _open_link(request: gr.Request) -> tuple[Any, ...]:
    """Updates of the outputs of `_show`."""
    linked, left_out = from_link(dict(request.query_params), CLIPS)
    if left_out:
        runs.warn(" ".join(left_out))
    return NO_CHANGE if linked is None else _show(linked)


def _follow(query: Query, own: Query) -> tuple[Any, ...] | None:
    """As `_show` for the settings of a link; None if they are not for a model of this tab."""
    linked, _ = from_link(query, CLIPS)
    return None if linked is None else _show(linked)


def _names_a_clip_model(query: dict[str, str]) -> bool:
    """Whether a link is to a model of this tab, and names no other place of the page."""
    return query.get("place") in (None, "video") and query.get("model") in [
        entry.id for entry in installed_models(CLIPS)
    ]


def _model_updates(model: str) -> tuple[Any, ...]:
    """Updates of prompt, label, scan and the scan drawing for another model."""
    folder = installed_model(model)
    return *(gr.update(**one) for one in condition_of(model)), stack_html(folder)


def build_clips_tab(frame: Frame) -> None:
    """Lay the tab out; call inside its gr.Tab, whose id is TAB."""
    page = frame.page
    gr.api(in_turn(seconds_of_call)(generate_clip), api_name="generate_clip", **TURN)
    if not model_choices(CLIPS):
        gr.Markdown(texts.NO_CLIP_WEIGHTS)
        return
    with gr.Row(equal_height=False, elem_id="video"):
        with gr.Column(scale=2, min_width=280, elem_classes="controls"):
            condition = build_condition(CLIPS)
            sampling, randomise = build_sampling(CLIPS, count=1, randomise_id="clip-randomise")
            scan_picture = gr.HTML(
                stack_html(installed_model(condition["model"].value)), elem_id="clip-scan", padding=False
            )
        with gr.Column(scale=3, min_width=280):
            go, stop, progress = build_actions(texts.CLIPS_READY, "clip-progress")
            shown = examples.clip()
            first = result_html(*shown) if shown else empty_html("No clips yet")
            stage = gr.HTML(first, elem_id="clip-stage", padding=False)
            with gr.Accordion("Earlier in this visit", open=False, visible=False) as folded:
                history = gr.HTML("", elem_id="clip-history", padding=False)
            with gr.Row(equal_height=False):
                dropped = fields.File(
                    label="Restore settings from a clip",
                    file_types=[f".{kind}" for kind in CLIP_KINDS],
                    height=112,
                    scale=3,
                    elem_id="clip-restore",
                    elem_classes="restore",
                )
                link = gr.Button("Copy link to settings", size="sm", scale=1, min_width=160, elem_classes="link")
    past = gr.State([])

    main = {**condition, **sampling}
    shared = [main[name] for name in MAIN]
    restored = [*shared, randomise, scan_picture]
    outputs = [main["seed"], stage, progress, go, stop, past, folded, history]
    connect(
        (go, stop, progress), [*shared, randomise, past], outputs, _run, _stop, _updates,
        seconds=seconds_of_values(MAIN),
    )  # fmt: skip
    of_model = [main["prompt"], main["label"], main["scan"], scan_picture]
    main["model"].input(_model_updates, main["model"], of_model, **QUIET)
    main["scan"].input(
        lambda model, scan: stack_html(installed_model(model), scan or None),
        [main["model"], main["scan"]], scan_picture, **QUIET,
    )  # fmt: skip
    dropped.upload(_restore, dropped, restored, **QUIET)
    link.click(lambda *_: gr.Info(texts.LINK_COPIED), shared, None, js=texts.CLIP_LINK_SCRIPT, **QUIET)
    page.load(_open_link, None, restored, **QUIET)
    share(frame, TAB, dict(zip(MAIN, shared, strict=True)), restored, _follow)

    def open_for_link(request: gr.Request) -> tuple[Any, ...]:
        is_linked = _names_a_clip_model(dict(request.query_params))
        return frame.opening(TAB) if is_linked else (SKIP,) * len(frame.rows)

    page.load(open_for_link, None, frame.rows, **QUIET)
