"""Numeric kernels, one function each; `backends.report()` says which implementation runs and why."""

from . import backends
from .selective_scan import causal_conv, selective_scan

__all__ = ["backends", "causal_conv", "selective_scan"]
