"""A text tower that learns along with the network that reads it."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ...conditioning import TextTower, hidden_states

if TYPE_CHECKING:
    from accelerate import Accelerator

# Weights of a CLIP that do not take part in the features of words.
UNUSED = ("visual.", "logit_scale", "logit_bias", "text_projection")


def lengthen(tower: TextTower, context: int) -> TextTower:
    """A tower that reads `context` tokens, at least as many as before; a position it had not starts as its last."""
    positions, clip = tower.clip_model.positional_embedding.detach(), tower.clip_model
    if context < len(positions):
        raise ValueError(f"tower_context {context} is less than the {len(positions)} tokens the tower reads; give more")
    more = positions[-1:].expand(context - len(positions), -1)
    clip.positional_embedding = nn.Parameter(torch.cat([positions, more]), requires_grad=False)
    clip.context_length = context
    if clip.attn_mask is not None:
        clip.attn_mask = torch.full((context, context), float("-inf"), device=positions.device).triu(1)
    return TextTower(clip, tower.name, tower.sha256)


class _Words(nn.Module):
    """Tokens to features as a module of its own, so that several processes can share its gradients."""

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, ids: Tensor) -> Tensor:
        return hidden_states(self.clip, ids)


class LearningTower:
    """The text half of a tower in training, with the average of its weights.

    tower: its weights learn from now on. weights: those that do. Raises ValueError where weights are kept in shards.
    """

    def __init__(self, tower: TextTower, accelerator: Accelerator) -> None:
        if accelerator.distributed_type.value == "FSDP":
            raise ValueError("tower_lr needs whole weights in every process; train without FSDP, or leave tower_lr out")
        self.tower = tower
        self.weights = [
            weight.requires_grad_(True)
            for name, weight in tower.clip_model.named_parameters()
            if not name.startswith(UNUSED)
        ]
        self._clip_average = deepcopy(tower.clip_model).requires_grad_(False)
        self._words = accelerator.prepare(_Words(tower.clip_model))

    def __call__(self, ids: Tensor) -> Tensor:
        """Features (batch, words, width) of tokens (batch, words) int64."""
        return self._words(ids)

    @property
    def averaged(self) -> TextTower:
        """The tower with its averaged weights, which keeps no features of earlier ones."""
        return TextTower(self._clip_average, self.tower.name, self.tower.sha256)

    @torch.no_grad()
    def average(self, keep: float) -> None:
        """Move the average towards the weights; keep: its share of the new average."""
        averages = [p for name, p in self._clip_average.named_parameters() if not name.startswith(UNUSED)]
        torch._foreach_lerp_(averages, [weight.detach() for weight in self.weights], 1 - keep)

    def states(self) -> dict[str, dict[str, Tensor]]:
        """What a checkpoint keeps."""
        return {"learned": self.tower.clip_model.state_dict(), "average": self._clip_average.state_dict()}

    def load(self, states: dict[str, dict[str, Tensor]]) -> None:
        """Go on from what a checkpoint kept."""
        self.tower.clip_model.load_state_dict(states["learned"])
        self._clip_average.load_state_dict(states["average"])
