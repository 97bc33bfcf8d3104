"""DiffuSSM's mixer as part of a graph: the S4D convolution by a Fourier transform of two small matrix products."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..backbones.diffussm import BidirectionalS4D
from .builder import Graph, Value


class Fourier:
    """The discrete Fourier transform of `length` real tokens and as many zeros, at the frequencies that tell them all.

    Token columns * a + b goes to frequency k + 2 rows * m: first the sums over a for every k = 0 .. rows, then, with
    what b turns them by, those over b. The other frequencies are conjugates of these. A spectrum is
    (batch, rows + 1, 2 * columns, channels), real parts before imaginary ones. Source: Cooley & Tukey 1965.
    """

    def __init__(self, graph: Graph, length: int, channels: int) -> None:
        self.graph, self.length, self.channels = graph, length, channels
        self.columns = math.isqrt(length - 1) + 1
        self.rows = -(-length // self.columns)
        a, b = np.arange(self.rows), np.arange(self.columns)
        k, size = np.arange(self.rows + 1), 2 * self.rows * self.columns
        turns = np.exp(-2j * np.pi * np.outer(k, a) / (2 * self.rows))
        self.first = np.stack([turns.real, turns.imag], 1)  # (rows + 1, 2, rows)
        turns = np.exp(-2j * np.pi * b * (k[:, None, None] / size + b[:, None] / self.columns))
        self.second = np.block([[turns.real, -turns.imag], [turns.imag, turns.real]])
        self.counted = np.where((k == 0) | (k == self.rows), 1, 2) / size  # how often each k stands, with conjugates

    def _table(self, values: np.ndarray) -> Value:
        return self.graph.table(torch.from_numpy(values).float())

    def spectrum(self, x: Value) -> Value:
        """x: (batch, length, channels)."""
        rest = self.rows * self.columns - self.length
        x = self.graph.node("Pad", x, [0, 0, 0, 0, rest, 0]) if rest else x
        sums = self._table(self.first.reshape(-1, self.rows)) @ x.reshape(0, self.rows, self.columns * self.channels)
        return self._table(self.second) @ sums.reshape(0, self.rows + 1, 2 * self.columns, self.channels)

    def tokens(self, spectrum: Value) -> Value:
        """The first `length` tokens of a spectrum, (batch, length, channels)."""
        sums = self._table(self.second.transpose(0, 2, 1)) @ spectrum
        back = (self.first * self.counted[:, None, None]).reshape(-1, self.rows).T
        x = self._table(back) @ sums.reshape(0, 2 * (self.rows + 1), self.columns * self.channels)
        x = x.reshape(0, self.rows * self.columns, self.channels)
        return x.slice(1, 0, self.length) if self.rows * self.columns > self.length else x

    def product(self, one: Value, other: Value) -> Value:
        """The product of two spectra, which convolves what they are of."""
        (a, b), (c, d) = (value.split(2, self.columns, self.columns) for value in (one, other))
        return self.graph.cat([a * c - b * d, a * d + b * c], 2)

    def conjugate(self, spectrum: Value) -> Value:
        """The spectrum of the tokens in reverse around the first one."""
        return spectrum * self._table(np.repeat([1.0, -1.0], self.columns)[:, None])


def s4d(graph: Graph, u: Value, mixer: BidirectionalS4D, length: int) -> Value:
    """The convolution of a mixer, (batch, length, channels) -> the same; see `zigdemo.ops.s4d_convolution`.

    The kernels are computed in the graph, from a few numbers a channel; the runtime does it once, when it loads.
    """
    fourier = Fourier(graph, length, len(mixer.D))
    forward, backward = (fourier.spectrum(one) for one in kernels(graph, mixer, length))
    return fourier.tokens(fourier.product(fourier.spectrum(u), forward + fourier.conjugate(backward)))


def kernels(graph: Graph, mixer: BidirectionalS4D, length: int) -> list[Value]:
    """K_l = 2 Re sum_n C_n Bbar_n Abar_n^l of both directions, (1, length, channels) each; D is in the first at l = 0.

    Source: Gu et al. 2022 (arXiv 2206.11893), S4D with zero-order hold.
    """
    A = torch.complex(-mixer.log_A_real.double().exp(), mixer.A_imag.double())
    rate = mixer.log_dt.double().exp()[:, None] * A
    weights = 2 * torch.view_as_complex(mixer.C.double()) * torch.expm1(rate) / A  # (2, channels, modes)

    def table(values: Tensor) -> Value:
        return graph.table(values.detach().float())

    lags = table(torch.arange(length)[:, None, None])
    size, angle = graph.node("Exp", lags * table(rate.real.T)), lags * table(rate.imag.T)  # (length, modes, channels)
    real, imaginary = size * graph.node("Cos", angle), size * graph.node("Sin", angle)
    causal, anticausal = (
        graph.sum(real * table(w.real.T) - imaginary * table(w.imag.T), 1).unsqueeze(0) for w in weights
    )
    return [causal + table((torch.arange(length) == 0)[:, None] * mixer.D), anticausal]
