"""Pictures and clips with everything inside that is needed to make them again, and reading that back safely."""

from .clips import CLIP_KINDS, filmstrip, read_clip, save_clip
from .metadata import KEY, read_metadata
from .pictures import file_name, read_picture, save_png
from .white import on_white

__all__ = [
    "CLIP_KINDS",
    "KEY",
    "file_name",
    "filmstrip",
    "on_white",
    "read_clip",
    "read_metadata",
    "read_picture",
    "save_clip",
    "save_png",
]
