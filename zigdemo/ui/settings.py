"""What the controls of the page can say: their choices and limits, and requests to and from them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from .. import zoo
from ..checks import as_whole, choice, number, shown
from ..diffusion import SAMPLERS
from ..request import COMMON_OPTIONS, MOST_SEED, Request
from ..scans import SCHEMES, scan_scheme

MOST_STEPS, MOST_GUIDANCE = 250, 10
MAIN = ("model", "prompt", "label", "scan", "solver", "steps", "guidance", "seed", "count")
# Options of solvers with the value the page starts with, and all of `Request` that has a control under "More".
OPTIONS = {name: default for solver in SAMPLERS.values() for name, default in solver.options.items()}
OPTIONS |= {name: default for name, (default, _, _) in COMMON_OPTIONS.items() if name != "start"}
MORE = {"negative": None, "strengths": "", "guide_from": 0.0, "guide_to": 1.0, **OPTIONS}
NAMES = (*MAIN, *MORE)  # also the query of a share link
TEXTS = ("model", "prompt", "label", "strengths", "scan", "solver", "negative", "form", "last_step")
FIRST = ("zigma-portraits", "zigma-emoji", "zigma-actions")  # the models the tabs start with
LINKED = "zigma-emoji"  # what a link means that names no model, for ever
EXAMPLES = 7  # shown at most
SUGGESTIONS = ("red heart", "hedgehog", "watermelon", "hot beverage", "rocket", "pizza", "octopus")


@dataclass(frozen=True)
class Kind:
    """What a tab draws: whether clips, how many at most, and what of a request it has controls for."""

    name: str
    clips: bool
    most: int
    names: tuple[str, ...]

    def refuse(self, folder: zoo.ModelFolder) -> None:
        """ValueError with one sentence for a model that draws the other kind."""
        if self.clips and not folder.frames:
            raise ValueError(f"{folder.id} draws pictures, not clips; use the Generate tab")
        if folder.frames and not self.clips:
            raise ValueError(f"{folder.id} draws clips, not pictures; use the Video tab")


PICTURES = Kind("Pictures", clips=False, most=16, names=NAMES)
CLIPS = Kind("Clips", clips=True, most=4, names=MAIN)


def models_here(kind: Kind | None = None) -> list[zoo.ModelFolder]:
    """The models of the page, in the order they are offered in; of one kind or all."""
    found = sorted(zoo.available(), key=lambda folder: (*FIRST, folder.id).index(folder.id))
    return [folder for folder in found if kind is None or bool(folder.frames) == kind.clips]


def model_here(name: str) -> zoo.ModelFolder:
    """A model of the page, by id; never a path, as names come from files, links and programs of strangers."""
    found = models_here()
    for folder in found:
        if folder.id == name:
            return folder
    known = ", ".join(folder.id for folder in found) or "none is here"
    raise ValueError(f"unknown model {str(name)[:60]!r}; choose one of: {known}")


def model_choices(kind: Kind = PICTURES) -> list[tuple[str, str]]:
    """(what the page says, id) of every model here of a kind."""
    return [(f"{entry.id} · {entry.family}, {entry.origin}", entry.id) for entry in models_here(kind)]


def examples(model: str) -> list[str]:
    """Prompts or labels to try with a model: its own, else suggested ones that it knows; none where it knows none."""
    folder = model_here(model)
    if folder.text is None:
        return [name for name in SUGGESTIONS if name in (folder.labels or ())]
    own = folder.about.get("examples")
    usable = [text for text in own if isinstance(text, str) and 0 < len(text) <= 200] if isinstance(own, list) else []
    return usable[:EXAMPLES] or list(SUGGESTIONS)


def defaults(model: str) -> dict[str, Any]:
    """Solver, steps and guidance that a model is drawn by where none are named."""
    usual = {entry.name: entry.default for entry in fields(Request) if entry.name in zoo.DEFAULTS}
    return {**usual, **model_here(model).defaults}


def defaults_for(model: str, solver: Any, steps: Any, guidance: Any) -> dict[str, Any]:
    """Solver, steps and guidance to show when a model is chosen: its own, unless the ones shown are no model's."""
    shown = {"solver": solver, "steps": steps, "guidance": guidance}
    return defaults(model) if any(defaults(entry.id) == shown for entry in models_here()) else shown


def with_defaults(model: str, solver: Any, steps: Any, guidance: Any) -> tuple[Any, Any, Any]:
    """Solver, steps and guidance as a program gave them, those of the model where it gave none."""
    own = defaults(model)
    given = {"solver": solver, "steps": steps, "guidance": guidance}
    return tuple(own[name] if value is None else value for name, value in given.items())


def first_prompt(model: str) -> str | None:
    """The prompt a model starts with; None for a model without text."""
    return None if model_here(model).text is None else examples(model)[0]


def first_label(model: str) -> str | None:
    """The label a model starts with: a suggested one it knows, else its first; None for a model without labels."""
    names = model_here(model).labels or ()
    return next((name for name in SUGGESTIONS if name in names), names[0] if names else None)


def scheme_choices(model: str) -> list[tuple[str, str]]:
    """(what the page says, name) of the schemes a model can use: its own, those of twins, others.

    Those of pictures for a model of pictures, of clips for one of clips; empty for a model without a scan.
    """
    folder = model_here(model)
    if not folder.schemes:
        return []
    own, sides = scan_scheme(folder.schemes[0]), 3 if folder.frames else 2
    names = [name for family in SCHEMES.values() if sides in family.dimensions for name in family.examples]
    alike = {n: (scan_scheme(n).block, scan_scheme(n).at_once) for n in names}
    others = [n for n in names if n not in folder.schemes and alike[n] == (own.block, own.at_once)]
    twins = _twins(folder)
    mixed = [("as trained, by layer", "")] if len(folder.schemes) > 1 else []
    return (
        mixed
        + [(f"{name} · trained with it", name) for name in folder.schemes]
        + [(f"{name} · not trained with it; {twins[name]} is", name) for name in others if name in twins]
        + [(f"{name} · not trained with this scan", name) for name in others if name not in twins]
    )


def _twins(folder: zoo.ModelFolder) -> dict[str, str]:
    """The model here that a scheme was trained into, by scheme: one like `folder` in all else."""

    def all_else(model: zoo.ModelFolder) -> tuple[Any, ...]:
        return model.family, model.frames, model.text, set(model.labels or ())

    return {m.schemes[0]: m.id for m in models_here() if len(m.schemes) == 1 and all_else(m) == all_else(folder)}


def solver_choices() -> list[tuple[str, str]]:
    """(what the page says, name) of every solver; one whose package is missing says so, and the page greys it out."""
    missing = {name: f" · needs {s.needs}, not installed" for name, s in SAMPLERS.items() if not s.here}
    return [(solver.label + missing.get(name, ""), name) for name, solver in SAMPLERS.items()]


def own_options(solver: str, options: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that the solver has and that are not at their defaults; a page shows more than one has."""
    known = {**SAMPLERS[solver].options, **{name: OPTIONS[name] for name in COMMON_OPTIONS if name in OPTIONS}}
    return {name: value for name, value in options.items() if name in known and value != known[name]}


def known_options(options: Any) -> dict[str, Any]:
    """Options that a program gave; ValueError for a name no solver has."""
    for name in options or {}:
        choice("option", name, OPTIONS)
    return dict(options or {})


def read_strengths(text: str | None) -> dict[str, float]:
    """Words and factors out of "red=1.5, heart=0.5". Raises ValueError with one sentence."""
    found = {}
    for part in filter(None, (part.strip() for part in str(text or "").split(","))):
        word, _, factor = part.rpartition("=")
        try:
            found[word.strip()] = float(factor)
        except ValueError:
            raise ValueError(f"word strengths are written like red=1.5, heart=0.5, not {shown(part)}") from None
    return found


def show_strengths(strengths: dict[str, float]) -> str:
    """What `read_strengths` reads."""
    return ", ".join(f"{word}={factor:g}" for word, factor in strengths.items())


def to_request(
    model: str, label: str | None, scan: str | None, solver: str, steps: float, guidance: float, seed: float,
    count: float, negative: str | None = None, guide_from: float = 0.0, guide_to: float = 1.0, start: float = 0.0,
    prompt: str | None = None, strengths: str | None = None, kind: Kind = PICTURES, **options: Any,
) -> Request:  # fmt: skip
    """The page's values as a Request; numbers of a page are floats. Raises ValueError with one sentence.

    kind: whose most a count is checked against. start: for a picture to start from. options: of OPTIONS; those that
    the solver does not have are left out.
    """
    given = own_options(choice("solver", solver, SAMPLERS), options)
    if start:
        given["start"] = start
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
        solver_options=given,
    )


def check_shown(request: Request, kind: Kind = PICTURES) -> zoo.ModelFolder:
    """The model of a request that the controls of a tab can show; otherwise ValueError with one sentence."""
    folder = model_here(request.model)
    kind.refuse(folder)
    values = shown_values(request)
    start = {"start": values.pop("start")} if kind is PICTURES else {}
    shown = to_request(**{name: values[name] for name in kind.names}, **start, kind=kind)  # the page's own limits
    for label in (request.label, request.negative):
        if label is not None and folder.text is None and label not in (folder.labels or ()):
            raise ValueError(f"{folder.id} knows no label {label[:60]!r}; choose one in the list")
    if request.scan is not None and request.scan not in [name for _, name in scheme_choices(folder.id)]:
        raise ValueError(f"scan {request.scan!r} is not in this model's list; choose one there")
    given = own_options(request.solver, request.solver_options)
    given |= {name: value for name, value in request.solver_options.items() if name == "start"}
    frames = None if request.frames == folder.frames else request.frames
    if replace(request, solver_options=given, frames=frames) != shown:
        raise ValueError("these settings use more than this page has controls for; run them with zigdemo.pipeline")
    return folder


def shown_values(request: Request) -> dict[str, Any]:
    """What the controls of NAMES, and "start", show for a request."""
    values = {name: getattr(request, name) for name in (*MAIN, "negative")}
    values["strengths"] = show_strengths(request.strengths)
    values |= dict(zip(("guide_from", "guide_to"), request.guidance_interval, strict=True))
    start = request.common_option("start")
    return {**values, **OPTIONS, **SAMPLERS[request.solver].options, **request.solver_options, "start": start}


def _parsed(name: str, text: str) -> str | float:
    if name in TEXTS:
        return text
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, not {shown(text)}") from None


def from_link(given: dict[str, str], kind: Kind = PICTURES) -> tuple[Request | None, list[str]]:
    """What the query of a share link asks for, and a sentence about every part that was left out.

    The request is None where the link asks for nothing, for a model of the other kind, or for none that is here.
    A link without a model that is here is for pictures.
    """
    given = {name: value for name, value in given.items() if name in kind.names}
    here = models_here(kind)
    clips = given.get("model") in [entry.id for entry in models_here(CLIPS)]
    if not given or not here or clips != kind.clips:
        return None, []
    names, left_out = [entry.id for entry in here], []
    if "model" in given and given["model"] not in names:
        left_out.append(f"The link's model {given.pop('model')[:60]!r} is not here; choose one in the list.")
    model = given.pop("model", LINKED if LINKED in names and not kind.clips else names[0])
    request = Request(model, label=first_label(model), prompt=first_prompt(model))
    for name, text in given.items():
        try:
            changed = to_request(**{**shown_values(request), name: _parsed(name, text)}, kind=kind)
            check_shown(changed, kind)
        except ValueError as fault:
            left_out.append(f"The link's {name} was left out: {fault}.")
        else:
            request = changed
    return request, left_out
