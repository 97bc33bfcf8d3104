"""Drawing the cells of a matrix: each request once, with its seconds, network calls and the judge's score."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ...data import asked_attributes
from ...diffusion import SAMPLERS
from ...evaluation.judge import Judge, load_judge
from ...explain.complexity import cost
from ...pipeline import Request, Result
from ..files import save_clips, save_pictures
from ..runs import MODELS, run_to_end
from ..settings import FIRST, installed_model
from ..turns import TURNS

MOST_KEPT = 400  # pictures


@dataclass(frozen=True)
class Picture:
    """A drawn cell: its file with the settings inside, PNG or for a clip an animated WebP.

    shown, asked: attributes, both 0 where the prompt has none.
    """

    path: Path
    seconds: float
    calls: int
    shown: int = 0
    asked: int = 0


@cache
def _judge() -> Judge | None:
    try:
        return load_judge()
    except ValueError:
        return None  # the score is left out, as it is for pictures that are no portraits


def score(result: Result, draws_portraits: bool) -> tuple[int, int]:
    """How many attributes the prompt asks for and how many of them the judge finds: (shown, asked), or (0, 0)."""
    prompt = result.request.prompt
    asked = asked_attributes(prompt) if prompt and draws_portraits else {}
    judge = _judge() if asked else None
    if judge is None:
        return 0, 0
    obedience = judge.obedience(np.array(result.images[0])[None], [asked])
    return sum(obedience.shown.values()), sum(obedience.asked.values())


def _save(result: Result) -> str:
    return save_clips(result, ["webp"])[0]["webp"] if result.clips else save_pictures(result)[0]


class Cells:
    """Pictures by their requests, kept for later matrices; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._seconds_per_mac: dict[str, float] = {}  # of each model, measured in its last run

    def kept(self, request: Request) -> Picture | None:
        """The picture of a request that was drawn before with the same weights, if its file is still there."""
        with self._lock:
            picture = self._kept.get(_key(request))
        return picture if picture is not None and picture.path.is_file() else None

    def draw(self, request: Request, stopped: Callable[[], bool]) -> Picture | None:
        """The picture of a request, drawn or kept; None once `stopped()`. Raises ValueError where its model refuses."""
        picture = self.kept(request)
        if picture is not None:
            return picture
        step = run_to_end(request, stopped=stopped)
        if step is None:
            return None
        result = step.result
        self._seconds_per_mac[request.model] = result.seconds / _macs(request)
        picture = Picture(
            Path(_save(result)), result.seconds, result.nfe,
            *score(result, installed_model(request.model).about.get("data") == "portraits"),
        )  # fmt: skip
        with self._lock:
            self._kept[_key(request)] = picture
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return picture

    def seconds(self, requests: list[Request]) -> float:
        """How long so many pictures take here, without those that are kept, by the speed measured on this machine."""
        todo = [request for request in requests if self.kept(request) is None]
        if todo and not self._seconds_per_mac:
            with TURNS.queued():
                self._probe(todo)
        known = self._seconds_per_mac
        usual = sum(known.values()) / max(1, len(known))
        return sum(_macs(request) * known.get(request.model, usual) for request in todo)

    def _probe(self, requests: list[Request]) -> None:
        """Time the second and third step of a short run; the first loads and compiles."""
        models = {request.model for request in requests}
        model = next((name for name in FIRST if name in models), requests[0].model)
        request = next(r for r in requests if r.model == model)
        short = Request(model, prompt=request.prompt, label=request.label, solver="euler", steps=3, count=1)
        steps = MODELS.get(installed_model(model)).stream(short, previews=False)
        next(steps)
        started = time.monotonic()
        for _ in steps:
            pass
        self._seconds_per_mac[model] = (time.monotonic() - started) / (_macs(short) * 2 / 3)


def _key(request: Request) -> str:
    return json.dumps([request.settings, installed_model(request.model).stamp], sort_keys=True)


def _macs(request: Request) -> float:
    """Multiply-accumulates of a run, about: those of its network calls, twice as many with guidance."""
    calls = (SAMPLERS[request.solver].calls or 2) * request.steps * (1 + (request.guidance != 1))
    return calls * sum(part.macs for part in cost(installed_model(request.model).model).values())


CELLS = Cells()
