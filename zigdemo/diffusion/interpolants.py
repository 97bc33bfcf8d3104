"""Paths between noise and data, the predictions of networks on them, and losses.

x_t = alpha(t) clean + sigma(t) noise. Time runs from 0, noise, to 1, data, everywhere in this project.
Source: Albergo et al. 2023 (arXiv 2303.08797); Ma et al. 2024, SiT (arXiv 2401.08740).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..checks import choice

PREDICTIONS = ("velocity", "clean", "noise", "score")
WEIGHTINGS = ("plain", "velocity", "likelihood")
NEAREST_DATA = 0.05  # least 1 - t in the loss of a clean prediction, so that it stays bounded at the data
NEAREST_END = 1e-3  # least distance in time to a singular end, as in the official code
LEAST_SIGMA = 1e-3  # lower bound of the divisor of a score


class Interpolant:
    """alpha and sigma at t (any shape, in [0, 1]) and their derivatives with respect to t, all tensors like t.

    alpha_vanishes: alpha(0) = 0, where x is pure noise and carries no information about the data.
    slope_diverges: d_sigma is unbounded towards t = 1.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    alpha_vanishes: ClassVar[bool] = True
    slope_diverges: ClassVar[bool] = False

    def alpha(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def sigma(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def d_alpha(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def d_sigma(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def forward_rate(self, t: Tensor) -> Tensor:
        """w(t) of the SDE from data to noise, sigma^2 alpha'/alpha - sigma sigma'; SiT's "SBDM" diffusion.

        Infinite where alpha is 0, so t is kept NEAREST_END away from there.
        """
        if self.alpha_vanishes:
            t = t.clamp_min(NEAREST_END)
        sigma = self.sigma(t)
        return sigma**2 * self.d_alpha(t) / self.alpha(t) - sigma * self.d_sigma(t)


@dataclass(frozen=True)
class Linear(Interpolant):
    """The straight path of rectified flow, alpha = t."""

    name = "linear"
    label = "Linear"

    def alpha(self, t: Tensor) -> Tensor:
        return t

    def sigma(self, t: Tensor) -> Tensor:
        return 1 - t

    def d_alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return -torch.ones_like(t)


@dataclass(frozen=True)
class GVP(Interpolant):
    """The trigonometric path with constant variance, alpha = sin(pi t / 2)."""

    name = "gvp"
    label = "GVP"

    def alpha(self, t: Tensor) -> Tensor:
        return torch.sin(t * (math.pi / 2))

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sin((1 - t) * (math.pi / 2))  # cos(pi t / 2), and exactly 0 at t = 1

    def d_alpha(self, t: Tensor) -> Tensor:
        return math.pi / 2 * self.sigma(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return -math.pi / 2 * self.alpha(t)


class VariancePreserving(Interpolant):
    """alpha^2 + sigma^2 = 1, defined by log alpha; alpha is small but not 0 at t = 0."""

    alpha_vanishes = False
    slope_diverges = True

    def log_alpha(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def d_log_alpha(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(self.log_alpha(t))

    def sigma(self, t: Tensor) -> Tensor:
        return (-torch.expm1(2 * self.log_alpha(t))).clamp_min(0).sqrt()

    def d_alpha(self, t: Tensor) -> Tensor:
        return self.alpha(t) * self.d_log_alpha(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return -(self.alpha(t) ** 2) * self.d_log_alpha(t) / self.sigma(t).clamp_min(LEAST_SIGMA**2)


@dataclass(frozen=True)
class VP(VariancePreserving):
    """The continuous diffusion path with a linear rate from `low` at the data to `high` at the noise.

    Source: Song et al. 2021 (arXiv 2011.13456), equation 32.
    """

    name = "vp"
    label = "VP"
    low: float = 0.1
    high: float = 20.0

    def log_alpha(self, t: Tensor) -> Tensor:
        return -0.25 * (1 - t) ** 2 * (self.high - self.low) - 0.5 * (1 - t) * self.low

    def d_log_alpha(self, t: Tensor) -> Tensor:
        return 0.5 * (1 - t) * (self.high - self.low) + 0.5 * self.low


@dataclass(frozen=True)
class DDPM(VariancePreserving):
    """The discrete DDPM schedule as a continuous path through all its steps, for networks trained on the steps.

    Step k of `steps` is at t = 1 - (k + 1) / steps. The sum of log(1 - beta_k), with linear beta, is replaced by an
    integral with midpoints at the steps, which changes alpha_bar by a relative 1e-6 at most.
    Source: Ho et al. 2020 (arXiv 2006.11239), section 4, for the betas.
    """

    name = "ddpm"
    label = "DDPM"
    steps: int = 1000

    def _betas(self, t: Tensor) -> tuple[float, float, Tensor]:
        """Beta at the lower edge of the first step, its rise per step, and beta at the upper edge of the step at t."""
        scale = 1000 / self.steps
        first, rise = scale * 1e-4, scale * (0.02 - 1e-4) / (self.steps - 1)
        edge = first - rise / 2
        return edge, rise, edge + rise * self.steps * (1 - t)

    def log_alpha(self, t: Tensor) -> Tensor:
        # -log(1 - b) = b + b^2/2 + b^3/3 + b^4/4, integrated power by power to avoid cancellation.
        a, _, b = self._betas(t)
        sums = (b + a) / 2 + (b**2 + b * a + a**2) / 6 + (b**3 + b**2 * a + b * a**2 + a**3) / 12 + b**4 / 20
        return -0.5 * self.steps * (1 - t) * sums

    def d_log_alpha(self, t: Tensor) -> Tensor:
        return -0.5 * self.steps * torch.log1p(-self._betas(t)[2])

    def step_at(self, t: Tensor) -> Tensor:
        """The step, a float in [0, steps - 1], that corresponds to time t."""
        return (self.steps * (1 - t) - 1).clamp(0, self.steps - 1)


LINEAR = Linear()
PATHS: dict[str, Interpolant] = {path.name: path for path in (LINEAR, GVP(), VP(), DDPM())}


def _over(values: Tensor, x: Tensor) -> Tensor:
    """Values (batch,), reshaped to broadcast over x."""
    return values.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))


def _fine(t: Tensor) -> Tensor:
    """t in the most precise float of its device: coefficients near the ends are differences of nearly equal values."""
    return t.float() if t.device.type == "mps" else t.double()


def singular_end(prediction: str, path: Interpolant = LINEAR) -> bool:
    """Whether the velocity has a divisor that vanishes at t = 1, so that it cannot be evaluated there."""
    return prediction == "clean" or (prediction == "noise" and path.slope_diverges)


def readable(prediction: str, t: Tensor, path: Interpolant = LINEAR) -> Tensor:
    """t, or the nearest time at which a prediction of this kind determines the velocity.

    At alpha = 0 noise and score do not depend on the data, so they are evaluated slightly later; at a singular end,
    NEAREST_END before it.
    """
    if path.alpha_vanishes and prediction in ("noise", "score"):
        t = t.clamp_min(NEAREST_END)
    return t.clamp_max(1 - NEAREST_END) if singular_end(prediction, path) else t


def velocity_coefficients(prediction: str, t: Tensor, path: Interpolant = LINEAR) -> tuple[Tensor, Tensor]:
    """(a, b), each (batch,), of velocity = a x + b output, at the nearest readable time.

    Raises ValueError for an unknown prediction. Source: Ma et al. 2024 (arXiv 2401.08740), section 2.2; clean:
    Li & He 2025 (arXiv 2511.13720), table 1.
    """
    t = readable(prediction, _fine(t), path)
    if prediction == "velocity":
        return torch.zeros_like(t), torch.ones_like(t)
    if prediction == "clean":
        rate = path.d_sigma(t) / path.sigma(t)
        return rate, path.d_alpha(t) - path.alpha(t) * rate
    choice("prediction", prediction, PREDICTIONS)
    t = t.clamp_max(1 - LEAST_SIGMA**2)  # sigma sigma' has a limit at the end where sigma' may have none
    sigma, rate = path.sigma(t), path.d_alpha(t) / path.alpha(t)
    of_noise = path.d_sigma(t) - sigma * rate
    return rate, of_noise if prediction == "noise" else -sigma * of_noise


def convert(target: str, prediction: str, output: Tensor, x: Tensor, t: Tensor, path: Interpolant = LINEAR) -> Tensor:
    """A network's output at (x, t), converted to another kind of prediction.

    target, prediction: of PREDICTIONS. output, x: (batch, ...); t: (batch,). The result is finite for every finite
    output and t in [0, 1]: divisors that vanish at an end keep their value near it.
    Raises ValueError for unknown kinds.
    """
    if target == prediction:
        return output
    if target == "velocity":
        a, b = velocity_coefficients(prediction, t, path)
        return _over(a, x) * x + _over(b, x) * output
    choice("prediction", target, PREDICTIONS)
    t = readable(prediction, _fine(t), path)
    alpha, sigma = path.alpha(t), path.sigma(t)
    if target == "score":
        return convert("noise", prediction, output, x, t, path) / _over(-sigma.clamp_min(LEAST_SIGMA), x)
    if prediction == "velocity":
        d_alpha, d_sigma = path.d_alpha(t), path.d_sigma(t)
        cross = alpha * d_sigma - d_alpha * sigma  # never 0: the signal-to-noise ratio rises all the way
        level, slope = (sigma, d_sigma) if target == "clean" else (-alpha, -d_alpha)
        return _over(slope / cross, x) * x - _over(level / cross, x) * output
    if prediction == "clean":
        return (x - _over(alpha, x) * output) / _over(sigma, x)
    noise = output if prediction == "noise" else -_over(sigma, x) * output
    return noise if target == "noise" else (x - _over(sigma, x) * noise) / _over(alpha, x)


def interpolate(clean: Tensor, noise: Tensor, t: Tensor, path: Interpolant = LINEAR) -> Tensor:
    """x_t = alpha(t) x_1 + sigma(t) x_0. clean, noise: (batch, ...); t: (batch,) in [0, 1]."""
    fine = _fine(t)
    return _over(path.alpha(fine), clean) * clean + _over(path.sigma(fine), clean) * noise


def renoise(clean: Tensor, noise: Tensor, strength: float, path: Interpolant = LINEAR) -> tuple[Tensor, float]:
    """The state, and its time, from which `sample(..., start=time)` redraws this share of the way.

    clean, noise: (batch, ...); strength: above 0, the sample itself, to 1, new noise alone.
    Source: Meng et al. 2022, SDEdit (arXiv 2108.01073), section 3.
    """
    if not 0 < strength <= 1:
        raise ValueError(f"strength must be a number above 0 and up to 1, not {strength!r}")
    start = 1.0 - strength
    return interpolate(clean, noise, torch.full((len(clean),), start, device=clean.device), path), start


def path_velocity(clean: Tensor, noise: Tensor, t: Tensor, path: Interpolant = LINEAR) -> Tensor:
    """d x_t / dt = alpha'(t) x_1 + sigma'(t) x_0, what a velocity network learns."""
    fine = _fine(t)
    return _over(path.d_alpha(fine), clean) * clean + _over(path.d_sigma(fine), clean) * noise


def clean_of(velocity: Tensor, x: Tensor, t: Tensor, path: Interpolant = LINEAR) -> Tensor:
    """The clean sample that corresponds to a velocity at (x, t); on the linear path the end of the straight line."""
    return convert("clean", "velocity", velocity, x, t, path)


def draw_times(batch: int, mean: float, spread: float, generator: torch.Generator) -> Tensor:
    """Training times (batch,) from a logit-normal; a negative mean favours noise, a spread of 0 means uniform.

    Source: Esser et al. 2024 (arXiv 2403.03206), section 3.1.
    """
    if spread == 0:
        return torch.rand(batch, generator=generator)
    return torch.sigmoid(mean + spread * torch.randn(batch, generator=generator))


def prediction_loss(
    prediction: str,
    output: Tensor,
    clean: Tensor,
    noise: Tensor,
    t: Tensor,
    path: Interpolant = LINEAR,
    weighting: str = "plain",
) -> Tensor:
    """Per-sample mean squared error (batch,) of a prediction, weighted by time.

    plain: in units of the prediction; for a score as noise, |sigma score + noise|^2. velocity: the error of the
    corresponding velocity. likelihood: forward_rate / sigma^2 times the error of the noise, so that the sum over
    uniform times bounds the likelihood. Raises ValueError for unknown names.
    Source: Ma et al. 2024 (arXiv 2401.08740), section 2.2 and appendix A.
    """
    choice("weighting", weighting, WEIGHTINGS)
    fine = _fine(t).clamp_max(1 - NEAREST_DATA) if prediction == "clean" else _fine(t)
    _, scale = velocity_coefficients(prediction, fine, path)
    fine = readable(prediction, fine, path)
    sigma = path.sigma(fine).clamp_min(LEAST_SIGMA**2)
    if prediction == "velocity":
        error = output - path_velocity(clean, noise, t, path)
    elif prediction == "clean":
        error = output - clean
    else:
        error = (output if prediction == "noise" else -_over(sigma, output) * output) - noise
        scale = scale if prediction == "noise" else -scale / sigma
    if weighting == "plain":
        scale = torch.ones_like(scale)
    elif weighting == "likelihood":
        scale = scale * path.forward_rate(fine).clamp_min(LEAST_SIGMA**2).rsqrt()
    return (_over(scale, error) * error).square().flatten(1).mean(1)


def velocity_loss(prediction: str, output: Tensor, clean: Tensor, noise: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """Per-sample mean squared error (batch,) between the velocity of `output` at (x, t) and that of the linear path.

    x: the interpolated sample. For clean predictions the weight stops growing at NEAREST_DATA: the loss is
    |output - clean|^2 / max(1 - t, NEAREST_DATA)^2. Raises ValueError if the shapes differ.
    """
    if output.shape != x.shape:
        raise ValueError(f"output must have the shape of x, {tuple(x.shape)}, not {tuple(output.shape)}")
    return prediction_loss(prediction, output, clean, noise, t, weighting="velocity")
