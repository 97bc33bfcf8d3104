"""Where finished pictures lie while the program runs."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from functools import cache
from pathlib import Path

from .. import media
from ..pipeline import Result

FILE_SECONDS = 24 * 3600.0  # how long pictures stay downloadable


@cache
def pictures_folder() -> Path:
    """Where finished pictures are kept while the program runs; the server must be allowed to hand them out."""
    folder = tempfile.mkdtemp(prefix="zigdemo-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def save_pictures(result: Result) -> list[str]:
    """Write the pictures of a run into a folder of their own, and drop the folders of yesterday."""
    for old in pictures_folder().iterdir():
        if time.time() - old.stat().st_mtime > FILE_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=pictures_folder()))
    return [
        str(media.save_png(image, folder / media.file_name(result.request, i), result.request, result.provenance, i))
        for i, image in enumerate(result.images)
    ]
