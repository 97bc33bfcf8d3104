"""Which weights fine-tuning changes: all, low-rank adapters of the projections, or the conditioning modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn

METHODS = ("full", "lora", "conditioning")
CONDITIONING = ("y_embedder", "adaLN_modulation", "msa")  # modules that read the label, the text or the time
NO_PROJECTION = ("adaLN_modulation", "dt_proj", "gk_proj")  # maps that make modulations, step sizes and gates
TABLE = "y_embedder.embedding_table.weight"


def projections(network: nn.Module) -> list[str]:
    """Names of the linear layers on tokens in the blocks: inputs and outputs of scans, attention and MLPs."""
    return [
        f"blocks.{name}"
        for name, module in network.blocks.named_modules()
        if isinstance(module, nn.Linear) and not set(name.split(".")) & set(NO_PROJECTION)
    ]


def adapt(network: nn.Module, method: str, rank: int, known_labels: int = 0) -> None:
    """Choose the trainable weights of a network, in place; "lora" adds adapters of rank `rank` to every projection.

    full: all weights. lora: the adapters, which start at zero, and rows of the label table. conditioning: the modules
    of CONDITIONING. Except for "full", the first `known_labels` rows of the label table and the null row are frozen,
    so that the labels they stand for keep their meaning. Source: Hu et al. 2021 (arXiv 2106.09685), implemented by
    peft, with alpha twice the rank.
    """
    if method == "full":
        return
    if method == "lora":
        from peft import LoraConfig, inject_adapter_in_model

        names = projections(network)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names), network)
    else:
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(any(part in name.split(".") for part in CONDITIONING))
    if network.config.labels:
        table = network.get_parameter(TABLE).requires_grad_(True)
        trained = torch.ones(len(table), 1)
        trained[:known_labels] = 0
        trained[network.config.labels :] = 0
        network.register_buffer("trained_labels", trained, persistent=False)  # moves with the network
        table.register_hook(lambda gradient: gradient * network.trained_labels.to(gradient.dtype))


def merged(network: nn.Module) -> nn.Module:
    """The same network with its adapters merged into the weights, in place."""
    if not hasattr(network, "peft_config"):
        return network
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(network.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            outer, _, last = name.rpartition(".")
            setattr(network.get_submodule(outer), last, module.get_base_layer())
    del network.peft_config
    return network


def grow_labels(state: dict[str, Tensor], old: list[str], new: list[str]) -> dict[str, Tensor]:
    """A state dict whose label table has a row for each of the new names, in their order, and the null row last.

    Rows of known names are kept; rows of new names start as copies of the null row.
    """
    if TABLE not in state:
        return state
    places = {name: row for row, name in enumerate(old)}
    rows = [places.get(name, len(old)) for name in new]
    return {**state, TABLE: state[TABLE][[*rows, len(old)]]}
