"""Data sets for training: labelled images in a folder, and the emoji they are first made from."""

from .images import ImageSet

__all__ = ["ImageSet"]
