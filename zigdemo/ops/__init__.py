"""Numeric kernels, one function each; `backends.report()` says which implementation runs and why."""

from . import backends
from .gla import gated_linear_attention
from .selective_scan import causal_conv, selective_scan

__all__ = ["backends", "causal_conv", "gated_linear_attention", "selective_scan"]
