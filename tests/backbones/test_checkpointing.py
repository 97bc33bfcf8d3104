"""Recomputing blocks in the backward pass changes the memory of a training step and nothing else."""

import pytest
import torch
from models import noisy

from zigdemo.backbones import DiffuSSMConfig, DiGConfig, DiTConfig, ZigMaConfig

SIZES = {"size": (16, 16), "patch": 2, "width": 32, "labels": 4, "label_dropout": 0.5, "depth": 6}
CONFIGS = {
    "dit": DiTConfig(heads=2, **SIZES),
    "dit in-context": DiTConfig(heads=2, conditioning="in-context", **SIZES),
    "dig": DiGConfig(heads=2, **SIZES),
    "dig u-shape": DiGConfig(heads=2, skip=True, conv="inside", **SIZES),
    "diffussm": DiffuSSMConfig(modes=4, **SIZES),
    "zigma": ZigMaConfig(state_size=4, drop_path=0.5, **SIZES),
}


def step(network):
    """Output, gradients, and the numbers kept for the backward pass, of one step drawn from one seed."""
    torch.manual_seed(1)
    kept = {}

    def pack(value):
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes() // 4
        return value

    network.zero_grad()
    x = torch.randn(2, 3, 16, 16)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        output = network.train()(x, torch.rand(2), torch.tensor([0, 3]))
    (output * torch.randn_like(output)).sum().backward()
    return output.detach(), [p.grad for p in network.parameters() if p.requires_grad], sum(kept.values())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_gradients_are_the_same_and_far_less_is_kept(config):
    network = noisy(config)
    output, gradients, kept = step(network)
    network.checkpointing = True
    same_output, same_gradients, kept_less = step(network)
    assert torch.equal(output, same_output)
    for gradient, same in zip(gradients, same_gradients, strict=True):
        torch.testing.assert_close(gradient, same)
    weights = sum(p.numel() for p in network.parameters())
    assert kept_less - weights < (kept - weights) / 3
