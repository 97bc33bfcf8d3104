"""The official networks against outputs recorded from the official code (weights drawn at random, tiny sizes)."""

import json

import numpy as np
import pytest
import torch
from recorded import GOLDEN, assert_same, official
from safetensors.numpy import load_file

from zigdemo.backbones.official import build_official, official_zigma, zigma_paths

IMAGE_MODELS = [
    "zigma_zigzagN8_uncond",
    "zigma_zigzagN8_text",
    "zigma_zigzagN8_class",
    "zigma_v2_bidir",
    "zigma_hilbertN8",
    "zigma_randomN3",
    "zigma_grads",
    "zigma_eps_probe",
]
TINY = {"img_dim": 4, "in_channels": 4, "embed_dim": 16, "depth": 2, "scan_type": "zigzagN8"}


def tiny_weights(**changes):
    return official_zigma({**TINY, **changes}).state_dict()


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_the_output_is_the_official_one(name, backend):
    network, tensors = official(name)
    with torch.no_grad():
        assert_same(network(tensors["in.x"], tensors["in.t"], tensors.get("in.y")), tensors["out.v"])


@pytest.mark.parametrize("name", ["zigma_zigzagN8_uncond", "zigma_zigzagN8_text", "zigma_v2_bidir"])
def test_every_block_hands_on_the_official_pair(name, backend):
    network, tensors = official(name)
    pairs = []
    for block in network.blocks:
        block.register_forward_hook(lambda block, args, pair: pairs.append(pair))
    with torch.no_grad():
        network(tensors["in.x"], tensors["in.t"], tensors.get("in.y"))
    assert len(pairs) == network.config.depth
    for i, (x, residual) in enumerate(pairs):
        assert_same(x, tensors[f"out.block{i:02}.x"])
        assert_same(residual, tensors[f"out.block{i:02}.residual"])


def test_the_gradients_are_the_official_ones(backend):
    network, tensors = official("zigma_grads")
    x = tensors["in.x"].requires_grad_()
    (network(x, tensors["in.t"]) * tensors["in.cot"]).sum().backward()
    assert_same(x.grad, tensors["out.grad.in.x"], 5e-4)
    gradients = {key: parameter.grad for key, parameter in network.named_parameters()}
    assert gradients.keys() == {key[12:] for key in tensors if key.startswith("out.grad.sd.")}
    for key, gradient in gradients.items():
        assert_same(gradient, tensors[f"out.grad.sd.{key}"], 5e-4)


@pytest.mark.parametrize("name", sorted(path.stem for path in (GOLDEN / "keys").glob("zigma_*.json")))
def test_published_sizes_have_the_published_names_shapes_and_counts(name):
    facts = json.loads((GOLDEN / "keys" / f"{name}.json").read_text())
    if facts["config"].get("video_frames"):
        pytest.skip("a video model")
    with torch.device("meta"):
        network = official_zigma(facts["config"])
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == {
        entry["key"]: entry["shape"] for entry in facts["keys"]
    }
    assert {key: value.requires_grad for key, value in network.named_parameters()} == {
        entry["key"]: entry["trainable"] for entry in facts["keys"]
    }
    assert network.config.parameters == facts["n_params"]


@pytest.mark.parametrize("side", [4, 6, 8, 16])
def test_official_hilbert_paths_gather_with_the_rank_table(side):
    recorded = load_file(GOLDEN / "scan_paths.safetensors")
    for path, perm, inverse in zip(
        zigma_paths("hilbertN8", side),
        recorded[f"out.hilbert_N{side}"],
        recorded[f"out.hilbert_N{side}_inverse"],
        strict=True,
    ):
        np.testing.assert_array_equal(path.perm, perm)
        np.testing.assert_array_equal(path.inverse, inverse)


@pytest.mark.parametrize("kind", ["zigzagN", "hilbertN"])
def test_fewer_paths_are_the_first_of_the_eight(kind):
    eight = [path.perm for path in zigma_paths(f"{kind}8", 5)]
    for count in range(1, 9):
        for path, perm in zip(zigma_paths(f"{kind}{count}", 5), eight[:count], strict=True):
            np.testing.assert_array_equal(path.perm, perm)


def test_the_weights_are_a_copy_in_eval_mode():
    state = tiny_weights()
    network = build_official("ZigMa", TINY, {key: value.half() for key, value in state.items()})
    assert not network.training
    for key, value in network.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, state[key].half().float(), rtol=0, atol=0)
    same = build_official("ZigMa", TINY, state)
    state["norm_f.weight"].zero_()
    assert same.norm_f.weight.min() == 1


def test_anything_given_to_an_unconditional_model_is_ignored():
    network = build_official("ZigMa", TINY, tiny_weights())
    x, t = torch.randn(2, 4, 4, 4), torch.rand(2)
    assert torch.equal(network(x, t, torch.tensor([5, 10**6])), network(x, t))


@pytest.mark.parametrize("changes", [{"rms_norm": False}, {"use_pe": 1}, {"use_pe": 3}, {"scan_type": "zigzagN3"}])
def test_other_settings_build_and_run(changes):
    config = {**TINY, **changes}
    network = build_official("ZigMa", config, tiny_weights(**changes))
    assert network(torch.randn(1, 4, 4, 4), torch.rand(1)).isfinite().all()
    assert ("norm_f.bias" in network.state_dict()) == (not config.get("rms_norm", True))
    assert ("pos_embed" in network.state_dict()) == (config.get("use_pe", 0) == 1)


def test_the_mixer_takes_the_sizes_of_ssm_cfg():
    ssm = {"d_state": 4, "d_conv": 3, "expand": 1, "dt_rank": 5, "dt_min": 0.01}
    state = official_zigma({**TINY, "ssm_cfg": ssm}).state_dict()
    assert state["blocks.0.mixer.A_log"].shape == (16, 4)
    assert state["blocks.0.mixer.conv1d.weight"].shape == (16, 1, 3)
    assert state["blocks.0.mixer.x_proj.weight"].shape == (5 + 2 * 4, 16)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"scan_type": "zigzagN9"}, "zigzagN9.*choose one of zigzagN1"),
        ({"scan_type": "parallelN8"}, "parallelN8.*choose one of"),
        ({"scan_type": None}, "choose one of"),
        ({"scan_type": "randomN2"}, "at random and saved them nowhere; give them as paths="),
        ({"video_frames": 4}, "video"),
        ({"tpe": True}, "video"),
        ({"use_pe": 4}, "use_pe 4 is unknown"),
        ({"has_text": True}, "d_context"),
        ({"patch_size": 3}, "multiples of the patch size 3"),
        ({"colour": 1}, "unknown setting 'colour'"),
        ({"ssm_cfg": {"speed": 1}}, "unknown setting 'speed' in the config of ssm_cfg"),
        ({"ssm_cfg": {"bias": True}}, "bias False"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused_in_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        build_official("ZigMa", {**TINY, **changes}, {})
    assert "\n" not in str(refusal.value)


def test_what_is_missing_from_the_config_is_named():
    with pytest.raises(ValueError, match="lacks 'depth'"):
        build_official("ZigMa", {key: value for key, value in TINY.items() if key != "depth"}, {})


def test_an_unknown_family_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="family 'U-Net' can be built; choose one of ZigMa, DiT, SiT"):
        build_official("U-Net", TINY, {})


@pytest.mark.parametrize(
    ("paths", "sentence"),
    [
        (np.zeros((2, 9), dtype=np.int64), r"must have shape \(2, 16\), not \(2, 9\)"),
        (np.zeros((2, 16), dtype=np.int64), "visits every token once"),
    ],
)
def test_bad_random_paths_are_refused(paths, sentence):
    with pytest.raises(ValueError, match=sentence):
        build_official("ZigMa", {**TINY, "scan_type": "randomN2"}, {}, paths=paths)


def test_paths_belong_to_random_scans_only():
    with pytest.raises(ValueError, match="has its own paths; leave paths= out"):
        build_official("ZigMa", TINY, tiny_weights(), paths=np.zeros((8, 16), dtype=np.int64))


def test_weights_that_do_not_fit_are_refused_with_a_name():
    state = tiny_weights()
    with pytest.raises(ValueError, match="lacks 'norm_f.weight'"):
        build_official("ZigMa", TINY, {key: value for key, value in state.items() if key != "norm_f.weight"})
    with pytest.raises(ValueError, match="beyond what the config asks for, 'pos_embed'"):
        build_official("ZigMa", TINY, tiny_weights(use_pe=2))
    with pytest.raises(ValueError, match=r"norm_f.weight of shape \(15,\), where the config asks for \(16,\)"):
        build_official("ZigMa", TINY, {**state, "norm_f.weight": torch.ones(15)})
    with pytest.raises(ValueError, match="and 13 more"):
        build_official("ZigMa", TINY, tiny_weights(scan_type="v2"))


def test_a_scheme_of_ours_may_replace_the_official_paths():
    network = build_official("ZigMa", {**TINY, "scan_type": "hilbertN8"}, tiny_weights(scan_type="hilbertN8"))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        x, t = torch.randn(1, 4, 4, 4), torch.rand(1)
        assert not torch.allclose(network(x, t), network(x, t, scheme="hilbert-8"))
    with pytest.raises(ValueError, match="bidirectional-scan block"):
        network(x, t, scheme="bidirectional")
