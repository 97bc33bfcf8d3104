"""Temporary files of finished pictures and clips."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from .. import media, zoo
from ..files import temporary_folder
from ..pipeline import Result
from .turns import checkpoint

FILE_SECONDS = 24 * 3600.0  # how long files can be downloaded


@cache
def pictures_folder() -> Path:
    """The folder of finished pictures and clips while the program runs; the server must be allowed to serve it."""
    return temporary_folder("zigdemo-")


def new_folder() -> Path:
    """A folder for one run; deletes folders older than FILE_SECONDS."""
    for old in pictures_folder().iterdir():
        if time.time() - old.stat().st_mtime > FILE_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    folder = pictures_folder() / secrets.token_hex(16)  # who has the name may read it
    folder.mkdir(mode=0o700)
    return folder


def runs_folder() -> Path:
    """The folder of the page's fine-tuning runs."""
    return Path(os.environ.get("ZIGDEMO_RUNS", zoo.WEIGHTS.parent / "runs" / "fine-tuning"))


def save_pictures(result: Result) -> list[str]:
    """Write the pictures of a run into a new folder; returns their paths. Raises Stopped."""
    folder, settings, paths = new_folder(), result.request.settings, []
    for i, image in enumerate(result.images):
        checkpoint()
        paths.append(str(media.save_png(image, folder / media.file_name(settings, i), settings, result.provenance, i)))
    return paths


def save_clips(result: Result, kinds: Sequence[str] = media.CLIP_KINDS) -> list[dict[str, str]]:
    """Write the clips of a run into a new folder; returns for every clip the path of each kind of file.

    Raises Stopped.
    """
    folder, settings, paths = new_folder(), result.request.settings, []
    for i, clip in enumerate(result.clips):
        paths.append({})
        for kind in kinds:
            checkpoint()
            path = folder / media.file_name(settings, i, kind)
            paths[-1][kind] = str(media.save_clip(clip, path, settings, result.provenance, i))
    return paths
