"""Drawing the cells of a matrix: each request once, with its seconds, network calls and the judge's score."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ...data import asked_attributes
from ...evaluation.judge import Judge, load_judge
from ...pipeline import Request, Result
from ..files import save_clips, save_pictures
from ..runs import run_to_end
from ..settings import installed_model
from ..turns import Stopped

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
        try:
            path = Path(_save(result))
        except Stopped:
            return None
        is_portrait = installed_model(request.model).about.get("data") == "portraits"
        picture = Picture(path, result.seconds, result.nfe, *score(result, is_portrait))
        with self._lock:
            self._kept[_key(request)] = picture
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return picture


def _key(request: Request) -> str:
    return json.dumps([request.settings, installed_model(request.model).stamp], sort_keys=True)


CELLS = Cells()
