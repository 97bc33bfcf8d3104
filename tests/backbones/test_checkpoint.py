"""Official checkpoint files in every layout are read whole, and their architecture is found out."""

import argparse
import datetime
import json
import re
import uuid
import zipfile
from argparse import Namespace
from collections import Counter, OrderedDict, deque
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import TINY, assert_holds, refused, save, small_weights, training_checkpoint, weights
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from zigdemo.backbones.official import build_official, official_zigma, read_checkpoint
from zigdemo.backbones.official.detect import find_family, find_settings
from zigdemo.backbones.official.layouts import layout

KEYS = sorted((Path(__file__).parents[1] / "golden" / "keys").glob("*.json"))
FACTORIES = {
    "DiT_XL_2": {"depth": 28, "hidden_size": 1152, "patch_size": 2, "num_heads": 16},
    "DiG_S_2": {"depth": 12, "hidden_size": 384, "patch_size": 2, "num_heads": 6},
    "DiG_B_2": {"depth": 12, "hidden_size": 768, "patch_size": 2, "num_heads": 12},
    "DiG_L_2": {"depth": 24, "hidden_size": 1024, "patch_size": 2, "num_heads": 16},
    "DiG_XL_2": {"depth": 28, "hidden_size": 1152, "patch_size": 2, "num_heads": 18},
}


# Layouts of official files


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "old format"])
def test_a_bare_state_dict_is_read(tmp_path, options):
    state = weights()
    checkpoint = read_checkpoint(save(OrderedDict(state), tmp_path / "bare.pt", **options))
    assert_holds(checkpoint, state)
    assert checkpoint.family == "ZigMa" and checkpoint.config == {**TINY, "patch_size": 1, "scan_type": "zigzagN8"}
    assert checkpoint.args is None and len(checkpoint.source["sha256"]) == 64
    assert any("zigzagN8" in note for note in checkpoint.notes)


def test_safetensors_are_read(tmp_path):
    state = weights()
    save_file(state, tmp_path / "bare.safetensors")
    assert_holds(read_checkpoint(tmp_path / "bare.safetensors"), state)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "old format"])
@pytest.mark.parametrize("prefix", ["", "module."], ids=["plain", "module."])
def test_a_training_checkpoint_gives_its_ema_and_its_args(tmp_path, options, prefix):
    pytest.importorskip("omegaconf", reason="needs omegaconf, which requirements-dev.txt has")
    from omegaconf import OmegaConf

    args = OmegaConf.create(
        {
            "model": {
                "name": "tiny",
                "target": "model_zigma.ZigMa",
                "params": {**TINY, "video_frames": "${data.video_frames}"},
            },
            "data": {"name": "churches", "video_frames": 0, "sizes": [256, None, True], "rate": 0.5, "unset": None},
            "ckpt": None,
        }
    )
    state = weights()
    path = save(training_checkpoint(args, state, prefix), tmp_path / "0400000.pt", **options)
    checkpoint = read_checkpoint(path)
    assert_holds(checkpoint, state)
    assert checkpoint.config == {**TINY, "patch_size": 1}
    assert checkpoint.args == OmegaConf.to_container(args, resolve=False)
    assert checkpoint.notes == ("the averaged weights (ema) are used", "trained for 400,000 steps")


class Tracker:
    """A class that only the file's author has."""

    def __init__(self):
        self.__dict__ = {"history": [torch.ones(3)], "where": Path("/tmp/run")}


@pytest.mark.parametrize("beside", [
    torch.ones(3), Path("/some/run"), datetime.datetime(2024, 1, 2, 3), np.random.default_rng(0).bit_generator.state,
    np.random.RandomState(0).get_state(), Counter("abca"), {(1, 2): "tuple"}, Tracker(), np.arange(4), {Path("k"): 1},
    deque([1, 2]), Fraction(1, 3), uuid.UUID(int=7), 1 + 2j, np.array(["text"]), range(3), slice(1), Decimal("1.5"),
    datetime.timedelta(days=1), torch.ones(2, dtype=torch.complex64), {"nested": [Path("a"), {"b": datetime.date.min}]},
    np.float32, np.dtype("O"), re.compile("x"), bytearray(b"abc"),
], ids=lambda value: f"{type(value).__name__}")  # fmt: skip
@pytest.mark.parametrize("protocol", [2, 4])
def test_whatever_is_beside_the_weights_is_passed_over(tmp_path, beside, protocol):
    content = {"model": weights(), "args": Namespace(where=beside), "extra": beside, "opt": {"state": beside}}
    path = save(content, tmp_path / "zigma.pt", pickle_protocol=protocol)
    found = read_checkpoint(path)
    assert found.family == "ZigMa" and found.state_dict.keys() == weights().keys()
    assert read_checkpoint(save({**weights(), "epoch": 3}, tmp_path / "b.pt")).state_dict.keys() == weights().keys()


@pytest.mark.parametrize("name", [
    "_orig_mod.{}", "module.{}", "module._orig_mod.{}", "_orig_mod.module.{}", "module.module.{}",
    "_fsdp_wrapped_module.{}",
])  # fmt: skip
@pytest.mark.parametrize("parts", [(), ("ema",), ("state_dict",), ("ema", "module"), ("model", "state_dict")])
def test_the_names_of_wrappers_are_taken_off(tmp_path, name, parts):
    content = {name.format(key): value for key, value in weights().items()}
    for part in reversed(parts):
        content = {part: content, "epoch": 3}
    assert read_checkpoint(save(content, tmp_path / "x.pt")).state_dict.keys() == weights().keys()


def test_wrappers_inside_and_mixed_are_taken_off_too(tmp_path):
    names = [key.replace("blocks.0.", "blocks.0._orig_mod.") for key in weights()]
    content = {f"module.{name}" if i % 2 else name: value for i, (name, value) in enumerate(
        zip(names, weights().values(), strict=True))}  # fmt: skip
    assert read_checkpoint(save(content, tmp_path / "x.pt")).state_dict.keys() == weights().keys()
    key = next(iter(weights()))
    with pytest.raises(ValueError, match="two weights in it have one name"):
        read_checkpoint(save({**weights(), f"module.{key}": weights()[key]}, tmp_path / "y.pt"))


def test_a_namespace_becomes_plain_data(tmp_path):
    config = {"hidden_size": 24, "depth": 2, "input_size": 8, "num_classes": 3, "num_heads": 2}
    args = argparse.Namespace(
        model="SiT-XL/2", num_classes=3, size=torch.Size([4]), dtype=torch.bfloat16, device=torch.device("cuda", 1),
        fid=np.float32(2.5), count=np.int64(-7), big=np.array(258, ">i2")[()], tags={"a"},
        nested=argparse.Namespace(x=b"y"), sigma=torch.ones(2),
    )  # fmt: skip
    state = small_weights("SiT", config)
    path = save({"model": state, "ema": {}, "args": args}, tmp_path / "0050000.pt")
    checkpoint = read_checkpoint(path, settings={"num_heads": 2})
    assert_holds(checkpoint, state)
    assert checkpoint.family == "SiT"
    assert checkpoint.args == {
        **{"model": "SiT-XL/2", "num_classes": 3, "size": [4], "dtype": "torch.bfloat16", "device": "cuda:1"},
        **{"fid": 2.5, "count": -7, "big": 258, "tags": ["a"], "nested": {"x": b"y"}},
        "sigma": "tensor of shape (2,)",
    }
    assert json.dumps({**checkpoint.args, "nested": None})


def test_tensors_may_be_parameters_views_half_precision_or_shared(tmp_path):
    state = weights()
    big = torch.randn(64)
    stored = {
        **state,
        "norm_f.weight": big[16:32],
        "x_embedder.proj.bias": nn.Parameter(state["x_embedder.proj.bias"]),
        "blocks.0.norm.weight": big[:16],
        "blocks.0.mixer.in_proj.weight": state["blocks.0.mixer.in_proj.weight"].T.contiguous().T,
        "blocks.1.norm.weight": state["blocks.1.norm.weight"].bfloat16(),
    }
    checkpoint = read_checkpoint(save(stored, tmp_path / "views.pth"))
    assert_holds(checkpoint, stored)
    assert checkpoint.state_dict["blocks.1.norm.weight"].dtype == torch.bfloat16


def test_the_optimiser_is_not_read(tmp_path):
    """Its storages may even be missing: only their names are looked at."""
    path = save(training_checkpoint(None), tmp_path / "whole.pt")
    unread = len(training_checkpoint(None)["opt"]["state"]) * 3
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "part.pt", "w") as part:
        names = [name for name in whole.namelist() if "/data/" in name]
        assert len(names) > unread
        for name in whole.namelist():
            if name not in names[-unread:]:
                part.writestr(name, whole.read(name))
    assert_holds(read_checkpoint(tmp_path / "part.pt"), weights())


def test_a_read_checkpoint_builds_the_network_it_came_from(tmp_path):
    args = argparse.Namespace(model={"params": TINY})
    path = save(training_checkpoint(args), tmp_path / "a.pt")
    checkpoint = read_checkpoint(path)
    network = build_official(checkpoint.family, checkpoint.config, checkpoint.state_dict)
    same = build_official("ZigMa", TINY, weights())
    x, t = torch.randn(1, 4, 4, 4), torch.rand(1)
    with torch.no_grad():
        assert torch.equal(network(x, t), same(x, t))


# Finding the architecture out


def facts(path):
    content = json.loads(path.read_text())
    config = dict(content["config"])
    factory = config.pop("factory", "").replace("SiT", "DiT")
    size = next((size for size in FACTORIES if factory == size or factory.startswith(f"{size}_bid")), None)
    if size:
        config = {**FACTORIES[size], **config, "in_channels": 4, "learn_sigma": True}
    if size and size.startswith("DiG"):
        config |= {"bid_mode": "layer", "if_dw_conv": True, "if_quad_dir": True}
        config |= {"if_skip": True} if factory.endswith("_skip") else {}
    config.pop("n_context_token", None)  # in no weight and without effect
    family = {"zigma": "ZigMa", "dit": "DiT", "sit": "SiT", "dig": "DiG"}[path.stem.split("_")[0]]
    return family, config, {entry["key"]: tuple(entry["shape"]) for entry in content["keys"]}, content["n_params"]


@pytest.mark.parametrize("path", KEYS, ids=[path.stem for path in KEYS])
def test_every_published_size_is_recognised(path):
    family, config, shapes, parameters = facts(path)
    assert layout(family, config).shapes() == shapes
    assert layout(family, config).parameters == parameters
    said = {name: config[name] for name in ("img_dim", "scan_type", "video_frames") if name in config}
    assert find_family(shapes, family if family in ("DiT", "SiT") else None) == family
    found, _ = find_settings(family, shapes, said)
    assert found == config


@settings(max_examples=40, deadline=None)
@given(
    width=st.sampled_from([16, 40]), depth=st.integers(1, 3), patch=st.sampled_from([1, 2]),
    side=st.integers(1, 4), scan=st.sampled_from(["zigzagN8", "hilbertN2", "v2"]), use_pe=st.sampled_from([0, 1, 2]),
    classes=st.sampled_from([-1, 5]), text=st.booleans(), rms=st.booleans(),
    ssm=st.sampled_from([{}, {"d_state": 3, "dt_rank": 5}, {"d_conv": 2, "expand": 1}]),
)  # fmt: skip
def test_zigma_settings_come_back_from_the_shapes_of_the_network(
    width, depth, patch, side, scan, use_pe, classes, text, rms, ssm
):
    config = {"img_dim": side * patch, "in_channels": 3, "patch_size": patch, "embed_dim": width, "depth": depth}
    config |= {"scan_type": scan, "use_pe": use_pe, "rms_norm": rms, "ssm_cfg": ssm or None}
    config |= {"has_text": True, "d_context": 12} if text else {"num_classes": classes}
    with torch.device("meta"):
        network = official_zigma(config)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert layout("ZigMa", config).shapes() == shapes
    found, _ = find_settings("ZigMa", shapes, {"img_dim": side * patch, "scan_type": scan, "use_pe": use_pe})
    defaults = {"use_pe": 0, "rms_norm": True, "ssm_cfg": None, "num_classes": -1}
    assert {**defaults, **found} == {**defaults, **config}


DIT = {"hidden_size": 24, "depth": 2, "input_size": 8, "num_classes": 3, "num_heads": 2}
DIG = {**DIT, "if_dw_conv": True, "num_heads": 2}


@pytest.mark.parametrize("name", ["DiT-tiny.pt", "my_sit_0001.pt", "dit.safetensors"])
def test_the_file_name_tells_dit_from_sit(tmp_path, name):
    state = small_weights("DiT", DIT)
    (save_file if name.endswith("safetensors") else save)(state, tmp_path / name)
    wanted = "SiT" if "sit" in name else "DiT"
    assert read_checkpoint(tmp_path / name, settings={"num_heads": 2}).family == wanted


def test_a_dit_that_nothing_names_must_be_named(tmp_path):
    path = save(small_weights("DiT", DIT), tmp_path / "weights.pt")
    refused(path, "say which with family=", settings={"num_heads": 2})
    checkpoint = read_checkpoint(path, family="SiT", settings={"num_heads": 2})
    assert checkpoint.family == "SiT" and checkpoint.config["num_heads"] == 2
    refused(path, r"settings=\{'num_heads'", family="DiT")
    refused(path, "those of DiT, not of ZigMa", family="ZigMa")


def test_the_scan_directions_of_dig_come_from_its_factory(tmp_path):
    args = argparse.Namespace(model="DiG_S_2_bid_seq_dwconv")
    checkpoint = read_checkpoint(save({"ema": small_weights("DiG", DIG), "args": args}, tmp_path / "x.pt"))
    assert checkpoint.config["bid_mode"] == "seq" and not checkpoint.config["if_quad_dir"]
    assert checkpoint.family == "DiG" and checkpoint.config["if_dw_conv"]


def test_a_zigma_without_position_table_needs_its_size_from_somewhere(tmp_path):
    path = save(weights(use_pe=0), tmp_path / "old.pt")
    refused(path, r"settings=\{'img_dim'")
    assert read_checkpoint(path, settings={"img_dim": 4}).config["img_dim"] == 4
