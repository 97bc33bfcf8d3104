"""Where the files of a model are looked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def find_part(name: str, places: Sequence[Path], file: str) -> Path | None:
    """The folder of a part of a model (a text tower, an autoencoder) that has `file`; None where there is none.

    name: an id, looked up in the places in their order, or an absolute path. Never the current directory, so that a
    model draws the same from wherever it is started.
    """
    folders = [Path(name)] if Path(name).is_absolute() else [place / name for place in places]
    return next((folder for folder in folders if (folder / file).is_file()), None)
