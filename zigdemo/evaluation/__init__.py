"""Scores of generated pictures, each with its floor beside it."""

from .clip import ClipScore
from .retrieval import Retrieval, label_retrieval

__all__ = ["ClipScore", "Retrieval", "label_retrieval"]
