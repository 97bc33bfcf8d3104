"""Outputs recorded from the official ZigMa, and its networks."""

import json
from pathlib import Path

from safetensors import safe_open

from zigdemo.backbones.official import build_official

GOLDEN = Path(__file__).parent / "golden"


def read(name):
    """Recorded tensors by name, and the official constructor's arguments."""
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
        return tensors, json.loads(file.metadata()["json"])["config"]


def weights(tensors):
    return {key[3:]: value for key, value in tensors.items() if key.startswith("sd.")}


def official(name):
    """The network of a file, and the file's tensors."""
    tensors, config = read(name)
    return build_official("ZigMa", config, weights(tensors), paths=tensors.get("in.paths")), tensors


def assert_same(value, wanted, share=1e-4):
    """Equal up to a share of the standard deviation of what is wanted."""
    assert value.shape == wanted.shape
    assert (value - wanted).abs().max() <= share * wanted.std()
