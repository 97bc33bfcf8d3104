"""Where a training step goes on a GPU, by torch's profiler: how busy it is, and with which kernels."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity
from torch.profiler import profile as torch_profile

from zigdemo.training.trainer import loop

from .training import QUIET, plan

STEPS, WARM_UPS = 20, 10
MOST_KERNELS = 16  # told of a profile


def profile(recipe: str, data: str | None, dry: bool) -> Iterator[dict]:
    """Seconds of a recipe's step by the trainer, as a graph and launched kernel by kernel, and of the kernels in it."""
    for how in ("graph", "launches"):
        with tempfile.TemporaryDirectory() as folder:
            row = {"steps": how, **_measured(recipe, data, dry, Path(folder), by_graph=how == "graph")}
        step, kernels = (1e3 * row[key] for key in ("step_seconds", "kernel_seconds"))
        print(f"{how}: a step takes {step:.2f} ms, its kernels {kernels:.2f} ms", flush=True)
        yield row


def _measured(name: str, data: str | None, dry: bool, folder: Path, by_graph: bool) -> dict:
    """The step of one run."""
    recipe = replace(plan(name, None, data, folder, dry), init=None, **QUIET)
    chooser = loop.graph_fault
    try:
        if not by_graph:
            loop.graph_fault = lambda *rest, **named: "it is measured without"
        training = loop.Training(recipe)
        for _ in range(1 if dry else WARM_UPS):
            _step(training)
        count = 1 if dry else STEPS
        training.loss  # noqa: B018 - waits for the device
        started = time.perf_counter()
        for _ in range(count):
            _step(training)
        training.loss  # noqa: B018
        whole = (time.perf_counter() - started) / count
        on_gpu = training.device.type == "cuda"
        # Of the GPU alone: reading the events of all the operators that launched its kernels takes a minute.
        with torch_profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as found:
            for _ in range(count):
                _step(training)
            training.loss  # noqa: B018
        training.batches.close()
    finally:
        loop.graph_fault = chooser
    kind = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    events = [event for event in found.key_averages() if not on_gpu or _is_kernel(event)]
    events.sort(key=lambda event: -getattr(event, kind))
    busy = sum(getattr(event, kind) for event in events) / count / 1e6
    return {
        "batch": recipe.batch, "step_seconds": whole, "kernel_seconds": busy, "busy": busy / whole,
        "kernels": {event.key[:80]: getattr(event, kind) / count / 1e6 for event in events[:MOST_KERNELS]},
    }  # fmt: skip


def _step(training: loop.Training) -> None:
    training.update()
    training.step += 1


def _is_kernel(event: object) -> bool:
    """Whether an event of a profile is of the GPU itself: operators of the CPU are given the same seconds again."""
    return getattr(event, "device_type", None) == DeviceType.CUDA and not getattr(event, "is_user_annotation", False)
