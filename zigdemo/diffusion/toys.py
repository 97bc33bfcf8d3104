"""Gaussian mixtures, for which velocity, score, noise and clean sample are known exactly on every path."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..checks import choice
from .fields import Field
from .interpolants import LINEAR, PREDICTIONS, Interpolant

BEFORE_END = 1 - 1e-9  # sigma' sigma has a limit at t = 1 where sigma' has none, so it is evaluated just before


@dataclass(frozen=True)
class Mixture:
    """A Gaussian mixture. means: (k, d); covariances: (k, d, d); weights: (k,), positive, summing to 1."""

    means: Tensor
    covariances: Tensor
    weights: Tensor

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, d) draws, in the dtype of the means."""
        which = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator, dtype=self.means.dtype)
        spread = torch.linalg.cholesky(self.covariances)[which]
        return self.means[which] + (spread @ noise[..., None])[..., 0]

    @property
    def mean(self) -> Tensor:
        """Mean (d,) of the whole mixture."""
        return self.weights @ self.means

    @property
    def covariance(self) -> Tensor:
        """Covariance (d, d) of the whole mixture."""
        apart = self.means - self.mean
        return torch.einsum("k,kij->ij", self.weights, self.covariances + apart[:, :, None] * apart[:, None])

    @cached_property
    def _axes(self) -> tuple[Tensor, Tensor]:
        """Principal variances (k, d) and axes (k, d, d) of the components."""
        return tuple(torch.linalg.eigh(self.covariances))

    def _parts(self, x: Tensor, t: Tensor, path: Interpolant) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """alpha, sigma (n, 1, 1); log weights of the components at x (n, k); their offsets C^-1 (x - m) (n, k, d)."""
        t = t.double().clamp_max(BEFORE_END)
        alpha, sigma = (rate(t).to(x.dtype).reshape(-1, 1, 1) for rate in (path.alpha, path.sigma))
        values, axes = (part.to(x) for part in self._axes)
        spread = alpha**2 * values + sigma**2
        offset = torch.einsum("kij,nki->nkj", axes, x[:, None] - alpha * self.means.to(x))
        log_weight = self.weights.to(x).log() - 0.5 * (offset**2 / spread + (2 * math.pi * spread).log()).sum(-1)
        return alpha, sigma, log_weight, torch.einsum("kij,nkj->nki", axes, offset / spread)

    def log_density(self, x: Tensor, t: float = 1.0, path: Interpolant = LINEAR) -> Tensor:
        """log p_t at x (n, d), (n,) in nats."""
        return torch.logsumexp(self._parts(x, torch.full((len(x),), t, dtype=torch.float64), path)[2], -1)

    def output(self, prediction: str, x: Tensor, t: Tensor, path: Interpolant = LINEAR) -> Tensor:
        """What a perfect network predicts at x (n, d), t (n,): the mean of its target given x."""
        choice("prediction", prediction, PREDICTIONS)
        alpha, sigma, log_weight, pull = self._parts(x, t, path)
        share = torch.softmax(log_weight, -1)[..., None]
        if prediction == "score":
            return -(share * pull).sum(1)
        noise = (share * sigma * pull).sum(1)
        if prediction == "noise":
            return noise
        inside = torch.einsum("kij,nkj->nki", self.covariances.to(x), pull)
        clean = (share * (self.means.to(x) + alpha * inside)).sum(1)
        if prediction == "clean":
            return clean
        t = t.double().clamp_max(BEFORE_END)
        d_alpha, d_sigma = (rate(t).to(x.dtype)[:, None] for rate in (path.d_alpha, path.d_sigma))
        return d_alpha * clean + d_sigma * noise

    def field(self, prediction: str = "velocity", path: Interpolant = LINEAR) -> Field:
        """The perfect network's field."""
        return Field(lambda x, t: self.output(prediction, x, t, path), prediction, path)


def cloud_distance(cloud: Tensor, truth: Tensor, directions: int = 32) -> Tensor:
    """How far a cloud must move on average, along a direction, to be spread like the true points; 0 only if it is.

    The sliced Wasserstein-1 distance, a scalar. cloud: (n, 2). truth: (m, 2), m a multiple of n. directions: number of
    evenly spread directions over which the mean is taken. Raises ValueError if m is no multiple of n.
    """
    if not len(cloud) or len(truth) % len(cloud):
        raise ValueError(f"{len(truth)} true points are no multiple of the {len(cloud)} points of the cloud")
    angles = torch.arange(directions, dtype=cloud.dtype) * math.pi / directions
    along = torch.stack([angles.cos(), angles.sin()])
    places = (cloud @ along).sort(0).values
    true_places = (truth @ along).sort(0).values.reshape(len(cloud), -1, directions)
    return (places[:, None] - true_places).abs().mean()


def _isotropic(means: list[tuple[float, float]], spread: float) -> Mixture:
    """Equally weighted isotropic components."""
    count = len(means)
    return Mixture(
        torch.tensor(means, dtype=torch.float64),
        (spread**2 * torch.eye(2, dtype=torch.float64)).expand(count, 2, 2),
        torch.full((count,), 1 / count, dtype=torch.float64),
    )


def gaussian() -> Mixture:
    """One tilted Gaussian."""
    return Mixture(
        torch.tensor([[0.8, -0.4]], dtype=torch.float64),
        torch.tensor([[[0.5, 0.3], [0.3, 0.4]]], dtype=torch.float64),
        torch.ones(1, dtype=torch.float64),
    )


def pair() -> Mixture:
    """Two components of unequal weight and tilt."""
    return Mixture(
        torch.tensor([[-1.0, 0.5], [1.0, -0.3]], dtype=torch.float64),
        torch.tensor([[[0.2, 0.1], [0.1, 0.15]], [[0.1, -0.05], [-0.05, 0.3]]], dtype=torch.float64),
        torch.tensor([0.35, 0.65], dtype=torch.float64),
    )


def ring() -> Mixture:
    """Eight isotropic components on a circle."""
    angles = [2 * math.pi * i / 8 for i in range(8)]
    return _isotropic([(1.5 * math.cos(angle), 1.5 * math.sin(angle)) for angle in angles], 0.15)


def spiral() -> Mixture:
    """Twenty-four isotropic components along a spiral of one and a half turns."""
    turns = [(0.3 + 1.4 * i / 23, 3 * math.pi * i / 23) for i in range(24)]
    return _isotropic([(radius * math.cos(angle), radius * math.sin(angle)) for radius, angle in turns], 0.1)


def checkerboard() -> Mixture:
    """The eight dark squares of a 4 x 4 board, as isotropic components."""
    squares = [(row, column) for row in range(4) for column in range(4) if (row + column) % 2 == 0]
    return _isotropic([(column - 1.5, 1.5 - row) for row, column in squares], 0.22)


TOYS = {"gaussian": gaussian, "pair": pair, "ring": ring, "spiral": spiral, "checkerboard": checkerboard}
