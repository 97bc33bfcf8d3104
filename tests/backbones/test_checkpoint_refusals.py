"""Hostile, damaged and foreign checkpoint files are refused in one sentence, with nothing in them executed."""

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import TINY, refused, save, weights
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from zigdemo.backbones.official import MOST_PARAMETERS, OfficialConfig, build_official
from zigdemo.backbones.official.layouts import layout
from zigdemo.backbones.official.unpickle import read_pickle
from zigdemo.backbones.official.values import Refused

# Refusals. Every hostile file would create the canary if any of its code were run.


class Runs:
    """Pickles as a call of its function."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], tuple(self.call[1:])


def make_zip(path, data_pkl, storages=(), **more):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data_pkl)
        for key, content in dict(storages).items():
            archive.writestr(f"archive/data/{key}", content)
        for name, content in more.items():
            archive.writestr(name, content)
    return path


def program(*instructions):
    """A pickle of raw instructions."""
    return b"\x80\x02" + b"".join(instructions) + b"."


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value):
    return pickle.dumps(value, 2)[2:-1]


def tensor(shape, stride, offset=0, elements=4, key="0"):
    """Instructions that make a tensor of a storage."""
    identity = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(elements) + b"tQ"
    rest = number(offset) + number(tuple(shape)) + number(tuple(stride)) + b"\x89}"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + identity + rest + b"tR"


def named(name, value):
    return b"}(" + text(name) + value + b"u"


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "code of the file was run"


@pytest.mark.parametrize("old_format", [False, True], ids=["zip", "old format"])
@pytest.mark.parametrize("place", ["weights", "args", "opt"])
@pytest.mark.parametrize("call", ["os.system", "eval", "open", "getattr", "torch.load", "runpy", "np.load", "Popen"])
def test_code_in_a_checkpoint_is_refused_by_name_and_not_run(tmp_path, canary, call, place, old_format):
    import runpy
    import subprocess

    functions = {
        "os.system": (os.system, f"touch {canary}"),
        "eval": (eval, f"open({str(canary)!r}, 'w')"),
        "open": (open, str(canary), "w"),
        "getattr": (getattr, Path(canary), "touch"),
        "torch.load": (torch.load, str(canary)),
        "runpy": (runpy.run_path, str(canary)),
        "np.load": (np.load, str(canary)),
        "Popen": (subprocess.Popen, ["touch", str(canary)]),
    }
    hostile = Runs(*functions[call])
    content = {"model": weights(), "opt": {}, "args": None}
    content = {**weights(), "norm_f.weight": hostile} if place == "weights" else {**content, place: hostile}
    path = save(content, tmp_path / "evil.pt", _use_new_zipfile_serialization=not old_format)
    name = {"os.system": "posix.system|nt.system", "runpy": "run_path", "np.load": "numpy"}
    name |= {"torch.load": "torch.serialization.load"}
    refused(path, f"names .*({name.get(call, call)})")


def test_a_bare_pickle_with_code_is_not_even_looked_into(tmp_path, canary):
    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps(Runs(os.system, f"touch {canary}")))
    refused(path, "no checkpoint")


def test_known_names_cannot_be_turned_into_others(tmp_path, canary):
    """Setting attributes of what a pickle names, or calling what is no function, leads nowhere."""
    code = text("__code__") + b"cos\nsystem\n"
    for attack, words in {
        b"ctorch\nSize\n}(" + code + b"ub": "os.system",
        b"ctorch\nSize\nN}" + text("x") + b"Ns\x86b": "gives a state to a Name",
        b"cargparse\nNamespace\n)R": "calls 'argparse.Namespace'",
        b"cargparse\nNamespace\n" + text("a") + b"\x85\x81": "makes a 'argparse.Namespace'",
        b"ctorch\nSize\n)\x81": "makes a 'torch.Size'",
        text("os.system") + text("ls") + b"\x85R": "calls 'str'",
        b"(ios\nsystem\n": "instruction INST",
        b"(cos\nsystem\no": "os.system",
        b"\x82\x01": "instruction EXT1",
        b"Pstorage\n": "instruction PERSID",
        text("os.system") + b"Q": "outside",
        b"\x80\x04" + text("os") + text("system") + b"\x93": "os.system",
        b"\x80\x04" + text("torch") + b"]\x93": "not text",
    }.items():
        refused(make_zip(tmp_path / "evil.pt", program(attack)), words)
    assert not hasattr(torch.Size, "x")


def with_args(value):
    return b"}(" + text("model") + named("x", tensor((4,), (1,))) + text("args") + value + b"u"


# Sixty lists, each of the one before it twice.
BOMB = b"]q\x000" + b"".join(b"](h%ch%ceq%c0" % (i, i, i + 1) for i in range(60)) + b"h<"
DEEP = b"]" * 5000 + b"a" * 4999
HOSTILE_PICKLES = {
    "reaches outside its storage by its shape": (named("x", tensor((5,), (1,))), "reaches outside its storage of 4"),
    "reaches outside by its offset": (named("x", tensor((2,), (1,), offset=3)), "reaches outside"),
    "reaches outside by its strides": (named("x", tensor((2, 2), (3, 1))), "reaches outside"),
    "reaches before its storage": (named("x", tensor((2,), (1,), offset=-1)), "offset"),
    "has negative strides": (named("x", tensor((2,), (-1,))), "whole numbers"),
    "is expanded to a trillion values": (named("x", tensor((10**6, 10**6), (0, 0))), "1,000,000,000,000 values"),
    "has thousands of dimensions": (named("x", tensor((1,) * 5000, (1,) * 5000)), "a few whole numbers"),
    "has storage that is missing": (named("blocks.0.mixer.A_log", tensor((4,), (1,), key="9")), "refused"),
    "is a storage that leads out": (named("x", tensor((4,), (1,), key="../../../etc/passwd")), "official"),
    "has a key that is a tuple": (b"}(" + number((1, 2)) + b"Nu", "neither weights"),
    "has a wrong memo": (b"j\xff\xff\xff\x7f", "damaged"),
    "underflows": (b"000", "damaged"),
    "has a huge text": (b"\x8d" + struct.pack("<Q", 2**40) + b"x", "damaged"),
    "has a huge number": (b"\x8b" + struct.pack("<I", 1000) + b"\x7f" * 1000, "8000|bits"),
    "has only numbers": (number(7), "holds a int and no state dict"),
    "doubles sixty times": (with_args(BOMB), "200,000 values or 64 levels"),
    "nests deeply": (with_args(DEEP), "64 levels"),
    "contains itself": (with_args(b"]q\x00h\x00a"), "64 levels"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_PICKLES)
def test_a_pickle_that_lies_is_refused(tmp_path, name):
    content, words = HOSTILE_PICKLES[name]
    refused(make_zip(tmp_path / "evil.pt", program(content), {"0": bytes(16)}), words)


def test_a_memo_bomb_allocates_nothing():
    """A memo index of two billion makes Python's own unpickler allocate 32 GB; here it is one entry."""
    assert read_pickle(io.BytesIO(program(b"Nr\xff\xff\xff\x7f"))) is None


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_pickle_is_refused_or_read_but_never_anything_else(data):
    whole = pickle.dumps({"a": [1, 2.5, "x", None, (b"y", {3})], "b": OrderedDict(c=np.float64(1))}, 2)
    start = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:start] + data.draw(st.binary(max_size=8)) + whole[start + data.draw(st.integers(0, 8)) :]
    try:
        read_pickle(io.BytesIO(changed))
    except Refused as refusal:
        assert "\n" not in str(refusal)


def test_damaged_files_are_refused(tmp_path):
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        whole = save(weights(), tmp_path / "whole.pt", **options).read_bytes()
        path = tmp_path / "damaged.pt"
        for share in (0.001, 0.01, 0.1, 0.5, 0.9, 0.999):
            path.write_bytes(whole[: int(share * len(whole))])
            refused(path, "refused: it")
    whole = bytearray(save(weights(), tmp_path / "whole.pt").read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 8] = bytes(8)
    path.write_bytes(whole)
    refused(path, "CRC")


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "file.pt"
    for content in (b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(1000), b"12345678{" + b"x" * 90):
        path.write_bytes(content)
        refused(path, "no checkpoint|damaged")
    refused(tmp_path / "nowhere.pt", "cannot be read: No such file")
    refused(tmp_path, "cannot be read")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("picture.png", b"x")
    refused(path, "one data.pkl")
    path.write_bytes(b"PK\x03\x04" + bytes(60))
    refused(path, "damaged")
    refused(save({"epoch": 3}, path), "neither weights nor 'ema' or 'model'")
    refused(save({"a": torch.ones(2), "b": 3}, path), "of no official")
    refused(save(nn.Linear(2, 2), path), "a whole torch.nn.modules.linear.Linear")
    refused(save({**weights(), "norm_f.weight": Path("x")}, path), "norm_f.weight' among its weights is a pathlib")
    for start, word in (
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"<!DOCTYPE html>", "web page"),
    ):
        path.write_bytes(start)
        refused(path, word)


def test_zip_files_that_lie_are_refused(tmp_path):
    path, good = tmp_path / "evil.pt", program(named("x", tensor((4,), (1,))))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", good)
        archive.writestr("archive/data/0", bytes(10**8))
    assert path.stat().st_size < 10**6
    refused(path, "compressed")
    refused(make_zip(path, good, **{"archive/../../etc/cron.d/x": b"x"}), "leads out of it")
    refused(make_zip(path, good, **{"/etc/x": b"x"}), "leads out of it")
    refused(make_zip(path, good, **{"other/data.pkl": b"x"}), "one data.pkl")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", good)
        archive.writestr("archive/data.pkl", good)
    refused(path, "twice")
    make_zip(path, good, {"0": bytes(16)})
    lying = path.read_bytes()
    entry = lying.index(b"PK\x01\x02", lying.index(b"PK\x01\x02") + 4)  # second entry of the directory
    path.write_bytes(lying[: entry + 20] + struct.pack("<II", 2**30, 2**30) + lying[entry + 28 :])
    refused(path, "claim 1,07|damaged")


def test_storages_must_have_the_size_their_tensors_need(tmp_path):
    state = weights()
    path = save(state, tmp_path / "a.pt")
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    key = next(name for name in parts if name.endswith("/data/0"))
    for content, words in ((parts[key] + bytes(4), "bytes and its tensor"), (None, "lacks")):
        with zipfile.ZipFile(tmp_path / "b.pt", "w") as archive:
            for name, part in {**parts, key: content}.items():
                if part is not None:
                    archive.writestr(name, part)
        refused(tmp_path / "b.pt", words)


def test_one_storage_under_many_names_is_refused(tmp_path):
    config = {**TINY, "depth": 40}
    shapes = layout("ZigMa", config).shapes()
    one = torch.randn(max(np.prod(shape) for shape in shapes.values()))
    state = {key: one[: int(np.prod(shape))].view(shape) for key, shape in shapes.items()}
    refused(save(state, tmp_path / "a.pt"), "name .* values and it holds")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"norm_f.weight": torch.full((16,), torch.nan)}, "norm_f.weight in it holds NaN"),
        ({"norm_f.weight": torch.tensor([torch.inf] * 16).half()}, "NaN or infinity"),
        ({"norm_f.weight": torch.ones(16, dtype=torch.int64)}, "type torch.int64"),
        ({"norm_f.weight": torch.ones(15)}, r"norm_f.weight of shape \(15,\)"),
        ({"blocks.1.mixer.D": torch.ones(31)}, "blocks.1.mixer.D of shape"),
        ({"blocks.0.mixer.A_log": torch.ones(32)}, "A_log in it has shape"),
        ({"blocks.0.mixer.A_log": torch.ones(0, 16)}, "A_log in it has shape"),
        ({"blocks.700000000.x": torch.ones(1)}, "block 700000000 and only"),
        ({"blocks.2.norm.weight": torch.ones(16)}, "lacks 'blocks.2"),
        ({"pos_embed": torch.ones(1, 15, 16)}, "15 tokens"),
        ({"spare": torch.ones(1)}, "beyond what a ZigMa of its size asks for, 'spare'"),
        ({"x_embedder.proj.weight": None}, "lacks 'x_embedder.proj.weight'"),
        ({"blocks.0.mixer.A_log": None}, "of no official ZigMa, DiT, SiT or DiG"),
    ],
    ids=str,
)
def test_weights_that_do_not_fit_together_are_refused(tmp_path, change, words):
    state = {key: value for key, value in {**weights(), **change}.items() if value is not None}
    refused(save(state, tmp_path / "a.pt"), words)


@pytest.mark.parametrize(
    "config",
    [
        {"ZigMa": {**TINY, "depth": 10**12}},
        {"ZigMa": {**TINY, "embed_dim": 10**6, "depth": 10**3}},
        {"ZigMa": {**TINY, "img_dim": 2**30}},
        {"DiT": {"hidden_size": 10**6}},
        {"SiT": {"num_classes": 10**10}},
        {"DiG": {"depth": 10**10}},
    ],
    ids=str,
)
def test_a_config_of_billions_of_weights_is_refused_with_their_number(config):
    ((family, settings),) = config.items()
    with pytest.raises(ValueError, match=r"asks for [\d,]{13,} weights, more than 4,000,000,000"):
        layout(family, settings)
    if family == "ZigMa":
        for make in (lambda: build_official(family, settings, {}), lambda: OfficialConfig(family, settings)):
            with pytest.raises(ValueError, match=f"more than {MOST_PARAMETERS:,}"):
                make()
