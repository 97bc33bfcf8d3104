"""Weights and optimiser state sharded over several processes (FSDP), saved and loaded as full tensors.

Checkpoints hold full tensors, as from a single process, so a run can be resumed with another number of processes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map


def whole(value: Any) -> Any:
    """The full tensor of a sharded one (every process must call this); any other value unchanged."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def whole_state(state: dict[str, Any]) -> dict[str, Any]:
    """A state dict of a model or an optimiser with every sharded tensor gathered, on the CPU."""
    return tree_map(lambda value: whole(value).cpu() if hasattr(value, "full_tensor") else value, state)


def _shard_like(value: Tensor, like: Tensor) -> Tensor:
    """This process's shard of a full tensor if `like` is sharded, else the tensor itself."""
    if not hasattr(like, "placements") or value.shape != like.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


def load_model(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Load full tensors into a model that may be sharded."""
    target = model.state_dict()
    shards = {key: _shard_like(value, target[key]) if key in target else value for key, value in state.items()}
    model.load_state_dict(shards)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a full state into an optimiser whose parameters may be sharded."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots = {
        place: {name: _shard_like(value, parameters[place]) for name, value in slot.items()}
        for place, slot in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": slots})
