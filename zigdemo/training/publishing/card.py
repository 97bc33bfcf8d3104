"""What the cards of all trained models say; their templates are in the folder `cards` beside this file."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...huggingface import fill_card
from ..trainer.processes import place
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

    kind: name of the template. metadata: as in `fill_card`; its "tags" are added to those of every model. about: the
    facts in the config of the model. values: what this kind of card shows besides.
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
        optimizer=optimizer(recipe),
        seen=f"{about['images_in_this_run']:,}",
        earlier=f", starting from {start} had seen {before:,}" if before else "",
        compute=f"{about.get('place') or place()}, {'fp32' if numbers == 'no' else numbers}",
        **values,
    )


def optimizer(recipe: Recipe) -> str:
    """The optimisers of a run and their learning rates, as a card names them."""
    return f"AdamW {recipe.lr:g}" + (f", Muon {recipe.muon_lr:g} for matrices" if recipe.muon_lr else "")


def millions(network: torch.nn.Module) -> str:
    """The number of parameters of a network in millions, as text."""
    return f"{sum(parameter.numel() for parameter in network.parameters()) / 1e6:.2f}"


def commit() -> str:
    """The short hash of the commit of the source code; "unknown" where it is no git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
