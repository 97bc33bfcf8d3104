"""Recorded outputs of the official sampling code, and the closed-form functions they were recorded with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

GOLDEN = Path(__file__).parents[1] / "golden"
PATH_OF = {"Linear": "linear", "GVP": "gvp", "VP": "vp"}


def record(name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the description of one file."""
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
        return tensors, json.loads(file.metadata()["json"])


def close(mine: Tensor, theirs: Tensor, tolerance: float = 1e-4) -> bool:
    """Equal within `tolerance` of the recorded spread."""
    return bool((mine - theirs).abs().max() <= tolerance * theirs.std())


def _time_first(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, t: function(x, t.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1)))


OUTPUTS = {
    "velocity": _time_first(lambda x, t: -0.7 * x + 0.4 * torch.sin(2 * x + 3 * t) + 0.3 * t),
    "score": _time_first(lambda x, t: -x * (0.6 + 0.3 * t) + 0.2 * torch.cos(x - t)),
    "noise": _time_first(lambda x, t: 0.8 * torch.tanh(x) + 0.25 * t),
}
