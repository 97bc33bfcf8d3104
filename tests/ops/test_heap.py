"""Freed memory is kept where glibc allows it, and asking elsewhere is harmless."""

import sys

import psutil
import pytest
import torch

from zigdemo.ops.heap import RESERVE_BYTES, keep_freed_memory, return_freed_memory


def test_it_says_whether_it_could(monkeypatch):
    assert keep_freed_memory() in (True, False)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False


def test_what_is_free_goes_back_when_asked(monkeypatch):
    if not keep_freed_memory():
        pytest.skip("no glibc here")
    rss = psutil.Process().memory_info
    for _ in range(2):  # the second time from memory that was kept
        blocks = [torch.ones(2**20) for _ in range(100)]
        full = rss().rss
        del blocks
    assert return_freed_memory()
    assert rss().rss < full - 100 * 2**22 + RESERVE_BYTES + 2**26
    monkeypatch.setattr(sys, "platform", "darwin")
    assert return_freed_memory() is False
