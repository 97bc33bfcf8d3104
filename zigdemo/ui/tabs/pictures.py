"""The *Pictures* tab: draw pictures, watch them appear, keep them with their settings inside."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from ... import media
from ...data import draw_attributes, portrait_caption
from ...pipeline import Request, Step
from .. import device, fields, live, runs, swaps, texts
from .. import examples as drawn_examples
from ..api import add_endpoints
from ..bounds import bounds
from ..controls import (
    build_actions,
    build_condition,
    build_sampling,
    changes,
    condition_of,
    connect,
    drawn,
    fill_example,
    new_seed,
    restore,
    scan_settings,
)
from ..estimates import seconds_of_values
from ..files import save_pictures
from ..frame import Frame
from ..more import SOLVER_OPTIONS, START, build_more, negative_of, of_solver
from ..runs import QUIET
from ..settings import (
    EXAMPLES,
    MAIN,
    NAMES,
    PICTURES,
    QUICK,
    check_shown,
    defaults,
    defaults_for,
    examples,
    from_link,
    installed_model,
    label_choices,
    model_choices,
    shown_values,
    to_request,
    twins,
)
from ..sharing import Query, choice_json, share
from ..strip import feed_json, read_query

TAB = "pictures"  # the id of the tab and of its runs
PAST_PICTURES = 24
SKIP = gr.skip()
NO_CHANGE = (SKIP,) * (len(NAMES) + 4 + EXAMPLES)  # for the outputs of `_show`


def _examples(model: str) -> tuple[Any, ...]:
    """Updates of the row of examples, which is hidden for an unconditional model, and of each example."""
    folder = installed_model(model)
    chips = [gr.update(value=name, visible=True) for name in examples(model)] + [gr.update(visible=False)] * EXAMPLES
    return gr.update(visible=bool(folder.labels) or folder.text is not None), *chips[:EXAMPLES]


def _show(request: Request) -> tuple[Any, ...]:
    """Updates of the controls of NAMES, of start, randomise, the solver's note and the examples, to show a request.

    Raises ValueError with one sentence if this tab cannot show it.
    """
    folder = check_shown(request)
    names, values = label_choices(folder.id), shown_values(request)
    updates: dict[str, Any] = {name: values[name] for name in NAMES}
    text = folder.text is not None
    updates["prompt"] = gr.update(value=request.prompt or "", visible=text)
    updates["strengths"] = gr.update(value=values["strengths"], visible=text)
    updates["label"] = gr.update(choices=names, value=request.label, visible=folder.labels is not None)
    updates["negative"] = negative_of(names, request.negative)
    updates["scan"] = gr.update(**scan_settings(folder.id, request.scan))
    note, *solver_updates = of_solver(request.solver)
    updates |= {
        name: {**update, "value": values[name]} for name, update in zip(SOLVER_OPTIONS, solver_updates, strict=True)
    }
    return (*updates.values(), values["start"] or START, False, note, *_examples(folder.id))


SWAPS = tuple(f"swap {place}" for place in range(swaps.MOST_SWAPS))
OUTPUTS = (
    "seed",
    "preview",
    "gallery",
    "files",
    "folded",
    "progress",
    "go",
    "stop",
    "past",
    "history",
    "change",
    "strip",
)
OUTPUTS += ("before", "offers", "swap row", *SWAPS)
_updates = partial(changes, OUTPUTS)


def _run(page: gr.Request, *inputs: Any) -> Iterator[tuple[Any, ...]]:
    """The Draw button: yields updates of OUTPUTS, one per step shown."""
    *values, start, image, randomise, past, before = inputs
    settings = dict(zip(NAMES, values, strict=True))
    if randomise and not before:
        settings["seed"] = new_seed()

    def ask() -> tuple[Request, Image.Image | None]:
        picture = None if image is None else media.read_picture(image, bounds().picture_mp * 10**6)
        return to_request(**settings, start=start if picture else 0.0), picture

    def show(step: Step) -> tuple[Any, ...]:
        return _result_updates(step, past, before) if step.result else _progress_updates(step)

    yield from drawn(page, TAB, ask, show, _updates)


def _progress_updates(step: Step) -> tuple[Any, ...]:
    return _updates(
        preview=gr.update(value=texts.pictures_html(step.preview), visible=True),
        gallery=gr.update(visible=False),
        progress=texts.progress_html(step),
    )


def _result_updates(step: Step, past: list[str], before: list[str]) -> tuple[Any, ...]:
    """Updates after a run. before: the pictures that the run changes by a swap; empty for any other run."""
    files = save_pictures(step.result)
    offers = swaps.offers(step.result.request)
    change = swaps.change_html(before, step.result.images) if before else ""
    past = [path for path in files + past if Path(path).is_file()][:PAST_PICTURES]
    return _updates(
        False,
        texts.summary(step),
        preview=gr.update(visible=False),
        gallery=gr.update(
            value=files, visible=True, elem_classes=["crisp"] if texts.is_crisp(step.result.images) else []
        ),
        files=files,
        folded=gr.update(visible=True),
        past=past,
        history=past,
        strip=feed_json(step.result),
        change=gr.update(value=change, visible=bool(change)),
        before=[],
        offers=[swap.prompt for swap in offers],
        **dict(zip(("swap row", *SWAPS), swaps.buttons(offers), strict=True)),
    )


LIVE = {**QUICK, "count": 1, "guidance_interval": (0.0, 1.0), "solver_options": {}}


def _live(turn: live.LiveRun, *values: Any) -> tuple[Any, ...] | None:
    """Updates of preview, gallery and line; None over a picture to start from, and for a model that is too slow."""
    *settings, start, image = values
    request = to_request(**dict(zip(NAMES, settings, strict=True)))
    if image is not None or not live.quick_enough(check_shown(request)):
        return None
    request = replace(request, **(LIVE if turn.quick else {"count": 1}))
    step = runs.run_to_end(request, stopped=turn.stopped)
    if step is None:
        return None
    return (
        gr.update(value=texts.pictures_html(step.result.images, live=True), visible=True),
        gr.update(visible=False),
        texts.line_html(texts.LIVE_LINE.format(turn.name, request.solver, request.steps, step.result.seconds)),
    )


def _stop(page: gr.Request) -> tuple[Any, ...]:
    """The Stop button: stops the run of this page and returns when it has ended."""
    runs.stop(page, TAB)
    return _updates(False, texts.STOPPED)


def _restore(file: str | None) -> tuple[Any, ...]:
    return restore(file, _show, _restore_message) or NO_CHANGE


def _restore_message(request: Request) -> str:
    return texts.RESTORED_OVER_PICTURE if request.common_option("start") else texts.RESTORED


def _open_link(request: gr.Request) -> tuple[Any, ...]:
    return _linked_updates(dict(request.query_params)) or NO_CHANGE


def _linked_updates(query: dict[str, str]) -> tuple[Any, ...] | None:
    """As `_show` for the query of a link, with a toast about what was left out; None if it has no settings."""
    linked, left_out = from_link(query)
    if left_out:
        runs.warn(" ".join(left_out))
    return None if linked is None else _show(linked)


def _follow(query: Query, own: Query) -> tuple[Any, ...] | None:
    """As `_linked_updates`, without toasts: what another tab has and this one cannot have is left out."""
    linked, _ = from_link(query)
    return None if linked is None else _show(linked)


def _twin(model: str, scan: str | None) -> str | None:
    """Another model that draws the same and was trained with a scan."""
    twin = twins(installed_model(model)).get(scan) if isinstance(scan, str) else None
    return None if twin == model else twin


def _twin_offer(model: str, scan: str | None) -> Any:
    """Update of the button that changes to the model that was trained with the chosen scan."""
    twin = _twin(model, scan)
    return gr.update(visible=False) if twin is None else gr.update(value=texts.TWIN.format(twin), visible=True)


def _use_twin(*values: Any) -> tuple[Any, ...]:
    """As `_show`, and the offer and the nudge, for the same settings of the model that was trained with the scan."""
    settings = dict(zip(NAMES, values, strict=True))
    twin = _twin(settings["model"], settings["scan"])
    updates = None if twin is None else _follow({**settings, "place": TAB, "model": twin, "scan": ""}, {})
    return (*(updates or NO_CHANGE), gr.update(visible=False), random.random())


def _restore_from_strip(event: gr.EventData) -> tuple[Any, ...]:
    """As `_show`, and the choice, for the settings of a picture in the film strip."""
    query = read_query(getattr(event, "query", None))
    updates = _linked_updates(query)
    return (*NO_CHANGE, SKIP) if updates is None else (*updates, choice_json(query))


def _model_updates(model: str, solver: str, steps: float, guidance: float) -> tuple[Any, ...]:
    """Updates for another model: prompt, strengths, label, negative, scan, solver, steps, guidance, the solver's note
    and options, the row of examples and each example.
    """
    prompt, label, scan = condition_of(model)
    settings = defaults_for(model, solver, steps, guidance)
    return (
        gr.update(**prompt),
        gr.update(value="", visible=prompt["visible"]),
        gr.update(**label),
        negative_of(label["choices"]),
        gr.update(**scan),
        *settings.values(),
        *of_solver(settings["solver"]),
        *_examples(model),
    )


def _surprise(model: str) -> tuple[Any, Any, float]:
    """Updates of prompt and label, a random label or words perhaps never drawn together; and of the nudge."""
    folder = installed_model(model)
    if folder.about.get("data") == "portraits":
        rng = np.random.default_rng()
        return portrait_caption(draw_attributes(rng), rng), SKIP, random.random()
    if folder.text is not None:
        return f"{random.choice(texts.COLOURS)} {random.choice(texts.THINGS)}", SKIP, random.random()
    return SKIP, random.choice(folder.labels or [None]), random.random()


def _swap(place: int, offers: list[str], files: list[str] | None) -> tuple[Any, Any]:
    """The prompt of an offered change, and the pictures to compare it with."""
    return (offers[place], list(files or [])) if place < len(offers) else (SKIP, [])


def _example(name: str, model: str) -> tuple[Any, Any, float]:
    """Updates of prompt and label for an example, and of the nudge."""
    return *fill_example(name, model), random.random()


def build_pictures_tab(frame: Frame) -> None:
    """Lay the tab out; call inside its gr.Tab. Sets `frame.model`, `follow_model` and `live` if there is a model."""
    page = frame.page
    add_endpoints()
    choices = model_choices()
    if not choices:
        gr.Markdown(texts.NO_WEIGHTS)
        return
    first = installed_model(choices[0][1])
    names, text = label_choices(first.id), first.text is not None
    solver, first_examples = defaults(first.id)["solver"], examples(first.id)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280, elem_classes="controls"):
            condition = build_condition(PICTURES)
            with gr.Row(elem_id="chips", visible=bool(names) or text) as chip_row:
                surprise = gr.Button("Surprise me", size="sm", elem_id="surprise")
                chip_names = [*first_examples, *[""] * EXAMPLES][:EXAMPLES]
                chips = [gr.Button(name, size="sm", visible=bool(name), elem_classes="prompts") for name in chip_names]
            offer = gr.Button("", size="sm", visible=False, elem_id="twin", render=False)
            sampling, randomise = build_sampling(PICTURES, count=4, randomise_id="randomise", below_scan=offer)
            switch = gr.Checkbox(live.usual(), label="Live", info=texts.LIVE, elem_id="live")
            solver_note, more = build_more(names, solver, text)
        with gr.Column(scale=3, min_width=280):
            shown = drawn_examples.pictures() if first.id == drawn_examples.PORTRAITS else []
            go, stop, progress = build_actions(texts.READY_BELOW if shown else texts.READY, "progress")
            empty = texts.placeholder_html("No pictures yet")
            preview = gr.HTML(empty, elem_id="preview", padding=False, visible=not shown)
            gallery = gr.Gallery(
                shown or None,
                show_label=False,
                elem_id="result",
                columns=4,
                fit_columns=False,
                object_fit="contain",
                height="auto",
                format="png",
                interactive=False,
                visible=bool(shown),
                buttons=["download", "fullscreen"],
            )
            with gr.Row(elem_id="swaps", visible=False) as swap_row:
                gr.Markdown("Change one thing:")
                swap_buttons = [gr.Button("", size="sm", visible=False, elem_classes="prompts") for _ in SWAPS]
            change = gr.HTML("", visible=False, elem_id="change", padding=False)
            if device.folder():
                gr.HTML(device.fold_html("none"), elem_id="device", padding=False)
            with gr.Accordion("PNG files, each with its settings inside", open=False, visible=bool(shown)) as folded:
                files = gr.Files(shown or None, show_label=False, interactive=False, elem_id="files")
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
                dropped = fields.File(
                    label="Restore settings from a PNG",
                    file_types=[".png"],
                    height=112,
                    scale=3,
                    elem_id="restore",
                    elem_classes="restore",
                )
                link = gr.Button("Copy link to settings", size="sm", scale=1, min_width=160, elem_classes="link")
    past, before, offers = gr.State([]), gr.State([]), gr.State([])
    nudge = fields.Number(0, visible="hidden")  # changes with words that a button writes

    start, image = more.pop("start"), more.pop("image")
    main = {**condition, **sampling}
    model, prompt, label = condition.values()
    scan, seed = main["scan"], main["seed"]
    shared = [*(main[name] for name in MAIN), *more.values()]
    restored = [*shared, start, randomise, solver_note, chip_row, *chips]
    outputs = [seed, preview, gallery, files, folded, progress, go, stop, past, history, change, frame.strip]
    outputs += [before, offers, swap_row, *swap_buttons]
    inputs = [*shared, start, image, randomise, past, before]
    seconds = seconds_of_values(NAMES)
    runs_after = connect((go, stop, progress), inputs, outputs, _run, _stop, _updates, seconds=seconds)
    for place, button in enumerate(swap_buttons):
        runs_after(button.click(partial(_swap, place), [offers, files], [prompt, before], **QUIET).then)
    moved = [main[name].input for name in ("prompt", "label", "scan", "guidance", "seed")]
    moved.append(nudge.change)
    live_inputs = [*shared, start, image]
    follower = [preview, gallery, progress]
    live.connect_live(
        switch, moved, live_inputs, follower, _live, lambda sentence: (SKIP, SKIP, texts.line_html(sentence))
    )
    settings = [main[name] for name in ("solver", "steps", "guidance")]
    of_model = [prompt, more["strengths"], label, more["negative"], scan, *settings]
    of_model += [solver_note, *(more[name] for name in SOLVER_OPTIONS), chip_row, *chips]
    model.input(_model_updates, [model, *settings], of_model, **QUIET)
    main["solver"].input(of_solver, main["solver"], [solver_note, *(more[name] for name in SOLVER_OPTIONS)], **QUIET)
    gr.on([scan.change, model.change], _twin_offer, [model, scan], offer, **QUIET)
    offer.click(_use_twin, shared, [*restored, offer, nudge], **QUIET)
    dropped.upload(_restore, dropped, restored, **QUIET)
    surprise.click(_surprise, model, [prompt, label, nudge], **QUIET)
    for chip in chips:
        chip.click(_example, [chip, model], [prompt, label, nudge], **QUIET)
    link.click(lambda *_: gr.Info(texts.LINK_COPIED), shared, None, js=texts.LINK_SCRIPT, **QUIET)
    restoring = frame.strip.select(_restore_from_strip, None, [*restored, frame.choice], **QUIET)
    frame.open_after(restoring.then, TAB)
    page.load(lambda: gr.update(choices=model_choices()), None, model, **QUIET)  # models added since the start
    page.load(_open_link, None, restored, **QUIET)
    share(frame, TAB, dict(zip(NAMES, shared, strict=True)), restored, _follow)
    frame.model, frame.live = model, switch
    frame.follow_model = lambda event: event.then(_model_updates, [model, *settings], of_model, **QUIET)
