"""The *Generate* tab: choose, watch it appear, keep the pictures with their settings inside."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder

from ... import media
from ...data import draw_attributes, portrait_caption
from ...pipeline import Request, Step
from .. import runs, swaps, texts
from ..borders import endpoint
from ..controls import (
    MOST_NEW_SEED,
    build_actions,
    build_condition,
    build_sampling,
    changes,
    condition_of,
    connect,
    restore,
    scan_settings,
)
from ..files import save_pictures
from ..frame import Frame
from ..more import OWN, START, build_more, negative_of, of_solver
from ..runs import QUIET, TURN
from ..settings import (
    EXAMPLES,
    MAIN,
    NAMES,
    PICTURES,
    check_shown,
    defaults,
    defaults_for,
    examples,
    from_link,
    known_options,
    model_choices,
    model_here,
    models_here,
    show_strengths,
    shown_values,
    to_request,
    with_defaults,
)

PAST_PICTURES = 24
SKIP = gr.skip()
NO_CHANGE = (SKIP,) * (len(NAMES) + 4 + EXAMPLES)  # of what `_shown` updates


def _examples(model: str) -> tuple[Any, ...]:
    """Updates of the row of examples, for a model that can be asked for something, and of each example."""
    folder, shown = model_here(model), examples(model)
    chips = [gr.update(value=name, visible=True) for name in shown] + [gr.update(visible=False)] * EXAMPLES
    return gr.update(visible=bool(folder.labels) or folder.text is not None), *chips[:EXAMPLES]


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
    updates["scan"] = gr.update(**scan_settings(folder.id, request.scan))
    said, *live = of_solver(request.solver)
    updates |= {name: {**update, "value": values[name]} for name, update in zip(OWN, live, strict=True)}
    return (*updates.values(), values["start"] or START, False, said, *_examples(folder.id))


@endpoint
def generate(
    model: str,
    label: str | None = None,
    scan: str | None = None,
    solver: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
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

    solver, steps, guidance: the model's own where they are not given. options: of the solver, by name, and "shift" and
    "rescale". image: a picture to start from; start: how much of it is kept, from 0.05 to 0.95. prompt, strengths: for
    models of texts, what to draw and how much its words count.
    """
    picture = None if image is None else media.read_picture(_uploaded(image))
    settings = with_defaults(model, solver, steps, guidance)
    request = to_request(
        model, label, scan, *settings, seed, count, negative, guide_from, guide_to,
        start if picture else 0.0, prompt, show_strengths(strengths or {}), **known_options(options),
    )  # fmt: skip
    last = runs.last_step(request, PICTURES, picture)
    files = [gr.FileData(path=path) for path in save_pictures(last.result)]
    return files, texts.summary(last)


def _uploaded(file: Any) -> str:
    """Path of a file that was uploaded to this server, never of another file of it."""
    path = Path(str(file.get("path") if isinstance(file, dict) else file.path)).resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()):
        raise ValueError("image must be an uploaded picture; send it with gradio_client.handle_file")
    return str(path)


def models() -> list[dict[str, Any]]:
    """API: the models here, what they are and how honest their weights are; frames is null for those of pictures."""
    return [
        {"id": e.id, "family": e.family, "origin": e.origin, "schemes": list(e.schemes), "frames": e.frames}
        for e in models_here()
    ]


@endpoint
def labels(model: str) -> list[str]:
    """API: the labels a model knows."""
    return list(model_here(model).labels or ())


SWAPS = tuple(f"swap {place}" for place in range(swaps.MOST_SWAPS))
OUTPUTS = ("seed", "preview", "gallery", "files", "folded", "progress", "go", "stop", "past", "history", "change")
OUTPUTS += ("before", "offers", "swap row", *SWAPS)
_change = partial(changes, OUTPUTS)


def _run(page: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
    """The Generate button: yields updates of OUTPUTS, one a shown step."""
    *settings, start, image, randomise, past, before = values
    chosen = dict(zip(NAMES, settings, strict=True))
    if randomise and not before:
        chosen["seed"] = random.SystemRandom().randrange(MOST_NEW_SEED)
    with runs.under_way(page, "generate") as run:
        try:
            picture = None if image is None else media.read_picture(image)
            request = to_request(**chosen, start=start if picture else 0.0)
            yield _change(True, texts.STARTING, seed=chosen["seed"])
            with closing(run.steps(request, picture)) as steps:
                for step in steps:
                    yield _finished(step, past, before) if step.result else _under_way(step)
            if run.stop.is_set():  # said here too, as the page is sent the last yield again when a run ends
                yield _change(False, texts.STOPPED)
        except Exception as fault:
            yield _change(False, runs.warned(fault))


def _under_way(step: Step) -> tuple[Any, ...]:
    return _change(
        preview=gr.update(value=texts.pictures_html(step.preview), visible=True),
        gallery=gr.update(visible=False),
        progress=texts.progress_html(step),
    )


def _finished(step: Step, past: list[str], before: list[str]) -> tuple[Any, ...]:
    """before: the pictures that this run was to change by a swap, none for any other run."""
    files = save_pictures(step.result)
    offers = swaps.offered(step.result.request)
    change = swaps.change_html(before, step.result.images) if before else ""
    past = [path for path in files + past if Path(path).is_file()][:PAST_PICTURES]
    return _change(
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
        change=gr.update(value=change, visible=bool(change)),
        before=[],
        offers=[swap.prompt for swap in offers],
        **dict(zip(("swap row", *SWAPS), swaps.buttons(offers), strict=True)),
    )


def _stop(page: gr.Request) -> tuple[Any, ...]:
    """Stop the run of this page; answers when it has ended."""
    runs.stop(page, "generate")
    return _change(False, texts.STOPPED)


def _restore(file: str | None) -> tuple[Any, ...]:
    return restore(file, _shown, _restored) or NO_CHANGE


def _restored(request: Request) -> str:
    return texts.RESTORED_OVER_PICTURE if request.common_option("start") else texts.RESTORED


def _open_link(request: gr.Request) -> tuple[Any, ...]:
    found, left_out = from_link(dict(request.query_params))
    if left_out:
        runs.warn(" ".join(left_out))
    return NO_CHANGE if found is None else _shown(found)


def _of_model(model: str, solver: str, steps: float, guidance: float) -> tuple[Any, ...]:
    """Updates for another model of prompt, strengths, label, negative, scan, solver, steps, guidance, the solver's note
    and own options, the row of examples and each example.
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


def _surprise(model: str) -> tuple[Any, Any]:
    """Updates of prompt and label: one of the labels, or words that may not have been drawn together before."""
    folder = model_here(model)
    if folder.about.get("data") == "portraits":
        dice = np.random.default_rng()
        return portrait_caption(draw_attributes(dice), dice), SKIP
    if folder.text is not None:
        return f"{random.choice(texts.COLOURS)} {random.choice(texts.THINGS)}", SKIP
    return SKIP, random.choice(folder.labels or [None])


def _swap(place: int, offers: list[str], files: list[str] | None) -> tuple[Any, Any]:
    """The prompt of an offered change, and the pictures it is to change."""
    return (offers[place], list(files or [])) if place < len(offers) else (SKIP, [])


def _example(name: str, model: str) -> tuple[Any, Any]:
    """Updates of prompt and label by an example."""
    return (name, SKIP) if model_here(model).text is not None else (SKIP, name)


def build_generate_tab(frame: Frame) -> None:
    """Lay the tab out; call inside its gr.Tab. Sets `frame.model` and `frame.follow_model` where there is a model."""
    page = frame.page
    gr.api(generate, api_name="generate", **TURN)
    gr.api(models, api_name="models")
    gr.api(labels, api_name="labels")
    here = model_choices()
    if not here:
        gr.Markdown(texts.NO_WEIGHTS)
        return
    first = model_here(here[0][1])
    names, text = list(first.labels or ()), first.text is not None
    own, shown_examples = defaults(first.id), examples(first.id)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            condition = build_condition(PICTURES)
            with gr.Row(elem_id="chips", visible=bool(names) or text) as chip_row:
                surprise = gr.Button("Surprise me", size="sm", elem_id="surprise")
                filled = [*shown_examples, *[""] * EXAMPLES][:EXAMPLES]
                chips = [gr.Button(name, size="sm", visible=bool(name)) for name in filled]
            sampling, randomise = build_sampling(PICTURES, count=4, randomise_id="randomise")
            said, more = build_more(names, own["solver"], text)
        with gr.Column(scale=3, min_width=280):
            go, stop, progress = build_actions(texts.READY, "progress")
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
            with gr.Row(elem_id="swaps", visible=False) as swap_row:
                gr.Markdown("Change one thing:")
                swap_buttons = [gr.Button("", size="sm", visible=False) for _ in SWAPS]
            change = gr.HTML("", visible=False, elem_id="change", padding=False)
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
                    label="Restore settings from a PNG",
                    file_types=[".png"],
                    height=112,
                    scale=3,
                    elem_id="restore",
                    elem_classes="restore",
                )
                link = gr.Button("Copy link to settings", size="sm", scale=1, min_width=160, elem_classes="link")
    past, before, offers = gr.State([]), gr.State([]), gr.State([])

    start, image = more.pop("start"), more.pop("image")
    main = {**condition, **sampling}
    model, prompt, label = condition.values()
    scan, seed = main["scan"], main["seed"]
    shared = [*(main[name] for name in MAIN), *more.values()]
    shown = [*shared, start, randomise, said, chip_row, *chips]
    outputs = [seed, preview, gallery, files, folded, progress, go, stop, past, history, change]
    outputs += [before, offers, swap_row, *swap_buttons]
    inputs = [*shared, start, image, randomise, past, before]
    runs_after = connect((go, stop, progress), inputs, outputs, _run, _stop, _change)
    for place, button in enumerate(swap_buttons):
        runs_after(button.click(partial(_swap, place), [offers, files], [prompt, before], **QUIET).then)
    settings = [main[name] for name in ("solver", "steps", "guidance")]
    of_model = [prompt, more["strengths"], label, more["negative"], scan, *settings]
    of_model += [said, *(more[name] for name in OWN), chip_row, *chips]
    model.input(_of_model, [model, *settings], of_model, **QUIET)
    main["solver"].input(of_solver, main["solver"], [said, *(more[name] for name in OWN)], **QUIET)
    dropped.upload(_restore, dropped, shown, **QUIET)
    surprise.click(_surprise, model, [prompt, label], **QUIET)
    for chip in chips:
        chip.click(_example, [chip, model], [prompt, label], **QUIET)
    link.click(lambda *_: gr.Info(texts.LINK_COPIED), shared, None, js=texts.LINK_SCRIPT, **QUIET)
    page.load(lambda: gr.update(choices=model_choices()), None, model, **QUIET)  # models that came since the start
    page.load(_open_link, None, shown, **QUIET)
    frame.model = model
    frame.follow_model = lambda event: event.then(_of_model, [model, *settings], of_model, **QUIET)
