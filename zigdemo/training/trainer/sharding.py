"""Weights and optimiser in shards over several processes (FSDP), read and written as if they were whole.

Checkpoints hold whole tensors in the layout of one process, so that a run can go on with another number of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map


def whole(value: Any) -> Any:
    """A sharded tensor put together in every process, all of which must call this; anything else as it is."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def whole_state(state: dict[str, Any]) -> dict[str, Any]:
    """A state dict of a model or an optimiser with every sharded tensor put together, on the CPU."""
    return tree_map(lambda value: whole(value).cpu() if hasattr(value, "full_tensor") else value, state)


def _shard_like(value: Tensor, like: Tensor) -> Tensor:
    """This process's share of a whole tensor, where `like` is sharded."""
    if not hasattr(like, "placements") or value.shape != like.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


def load_model(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Load whole tensors into a model that may be sharded."""
    own = model.state_dict()
    model.load_state_dict({key: _shard_like(value, own[key]) if key in own else value for key, value in state.items()})


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a whole state into an optimiser whose parameters may be sharded."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots = {
        place: {name: _shard_like(value, parameters[place]) for name, value in slot.items()}
        for place, slot in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": slots})
