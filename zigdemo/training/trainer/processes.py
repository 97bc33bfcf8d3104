"""The processes of a run: on which device and in which precision they train, and whom they tell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from .recipe import Recipe
from .rules import precision

if TYPE_CHECKING:
    from accelerate import Accelerator


def accelerator_of(recipe: Recipe) -> Accelerator:
    """The accelerator of a run, in the precision and with the trackers of its recipe."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    mixed_precision = precision(recipe.precision)
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != mixed_precision:
        AcceleratorState._reset_state()  # left by an earlier run in this process; there is no public way
    cpu_only = not (torch.cuda.is_available() or torch.backends.mps.is_available())
    return Accelerator(
        cpu=cpu_only,  # must be explicit for processes on CPUs to find each other
        mixed_precision=mixed_precision,
        log_with=recipe.trackers or None,
        project_dir=recipe.run,
    )


def place() -> str:
    """The GPU, or the number of CPU cores, of this machine, as a card names them."""
    return f"one {torch.cuda.get_device_name()}" if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores"
