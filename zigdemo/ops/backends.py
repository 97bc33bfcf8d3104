"""Which implementation of each operator runs on this machine, and why."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

ENVIRONMENT = "ZIGDEMO_BACKEND"  # names one backend for every operator that has it, over the automatic choice


@cache
def numba_fault() -> str | None:
    """Why the numba kernels cannot run, or None where they can."""
    try:
        importlib.import_module("zigdemo.ops.selective_scan.cpu")
    except ModuleNotFoundError as fault:
        return f"{fault.name} is not installed (pip install numba)"
    except (ImportError, AttributeError, SystemError, OSError, RuntimeError) as fault:
        return f"numba does not import here: {str(fault).splitlines()[0]}"
    return None


def _cpu_fault(device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type != "cpu":
        return f"runs on the CPU only, the tensors are on {device.type}"
    if dtype == torch.float64:
        return "computes in float32, float64 was asked for"
    return numba_fault()


@dataclass(frozen=True)
class Backend:
    """One implementation: `fault(device, dtype)` is None where it can run, otherwise the reason."""

    name: str
    title: str
    fault: Callable[[torch.device, torch.dtype], str | None]


# Best first; the last always runs.
OPERATORS: dict[str, tuple[Backend, ...]] = {
    "selective_scan": (
        Backend("cpu", "numba kernels, order inside, own threads", _cpu_fault),
        Backend("reference", "plain torch, one token at a time (slow)", lambda device, dtype: None),
    ),
    "s4d_convolution": (
        Backend("fft", "kernel by matrix products, convolution by FFT", lambda device, dtype: None),
        Backend("reference", "plain torch, one token at a time (slow)", lambda device, dtype: None),
    ),
}


@dataclass(frozen=True)
class Status:
    """One line of the report: what a backend is, whether it can run, whether it was chosen, and why."""

    operator: str
    backend: str
    available: bool
    chosen: bool
    reason: str


def _from_environment(operator: str) -> str:
    """What the environment asks of this operator: a backend that only other operators have is no wish here."""
    wanted = os.environ.get(ENVIRONMENT, "auto")
    own = {entry.name for entry in OPERATORS[operator]}
    others = {entry.name for known in OPERATORS.values() for entry in known} - own
    return "auto" if wanted in others else wanted


def choose(operator: str, backend: str, device: torch.device, dtype: torch.dtype) -> str:
    """The backend that runs `operator` on tensors of this device and dtype.

    backend: "auto" takes the environment's, else the best that can run. Raises ValueError for a name that does not
    exist or cannot run here, with the reason.
    """
    known = OPERATORS[operator]
    wanted = _from_environment(operator) if backend == "auto" else backend
    if wanted == "auto":
        return next(entry.name for entry in known if entry.fault(device, dtype) is None)
    for entry in known:
        if entry.name == wanted:
            fault = entry.fault(device, dtype)
            if fault is None:
                return wanted
            raise ValueError(f"backend {wanted!r} of {operator} cannot run: {fault}; use backend='auto'")
    raise ValueError(f"unknown backend {wanted!r} of {operator}; choose auto, {', '.join(e.name for e in known)}")


def report(device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> list[Status]:
    """Every operator's backends for tensors of this device and dtype: available, why not, chosen, why."""
    device = torch.device(device)
    lines = []
    for operator, known in OPERATORS.items():
        chosen = choose(operator, "auto", device, dtype)
        for entry in known:
            fault = entry.fault(device, dtype)
            picked = entry.name == chosen
            why = fault or (f"the fastest that runs here: {entry.title}" if picked else entry.title)
            if picked and _from_environment(operator) != "auto":
                why = f"asked for by {ENVIRONMENT}"
            lines.append(Status(operator, entry.name, fault is None, picked, why))
    return lines


def warm_up() -> None:
    """Compile the CPU kernels, or load them from the disk cache, so that the first picture need not wait."""
    if numba_fault() is None:
        importlib.import_module("zigdemo.ops.selective_scan.cpu").warm_up()
