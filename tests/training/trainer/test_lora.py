"""Adapters start at zero, sit on every projection of every backbone and merge without a trace; old labels stay."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import floats, integers
from models import LABELS, tiny_folder
from torch import nn

from zigdemo.backbones import FAMILIES
from zigdemo.training.trainer.lora import TABLE, adapt, grow_labels, merged, projections
from zigdemo.training.trainer.rules import rows_by_share
from zigdemo.zoo import read_folder

PLACES = {
    "zigma": {"mixer.in_proj", "mixer.x_proj", "mixer.out_proj"},
    "dit": {"attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"},
    "dig": {f"attn.{part}_proj" for part in "qkvgo"} | {"mlp.gate_proj", "mlp.down_proj"},
    "diffussm": {"enter", "up.linear", "down.linears.0", "down.linears.1", "gate", "out"},
}


@pytest.fixture(params=FAMILIES)
def network(request, tmp_path):
    return tiny_folder(tmp_path / "tiny", request.param).load().requires_grad_(True)


def inputs():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 16, 16, generator=generator), torch.tensor([0.3, 0.7]), torch.tensor([0, 2])


def trained(network, steps=3):
    """A few steps of a made-up task on what learns."""
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.0)
    for _ in range(steps):
        network(*inputs()).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return network


def test_every_projection_gets_an_adapter(network, request):
    family = request.node.callspec.params["network"]
    assert {name.removeprefix("blocks.0.") for name in projections(network) if ".0." in name[:9]} == PLACES[family]


def test_an_adapter_starts_at_zero_learns_and_merges_without_a_trace(network):
    before, names = network(*inputs()), [name for name, _ in network.named_parameters()]
    plain = {name: value.clone() for name, value in network.state_dict().items()}
    adapt(network, "lora", rank=2, known_labels=2)
    assert torch.allclose(network(*inputs()), before, atol=1e-6)
    learns = {name for name, value in network.named_parameters() if value.requires_grad}
    assert all("lora_" in name or name == TABLE for name in learns)
    after = trained(network)(*inputs())
    assert not torch.allclose(after, before, atol=1e-4)
    merged(network)
    assert [name for name, _ in network.named_parameters()] == names
    assert torch.allclose(network(*inputs()), after, atol=1e-5)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, plain[name])}
    assert changed == {f"{name}.weight" for name in projections(network)} | {TABLE}
    assert type(network.get_submodule(projections(network)[0])) is nn.Linear


@pytest.mark.parametrize("method", ["lora", "conditioning"])
def test_known_labels_and_the_null_row_stay_bit_for_bit(network, method):
    before = network.get_parameter(TABLE).detach().clone()
    adapt(network, method, rank=2, known_labels=2)
    after = merged(trained(network)).get_parameter(TABLE)
    assert torch.equal(after[[0, 1, 3]], before[[0, 1, 3]]) and not torch.equal(after[2], before[2])


def test_conditioning_alone_leaves_the_blocks_own_maps(network):
    plain = {name: value.clone() for name, value in network.state_dict().items()}
    adapt(network, "conditioning", rank=1)
    trained(network)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, plain[name])}
    assert changed and all("adaLN_modulation" in name or "y_embedder" in name for name in changed)


def test_new_labels_stand_beside_old_ones_and_start_as_the_null_row(tmp_path):
    state = tiny_folder(tmp_path / "tiny").state()
    grown = grow_labels(state, LABELS, [*LABELS, "robot", "boat"])[TABLE]
    assert torch.equal(grown[:3], state[TABLE][:3])
    assert all(torch.equal(grown[row], state[TABLE][3]) for row in (3, 4, 5)) and len(grown) == 6
    assert read_folder(tmp_path / "tiny").labels == tuple(LABELS)


@given(old=integers(1, 300), new=integers(1, 300), share=floats(0.05, 0.95))
@settings(deadline=None)
def test_a_group_has_its_share_and_nothing_is_lost(old, new, share):
    groups = ["rehearsed"] * old + ["new"] * new
    rows = rows_by_share(np.arange(old + new), groups, {"rehearsed": share})
    assert set(rows) == set(range(old + new))
    fewer = min(share / old, (1 - share) / new)
    assert abs((rows < old).mean() - share) < 0.2 or fewer == 0  # whole repeats: near, for small sets
