"""Where numba keeps compiled kernels: beside the code, in the user's cache, or else in a temporary folder."""

from __future__ import annotations

import logging
import os
import tempfile
from functools import cache
from pathlib import Path

from numba.core import config

from ..files import temporary_folder

log = logging.getLogger(__name__)
COMPILED_ANEW = (
    "compiled kernels cannot be kept on this disk, so every start compiles them again, about half a minute; set "
    "NUMBA_CACHE_DIR to a folder that can be written to"
)


def is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which is made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _usual_folders() -> list[Path]:
    """Where numba looks for a place itself."""
    beside = Path(__file__).parent / "selective_scan" / "__pycache__"
    home = os.environ.get("XDG_CACHE_HOME") or (Path.home() / ".cache")
    return [Path(config.CACHE_DIR)] if config.CACHE_DIR else [beside, Path(home) / "numba"]


@cache
def keeps_kernels() -> bool:
    """Whether numba can keep kernels: in one of its usual folders, or in a temporary one that it is given here.

    Without any, numba would refuse to compile at all.
    """
    if any(is_writable(folder) for folder in _usual_folders()):
        return True
    log.warning(COMPILED_ANEW)
    try:
        config.CACHE_DIR = str(temporary_folder("zigdemo-kernels-"))
    except OSError:
        return False
    return True
