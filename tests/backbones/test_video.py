"""Networks of clips: the official ZigMa against recorded outputs, and what frames and places may hear of each other."""

from dataclasses import replace

import pytest
import torch
from recorded import assert_same, official, read, weights

from zigdemo.backbones import DiGConfig, DiTConfig, ZigMaConfig, build
from zigdemo.backbones.official import build_official, official_zigma
from zigdemo.backbones.official.layouts import layout

CLIP = {"size": (8, 8), "frames": 3, "patch": 2, "width": 16, "depth": 4, "labels": 2}
CONFIGS = {
    "zigma": ZigMaConfig(**CLIP, scheme="factorized-st", frame_position=True, refine=4),
    "zigma shared": ZigMaConfig(**CLIP, scheme="zigzag3d-8", position="shared"),
    "zigma sincos": ZigMaConfig(**CLIP, scheme="bidirectional", position="sincos"),
    "dit": DiTConfig(**CLIP, heads=2, refine=4),
    "dit cross": DiTConfig(**CLIP, heads=2, conditioning="cross-attention"),
    "dig": DiGConfig(**CLIP, heads=2),
}


def filled(config):
    """The network with every weight drawn at random, so that no branch starts at zero."""
    torch.manual_seed(0)
    network = build(config).eval()
    with torch.no_grad():
        for value in network.parameters():
            if value.requires_grad:
                value.add_(0.05 * torch.randn(value.shape))
    return network


def clips(config, batch=2):
    return torch.randn(batch, config.frames, 3, *config.size, generator=torch.Generator().manual_seed(1))


def test_the_official_video_model_is_the_recorded_one(backend):
    network, tensors = official("zigma_video_sst")
    with torch.no_grad():
        assert_same(network(tensors["in.x"], tensors["in.t"], tensors["in.y"]), tensors["out.v"])


def test_every_official_block_leaves_what_was_recorded():
    network, tensors = official("zigma_video_sst")
    left = []
    for block in network.blocks:
        block.register_forward_hook(lambda block, inputs, outputs: left.append(outputs))
    with torch.no_grad():
        network(tensors["in.x"], tensors["in.t"], tensors["in.y"])
    for i, (x, residual) in enumerate(left):
        assert_same(x, tensors[f"out.block{i:02}.x"])
        assert_same(residual, tensors[f"out.block{i:02}.residual"])


def test_our_layers_over_time_do_not_have_the_official_quirk():
    network, tensors = official("zigma_video_sst")
    ours = build(network.config).eval()
    ours.load_state_dict(network.state_dict())
    with torch.no_grad():
        mine = ours(tensors["in.x"], tensors["in.t"], tensors["in.y"])
    assert (mine - tensors["out.v"]).abs().max() > 0.01 * tensors["out.v"].std()


def test_the_older_name_of_the_scan_type_is_the_same_model():
    tensors, config = read("zigma_video_sst")
    network = build_official("ZigMa", {**config, "scan_type": "video_sst"}, weights(tensors))
    with torch.no_grad():
        assert_same(network(tensors["in.x"], tensors["in.t"], tensors["in.y"]), tensors["out.v"])


def test_the_temporal_embedding_is_added_to_all_tokens_of_its_frame():
    _, config = read("zigma_video_sst")
    config = {**config, "tpe": True, "use_pe": 0}
    assert layout("ZigMa", config).shapes()["temporal_pos_embedding"] == (1, 4, 48)
    network = official_zigma(config)
    network.temporal_pos_embedding.data.copy_(torch.randn(1, 4, 48))
    placed = network._with_positions(torch.zeros(1, 4 * 16, 48)).unflatten(1, (4, 16))
    assert (placed == network.temporal_pos_embedding[:, :, None]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scan_type": "zigzagN8"}, "zzvideo_"),
        ({"scan_type": "zzvideo_ss"}, "zzvideo_"),
        ({"video_frames": 0}, "zzvideo_"),
        ({"use_pe": 1}, "sine table"),
        ({"video_frames": 0, "scan_type": "v2", "tpe": True}, "video_frames"),
    ],
)
def test_what_cannot_be_built_is_said(change, words):
    _, config = read("zigma_video_sst")
    with pytest.raises(ValueError, match=words):
        official_zigma({**config, **change})


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_clip_goes_in_and_a_clip_comes_out(config):
    network, x = filled(config), clips(config)
    with torch.no_grad():
        made = network(x, torch.tensor([0.2, 0.7]), torch.tensor([0, 1]))
        alone = network(x[1:], torch.tensor([0.7]), torch.tensor([1]))
    assert made.shape == x.shape
    torch.testing.assert_close(made[1:], alone, atol=1e-4, rtol=1e-4)
    assert config.parameters == sum(value.numel() for value in network.parameters())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_every_frame_hears_every_other(config):
    network, x = filled(config), clips(config, 1).requires_grad_()
    for frame in range(config.frames):
        made = network(x, torch.tensor([0.5]), torch.tensor([0]))
        heard = torch.autograd.grad(made[0, frame].square().sum(), x)[0][0].flatten(1).abs().amax(1)
        assert (heard > 0).all(), (frame, heard)


@pytest.mark.parametrize("name", ["zigma", "dit", "dig"])
def test_layers_of_space_alone_keep_frames_apart(name):
    config = replace(CONFIGS[name], depth=1, **({"scheme": "factorized-s"} if name == "zigma" else {}))
    network, x = filled(config), clips(config, 1).requires_grad_()
    made = network(x, torch.tensor([0.5]), torch.tensor([0]))
    heard = torch.autograd.grad(made[0, 1].square().sum(), x)[0][0].flatten(1).abs().amax(1)
    assert heard[1] > 0
    assert heard[0] == heard[2] == 0


def test_wrong_clips_and_configs_are_said():
    config = CONFIGS["zigma"]
    with pytest.raises(ValueError, match=r"\(batch, 3, 3, 8, 8\)"):
        filled(config)(torch.zeros(1, 2, 3, 8, 8), torch.zeros(1), None)
    with pytest.raises(ValueError, match="give frames"):
        ZigMaConfig(frame_position=True)
    with pytest.raises(ValueError, match="in-context"):
        DiTConfig(frames=2, conditioning="in-context")
    with pytest.raises(ValueError, match="images"):
        build(replace(config, scheme="zigzag-8")).scans()
