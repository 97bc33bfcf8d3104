"""Scores of generated pictures, each with its floor beside it."""

from .retrieval import Retrieval, label_retrieval

__all__ = ["Retrieval", "label_retrieval"]
