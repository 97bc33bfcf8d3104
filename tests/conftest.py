"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

if not torch.cuda.is_available():  # before anything imports triton: its kernels then run on the CPU, interpreted
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Hypothesis tries the same examples every time, so that a run says something about the code alone; `make
# test-new-examples` draws new ones. No deadline: how long an example takes is a matter of what else runs here.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("new", deadline=None, print_blob=True)
settings.load_profile("same")


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
