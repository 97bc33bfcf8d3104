"""Numeric kernels, one function each; `backends.report()` says which implementation runs and why."""

from . import backends
from .gla import gated_linear_attention
from .s4d import s4d_convolution, s4d_lin
from .selective_scan import causal_conv, selective_scan

__all__ = ["backends", "causal_conv", "gated_linear_attention", "s4d_convolution", "s4d_lin", "selective_scan"]
