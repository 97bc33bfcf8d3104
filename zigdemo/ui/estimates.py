"""How long drawing takes here: multiply-adds of a request, at the speed that the last runs of its model had."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ..devices import choose_device
from ..diffusion import SAMPLERS
from ..explain.complexity import cost
from ..ops import backends
from ..pipeline import Request
from . import device, texts
from .settings import MAIN, installed_model, to_request, with_defaults

# Multiply-adds a second before anything was drawn, for models of about ten million weights.
USUAL_CPU, USUAL_GPU = 2e10, 2e12
REFUSED_SECONDS = 0.1
OFFICIAL_TOKENS = 256  # of most official models
MEMORY = 0.5  # of what was known of a model's speed, after one more run


_CALL_MACS: dict[Any, int] = {}  # multiply-adds of one network call for one item, by folder of the model and stamp


def macs(request: Request) -> float:
    """Multiply-adds of a run, about: those of its network calls, twice as many with guidance."""
    folder = installed_model(request.model)
    key = folder.path, folder.stamp
    if key not in _CALL_MACS:
        try:
            _CALL_MACS[key] = sum(part.macs for part in cost(folder.model).values())
        except ValueError:  # of an official variant, whose every weight meets every token about once
            _CALL_MACS[key] = folder.model.parameters * OFFICIAL_TOKENS
    calls = (SAMPLERS[request.solver].calls or 2) * request.steps * (1 + (request.guidance != 1))
    return request.count * calls * _CALL_MACS[key]


class Speeds:
    """Seconds per multiply-add of every model that has drawn; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, float] = {}

    def learn(self, request: Request, seconds: float) -> None:
        """A run took so long; not more than nothing, if a clock was set back, says nothing."""
        if seconds <= 0:
            return
        now = seconds / macs(request)
        with self._lock:
            self._known[request.model] = MEMORY * self._known.get(request.model, now) + (1 - MEMORY) * now

    def seconds(self, request: Request) -> float:
        """How long a run takes, about."""
        with self._lock:
            known = self._known.get(request.model)
            if known is None and self._known:
                known = math.exp(sum(map(math.log, self._known.values())) / len(self._known))
        usual = 1 / (USUAL_GPU if choose_device().type == "cuda" else USUAL_CPU)
        return macs(request) * (usual if known is None else known)


SPEEDS = Speeds()


def seconds_of_call(
    model: Any, label: Any = None, scan: Any = None, solver: Any = None, steps: Any = None, guidance: Any = None,
    seed: Any = 0, count: Any = 4, *others: Any, prompt: Any = None, **more: Any,
) -> float:  # fmt: skip
    """How long a call with these settings takes, about; the model's own in place of None.

    Hardly anything for settings that will be refused.
    """
    try:
        settings = with_defaults(model, solver, steps, guidance)
        return SPEEDS.seconds(to_request(model, label, scan, *settings, 0, count, prompt=prompt))
    except (ValueError, TypeError):
        return REFUSED_SECONDS


def seconds_of_values(names: Sequence[str]) -> Callable[..., float]:
    """As `seconds_of_call` for the values of controls, by the names of settings; further values are left out."""

    def seconds(*values: Any) -> float:
        settings = dict(zip(names, values, strict=False))
        return seconds_of_call(**{name: settings[name] for name in MAIN if name in settings})

    return seconds


def waiting_text(before: int, seconds: float) -> str:
    """The line of a run that has some before it."""
    if before == 0:
        return texts.WAITING
    runs = "one run is" if before == 1 else f"{before} runs are"
    line = f"Waiting: {runs} before this one, about {max(1, round(seconds))} s; one runs at a time."
    return line if device.panel() is None else f"{line} {texts.DRAW_MEANWHILE}"


def starting_text() -> str:
    """The line of a run until its first step."""
    return texts.COMPILING if backends.is_warming_up() else texts.STARTING
