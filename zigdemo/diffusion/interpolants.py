"""The stochastic interpolant between noise and data. Time runs from 0, noise, to 1, data, everywhere in this project.

Source: Albergo et al. 2023 (arXiv 2303.08797); Ma et al. 2024, SiT (arXiv 2401.08740).
"""

from __future__ import annotations

import torch
from torch import Tensor

PREDICTIONS = ("velocity", "clean")
NEAREST_DATA = 0.05  # least 1 - t by which a clean prediction is divided, so that the loss stays bounded at the data


def _over(t: Tensor, x: Tensor) -> Tensor:
    """t: (batch,) shaped to broadcast over x."""
    return t.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))


def interpolate(clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t = t x_1 + (1 - t) x_0, the linear path. clean, noise: (batch, ...); t: (batch,) in [0, 1]."""
    return torch.lerp(noise, clean, _over(t, clean))


def velocity_of(prediction: str, output: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """The velocity dx/dt that a network's output at (x, t) stands for.

    prediction: "velocity" or "clean". Source: Li & He 2025 (arXiv 2511.13720), table 1.
    """
    if prediction == "velocity":
        return output
    return (output - x) / _over((1 - t).clamp_min(NEAREST_DATA), x)


def clean_of(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """The clean sample that a straight path from (x, t) with this velocity ends in."""
    return x + _over(1 - t, x) * velocity


def draw_times(batch: int, mean: float, spread: float, generator: torch.Generator) -> Tensor:
    """Training times (batch,) from a logit-normal; a negative mean leans to the noisy half; spread 0 is uniform.

    Source: Esser et al. 2024 (arXiv 2403.03206), section 3.1.
    """
    if spread == 0:
        return torch.rand(batch, generator=generator)
    return torch.sigmoid(mean + spread * torch.randn(batch, generator=generator))


def velocity_loss(prediction: str, output: Tensor, clean: Tensor, noise: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """Per-sample mean squared error (batch,) between the velocity that `output` stands for and the path's.

    A clean prediction is compared over the same clamped 1 - t, so that its loss is |output - clean|^2 / (1 - t)^2.
    """
    if prediction == "clean":
        error = (output - clean) / _over((1 - t).clamp_min(NEAREST_DATA), x)
    else:
        error = output - (clean - noise)
    return error.square().flatten(1).mean(1)
