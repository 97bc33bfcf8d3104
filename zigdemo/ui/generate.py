"""The *Generate* tab: choose, watch it appear, keep the pictures with their settings inside."""

from __future__ import annotations

import logging
import random
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr

from .. import media, zoo
from ..diffusion import SOLVERS
from ..pipeline import MOST_SEED, Pipeline, Request, Step
from ..scans import SCHEMES, scan_scheme

log = logging.getLogger(__name__)
NO_WEIGHTS = (
    "No model is here: put a model folder into `weights/`, or train one with "
    "`python -m zigdemo.training zigdemo/training/recipes/zigma-emoji.yaml`."
)
SUGGESTIONS = ("red heart", "hedgehog", "watermelon", "hot beverage", "rocket", "pizza", "octopus")
MOST_PICTURES, MOST_STEPS = 16, 250
PREVIEW_SECONDS = 0.15  # least time between two previews, so that fast models are not slowed by showing them


class Models:
    """The one loaded pipeline; asking for another model frees the one before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: tuple[str, str, Pipeline] | None = None

    def get(self, name: str) -> Pipeline:
        """The pipeline of a shipped model. Raises ValueError naming what there is."""
        with self._lock:
            folder = next((entry for entry in zoo.available() if entry.id == name), None)
            if folder is None:
                known = ", ".join(entry.id for entry in zoo.available()) or "none is here"
                raise ValueError(f"unknown model {str(name)[:60]!r}; choose one of: {known}")
            stamp = folder.sha256
            if self._loaded is None or self._loaded[:2] != (name, stamp):
                self._loaded = None
                self._loaded = (name, stamp, Pipeline(folder))
            return self._loaded[2]


MODELS = Models()


def model_choices() -> list[tuple[str, str]]:
    """(what the page says, id) of every model here."""
    return [(f"{entry.id} · {entry.family}, {entry.origin}", entry.id) for entry in zoo.available()]


def scheme_choices(model: str | None) -> list[tuple[str, str]]:
    """(what the page says, name) of the schemes a model can use, those it was trained with first."""
    names = [name for family in SCHEMES.values() for name in family.examples]
    if model is None:
        return [(name, name) for name in names]
    folder = zoo.find(model)
    block = scan_scheme(folder.schemes[0]).block
    trained = [(f"{name} · trained", name) for name in folder.schemes]
    others = [n for n in names if n not in folder.schemes and scan_scheme(n).block == block]
    return trained + [(f"{name} · not trained with it", name) for name in others]


def to_request(
    model: str,
    label: str | None,
    scan: str | None,
    solver: str,
    steps: float,
    guidance: float,
    seed: float,
    count: float,
) -> Request:
    """The page's values as a Request; numbers of a page are floats. Raises ValueError with one sentence."""

    def whole(name: str, value: float | None) -> int:
        if value is None or value != value or abs(value) == float("inf") or value != int(value):
            raise ValueError(f"{name} must be a whole number, not {value}")
        return int(value)

    if count is not None and count == count and count > MOST_PICTURES:
        raise ValueError(f"count must be a whole number from 1 to {MOST_PICTURES} here, not {count:g}")
    if steps is not None and steps == steps and steps > MOST_STEPS:
        raise ValueError(f"steps must be a whole number from 1 to {MOST_STEPS} here, not {steps:g}")
    return Request(
        model=model,
        label=label or None,
        scan=scan or None,
        solver=solver,
        steps=whole("steps", steps),
        guidance=guidance,
        seed=whole("seed", seed),
        count=whole("count", count),
    )


def _progress(step: Step) -> str:
    done = round(20 * (step.index + 1) / step.total)
    left = f"{step.seconds_left:.0f} s left" if step.seconds_left >= 1 else "nearly done"
    return (
        f"`{'█' * done}{'░' * (20 - done)}` step {step.index + 1} of {step.total} · {step.nfe} network calls · {left}"
    )


def _save(step: Step) -> list[str]:
    result, folder = step.result, Path(tempfile.mkdtemp(prefix="zigdemo-"))
    return [
        str(media.save_png(image, folder / media.file_name(result.request, i), result.request, result.provenance, i))
        for i, image in enumerate(result.images)
    ]


def _summary(step: Step) -> str:
    result = step.result
    backend, origin = result.provenance["backend"], result.provenance["origin"]
    return (
        f"{len(result.images)} in {result.seconds:.1f} s · {result.nfe} network calls each · seed "
        f"{result.request.seed} · backend {backend} · weights {origin}"
    )


def _sentence(fault: Exception) -> str:
    if isinstance(fault, ValueError):
        return str(fault)
    log.exception("generation failed")
    return f"Something went wrong inside ({type(fault).__name__}); the server's log says more. Please try again."


def generate(
    model: str,
    label: str | None,
    scan: str | None,
    solver: str = "heun",
    steps: int = 25,
    guidance: float = 2.0,
    seed: int = 0,
    count: int = 4,
) -> tuple[list[str], str]:
    """API: draw pictures; returns PNG files with their settings inside, and a line about the run."""
    try:
        request = to_request(model, label, scan, solver, steps, guidance, seed, count)
        for step in MODELS.get(model).stream(request, previews=False):
            last = step
    except Exception as fault:  # noqa: BLE001 - the border of the program: no traceback reaches a user
        raise gr.Error(_sentence(fault), print_exception=False) from None
    return _save(last), _summary(last)


def models() -> list[dict[str, Any]]:
    """API: the models here, what they are and how honest their weights are."""
    return [{"id": e.id, "family": e.family, "origin": e.origin, "schemes": list(e.schemes)} for e in zoo.available()]


def labels(model: str) -> list[str]:
    """API: the labels a model knows."""
    try:
        return list(zoo.find(model).labels or ())
    except ValueError as fault:
        raise gr.Error(str(fault), print_exception=False) from None


def _run(*values: Any) -> Iterator[tuple[Any, ...]]:
    """The Generate button: yields (seed, gallery, files, progress, generate button, stop button)."""
    *settings, seed, randomise, count = values
    busy, idle = (
        (gr.update(interactive=False), gr.update(interactive=True)),
        (gr.update(interactive=True), gr.update(interactive=False)),
    )
    if randomise:
        seed = random.SystemRandom().randrange(min(MOST_SEED, 2**31))
    try:
        request = to_request(*settings, seed, count)
        yield seed, gr.skip(), gr.skip(), "starting", *busy
        with closing(MODELS.get(request.model).stream(request)) as stream:
            shown = 0.0
            for step in stream:
                if step.result is None and time.monotonic() - shown >= PREVIEW_SECONDS:
                    yield gr.skip(), step.preview, gr.skip(), _progress(step), *busy
                    shown = time.monotonic()
        files = _save(step)
        yield gr.skip(), files, gr.update(value=files, visible=True), _summary(step), *idle
    except Exception as fault:  # noqa: BLE001 - the border of the program: no traceback reaches a user
        sentence = _sentence(fault)
        gr.Warning(sentence)
        yield gr.skip(), gr.skip(), gr.skip(), sentence, *idle


def _stopped() -> tuple[Any, ...]:
    return "stopped; the preview stays", gr.update(interactive=True), gr.update(interactive=False)


def _restore(file: str | None) -> tuple[Any, ...]:
    """Settings of a PNG made here: model, label, scan, solver, steps, guidance, seed, randomise, count."""
    if file is None:
        return (gr.skip(),) * 9
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = Request.from_metadata(file)
            folder = zoo.find(found.model)
        except ValueError as fault:
            gr.Warning(str(fault))
            return (gr.skip(),) * 9
    for warning in caught:
        if warning.category is UserWarning:
            gr.Warning(str(warning.message))
    gr.Info("Settings restored; press Generate to draw the same pictures again.")
    return (
        found.model,
        gr.update(choices=list(folder.labels or ()), value=found.label),
        gr.update(choices=scheme_choices(found.model), value=found.scan or folder.schemes[0]),
        found.solver,
        found.steps,
        found.guidance,
        found.seed,
        False,
        found.count,
    )


def _of_model(model: str) -> tuple[Any, Any]:
    folder = zoo.find(model)
    names = list(folder.labels or ())
    return (
        gr.update(choices=names, value=names[0] if names else None),
        gr.update(choices=scheme_choices(model), value=folder.schemes[0]),
    )


def build_generate_tab() -> None:
    """Lay the tab out; call inside a gr.Tab."""
    here = model_choices()
    if not here:
        gr.Markdown(NO_WEIGHTS)
        return
    first = zoo.find(here[0][1])
    names = list(first.labels or ())
    suggested = [name for name in SUGGESTIONS if name in names]
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            model = gr.Dropdown(here, value=first.id, label="Model")
            label = gr.Dropdown(names, value=(suggested or names or [None])[0], label="Label", info="Type to search.")
            with gr.Row():
                surprise = gr.Button("Surprise me", size="sm", min_width=90)
                chips = [gr.Button(name, size="sm", min_width=90) for name in suggested]
            scan = gr.Dropdown(scheme_choices(first.id), value=first.schemes[0], label="Scan scheme")
            with gr.Row():
                solver = gr.Dropdown(
                    [(s.label, n) for n, s in SOLVERS.items()], value="heun", label="Solver", min_width=130
                )
                count = gr.Slider(1, MOST_PICTURES, value=4, step=1, label="Pictures", min_width=130)
            with gr.Row():
                steps = gr.Slider(1, MOST_STEPS, value=25, step=1, label="Steps", min_width=130)
                guidance = gr.Slider(0, 10, value=2, step=0.1, label="Guidance", min_width=130)
            with gr.Row():
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=MOST_SEED, min_width=130)
                randomise = gr.Checkbox(False, label="New seed each time", min_width=130)
        with gr.Column(scale=3, min_width=280):
            with gr.Row():
                go = gr.Button("Generate", variant="primary", min_width=120)
                stop = gr.Button("Stop", variant="stop", interactive=False, min_width=80)
            progress = gr.Markdown("Press Generate; the picture appears step by step.", elem_id="progress")
            gallery = gr.Gallery(
                label="Pictures",
                elem_id="result",
                columns=4,
                object_fit="contain",
                height="auto",
                format="png",
                interactive=False,
            )
            files = gr.Files(label="PNG files with their settings inside", visible=False, interactive=False)
            dropped = gr.File(label="Drop a PNG made here to restore its settings", file_types=[".png"], height=110)

    controls = [model, label, scan, solver, steps, guidance, seed, randomise, count]
    outputs = [seed, gallery, files, progress, go, stop]
    running = go.click(
        _run,
        controls,
        outputs,
        show_progress="hidden",
        concurrency_limit=1,
        concurrency_id="generate",
        api_visibility="private",
    )
    stop.click(_stopped, None, [progress, go, stop], cancels=running, show_progress="hidden", api_visibility="private")
    model.input(_of_model, model, [label, scan], show_progress="hidden", api_visibility="private")
    dropped.upload(_restore, dropped, controls, show_progress="hidden", api_visibility="private")
    surprise.click(
        lambda m: random.choice(zoo.find(m).labels or [None]),
        model,
        label,
        show_progress="hidden",
        api_visibility="private",
    )
    for chip in chips:
        chip.click(lambda name=chip.value: name, None, label, show_progress="hidden", api_visibility="private")
    gr.api(generate, api_name="generate", concurrency_limit=1, concurrency_id="generate")
    gr.api(models, api_name="models")
    gr.api(labels, api_name="labels")
