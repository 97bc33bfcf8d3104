"""The official DiG against outputs recorded from the official code (weights drawn at random, tiny sizes)."""

import argparse
import json
from pathlib import Path

import pytest
import torch
from checkpoints import save
from safetensors import safe_open

from zigdemo.backbones.layers import time_and_condition
from zigdemo.backbones.official import build_official, official_dig, read_checkpoint
from zigdemo.backbones.official.layouts import layout
from zigdemo.ops import backends

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = ["dig_quad_cfg", "dig_eps_probe", "dig_grads"]
KEYS = sorted(path.stem for path in (GOLDEN / "keys").glob("dig_*.json"))
TINY = {"input_size": 8, "hidden_size": 16, "depth": 4, "num_heads": 2, "num_classes": 3, "if_quad_dir": True}


@pytest.fixture(params=["cpu", "reference"])
def backend(request, monkeypatch):
    """Each kernel of the attention in turn."""
    if request.param == "cpu" and backends.numba_fault():
        pytest.skip(backends.numba_fault())
    monkeypatch.setenv(backends.ENVIRONMENT, request.param)
    return request.param


def official(name):
    """The network of a file, and the file's tensors."""
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
        config = json.loads(file.metadata()["json"])["config"]
    weights = {key[3:]: value for key, value in tensors.items() if key.startswith("sd.")}
    return build_official("DiG", config, weights), tensors


def random_weights(**changes):
    """A tiny config with changes, and weights for it of which none is zero."""
    torch.manual_seed(0)
    config = {**TINY, **changes}
    return config, {key: 0.3 * torch.randn(shape) for key, shape in layout("DiG", config).shapes().items()}


def inputs(labels=3):
    torch.manual_seed(1)
    return torch.randn(2, 4, 8, 8), torch.tensor([7, 900]), torch.tensor([0, labels - 1])


def assert_same(value, wanted, share=1e-4):
    """Equal up to a share of the standard deviation of what is wanted."""
    assert value.shape == wanted.shape
    assert (value - wanted).abs().max() <= share * wanted.std()


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_the_output_is_the_official_one(backend, name):
    network, tensors = official(name)
    assert_same(network(tensors["in.x"], tensors["in.t"], tensors["in.y"]), tensors["out.fwd"])


@torch.no_grad()
def test_every_block_hands_on_the_official_tokens(backend):
    network, tensors = official("dig_quad_cfg")
    outputs = []
    for block in network.blocks:
        block.register_forward_hook(lambda block, args, output: outputs.append(output))
    network(tensors["in.x"], tensors["in.t"], tensors["in.y"])
    assert len(outputs) == 4
    for i, output in enumerate(outputs):
        assert_same(output, tensors[f"out.block{i:02}"])


@torch.no_grad()
def test_the_guided_output_is_the_official_one(backend):
    network, tensors = official("dig_quad_cfg")
    guided = network.forward_with_cfg(
        tensors["in.x"], tensors["in.t_cfg"], tensors["in.y_cfg"], float(tensors["in.cfg_scale"])
    )
    assert_same(guided, tensors["out.cfg"])


def test_the_gradients_are_the_official_ones(backend):
    network, tensors = official("dig_grads")
    x = tensors["in.x"].requires_grad_()
    (network(x, tensors["in.t"], tensors["in.y"]) * tensors["in.cot"]).sum().backward()
    assert_same(x.grad, tensors["out.grad.in.x"], 5e-4)
    gradients = {key: p.grad for key, p in network.named_parameters() if p.requires_grad}
    assert gradients.keys() == {key[12:] for key in tensors if key.startswith("out.grad.sd.")}
    for key, gradient in gradients.items():
        assert_same(gradient, tensors[f"out.grad.sd.{key}"], 5e-4)


@pytest.mark.parametrize("name", KEYS)
def test_published_sizes_have_the_published_names_shapes_and_counts(name):
    facts = json.loads((GOLDEN / "keys" / f"{name}.json").read_text())
    with torch.device("meta"):
        network = official_dig(facts["config"])
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == {
        entry["key"]: entry["shape"] for entry in facts["keys"]
    }
    assert {key: value.requires_grad for key, value in network.named_parameters()} == {
        entry["key"]: entry["trainable"] for entry in facts["keys"]
    }
    assert network.config.parameters == facts["n_params"]
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == facts["n_trainable"]


@pytest.mark.parametrize(
    "changes",
    [
        {"if_dw_conv": True, "if_skip": True},
        {"if_rms_norm": True, "if_quad_dir": False},
        {"if_dw_conv": True, "if_in_block_conv": True, "bid_mode": "seq", "conv_kernel_size": 5},
        {"num_classes": 0, "learn_sigma": False},
        {"expand_k": 1, "expand_v": 2, "class_dropout_prob": 0.0},
    ],
    ids=str,
)
@torch.no_grad()
def test_a_file_of_every_variant_is_recognised_counted_and_built(tmp_path, changes):
    config, weights = random_weights(**changes)
    args = argparse.Namespace(
        model=f"DiG-S/2-bid-{config.get('bid_mode', 'layer')}{'-qdir' if config['if_quad_dir'] else ''}",
        num_classes=config["num_classes"],
    )
    said = {"if_in_block_conv": config.get("if_in_block_conv", False)}
    found = read_checkpoint(save({"ema": weights, "args": args}, tmp_path / "dig.pt"), settings=said)
    assert found.family == "DiG" and not found.notes[1:]
    network, same = (build_official("DiG", settings, weights) for settings in (found.config, config))
    assert network.config == same.config
    assert network.state_dict().keys() == weights.keys()
    assert sum(p.numel() for p in network.parameters()) == network.config.parameters
    x, t, y = inputs()
    y = y if config["num_classes"] else None
    output = network(x, t, y)
    assert output.shape == (2, 4 if config.get("learn_sigma") is False else 8, 8, 8)
    assert output.isfinite().all() and output.std() > 0


@torch.no_grad()
def test_a_norm_has_one_weight_under_two_names():
    config, weights = random_weights(if_rms_norm=True)
    weights |= {f"blocks.{i}.norm1.weight": weights[f"blocks.{i}.attn_norm.weight"] for i in range(4)}
    network = build_official("DiG", config, weights)
    assert all(block.attn_norm.weight is block.norm1.weight for block in network.blocks)
    assert torch.equal(network.state_dict()["blocks.1.attn_norm.weight"], weights["blocks.1.attn_norm.weight"])


@pytest.mark.parametrize(("depth", "flips", "turn"), [(4, (), False), (1, (2, 3), False), (6, (), True)])
@torch.no_grad()
def test_the_picture_comes_back_as_the_depth_leaves_it(depth, flips, turn):
    """Blocks that change nothing, as their gates are zero, show what the official directions do to the picture."""
    config, weights = random_weights(depth=depth, patch_size=1)
    for key, value in weights.items():
        if ".adaLN_modulation." in key:
            value.zero_()
    x, t, y = inputs()
    picture = build_official("DiG", config, weights)(x, t, y)
    for i in range(depth):
        weights = {key: value for key, value in weights.items() if f"blocks.{i}." not in key or i == 0}
    upright = build_official("DiG", {**config, "depth": 1, "bid_mode": "seq", "if_quad_dir": False}, weights)(x, t, y)
    wanted = upright.transpose(2, 3) if turn else upright.flip(flips)
    torch.testing.assert_close(picture, wanted)


@pytest.mark.parametrize("changes", [{"depth": 6}, {"depth": 8, "if_quad_dir": False}, {"depth": 6, "bid_mode": "seq"}])
@torch.no_grad()
def test_skips_join_tokens_as_they_lie(changes):
    config, weights = random_weights(if_skip=True, if_dw_conv=True, **changes)
    network = build_official("DiG", config, weights)
    x, t, y = inputs()
    tokens, c, kept = network.x_embedder(x) + network.pos_embed, time_and_condition(network, t, y)[0], []
    for i, block in enumerate(network.blocks):
        tokens = block(tokens, c, (4, 4), kept.pop() if i > config["depth"] // 2 else None)
        tokens = tokens.flip(1) if config.get("bid_mode") != "seq" else tokens
        if i % 2 and config["if_quad_dir"]:
            tokens = tokens.reshape(2, 4, 4, -1).transpose(1, 2).flatten(1, 2)
        if i < config["depth"] // 2 - 1:
            kept.append(tokens)
    pixels = network.final_layer(tokens, c).reshape(2, 4, 4, 2, 2, 8)
    wanted = torch.einsum("bhwpqc->bchpwq", pixels).reshape(2, 8, 8, 8)
    torch.testing.assert_close(network(x, t, y), wanted)


@pytest.mark.parametrize("name", ["DiG_S_2_bid_layer_dwconv_qdir_skipzero", "DiG-S/2-bid-layer-dwconv-qdir-skip"])
def test_a_factory_is_known_under_both_of_its_names(name):
    with torch.device("meta"):
        config = official_dig({"factory": name}).config
    assert (config.width, config.depth, config.heads, config.skip, config.conv) == (384, 12, 6, True, "block")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_heads": 3}, "makes 8 channels of width 16, which 3 heads cannot share"),
        ({"depth": 3, "if_skip": True}, "depth 3 must be even"),
        ({"conv_kernel_size": 2, "if_dw_conv": True}, "kernel must be odd"),
        ({"bid_mode": "spiral"}, "unknown directions 'spiral'; choose one of layer, seq"),
        ({"patch_size": 3}, "multiples of the patch size 3"),
        ({"colour": 1}, "unknown setting 'colour' in the config of DiG"),
        ({"if_fuse_norm": False}, "only true can be built"),
        ({"factory": "DiG_XXL_2_bid_layer"}, "factory 'DiG_XXL_2_bid_layer' of DiG is unknown"),
        ({"expand_k": float("nan")}, "expand_k in the config of DiG must be a number above 0"),
        ({"hidden_size": 10**6}, "more than 4,000,000,000"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused_in_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        build_official("DiG", {**TINY, **changes}, {})
    assert "\n" not in str(refusal.value)


def test_paths_are_for_scans_that_can_be_chosen():
    with pytest.raises(ValueError, match="leave paths= out"):
        build_official("DiG", TINY, {}, paths=[[0]])
