"""Weights are copied part by part: whole, exact, safe from a file that changes, and never twice in memory."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from zigdemo.zoo import tensors
from zigdemo.zoo.tensors import tensor_copies, tensor_shapes

MEGABYTE = 2**20
PROGRAM = """
import re, sys
from pathlib import Path
import torch
from zigdemo.zoo import tensors
torch.set_num_threads(1)
tensors.MAPPED_BYTES = 2**24
held = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])  # of this program alone
before = held()
kept = dict(tensors.tensor_copies(Path(sys.argv[1]), "cpu"))
print(held() - before)
"""


@pytest.fixture
def file(tmp_path):
    state = {f"part.{i}": torch.randn(10 + i, 3, generator=torch.Generator().manual_seed(i)) for i in range(9)}
    state |= {"half": torch.randn(7).half(), "empty": torch.zeros(0, 4), "number": torch.tensor(3.0)}
    save_file(state, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors", state


@pytest.mark.parametrize("mapped", [1, 200, 2**27])
def test_every_tensor_comes_once_in_float32_however_little_is_mapped_at_a_time(file, monkeypatch, mapped):
    monkeypatch.setattr(tensors, "MAPPED_BYTES", mapped)
    path, state = file
    pairs = list(tensor_copies(path, "cpu"))
    assert sorted(name for name, _ in pairs) == sorted(state)
    assert all(value.dtype == torch.float32 and torch.equal(value, state[name].float()) for name, value in pairs)
    assert tensor_shapes(path) == {name: tuple(value.shape) for name, value in state.items()}


def test_a_copy_does_not_change_with_the_file(file):
    path, state = file
    copies = dict(tensor_copies(path, "cpu"))
    path.write_bytes(b"\0" * path.stat().st_size)
    assert torch.equal(copies["part.0"], state["part.0"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_damaged_values_are_refused_by_the_name_of_their_tensor(tmp_path, value):
    save_file({"fine": torch.ones(3), "broken": torch.tensor([1.0, value])}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="broken in .* holds NaN or infinity"):
        list(tensor_copies(tmp_path / "model.safetensors", "cpu"))


def test_a_missing_or_damaged_file_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="has no model.safetensors; copy"):
        tensor_shapes(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="damaged or not a safetensors file"):
        list(tensor_copies(tmp_path / "model.safetensors", "cpu"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel tells no peak there")
def test_memory_peaks_little_above_the_bytes_of_the_file(tmp_path):
    save_file({f"part.{i}": torch.ones(16 * MEGABYTE // 4) for i in range(40)}, tmp_path / "model.safetensors")
    path = tmp_path / "model.safetensors"
    done = subprocess.run([sys.executable, "-c", PROGRAM, path], capture_output=True, text=True, check=True)
    assert 0.9 * path.stat().st_size < int(done.stdout) * 1024 < 1.15 * path.stat().st_size
