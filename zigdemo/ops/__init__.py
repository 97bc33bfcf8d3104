"""Numeric kernels, one function each; `backends.report()` says which implementation runs and why."""

from . import backends
from .s4d import s4d_convolution, s4d_lin
from .selective_scan import causal_conv, selective_scan

__all__ = ["backends", "causal_conv", "s4d_convolution", "s4d_lin", "selective_scan"]
