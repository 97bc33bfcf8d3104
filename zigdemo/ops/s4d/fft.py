"""The backend for any device: the kernel as a product of two small power tables, the convolution by FFT."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def _powers(rate: Tensor, step: int, count: int) -> Tensor:
    """exp(rate * step * k) for k = 0 .. count - 1 on a new last axis.

    Computed as an outer product of two shorter tables, as a complex exponential costs as much as twenty products.
    """
    stride = math.isqrt(count - 1) + 1
    k = step * torch.arange(stride, dtype=rate.real.dtype, device=rate.device)
    fine = torch.exp(rate[..., None] * k)
    coarse = torch.exp(rate[..., None] * (stride * k[: -(-count // stride)]))
    return (coarse[..., None] * fine[..., None, :]).flatten(-2)[..., :count]


def kernel(log_dt: Tensor, A: Tensor, C: Tensor, length: int) -> Tensor:
    """K_l = 2 Re sum_n C_n Bbar_n Abar_n^l for l = 0 .. length - 1, as (channels, directions, length).

    log_dt: (channels,); A: (channels, modes); C: (directions, channels, modes). With l = block * stride + offset the
    power is a product of two, so the Vandermonde matrix is never formed: its two tables have 2 sqrt(length) columns,
    and the sum over modes is a real matrix product. Autograd keeps only the tables.
    """
    directions, channels, modes = C.shape
    rate = log_dt.to(A.real.dtype).exp()[:, None] * A
    stride = math.isqrt(length - 1) + 1
    offsets = _powers(rate, 1, stride)
    starts = _powers(rate, stride, -(-length // stride))
    weights = (2 * C * (torch.expm1(rate) / A)).transpose(0, 1)[..., None] * starts[:, None]
    columns = torch.cat([weights.real, -weights.imag], 2).transpose(2, 3).flatten(1, 2)
    with torch.autocast(A.device.type, enabled=False):  # half precision would lose the phase of the kernel
        taps = columns @ torch.cat([offsets.real, offsets.imag], 1)
    return taps.reshape(channels, directions, -1)[..., :length]


def fast_length(least: int) -> int:
    """The smallest number >= `least` with prime factors 2, 3 and 5 only; an FFT of 2 x prime costs 2.5 x as much."""
    best = 1 << (least - 1).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            blocks = -(-least // three)
            best = min(best, three << (blocks - 1).bit_length())
            three *= 3
        five *= 5
    return best


def s4d_convolution(u: Tensor, log_dt: Tensor, A: Tensor, C: Tensor, D: Tensor | None) -> Tensor:
    """The convolution of `reference.s4d_convolution`; both directions are one circular kernel of twice the length."""
    length = u.shape[1]
    u_ = u.to(A.real.dtype)
    size = fast_length(2 * length - 1)
    taps = kernel(log_dt, A, C, length)
    first, later = taps[..., :1].sum(1), [taps[:, 0, 1:], taps.new_zeros(taps.shape[0], size - length)]
    if D is not None:  # the skip is a tap at lag 0
        first = first + D.to(taps.dtype)[:, None]
    if C.shape[0] == 2:  # lag -l of the backward kernel is at position -l of the circular kernel
        later[1] = later[1][:, length - 1 :]
        later.append(taps[:, 1, 1:].flip(-1))
    spectrum = torch.fft.rfft(u_.transpose(1, 2), size) * torch.fft.rfft(torch.cat([first, *later], -1))
    return torch.fft.irfft(spectrum, size)[..., :length].transpose(1, 2).to(u.dtype).contiguous()
