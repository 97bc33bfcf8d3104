"""The optimiser of a run: AdamW, and for the weight matrices of the blocks Muon where the recipe asks for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .recipe import Recipe

NARROWEST = 32  # narrower maps make step sizes and gates, whose directions do not matter equally, as Muon assumes


def matrices(network: nn.Module) -> list[nn.Parameter]:
    """The trained weights of the blocks' linear maps that are at least NARROWEST on both sides."""
    maps = (module for module in network.blocks.modules() if isinstance(module, nn.Linear))
    return [m.weight for m in maps if m.weight.requires_grad and min(m.weight.shape) >= NARROWEST]


def make_optimizer(
    recipe: Recipe, network: nn.Module, tower: list[nn.Parameter], device: torch.device | None = None
) -> tuple[torch.optim.Optimizer, list[float]]:
    """The optimiser of all trained weights, and the highest learning rate of each of its parameter groups.

    tower: weights of the text tower that are trained too, or none. device: where all will be trained.
    Raises ValueError if the recipe asks for Muon and torch does not have it, or no matrix is trained.
    """
    by_muon = matrices(network) if recipe.muon_lr else []
    if recipe.muon_lr and not hasattr(torch.optim, "Muon"):
        raise ValueError("muon_lr needs torch 2.9 or newer; update torch, or leave muon_lr out")
    if recipe.muon_lr and not by_muon:
        raise ValueError(f"muon_lr trains whole matrices, and {recipe.method!r} trains none; leave it out")
    chosen = {id(weight) for weight in by_muon}
    rest = [weight for weight in network.parameters() if weight.requires_grad and id(weight) not in chosen]
    groups, rates = [{"params": rest, "lr": recipe.lr}], [recipe.lr]
    if tower:
        groups.append({"params": tower, "lr": recipe.tower_lr})
        rates.append(recipe.tower_lr)
    fused = True if device is not None and device.type == "cuda" else None  # None: what torch thinks best
    adamw = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=fused)
    if not by_muon:
        return adamw, rates
    muon = torch.optim.Muon(
        by_muon, lr=recipe.muon_lr, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"
    )
    return Together(adamw, muon), [*rates, recipe.muon_lr]


class Together(torch.optim.Optimizer):
    """Two optimisers of different weights as one, with the parameter groups and the state of both.

    Which weights go to which: as in Jordan et al. 2024, "Muon". Its updates have the size of AdamW's, see arXiv
    2502.16982.
    """

    def __init__(self, first: torch.optim.Optimizer, second: torch.optim.Optimizer) -> None:
        self.parts, self.first_groups = (first, second), len(first.param_groups)
        super().__init__([*first.param_groups, *second.param_groups], {})

    def step(self, closure: Any = None) -> None:
        """One update of all weights; there is no closure."""
        # Handed over at every step, as loading a state replaces the groups and the state of this one.
        first, second = self.parts
        first.param_groups = self.param_groups[: self.first_groups]
        second.param_groups = self.param_groups[self.first_groups :]
        for part in self.parts:
            part.state = self.state
            part.step()
