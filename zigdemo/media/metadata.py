"""The settings embedded as text in our files, and where each file format stores them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from . import decoding

KEY = "zigdemo"  # the PNG text chunk
EXIF_DESCRIPTION = 0x010E  # used for WebP; GIF and MP4 have a comment
MOST_FILE_BYTES = 2**26
MOST_METADATA_CHARACTERS = 2**16


def settings_text(
    settings: Mapping[str, Any], provenance: dict[str, Any], index: int, clip: dict[str, float] | None = None
) -> str:
    """The text for a file: settings, provenance, index in the batch, and for a clip its frames and frame rate.

    ASCII, as some file formats support nothing else.
    """
    content = {"request": dict(settings), "provenance": provenance, "index": index}
    return json.dumps(content if clip is None else {**content, "clip": clip})


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The {"request", "provenance", "index"} in a PNG, MP4, GIF or WebP of ours; the content is untrusted data.

    A clip also has {"clip": {"frames", "frames_per_second"}}. Raises ValueError with one sentence if the file is none
    of these, too large, or has no such metadata.
    """
    path = Path(path)
    name = path.name
    try:
        size = path.stat().st_size
    except OSError:
        raise ValueError(f"there is no file {name}; choose one made here") from None
    if size > MOST_FILE_BYTES:
        raise ValueError(f"{name} is larger than {MOST_FILE_BYTES // 2**20} MB; choose one made here")
    text = _text_inside(path)
    if not isinstance(text, str):
        raise ValueError(f"{name} carries no settings of zigdemo; choose one made here")
    if len(text) > MOST_METADATA_CHARACTERS:
        raise ValueError(f"the settings inside {name} are far too long; choose one made here")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("request"), dict):
        raise ValueError(f"the settings inside {name} are damaged; choose another one")
    provenance = content.get("provenance")
    metadata = {
        "request": content["request"],
        "provenance": provenance if isinstance(provenance, dict) else {},
        "index": content.get("index", 0),
    }
    clip = content.get("clip")
    return {**metadata, "clip": clip} if isinstance(clip, dict) else metadata


def _text_inside(path: Path) -> object:
    """The content of a file where ours store their settings. Raises ValueError if it cannot be read."""
    if decoding.container_of(path) is not None:
        return decoding.comment(path)
    try:
        with Image.open(path, formats=("PNG", "GIF", "WEBP")) as image:
            if image.format == "PNG":
                image.load()  # text chunks may follow the pixels
                return image.info.get(KEY)
            text = image.info.get("comment") if image.format == "GIF" else image.getexif().get(EXIF_DESCRIPTION)
    except decoding.PILLOW_FAULTS as fault:
        raise ValueError(f"{path.name} is not a readable PNG, MP4, GIF or WebP; choose one made here") from fault
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text
