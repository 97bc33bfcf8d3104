"""The official DiT and SiT against outputs recorded from the official code (weights drawn at random, tiny sizes)."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from zigdemo.backbones.official import build_official, official_dit, official_sit

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = [("DiT", "dit_class_cfg"), ("SiT", "sit_class_cfg"), ("DiT", "dit_eps_probe")]
KEYS = [(official_dit, "dit_xl_2_256"), (official_dit, "dit_xl_2_512"), (official_sit, "sit_xl_2_256")]
TINY = {"input_size": 4, "hidden_size": 16, "depth": 1, "num_heads": 2, "num_classes": 3}


def official(family, name):
    """The network of a file, and the file's tensors."""
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
        config = json.loads(file.metadata()["json"])["config"]
    weights = {key[3:]: value for key, value in tensors.items() if key.startswith("sd.")}
    return build_official(family, config, weights), tensors


def assert_same(value, wanted):
    """Equal up to a ten-thousandth of the standard deviation of what is wanted."""
    assert value.shape == wanted.shape
    assert (value - wanted).abs().max() <= 1e-4 * wanted.std()


@pytest.mark.parametrize(("family", "name"), CASES)
@torch.no_grad()
def test_the_output_is_the_official_one(family, name):
    network, tensors = official(family, name)
    assert_same(network(tensors["in.x"], tensors["in.t"], tensors["in.y"]), tensors["out.fwd"])


@pytest.mark.parametrize(("family", "name"), CASES)
@torch.no_grad()
def test_the_guided_output_is_the_official_one(family, name):
    network, tensors = official(family, name)
    guided = network.forward_with_cfg(
        tensors["in.x"], tensors["in.t_cfg"], tensors["in.y_cfg"], float(tensors["in.cfg_scale"])
    )
    assert_same(guided, tensors["out.cfg"])


@pytest.mark.parametrize(("family", "name"), CASES)
@torch.no_grad()
def test_a_dropped_label_is_the_null_row(family, name):
    network, tensors = official(family, name)
    label = torch.where(tensors["in.force_drop_ids"] == 1, network.config.labels, tensors["in.y"])
    assert torch.equal(network.y_embedder(label), tensors["out.label_emb_dropped"])


@torch.no_grad()
def test_every_block_hands_on_the_official_tokens():
    network, tensors = official("DiT", "dit_class_cfg")
    outputs = []
    for block in network.blocks:
        block.register_forward_hook(lambda block, args, output: outputs.append(output))
    network(tensors["in.x"], tensors["in.t"], tensors["in.y"])
    assert len(outputs) == 3
    for i, output in enumerate(outputs):
        assert_same(output, tensors[f"out.block{i:02}"])


@pytest.mark.parametrize(("make", "name"), KEYS)
def test_published_sizes_have_the_published_names_shapes_and_counts(make, name):
    facts = json.loads((GOLDEN / "keys" / f"{name}.json").read_text())
    with torch.device("meta"):
        network = make(facts["config"])
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == {
        entry["key"]: entry["shape"] for entry in facts["keys"]
    }
    assert {key: value.requires_grad for key, value in network.named_parameters()} == {
        entry["key"]: entry["trainable"] for entry in facts["keys"]
    }
    assert network.config.parameters == facts["n_params"]
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == facts["n_trainable"]


@torch.no_grad()
def test_only_the_first_half_of_the_input_is_guided_from_and_three_channels_are():
    network, tensors = official("SiT", "sit_class_cfg")
    x, t, y = tensors["in.x"], tensors["in.t_cfg"], tensors["in.y_cfg"]
    other = torch.cat([x[:2], torch.randn_like(x[:2])])
    guided = network.forward_with_cfg(x, t, y, 3.0)
    assert torch.equal(guided, network.forward_with_cfg(other, t, y, 3.0))
    assert torch.equal(guided[:2, :3], guided[2:, :3])
    plain = network(torch.cat([x[:2], x[:2]]), t, y)
    assert torch.equal(guided[:, 3:], plain[:, 3:])


@torch.no_grad()
def test_without_learned_variance_and_label_dropout_there_is_neither():
    config = {**TINY, "learn_sigma": False, "class_dropout_prob": 0.0}
    network = official_dit(config)
    assert len(network.y_embedder.embedding_table.weight) == 3
    assert network(torch.randn(1, 4, 4, 4), torch.tensor([7]), torch.tensor([0])).shape == (1, 4, 4, 4)
    assert official_sit(config).state_dict().keys() == network.state_dict().keys()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_heads": 3}, "width 16 must be a multiple of 4 and of the 3 heads"),
        ({"patch_size": 3}, "multiples of the patch size 3"),
        ({"colour": 1}, "unknown setting 'colour' in the config of DiT"),
        ({"factory": "DiT_XXL_2"}, "factory 'DiT_XXL_2' of DiT is unknown"),
        ({"factory": "SiT_XL_2"}, "factory 'SiT_XL_2' of DiT is unknown"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused_in_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        build_official("DiT", {**TINY, **changes}, {})
    assert "\n" not in str(refusal.value)


def test_paths_are_for_scans():
    with pytest.raises(ValueError, match="SiT has no scan paths; leave paths= out"):
        build_official("SiT", TINY, {}, paths=[[0]])
