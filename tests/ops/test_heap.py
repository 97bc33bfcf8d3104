"""Freed memory is kept where glibc allows it, and asking elsewhere is harmless."""

import sys

from zigdemo.ops.heap import keep_freed_memory


def test_it_says_whether_it_could(monkeypatch):
    assert keep_freed_memory() in (True, False)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
