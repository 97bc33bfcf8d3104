"""Which implementation of each operator runs on this machine, and why."""

from __future__ import annotations

import importlib
import inspect
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

ENVIRONMENT = "ZIGDEMO_BACKEND"  # selects a backend for every operator that has one of that name


@cache
def numba_fault() -> str | None:
    """Why the numba kernels cannot run, or None if they can."""
    try:
        importlib.import_module("zigdemo.ops.selective_scan.cpu")
    except ModuleNotFoundError as fault:
        return f"{fault.name} is not installed (pip install numba)"
    except (ImportError, AttributeError, SystemError, OSError, RuntimeError) as fault:
        return f"numba does not import here: {str(fault).splitlines()[0]}"
    return None


@cache
def _fla_import_fault() -> str | None:
    try:
        chunk_gla = importlib.import_module("fla.ops.gla").chunk_gla
    except ModuleNotFoundError as fault:
        return f"{fault.name} is not installed (pip install flash-linear-attention)"
    except (ImportError, AttributeError, OSError, RuntimeError) as fault:
        return f"flash-linear-attention does not import here: {str(fault).splitlines()[0]}"
    head_first = inspect.signature(chunk_gla).parameters.get("head_first")
    if head_first is not None and head_first.default is True:
        return "flash-linear-attention is too old: its tensors are head-first (pip install -U flash-linear-attention)"
    return None


def _fla_fault(device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type != "cuda":
        return f"runs on CUDA only, the tensors are on {device.type}"
    if dtype == torch.float64:
        return "keeps its states in float32, float64 was asked for"
    return _fla_import_fault()


def _cpu_fault(device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type != "cpu":
        return f"runs on the CPU only, the tensors are on {device.type}"
    if dtype == torch.float64:
        return "computes in float32, float64 was asked for"
    return numba_fault()


@cache
def _import_fault(module: str, install: str) -> str | None:
    """Why an optional package cannot be used, or None; incompatible compiled packages fail in many ways."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as fault:
        return f"{fault.name} is not installed ({install})"
    except (ImportError, AttributeError, OSError, RuntimeError) as fault:
        return f"{module.partition('.')[0]} does not import here: {str(fault).splitlines()[0]}"
    return None


def _interpreted(backend: str, device: torch.device) -> bool:
    """Whether a backend would run in Triton's interpreter: correct but very slow, so never chosen automatically."""
    return backend == "triton" and device.type == "cpu"


def _triton_fault(device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type != "cuda" and not (device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"):
        return f"runs on a GPU, the tensors are on {device.type}"
    if dtype == torch.float64:
        return "computes in float32, float64 was asked for"
    return _import_fault("triton", "it comes with torch for Linux; triton-windows has it for Windows")


def _mamba_fault(device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type != "cuda":
        return f"runs on a CUDA GPU, the tensors are on {device.type}"
    if dtype == torch.float64:
        return "computes in float32, float64 was asked for"
    return _import_fault("mamba_ssm.ops.selective_scan_interface", "see requirements-gpu.txt")


@dataclass(frozen=True)
class Backend:
    """One implementation: `fault(device, dtype)` is None if it can run, otherwise the reason."""

    name: str
    title: str
    fault: Callable[[torch.device, torch.dtype], str | None]


# In order of preference; the last one always runs.
OPERATORS: dict[str, tuple[Backend, ...]] = {
    "selective_scan": (
        Backend("cpu", "numba kernels, order inside, own threads", _cpu_fault),
        Backend("triton", "our GPU kernels, order inside", _triton_fault),
        Backend("mamba_ssm", "the CUDA kernel of mamba-ssm between two gathers", _mamba_fault),
        Backend("reference", "plain torch, one token at a time (slow)", lambda device, dtype: None),
    ),
    "gated_linear_attention": (
        Backend("triton", "our GPU kernels, chunks as matrix products, order inside", _triton_fault),
        Backend("fla", "flash-linear-attention's chunk kernel", _fla_fault),
        Backend("cpu", "numba kernels, chunks as matrix products, own threads", _cpu_fault),
        Backend("reference", "plain torch, one token at a time (slow)", lambda device, dtype: None),
    ),
    "s4d_convolution": (
        Backend("cpu", "numba kernels, the recurrence in vector registers", _cpu_fault),
        Backend("fft", "kernel by matrix products, convolution by FFT", lambda device, dtype: None),
        Backend("reference", "plain torch, one token at a time (slow)", lambda device, dtype: None),
    ),
}


@dataclass(frozen=True)
class Status:
    """One line of the report: whether a backend can run, whether it is chosen, and why."""

    operator: str
    backend: str
    available: bool
    chosen: bool
    reason: str


def choose(operator: str, backend: str, device: torch.device, dtype: torch.dtype) -> str:
    """The backend that runs `operator` on tensors of this device and dtype.

    backend: "auto" uses the one set in the environment, else the best available. Raises ValueError with the reason for
    a name that does not exist or cannot run here.
    """
    entries = OPERATORS[operator]
    setting = _environment_backend(operator) if backend == "auto" else backend
    if setting == "auto":
        able = (entry.name for entry in entries if entry.fault(device, dtype) is None)
        return next(name for name in able if not _interpreted(name, device))
    for entry in entries:
        if entry.name == setting:
            fault = entry.fault(device, dtype)
            if fault is None:
                return setting
            raise ValueError(f"backend {setting!r} of {operator} cannot run: {fault}; use backend='auto'")
    raise ValueError(f"unknown backend {setting!r} of {operator}; choose auto, {', '.join(e.name for e in entries)}")


def _environment_backend(operator: str) -> str:
    """The backend that the environment sets for an operator; "auto" if only other operators have it."""
    setting = os.environ.get(ENVIRONMENT, "auto")
    names = {entry.name for known in OPERATORS.values() for entry in known}
    if setting != "auto" and setting not in names:
        raise ValueError(f"{ENVIRONMENT} is {setting!r}; set it to auto or one of {', '.join(sorted(names))}")
    return setting if setting in [entry.name for entry in OPERATORS[operator]] else "auto"


def report(device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> list[Status]:
    """All backends of every operator for this device and dtype: availability, choice and reasons."""
    device = torch.device(device)
    lines = []
    for operator, entries in OPERATORS.items():
        choice = choose(operator, "auto", device, dtype)
        for entry in entries:
            fault = entry.fault(device, dtype)
            is_chosen = entry.name == choice
            why = fault or (f"the fastest that runs here: {entry.title}" if is_chosen else entry.title)
            if is_chosen and _environment_backend(operator) != "auto":
                why = f"asked for by {ENVIRONMENT}"
            lines.append(Status(operator, entry.name, fault is None, is_chosen, why))
    return lines


_warming_up = threading.Event()


def warm_up() -> None:
    """Compile the CPU kernels, or load them from the disk cache, so that the first picture does not wait."""
    _warming_up.set()
    try:
        if numba_fault() is None:
            for operator in ("selective_scan", "gla", "s4d"):
                importlib.import_module(f"zigdemo.ops.{operator}.cpu").warm_up()
    finally:
        _warming_up.clear()


def is_warming_up() -> bool:
    """Whether `warm_up` is at work, so that a run that starts now waits for kernels."""
    return _warming_up.is_set()
