"""Kernels compile where nothing can be written to, and what that costs is said once."""

import logging
import os
import subprocess
import sys

import pytest

from zigdemo.ops import kernel_cache


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(kernel_cache.config, "CACHE_DIR", "")
    kernel_cache.keeps_kernels.cache_clear()
    yield
    kernel_cache.keeps_kernels.cache_clear()


def test_a_usual_folder_is_left_to_numba(caplog):
    assert kernel_cache.keeps_kernels() and not caplog.records and not kernel_cache.config.CACHE_DIR


def test_elsewhere_a_temporary_folder_is_taken_and_the_cost_is_told(monkeypatch, caplog):
    monkeypatch.setattr(kernel_cache, "is_writable", lambda folder: False)
    with caplog.at_level(logging.WARNING):
        assert kernel_cache.keeps_kernels()
    assert os.path.isdir(kernel_cache.config.CACHE_DIR) and "NUMBA_CACHE_DIR" in caplog.text


def test_without_any_disk_nothing_is_kept(monkeypatch):
    def full(prefix):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kernel_cache, "is_writable", lambda folder: False)
    monkeypatch.setattr(kernel_cache, "temporary_folder", full)
    assert not kernel_cache.keeps_kernels()


def test_a_file_in_place_of_a_folder_is_not_writable(tmp_path):
    (tmp_path / "file").write_text("")
    assert not kernel_cache.is_writable(tmp_path / "file" / "inside") and kernel_cache.is_writable(tmp_path / "new")


def test_kernels_compile_with_nothing_kept():
    code = (
        "import tempfile, torch\n"
        "from zigdemo.ops import kernel_cache\n"
        "kernel_cache.keeps_kernels = lambda: False\n"
        "from zigdemo.ops import s4d_convolution\n"
        "u = torch.randn(1, 5, 2); A = -torch.rand(2, 3, dtype=torch.complex64)\n"
        "C = torch.randn(2, 3, dtype=torch.complex64)\n"
        "print(s4d_convolution(u, torch.zeros(2), A, C, torch.ones(2), bidirectional=False, backend='cpu').shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Size([1, 5, 2])" in done.stdout, done.stderr
