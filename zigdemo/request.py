"""What to generate: validated, and read back from generated files."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from . import __version__, media, zoo
from .checks import number, shown, whole
from .diffusion import Sampling, check_options
from .scans import scan_scheme

MOST_STEPS, MOST_COUNT, MOST_SEED, MOST_GUIDANCE = 1000, 64, 2**32 - 1, 50.0
MOST_STRENGTH, MOST_STRENGTHS = 5.0, 64
# Options of every solver, with default and bounds: shift of the times towards noise, rescaling against the
# oversaturation of guidance (see `guide`), and the time at which to start from a picture (see `Pipeline.stream`).
COMMON_OPTIONS = {"shift": (1.0, 0.05, 20.0), "rescale": (0.0, 0.0, 1.0), "start": (0.0, 0.0, 0.99)}


def _text(name: str, value: object, required: bool = False) -> None:
    if value is None and not required:
        return
    if not isinstance(value, str) or not value or len(value) > 1000:
        raise ValueError(f"{name} must be a text of 1 to 1000 characters, not {shown(value)}")


@dataclass(frozen=True)
class Request:
    """What to generate; validated on construction, so that every Request is valid for some model.

    prompt: for a text model; label: class name, for a model with labels; negative: a prompt or label to avoid; None for
    no condition. strengths: factors from 0 to 5 for the features of words in the prompt. guidance_interval: of t, from
    noise at 0 to data at 1, in which guidance acts. scan: a scan scheme; size: (H, W) in pixels; None for the model's.
    steps: updates of the solver. solver_options: see `diffusion.SAMPLERS` and COMMON_OPTIONS.
    Raises ValueError with one sentence that names the setting.
    """

    model: str
    prompt: str | None = None
    label: str | None = None
    negative: str | None = None
    count: int = 4
    seed: int = 0
    solver: str = "heun"
    steps: int = 25
    guidance: float = 2.0
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    scan: str | None = None
    size: tuple[int, int] | None = None
    frames: int | None = None
    solver_options: dict[str, Any] = field(default_factory=dict)
    strengths: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _text("model", self.model, required=True)
        for name in ("prompt", "label", "negative", "scan"):
            _text(name, getattr(self, name))
        whole("count", self.count, 1, MOST_COUNT)
        whole("seed", self.seed, 0, MOST_SEED)
        whole("steps", self.steps, 1, MOST_STEPS)
        number("guidance", self.guidance, least=0, most=MOST_GUIDANCE)
        for name, length in (("guidance_interval", 2), ("size", 2)):
            value = getattr(self, name)
            if name == "size" and value is None:
                continue
            if not isinstance(value, tuple | list) or len(value) != length:
                raise ValueError(f"{name} must be two numbers, not {shown(value)}")
            object.__setattr__(self, name, tuple(value))
        for end in self.guidance_interval:
            number("guidance_interval", end, least=0, most=1)
        if self.guidance_interval[0] > self.guidance_interval[1]:
            raise ValueError(f"guidance_interval must rise from 0, noise, to 1, data, not {self.guidance_interval}")
        for side in self.size or ():
            whole("size", side, 1, 8192)
        if self.frames is not None:
            whole("frames", self.frames, 1, 256)
        if self.scan is not None:
            scan_scheme(self.scan)
        if not isinstance(self.solver_options, dict):
            raise ValueError(f"solver_options must be a dict of names and values, not {shown(self.solver_options)}")
        if not isinstance(self.strengths, dict) or len(self.strengths) > MOST_STRENGTHS:
            raise ValueError(f"strengths must be a dict of at most {MOST_STRENGTHS} words and factors")
        for word, factor in self.strengths.items():
            _text("a word in strengths", word, required=True)
            number(f"the strength of {shown(word)}", factor, least=0, most=MOST_STRENGTH)
        if self.strengths and self.prompt is None:
            raise ValueError("strengths are those of the prompt's words; give a prompt with them")
        for name, (_, least, most) in COMMON_OPTIONS.items():
            number(name, self.common_option(name), least=least, most=most)
        check_options(self.solver, self.own_options)

    def common_option(self, name: str) -> float:
        """An option of COMMON_OPTIONS, or its default."""
        return self.solver_options.get(name, COMMON_OPTIONS[name][0])

    @property
    def own_options(self) -> dict[str, Any]:
        """The options specific to this solver."""
        return {name: value for name, value in self.solver_options.items() if name not in COMMON_OPTIONS}

    @property
    def settings(self) -> dict[str, Any]:
        """The fields by name, as stored in files."""
        return asdict(self)

    @property
    def sampling(self) -> Sampling:
        """The settings for sampling items."""
        common = {name: self.common_option(name) for name in COMMON_OPTIONS}
        return Sampling(
            self.solver, self.steps, self.guidance, self.guidance_interval, options=self.own_options, **common
        )

    @classmethod
    def from_metadata(cls, file: str | Path) -> Request:
        """The request in a picture or clip made here; warns if weights or versions have changed.

        If its model is not here, the warning says so, and names the successor of a retired one; the request keeps it.
        Raises ValueError with one sentence if the file has none or an invalid one.
        """
        content = media.read_metadata(file)
        settings, name = content["request"], Path(file).name
        unknown = set(settings) - {entry.name for entry in fields(cls)}
        if unknown:
            raise ValueError(f"{name} has settings this version does not know: {', '.join(sorted(unknown))[:200]}")
        if not isinstance(settings.get("model"), str):
            raise ValueError(f"the settings inside {name} name no model; choose another file")
        try:
            request = cls(**settings)
        except (TypeError, ValueError) as fault:
            raise ValueError(f"the settings inside {name} cannot be used: {fault}") from None
        _warn_of_changes(request, content["provenance"], name)
        return request


def request_for(folder: zoo.ModelFolder, **settings: Any) -> Request:
    """A request for a model, with the model's defaults for settings that are missing or None.

    Raises ValueError with one sentence that names the setting.
    """
    return Request(folder.id, **{**folder.defaults, **{name: v for name, v in settings.items() if v is not None}})


def check_condition(folder: zoo.ModelFolder, request: Request) -> None:
    """Raises ValueError with one sentence for a prompt or label that the model is not drawn by."""
    if folder.text is not None:
        if request.label is not None:
            raise ValueError(f"{folder.id} is drawn by prompt, not by label; give a prompt and no label")
    elif request.prompt is not None:
        raise ValueError(f"{folder.id} is drawn by label, not by prompt; give a label and no prompt")
    elif folder.labels is None and (request.label is not None or request.negative is not None):
        raise ValueError(f"{folder.id} knows no labels; leave label and negative empty")


def _warn_of_changes(request: Request, provenance: dict[str, Any], name: str) -> None:
    try:
        weights = zoo.installed(request.model).sha256
    except ValueError as fault:
        warnings.warn(f"{name} was made with a model that is not here: {fault}", stacklevel=3)
        return
    now = {"weights": weights, "zigdemo": __version__, "torch": torch.__version__}
    changed = [key for key, value in now.items() if key in provenance and provenance[key] != value]
    if changed:
        warnings.warn(
            f"{name} was made with other {' and '.join(changed)}; the picture may come out different", stacklevel=3
        )
