"""The fast backend: the kernel as a product of two small tables of powers, the convolution by FFT, on any device."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def kernel(log_dt: Tensor, A: Tensor, C: Tensor, length: int) -> Tensor:
    """K_l = 2 Re sum_n C_n Bbar_n Abar_n^l for l = 0 .. length - 1, as (directions, channels, length).

    log_dt: (channels,); A: (channels, modes); C: (directions, channels, modes). With l = block * stride + offset the
    power is a product of two, so the Vandermonde matrix is never written down: its two tables have 2 sqrt(length)
    columns, and summing over the modes is a real matrix product. Autograd keeps the tables, nothing longer.
    """
    directions, channels, modes = C.shape
    rate = log_dt.to(A.real.dtype).exp()[:, None] * A
    stride = math.isqrt(length - 1) + 1
    offsets = torch.arange(stride, dtype=A.real.dtype, device=A.device)
    starts = stride * offsets[: -(-length // stride)]
    within = torch.exp(rate[:, :, None] * offsets)
    weights = 2 * C * (torch.expm1(rate) / A)
    across = weights.transpose(0, 1)[:, :, None] * torch.exp(starts[:, None] * rate[:, None])[:, None]
    rows = torch.cat([across.real, -across.imag], -1).reshape(channels, -1, 2 * modes)
    with torch.autocast(A.device.type, enabled=False):  # half precision would cost the kernel its phase
        taps = rows @ torch.cat([within.real, within.imag], 1)
    return taps.reshape(channels, directions, -1)[:, :, :length].transpose(0, 1)


def fast_length(least: int) -> int:
    """The smallest number from `least` on with no prime factor but 2, 3 and 5: an FFT of 2 x prime costs 2.5x more."""
    found = 1 << (least - 1).bit_length()
    five = 1
    while five < found:
        three = five
        while three < found:
            blocks = -(-least // three)
            found = min(found, three << (blocks - 1).bit_length())
            three *= 3
        five *= 5
    return found


def s4d_convolution(u: Tensor, log_dt: Tensor, A: Tensor, C: Tensor, D: Tensor | None) -> Tensor:
    """The convolution of `reference.s4d_convolution`; both directions are one circular kernel of twice the length."""
    length = u.shape[1]
    u_ = u.to(A.real.dtype)
    size = fast_length(2 * length - 1)
    taps = kernel(log_dt, A, C, length)
    ring = F.pad(taps[0], (0, size - length))
    if C.shape[0] == 2:  # lag -l of the backward kernel sits at size - l, its lag 0 on top of the forward one
        ring = ring + F.pad(taps[1].flip(-1), (size - length, 0)).roll(1, -1)
    spectrum = torch.fft.rfft(u_.transpose(1, 2), size) * torch.fft.rfft(ring)
    y = torch.fft.irfft(spectrum, size)[..., :length].transpose(1, 2)
    if D is not None:
        y = y + D.to(u_.dtype) * u_
    return y.to(u.dtype).contiguous()
