"""What model cards say of every network and training; the templates are beside this file."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...huggingface import fill_card
from ..trainer.recipe import Recipe
from ..trainer.rules import precision

CARDS = Path(__file__).parent / "cards"


def run_card(
    kind: str,
    metadata: Mapping[str, Any],
    name: str,
    recipe: Recipe,
    about: dict[str, Any],
    network: torch.nn.Module,
    **values: Any,
) -> str:
    """The README.md of a model that a run trained.

    kind: name of the template. metadata: as in `fill_card`, "tags" beside those of every model. about: the facts of the
    model folder. values: what this kind of card shows beside the common ones.
    """
    family = recipe.model["family"]
    before = about["images_seen"] - about["images_in_this_run"]
    numbers = precision(recipe.precision)
    start = f"{Path(recipe.init).name}, which" if recipe.init else "weights that"
    return fill_card(
        CARDS / f"{kind}.md",
        {**metadata, "tags": ["zigdemo", "diffusion", *metadata.get("tags", ()), family]},
        name=name,
        family=family,
        millions=millions(network),
        config=network.config,
        recipe=recipe,
        about=about,
        steps=f"{about['steps']:,}",
        optimizer=f"AdamW {recipe.lr:g}" + (f", Muon {recipe.muon_lr:g} for matrices" if recipe.muon_lr else ""),
        seen=f"{about['images_in_this_run']:,}",
        earlier=f", starting from {start} had seen {before:,}" if before else "",
        compute=f"{place()}, {'fp32' if numbers == 'no' else numbers}",
        **values,
    )


def millions(network: torch.nn.Module) -> str:
    """Its number of parameters in millions."""
    return f"{sum(parameter.numel() for parameter in network.parameters()) / 1e6:.2f}"


def place() -> str:
    """The processors of this machine, on which its runs were trained."""
    return f"one {torch.cuda.get_device_name()}" if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores"


def commit() -> str:
    """The commit of the source code, in short; "unknown" where it is no git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
