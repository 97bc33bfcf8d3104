"""Gaussian diffusion in discrete steps (DDPM), as the official DiT was trained and is sampled.

Step k runs from 0, nearly data, to steps - 1, noise; `Gaussian.field` has it in this project's time.
Source: Ho et al. 2020 (arXiv 2006.11239); Nichol & Dhariwal 2021 (arXiv 2102.09672) for respacing and learned variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..checks import choice
from .fields import Field, Noise, SolverStep, Steps, Velocity
from .interpolants import DDPM

STEPS = 1000
VARIANCES = ("learned", "fixed-large", "fixed-small")
LOSSES = ("mse", "kl")
Table = np.ndarray


def linear_betas(steps: int = STEPS) -> Table:
    """Betas from 1e-4 to 0.02 for 1000 steps, scaled to keep the end for others; (steps,) float64."""
    scale = 1000 / steps
    return np.linspace(scale * 1e-4, scale * 0.02, steps, dtype=np.float64)


def respaced_steps(respacing: str, steps: int = STEPS) -> list[int]:
    """The original steps that are kept, rising.

    respacing: "" all; "250" so many, first and last included; "10,15,20" so many of each equal section; "ddim25" so
    many at an even stride from 0. Raises ValueError for a number of steps that cannot be had.
    """
    if not respacing:
        return list(range(steps))
    try:
        counts = [int(part) for part in respacing.removeprefix("ddim").split(",")]
    except ValueError:
        raise ValueError(f'respacing must be such as "", "250", "10,15,20" or "ddim25", not {respacing!r}') from None
    if respacing.startswith("ddim"):
        for stride in range(1, steps):
            if len(range(0, steps, stride)) == counts[0] and len(counts) == 1:
                return list(range(0, steps, stride))
        raise ValueError(f"respacing {respacing!r} is no even stride through {steps} steps")
    kept, first = [], 0
    for section, count in enumerate(counts):
        size = steps // len(counts) + (section < steps % len(counts))
        if not 1 <= count <= size:
            raise ValueError(f"respacing {respacing!r} asks for {count} of {size} steps")
        stride = (size - 1) / (count - 1) if count > 1 else 1.0
        kept += [first + round(stride * i) for i in range(count)]
        first += size
    return kept


@dataclass(frozen=True)
class Posterior:
    """Of the step before, given x: mean, log variance (tensors like x) and the clean sample they rest on."""

    mean: Tensor
    log_variance: Tensor
    clean: Tensor


@dataclass(frozen=True)
class Gaussian:
    """The discrete process, whole or respaced; tables are float64, one entry per kept step.

    respacing: see `respaced_steps`. variance: of VARIANCES; "learned" networks return (batch, 2 C, ...), noise and
    then a value v that puts the log variance at (v + 1) / 2 between the posterior's and beta.
    """

    respacing: str = ""
    variance: str = "learned"
    steps: int = STEPS

    def __post_init__(self) -> None:
        choice("variance", self.variance, VARIANCES)
        respaced_steps(self.respacing, self.steps)

    @cached_property
    def timestep_map(self) -> Table:
        """The original step of each kept one, which is what a network is asked at; int64."""
        return np.array(respaced_steps(self.respacing, self.steps), dtype=np.int64)

    @cached_property
    def alphas_cumprod(self) -> Table:
        return np.cumprod(1 - self.betas)

    @cached_property
    def alphas_cumprod_prev(self) -> Table:
        return np.append(1.0, self.alphas_cumprod[:-1])

    @cached_property
    def betas(self) -> Table:
        """Noise added by each kept step: what the steps since the last kept one add together."""
        kept = np.cumprod(1 - linear_betas(self.steps))[self.timestep_map]
        return 1 - kept / np.append(1.0, kept[:-1])

    @cached_property
    def sqrt_recip_alphas_cumprod(self) -> Table:
        return np.sqrt(1 / self.alphas_cumprod)

    @cached_property
    def sqrt_recipm1_alphas_cumprod(self) -> Table:
        return np.sqrt(1 / self.alphas_cumprod - 1)

    @cached_property
    def posterior_variance(self) -> Table:
        return self.betas * (1 - self.alphas_cumprod_prev) / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_log_variance_clipped(self) -> Table:
        """log of the posterior variance, which is 0 at the first step: the second step's stands in for it."""
        return np.log(np.append(self._second, self.posterior_variance[1:]))

    @property
    def _second(self) -> float:
        return float(self.posterior_variance[1] if len(self.betas) > 1 else self.betas[0])

    @cached_property
    def posterior_mean_coef1(self) -> Table:
        return self.betas * np.sqrt(self.alphas_cumprod_prev) / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_mean_coef2(self) -> Table:
        return (1 - self.alphas_cumprod_prev) * np.sqrt(1 - self.betas) / (1 - self.alphas_cumprod)

    @cached_property
    def _fixed_log_variance(self) -> Table:
        large = np.log(np.append(self._second, self.betas[1:]))
        return large if self.variance == "fixed-large" else self.posterior_log_variance_clipped

    def q_sample(self, clean: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """x at kept steps (batch,) int64, from clean and noise (batch, ...)."""
        kept = self.alphas_cumprod
        return _take(np.sqrt(kept), step, clean) * clean + _take(np.sqrt(1 - kept), step, clean) * noise

    def _ask(self, network: Velocity, x: Tensor, step: Tensor) -> Tensor:
        original = torch.from_numpy(self.timestep_map).to(step.device)[step]
        output = network(x, original)
        wanted = 2 * x.shape[1] if self.variance == "learned" else x.shape[1]
        if output.shape[1] != wanted:
            raise ValueError(
                f"a network with {self.variance} variance must return {wanted} channels for {x.shape[1]}, "
                f"not {output.shape[1]}"
            )
        return output

    def moments(self, output: Tensor, x: Tensor, step: Tensor, clip: bool = False) -> Posterior:
        """What a network's output at kept steps (batch,) says of the step before. clip: clean held in [-1, 1]."""
        noise, *rest = output.split(x.shape[1], 1)
        clean = (
            _take(self.sqrt_recip_alphas_cumprod, step, x) * x
            - _take(self.sqrt_recipm1_alphas_cumprod, step, x) * noise
        )
        clean = clean.clamp(-1, 1) if clip else clean
        mean = _take(self.posterior_mean_coef1, step, x) * clean + _take(self.posterior_mean_coef2, step, x) * x
        if not rest:
            return Posterior(mean, _take(self._fixed_log_variance, step, x).expand_as(x), clean)
        low, high = _take(self.posterior_log_variance_clipped, step, x), _take(np.log(self.betas), step, x)
        share = (rest[0] + 1) / 2
        return Posterior(mean, share * high + (1 - share) * low, clean)

    def sample(
        self,
        network: Velocity,
        x: Tensor,
        noise: Noise,
        *,
        eta: float | None = None,
        clip: bool = False,
    ) -> Steps:
        """From x, standard noise, to data through every kept step; one network call a step.

        network: (x (batch, C, ...), original step (batch,) int64) -> noise, with the variance after it if learned.
        eta: None for ancestral sampling with the network's or the fixed variance, else DDIM's share of fresh noise.
        noise: drawn in every step, also where it is not used, as the official loops do.
        """
        if eta is not None and not 0 <= eta <= 1:
            raise ValueError(f"eta must be None for ancestral sampling or a number from 0 to 1, not {eta!r}")
        count = len(self.timestep_map)
        for i in range(count):
            k = count - 1 - i
            step = torch.full((len(x),), k, dtype=torch.int64, device=x.device)
            now = self.moments(self._ask(network, x, step), x, step, clip)
            mean, spread = (now.mean, torch.exp(0.5 * now.log_variance)) if eta is None else self._ddim(now, x, k, eta)
            drawn = noise()
            x = mean + spread * drawn if k else mean
            time = 1 - (self.timestep_map[k - 1] + 1) / self.steps if k else 1.0
            yield SolverStep(i, float(time), x, now.clean, i + 1)

    def _ddim(self, now: Posterior, x: Tensor, k: int, eta: float) -> tuple[Tensor, float]:
        kept, before = float(self.alphas_cumprod[k]), float(self.alphas_cumprod_prev[k])
        noise = (x - math.sqrt(kept) * now.clean) / math.sqrt(1 - kept)
        spread = eta * math.sqrt((1 - before) / (1 - kept) * (1 - kept / before))
        return math.sqrt(before) * now.clean + math.sqrt(1 - before - spread**2) * noise, spread

    def losses(
        self, network: Velocity, clean: Tensor, noise: Tensor, step: Tensor, kind: str = "mse"
    ) -> dict[str, Tensor]:
        """Per-sample losses (batch,) at kept steps (batch,): "loss", and the terms it is made of.

        mse: the squared error of the noise, plus, with a learned variance, the variational bound "vb" of the step,
        whose gradient reaches the variance alone. kl: the bound of all steps as one estimates it. In bits per
        dimension. Source: Nichol & Dhariwal 2021, section 3.1.
        """
        choice("loss", kind, LOSSES)
        x = self.q_sample(clean, step, noise)
        output = self._ask(network, x, step)
        if kind == "kl":
            return {"loss": self.bound(output, clean, x, step) * len(self.timestep_map)}
        guess, *rest = output.split(clean.shape[1], 1)
        terms = {"mse": (guess - noise).square().flatten(1).mean(1)}
        if rest:
            terms["vb"] = self.bound(torch.cat([guess.detach(), *rest], 1), clean, x, step)
        return {**terms, "loss": sum(terms.values())}

    def bound(self, output: Tensor, clean: Tensor, x: Tensor, step: Tensor) -> Tensor:
        """The step's part of the variational bound (batch,), bits per dimension; at step 0 the pixels' own likelihood.

        clean: in [-1, 1] with 256 levels. Source: Ho et al. 2020, equation 5.
        """
        guess = self.moments(output, x, step)
        mean = _take(self.posterior_mean_coef1, step, x) * clean + _take(self.posterior_mean_coef2, step, x) * x
        log_variance = _take(self.posterior_log_variance_clipped, step, x)
        gap = log_variance - guess.log_variance
        distance = (mean - guess.mean).square() * torch.exp(-guess.log_variance)
        divergence = 0.5 * (torch.exp(gap) - 1 - gap + distance)
        pixels = -_pixel_log_likelihood(clean, guess.mean, 0.5 * guess.log_variance)
        terms = torch.where((step == 0).reshape(-1, *[1] * (x.ndim - 1)), pixels, divergence)
        return terms.flatten(1).mean(1) / math.log(2)

    def field(self, network: Velocity) -> Field:
        """The network as a field on the smooth path through all steps, for every other solver.

        network: as in `sample`; its step then is a float, and a learned variance is left unused.
        """
        path = DDPM(self.steps)
        return Field(stepped(network, path), "noise", path)


def stepped(network: Callable[..., Tensor], path: DDPM) -> Callable[..., Tensor]:
    """A network of DDPM's discrete steps as one of time t in [0, 1]; a learned variance after the noise is left out.

    network: (x (batch, C, ...), step (batch,) float, ...) -> C channels or more.
    """

    def output(x: Tensor, t: Tensor, *cond: Tensor | None) -> Tensor:
        return network(x, path.step_at(t), *cond)[:, : x.shape[1]]

    return output


def _take(table: Table, step: Tensor, x: Tensor) -> Tensor:
    """table[step], rounded to x's dtype and shaped to broadcast over it."""
    entries = torch.from_numpy(table)[step.cpu()].to(x)
    return entries.reshape(-1, *[1] * (x.ndim - 1))


def _normal_cdf(x: Tensor) -> Tensor:
    """The normal distribution function by the tanh approximation the official bound uses."""
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _pixel_log_likelihood(pixels: Tensor, mean: Tensor, log_spread: Tensor) -> Tensor:
    """log probability of 256-level pixels in [-1, 1] under a normal: the mass of the pixel's bin, open at both ends."""
    scale = torch.exp(-log_spread)
    above, below = (_normal_cdf(scale * (pixels - mean + side / 255)) for side in (1, -1))
    mass = torch.where(pixels < -0.999, above, torch.where(pixels > 0.999, 1 - below, above - below))
    return mass.clamp_min(1e-12).log()
