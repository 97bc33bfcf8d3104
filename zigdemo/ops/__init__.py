"""Numeric kernels, one function each; `backends.report()` says which implementation runs and why."""

from . import backends
<<<<<<< HEAD
from .gla import gated_linear_attention
from .selective_scan import causal_conv, selective_scan

__all__ = ["backends", "causal_conv", "gated_linear_attention", "selective_scan"]
=======
from .s4d import s4d_convolution, s4d_lin
from .selective_scan import causal_conv, selective_scan

__all__ = ["backends", "causal_conv", "s4d_convolution", "s4d_lin", "selective_scan"]
>>>>>>> 7213fab68031d6bd1b762a035743774433e1ac43
