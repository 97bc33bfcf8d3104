"""Data sets for training: labelled images and clips in folders, and the emoji they are first made from."""

from .clips import ClipSet
from .images import ImageSet

__all__ = ["ClipSet", "ImageSet"]
