"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

if not torch.cuda.is_available():  # before anything imports triton: its kernels then run on the CPU, interpreted
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[str]:
    """The whole page with a tiny model of pictures and one of clips; yields its address."""
    from models import tiny_folder
    from pages import serving

    root = tmp_path_factory.mktemp("weights")
    tiny_folder(root / "tiny")
    tiny_folder(root / "tiny-clips", frames=3, scheme="factorized-st", frame_position=True)
    with serving(root) as url:
        yield url
