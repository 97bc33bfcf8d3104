"""ZeroGPU Spaces: a GPU that is lent for a call at a time, to a process that the `spaces` package forks from this one.

So this process computes on the CPU, and only runs that would take long there ask for the GPU. What they are given and
what they yield is plain data that crosses processes: requests, pictures, steps. The other process keeps models of its
own; whether a run is still wanted is asked here, at every step. Without `spaces`, and elsewhere, all is on the CPU or
on this machine's own GPU. Checked against `spaces` 0.51 and its documentation on 2026-11-27: torch 2.8 and later, no
torch.compile, Python 3.10 to 3.12.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import gradio as gr
import torch
from PIL import Image

from ..devices import LENT_GPU
from ..pipeline import Pipeline, Request, Step
from ..zoo import ModelFolder
from .estimates import SPEEDS
from .turns import CURRENT
from .worker import call_counter

DEVICE = "cuda"  # of the other process
WORTH_SECONDS = 5.0  # on the CPU, from which a run asks for the GPU: getting it takes about that
GPU_SPEED = 50  # times the CPU's, at least, for models that take so long there
BEGIN_SECONDS, MOST_SECONDS = 20, 120  # of the GPU: until the first step, and in all
KEPT_MODELS = 3  # in the other process

_PIPELINES: OrderedDict[Any, Pipeline] = OrderedDict()  # of the other process


def is_lent() -> bool:
    """Whether the GPU of this machine is lent call by call."""
    return _on_gpu is not None


def is_worth_it(seconds: float) -> bool:
    """Whether a run that takes so long on the CPU goes to the lent GPU."""
    return is_lent() and seconds >= WORTH_SECONDS


def gpu_seconds(folder: ModelFolder, request: Request, image: Image.Image | None, previews: bool) -> int:
    """For how long to ask for the GPU."""
    return min(MOST_SECONDS, BEGIN_SECONDS + math.ceil(SPEEDS.seconds(request) / GPU_SPEED))


def steps(folder: ModelFolder, request: Request, image: Image.Image | None, previews: bool) -> Iterator[Step]:
    """The steps of a run on the lent GPU, as of `Pipeline.stream`.

    Raises ValueError with one sentence for what the model refuses, and if no GPU is lent, such as when a visitor's
    share of today is used up.
    """
    try:
        with closing(_on_gpu(folder, request, image, previews)) as values:
            for value in values:
                if isinstance(value, str):
                    raise ValueError(value)
                yield value
    except gr.Error as fault:
        raise ValueError(f"the GPU gave no result: {fault.message}") from None


def run_on_gpu(
    folder: ModelFolder, request: Request, image: Image.Image | None, previews: bool
) -> Iterator[Step | str]:
    """The steps of a run in the other process: one for each of the solver, so that each can be its last.

    The sentence about what is refused is yielded, as that process writes what is raised there to the log.
    """
    CURRENT.set(None)  # the turn, which was forked along, is another process's
    torch.set_num_threads(1)  # those that the parent began are not here
    pipe = _pipeline(folder)
    try:
        yield from pipe.stream(request, image=image, previews=previews, before_call=call_counter(request))
    except ValueError as fault:
        yield str(fault)


def _pipeline(folder: ModelFolder) -> Pipeline:
    key = folder.path, folder.stamp
    if key not in _PIPELINES:
        while len(_PIPELINES) >= KEPT_MODELS:
            _PIPELINES.popitem(last=False)
        _PIPELINES[key] = Pipeline(folder, DEVICE)
    _PIPELINES.move_to_end(key)
    return _PIPELINES[key]


_on_gpu: Callable[..., Iterator[Step | str]] | None = None
if LENT_GPU:
    import spaces

    _on_gpu = spaces.GPU(duration=gpu_seconds)(run_on_gpu)
