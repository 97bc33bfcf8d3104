"""Pictures and clips as files that embed everything needed to reproduce them, and safe reading of such files."""

from .clips import CLIP_KINDS, filmstrip, read_clip, save_clip
from .metadata import KEY, read_metadata
from .opening import on_white
from .pictures import file_name, read_picture, save_png

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
