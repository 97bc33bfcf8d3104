"""The settings of the page: choices and limits of its controls, and their values to and from requests."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from .. import zoo
from ..checks import as_whole, choice, number, shown
from ..diffusion import SAMPLERS
from ..request import COMMON_OPTIONS, MOST_SEED, Request, check_condition
from ..scans import SCHEMES, scan_scheme
from ..zoo import classes
from .owners import visible

MOST_STEPS, MOST_GUIDANCE = 250, 10
MAIN = ("model", "prompt", "label", "scan", "solver", "steps", "guidance", "seed", "count")
# Options of solvers with the values the page starts with, and every setting of `Request` with a control under "More".
OPTIONS = {name: default for solver in SAMPLERS.values() for name, default in solver.options.items()}
OPTIONS |= {name: default for name, (default, _, _) in COMMON_OPTIONS.items() if name != "start"}
MORE = {"negative": None, "strengths": "", "guide_from": 0.0, "guide_to": 1.0, **OPTIONS}
CONDITION = ("prompt", "label", "negative", "strengths")  # settings about what is drawn
NAMES = (*MAIN, *MORE)  # also the keys in the query of a share link
TEXTS = ("model", "prompt", "label", "strengths", "scan", "solver", "negative", "form", "last_step")
FIRST = ("zigma-portraits", "zigma-emoji", "zigma-actions")  # the models that tabs offer first, in this order
LINKED = "zigma-emoji"  # the model of links that name none; never change it
QUICK = {"solver": "euler", "steps": 4}  # a quick look at a picture
MATRIX = "matrix"  # what a link and a PNG of the Compare tab carry in place of a request
EXAMPLES = 7  # at most this many are shown
SUGGESTIONS = ("red heart", "hedgehog", "watermelon", "hot beverage", "rocket", "pizza", "octopus")


@dataclass(frozen=True)
class Kind:
    """What a tab draws. clips: clips rather than pictures; most: items per run; names: settings with a control."""

    name: str
    clips: bool
    most: int
    names: tuple[str, ...]

    def refuse(self, folder: zoo.ModelFolder) -> None:
        """Raises ValueError with one sentence for a model that draws the other kind."""
        if self.clips and not folder.frames:
            raise ValueError(f"{folder.id} draws pictures, not clips; use Draw ▸ Pictures")
        if folder.frames and not self.clips:
            raise ValueError(f"{folder.id} draws clips, not pictures; use Draw ▸ Clips")


PICTURES = Kind("Pictures", clips=False, most=16, names=NAMES)
CLIPS = Kind("Clips", clips=True, most=4, names=MAIN)


def installed_models(kind: Kind | None = None) -> list[zoo.ModelFolder]:
    """The models of the page in the order in which they are offered; of one kind, or all."""
    folders = sorted(visible(zoo.available()), key=lambda folder: (*FIRST, folder.id).index(folder.id))
    return [folder for folder in folders if kind is None or bool(folder.frames) == kind.clips]


def installed_model(name: str) -> zoo.ModelFolder:
    """A model of the page by id, never by path: names come from files, links and programs of strangers.

    Raises ValueError for an unknown or retired model.
    """
    folders = installed_models()
    for folder in folders:
        if folder.id == name:
            return folder
    raise zoo.unknown(str(name), models=folders)


def model_choices(kind: Kind = PICTURES) -> list[tuple[str, str]]:
    """(text on the page, id) of every installed model of a kind."""
    return [(f"{entry.id} · {entry.family}, {entry.origin}", entry.id) for entry in installed_models(kind)]


def examples(model: str) -> list[str]:
    """Prompts or labels to try with a model: its own examples, else those of SUGGESTIONS that it knows."""
    folder = installed_model(model)
    if folder.text is None:
        return [name for name in SUGGESTIONS if name in (folder.labels or ())]
    prompts = folder.about.get("examples")
    if not isinstance(prompts, list):
        return list(SUGGESTIONS)
    usable = [text for text in prompts if isinstance(text, str) and 0 < len(text) <= 200]
    return usable[:EXAMPLES] or list(SUGGESTIONS)


def defaults(model: str) -> dict[str, Any]:
    """Solver, steps and guidance for a model when none are named: its own, else those of `Request`."""
    general = {entry.name: entry.default for entry in fields(Request) if entry.name in zoo.DEFAULTS}
    return {**general, **installed_model(model).defaults}


def defaults_for(model: str, solver: Any, steps: Any, guidance: Any) -> dict[str, Any]:
    """Solver, steps and guidance to show for another model: its defaults, unless the user has changed those shown."""
    current = {"solver": solver, "steps": steps, "guidance": guidance}
    return defaults(model) if any(defaults(entry.id) == current for entry in installed_models()) else current


def with_defaults(model: str, solver: Any, steps: Any, guidance: Any) -> tuple[Any, Any, Any]:
    """Solver, steps and guidance of an API call; the model's defaults in place of None."""
    settings = {"solver": solver, "steps": steps, "guidance": guidance}
    usual = defaults(model)
    return tuple(usual[name] if value is None else value for name, value in settings.items())


def label_choices(model: str) -> list[tuple[str, str]]:
    """(text on the page, label) of every label of a model, none for a model without labels."""
    return classes.label_choices(installed_model(model))


def first_prompt(model: str) -> str | None:
    """The prompt a model starts with; None for a model without text."""
    return None if installed_model(model).text is None else examples(model)[0]


def first_label(model: str) -> str | None:
    """The label a model starts with: the first of SUGGESTIONS that it knows, else its first; None without labels."""
    names = installed_model(model).labels or ()
    return next((name for name in SUGGESTIONS if name in names), names[0] if names else None)


def scheme_choices(model: str) -> list[tuple[str, str]]:
    """(text on the page, name) of the schemes a model can use: its own, those of its twins, others.

    2-D schemes for an image model, 3-D ones for a video model; empty for a model without a scan.
    """
    folder = installed_model(model)
    if not folder.schemes:
        return []
    trained, sides = scan_scheme(folder.schemes[0]), 3 if folder.frames else 2
    names = [name for family in SCHEMES.values() if sides in family.dimensions for name in family.examples]
    blocks = {n: (scan_scheme(n).block, scan_scheme(n).at_once) for n in names}
    others = [n for n in names if n not in folder.schemes and blocks[n] == (trained.block, trained.at_once)]
    trained_with = twins(folder)
    mixed = [("as trained, by layer", "")] if len(folder.schemes) > 1 else []
    return (
        mixed
        + [(f"{name} · trained with it", name) for name in folder.schemes]
        + [(f"{name} · not trained with it; {trained_with[name]} is", name) for name in others if name in trained_with]
        + [(f"{name} · not trained with this scan", name) for name in others if name not in trained_with]
    )


def kin(folder: zoo.ModelFolder) -> list[zoo.ModelFolder]:
    """The installed models that draw the same things as a model by the same words or labels; it comes first."""

    def draws(model: zoo.ModelFolder) -> tuple[Any, ...]:
        return model.frames, model.text, frozenset(model.labels or ())

    return [folder, *(m for m in installed_models() if m.id != folder.id and draws(m) == draws(folder))]


def twins(folder: zoo.ModelFolder) -> dict[str, str]:
    """By scheme, the first of `kin` of the same family that was trained with this scheme alone."""
    by_scheme: dict[str, str] = {}
    for model in kin(folder):
        if model.family == folder.family and len(model.schemes) == 1:
            by_scheme.setdefault(model.schemes[0], model.id)
    return by_scheme


def solver_choices() -> list[tuple[str, str]]:
    """(text on the page, name) of every solver; one whose package is missing says so."""
    missing = {name: f" · needs {s.needs}, not installed" for name, s in SAMPLERS.items() if not s.here}
    return [(solver.label + missing.get(name, ""), name) for name, solver in SAMPLERS.items()]


def own_options(solver: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options that the solver has and that differ from their defaults; the page shows those of all solvers."""
    usual = {**SAMPLERS[solver].options, **{name: OPTIONS[name] for name in COMMON_OPTIONS if name in OPTIONS}}
    return {name: value for name, value in options.items() if name in usual and value != usual[name]}


def known_options(options: Any) -> dict[str, Any]:
    """The options of an API call. Raises ValueError for a name that no solver has."""
    for name in options or {}:
        choice("option", name, OPTIONS)
    return dict(options or {})


def read_strengths(text: str | None) -> dict[str, float]:
    """Words and factors from "red=1.5, heart=0.5". Raises ValueError with one sentence."""
    strengths = {}
    for part in filter(None, (part.strip() for part in str(text or "").split(","))):
        word, _, factor = part.rpartition("=")
        try:
            strengths[word.strip()] = float(factor)
        except ValueError:
            raise ValueError(f"word strengths are written like red=1.5, heart=0.5, not {shown(part)}") from None
    return strengths


def show_strengths(strengths: dict[str, float]) -> str:
    """The text that `read_strengths` reads."""
    return ", ".join(f"{word}={factor:g}" for word, factor in strengths.items())


def to_request(
    model: str, label: str | None, scan: str | None, solver: str, steps: float, guidance: float, seed: float,
    count: float, negative: str | None = None, guide_from: float = 0.0, guide_to: float = 1.0, start: float = 0.0,
    prompt: str | None = None, strengths: str | None = None, kind: Kind = PICTURES, **options: Any,
) -> Request:  # fmt: skip
    """The page's values, whose numbers are floats, as a Request. Raises ValueError with one sentence.

    kind: of the tab, whose limit the count must keep. start: for a picture to start from. options: of OPTIONS; those
    that the solver does not have are left out.
    """
    solver_options = own_options(choice("solver", solver, SAMPLERS), options)
    if start:
        solver_options["start"] = start
    return Request(
        model=model,
        prompt=prompt or None,
        label=label or None,
        strengths=read_strengths(strengths),
        scan=scan or None,
        solver=solver,
        steps=as_whole("steps", steps, 1, MOST_STEPS),
        guidance=number("guidance", guidance, least=0, most=MOST_GUIDANCE),
        seed=as_whole("seed", seed, 0, MOST_SEED),
        count=as_whole("count", count, 1, kind.most),
        negative=negative or None,
        guidance_interval=(number("guide_from", guide_from), number("guide_to", guide_to)),
        solver_options=solver_options,
    )


def check_shown(request: Request, kind: Kind = PICTURES) -> zoo.ModelFolder:
    """The model of a request; raises ValueError with one sentence if the tab has no controls for the request."""
    folder = installed_model(request.model)
    kind.refuse(folder)
    check_condition(folder, request)
    values = shown_values(request)
    start = {"start": values.pop("start")} if kind is PICTURES else {}
    shown = to_request(**{name: values[name] for name in kind.names}, **start, kind=kind)  # the page's own limits
    for label in (request.label, request.negative):
        if label is not None and folder.text is None and label not in (folder.labels or ()):
            raise ValueError(f"{folder.id} knows no label {label[:60]!r}; choose one in the list")
    if request.scan is not None and request.scan not in [name for _, name in scheme_choices(folder.id)]:
        raise ValueError(f"{folder.id} cannot use the scan {request.scan!r}; choose one in the list")
    options = own_options(request.solver, request.solver_options)
    options |= {name: value for name, value in request.solver_options.items() if name == "start"}
    frames = None if request.frames == folder.frames else request.frames
    if replace(request, solver_options=options, frames=frames) != shown:
        raise ValueError("these settings need controls that this page does not have; run them with zigdemo.pipeline")
    return folder


def shown_values(request: Request) -> dict[str, Any]:
    """The values that the controls of NAMES, and "start", show for a request."""
    values = {name: getattr(request, name) for name in (*MAIN, "negative")}
    values["strengths"] = show_strengths(request.strengths)
    values |= dict(zip(("guide_from", "guide_to"), request.guidance_interval, strict=True))
    start = request.common_option("start")
    return {**values, **OPTIONS, **SAMPLERS[request.solver].options, **request.solver_options, "start": start}


def _parse(name: str, value: Any) -> Any:
    """The value of a setting; the texts of a link become numbers. Raises ValueError with one sentence."""
    if name in TEXTS or not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{name} must be a number, not {shown(value)}") from None


def from_link(query: dict[str, Any], kind: Kind = PICTURES) -> tuple[Request | None, list[str]]:
    """The request of a share link, and a sentence about every part of its query that was left out.

    The request is None if the link has no settings or its model is of the other kind, or if no model of this kind is
    installed. A link without an installed model is for pictures. Settings that a link leaves out are the model's own if
    it names a place of the page; else those of `Request`, as older links mean them.
    """
    names_a_place = "place" in query
    query, left_out = {name: value for name, value in query.items() if name in kind.names}, []
    retired = zoo.retired(query.get("model", LINKED)) if query else None
    if retired is not None:
        query["model"] = retired.successor
        left_out.append(f"{retired}.")
    folders = installed_models(kind)
    clips = query.get("model") in [entry.id for entry in installed_models(CLIPS)]
    if not query or not folders or clips != kind.clips:
        return None, []
    names = [entry.id for entry in folders]
    if "model" in query and query["model"] not in names:
        left_out.append(f"The link's model {query.pop('model')[:60]!r} is not installed; choose one in the list.")
    model = query.pop("model", LINKED if LINKED in names and not kind.clips else names[0])
    if retired is not None:
        query, others = _comparable(query, installed_model(model), "link")
        left_out += others
    if names_a_place:
        query = {**defaults(model), **query}
    request, others = _opened(query, model, kind, "link")
    return request, left_out + others


def of_successor(request: Request) -> tuple[Request, list[str]]:
    """The request of a file for the model that took the place of a retired one, and a sentence per setting left out.

    Settings that the successor does not take keep the values that it starts with. The request comes back as it is if
    its model is not retired, or the successor is not installed.
    """
    retired = zoo.retired(request.model)
    if retired is None or retired.successor not in [entry.id for entry in installed_models()]:
        return request, []
    folder = installed_model(retired.successor)
    kind, values = CLIPS if folder.frames else PICTURES, shown_values(request)
    names = [name for name in (*kind.names, "start") if name != "model"]
    values, left_out = _comparable({name: values[name] for name in names}, folder, "file")
    for name, own in (("size", None), ("frames", folder.frames)):
        if getattr(request, name) not in (None, own):
            left_out.append(f"The file's {name} was left out: {folder.id} has its own.")
    changed, others = _opened(values, folder.id, kind, "file")
    return changed, left_out + others


def _comparable(values: dict[str, Any], folder: zoo.ModelFolder, source: str) -> tuple[dict[str, Any], list[str]]:
    """A retired model's settings without those that mean nothing to its successor, and a sentence per setting left out.

    A label of one model is no prompt of another, nor a prompt a label; the words beside it go with it. Without them the
    successor keeps the prompt or label that it starts with.
    """
    by, other = ("label", "prompt") if folder.text is None else ("prompt", "label")
    if not values.get(other):
        return values, []
    gone = [name for name in CONDITION if values.get(name)]
    sentences = [
        f"The {source}'s {name} {shown(values[name])} was left out: {folder.id} is drawn by {by}, not by {other}."
        for name in gone
    ]
    return {name: value for name, value in values.items() if name not in CONDITION}, sentences


def _opened(values: dict[str, Any], model: str, kind: Kind, source: str) -> tuple[Request, list[str]]:
    """The request that a model starts with, changed by one value after another, and a sentence per value left out."""
    request, left_out = Request(model, label=first_label(model), prompt=first_prompt(model)), []
    for name, value in values.items():
        try:
            changed = to_request(**{**shown_values(request), name: _parse(name, value)}, kind=kind)
            check_shown(changed, kind)
        except ValueError as fault:
            left_out.append(f"The {source}'s {name} was left out: {fault}.")
        else:
            request = changed
    return request, left_out
