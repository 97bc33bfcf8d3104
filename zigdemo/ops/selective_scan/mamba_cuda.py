"""The mamba_ssm backend: their CUDA kernel between two gathers. Importing this module imports mamba_ssm."""

from __future__ import annotations

from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
from torch import Tensor

from .reference import causal_conv
from .runs import apart, together

__all__ = ["causal_conv", "selective_scan"]


def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    perm: Tensor | None,
    runs: int = 1,
) -> Tensor:
    """The scan of `reference.selective_scan`; perm: (length,) int64 on the tensors' device.

    Their kernel wants channels before tokens and the parameters in float32.
    """

    def along(value: Tensor | None) -> Tensor | None:
        return None if value is None else apart(value, perm, runs).transpose(1, 2).contiguous()

    y = selective_scan_fn(
        along(x),
        along(dt),
        A.float(),
        along(B),
        along(C),
        None if D is None else D.float(),
        z=along(z),
        delta_bias=None if dt_bias is None else dt_bias.float(),
        delta_softplus=dt_bias is not None,
    ).transpose(1, 2)
    return together(y.contiguous(), perm, runs)
