"""Fixtures for all tests."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if PROCESSES > 1:  # they share the processors, as do the programs that they start
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // PROCESSES))
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    # Of Gradio's one folder for all programs, the first page that closes deletes what the others show.
    os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="tests-served-")
    atexit.register(shutil.rmtree, os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)
if not torch.cuda.is_available():  # before anything imports triton: its kernels then run on the CPU, interpreted
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Hypothesis tries the same examples every time, so that a run says something about the code alone; `make
# test-new-examples` draws new ones. No deadline: how long an example takes is a matter of what else runs here.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("new", deadline=None, print_blob=True)
settings.load_profile("same")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One process does all that drives a browser, which keeps more than a core busy; the others take files whole.

    Tests of a GPU are skipped where there is none.
    """
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            group = "browser" if item.get_closest_marker("browser") else str(item.path)
            item.add_marker(pytest.mark.xdist_group(group))


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
