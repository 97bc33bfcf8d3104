"""A text tower trained jointly with the network that it conditions."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ...conditioning import TextTower, hidden_states

if TYPE_CHECKING:
    from accelerate import Accelerator

# Weights of CLIP that the features of words do not depend on.
UNUSED = ("visual.", "logit_scale", "logit_bias", "text_projection")


def lengthen(tower: TextTower, context: int) -> TextTower:
    """A tower with a context of `context` tokens; new position embeddings start as copies of the last one.

    Raises ValueError for a context shorter than the tower's.
    """
    positions, clip_model = tower.clip_model.positional_embedding.detach(), tower.clip_model
    if context < len(positions):
        raise ValueError(
            f"tower_context {context} is less than the {len(positions)} tokens of the tower; choose at least as many"
        )
    more = positions[-1:].expand(context - len(positions), -1)
    clip_model.positional_embedding = nn.Parameter(torch.cat([positions, more]), requires_grad=False)
    clip_model.context_length = context
    if clip_model.attn_mask is not None:
        clip_model.attn_mask = torch.full((context, context), float("-inf"), device=positions.device).triu(1)
    return TextTower(clip_model, tower.name, tower.sha256)


class _Words(nn.Module):
    """Token ids to features as a module, so that accelerate can average its gradients over processes."""

    def __init__(self, clip_model: nn.Module) -> None:
        super().__init__()
        self.clip_model = clip_model

    def forward(self, ids: Tensor) -> Tensor:
        return hidden_states(self.clip_model, ids)


class LearningTower:
    """A tower whose text half is trained, with a moving average of its weights.

    tower: its text weights become trainable. weights: the trainable ones. Raises ValueError under FSDP.
    """

    def __init__(self, tower: TextTower, accelerator: Accelerator) -> None:
        if accelerator.distributed_type.value == "FSDP":
            raise ValueError("tower_lr is not supported with FSDP; train without FSDP, or leave tower_lr out")
        self.tower = tower
        self.weights = [
            weight.requires_grad_(True)
            for name, weight in tower.clip_model.named_parameters()
            if not name.startswith(UNUSED)
        ]
        self._average_model = deepcopy(tower.clip_model).requires_grad_(False)
        self._words = accelerator.prepare(_Words(tower.clip_model))

    def __call__(self, ids: Tensor) -> Tensor:
        """Features (batch, words, width) of token ids (batch, words) int64."""
        return self._words(ids)

    @property
    def averaged(self) -> TextTower:
        """A new tower with the averaged weights and an empty cache of features."""
        return TextTower(self._average_model, self.tower.name, self.tower.sha256)

    @torch.no_grad()
    def average(self, keep: float) -> None:
        """Update the moving average of the weights; keep: the decay."""
        averages = [p for name, p in self._average_model.named_parameters() if not name.startswith(UNUSED)]
        torch._foreach_lerp_(averages, [weight.detach() for weight in self.weights], 1 - keep)

    def states(self) -> dict[str, dict[str, Tensor]]:
        """The state dicts for a checkpoint."""
        return {"learned": self.tower.clip_model.state_dict(), "average": self._average_model.state_dict()}

    def load(self, states: dict[str, dict[str, Tensor]]) -> None:
        """Restore the state dicts of a checkpoint."""
        self.tower.clip_model.load_state_dict(states["learned"])
        self._average_model.load_state_dict(states["average"])
