"""Gaussian diffusion in discrete steps (DDPM), as used to train and sample the official DiT.

Step k runs from 0, nearly data, to steps - 1, noise; `Gaussian.field` converts it to this project's time.
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
    """Betas (steps,) float64 from 1e-4 to 0.02 for 1000 steps, scaled for other numbers to reach the same noise."""
    scale = 1000 / steps
    return np.linspace(scale * 1e-4, scale * 0.02, steps, dtype=np.float64)


def respaced_steps(respacing: str, steps: int = STEPS) -> list[int]:
    """The original steps that are kept, in rising order.

    respacing: "" for all; "250" for as many, including the first and last; "10,15,20" for as many from each equal
    section; "ddim25" for as many at an even stride from 0. Raises ValueError for an impossible number of steps.
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
    kept_steps, first = [], 0
    for section, count in enumerate(counts):
        size = steps // len(counts) + (section < steps % len(counts))
        if not 1 <= count <= size:
            raise ValueError(f"respacing {respacing!r} asks for {count} of {size} steps")
        stride = (size - 1) / (count - 1) if count > 1 else 1.0
        kept_steps += [first + round(stride * i) for i in range(count)]
        first += size
    return kept_steps


@dataclass(frozen=True)
class Posterior:
    """Mean and log variance (tensors like x) of the previous step given x, and the clean estimate they are based on."""

    mean: Tensor
    log_variance: Tensor
    clean: Tensor


@dataclass(frozen=True)
class Gaussian:
    """The discrete process, complete or respaced; tables are float64 with one entry per kept step.

    respacing: see `respaced_steps`. variance: of VARIANCES; with "learned" a network returns (batch, 2 C, ...): noise,
    then v, where (v + 1) / 2 interpolates the log variance between the posterior's and beta's. Raises ValueError for
    an unknown variance or respacing.
    """

    respacing: str = ""
    variance: str = "learned"
    steps: int = STEPS

    def __post_init__(self) -> None:
        choice("variance", self.variance, VARIANCES)
        respaced_steps(self.respacing, self.steps)

    @cached_property
    def timestep_map(self) -> Table:
        """The original number of each kept step, which the network receives; int64."""
        return np.array(respaced_steps(self.respacing, self.steps), dtype=np.int64)

    @cached_property
    def alphas_cumprod(self) -> Table:
        return np.cumprod(1 - self.betas)

    @cached_property
    def alphas_cumprod_prev(self) -> Table:
        return np.append(1.0, self.alphas_cumprod[:-1])

    @cached_property
    def betas(self) -> Table:
        """Noise added by each kept step, including the steps skipped since the previous one."""
        alpha_bar = np.cumprod(1 - linear_betas(self.steps))[self.timestep_map]
        return 1 - alpha_bar / np.append(1.0, alpha_bar[:-1])

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
        """log of the posterior variance; at the first step, where it is 0, that of the second step."""
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
        """x at kept steps (batch,) int64 from clean and noise (batch, ...)."""
        alpha_bar = self.alphas_cumprod
        return _take(np.sqrt(alpha_bar), step, clean) * clean + _take(np.sqrt(1 - alpha_bar), step, clean) * noise

    def _predict(self, network: Velocity, x: Tensor, step: Tensor) -> Tensor:
        original = torch.from_numpy(self.timestep_map).to(step.device)[step]
        output = network(x, original)
        channels = 2 * x.shape[1] if self.variance == "learned" else x.shape[1]
        if output.shape[1] != channels:
            raise ValueError(
                f"a network with {self.variance} variance must return {channels} channels for {x.shape[1]}, "
                f"not {output.shape[1]}"
            )
        return output

    def moments(self, output: Tensor, x: Tensor, step: Tensor, clamp: bool = False) -> Posterior:
        """The previous step by a network's output at kept steps (batch,). clamp: keep the clean estimate in [-1, 1]."""
        noise, *rest = output.split(x.shape[1], 1)
        clean = (
            _take(self.sqrt_recip_alphas_cumprod, step, x) * x
            - _take(self.sqrt_recipm1_alphas_cumprod, step, x) * noise
        )
        clean = clean.clamp(-1, 1) if clamp else clean
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
        clamp: bool = False,
    ) -> Steps:
        """From x, standard noise, to data through all kept steps; one network call per step.

        network: (x (batch, C, ...), original step (batch,) int64) -> noise, followed by the variance if learned.
        noise: drawn in every step, even if unused, as in the official loops. eta: None for ancestral sampling with the
        learned or fixed variance, else DDIM's amount of fresh noise. clamp: as in `moments`. Raises ValueError for an
        eta out of range or a wrong number of output channels.
        """
        if eta is not None and not 0 <= eta <= 1:
            raise ValueError(f"eta must be None for ancestral sampling or a number from 0 to 1, not {eta!r}")
        count = len(self.timestep_map)
        for i in range(count):
            k = count - 1 - i
            step = torch.full((len(x),), k, dtype=torch.int64, device=x.device)
            now = self.moments(self._predict(network, x, step), x, step, clamp)
            mean, spread = (now.mean, torch.exp(0.5 * now.log_variance)) if eta is None else self._ddim(now, x, k, eta)
            sample_noise = noise()
            x = mean + spread * sample_noise if k else mean
            time = 1 - (self.timestep_map[k - 1] + 1) / self.steps if k else 1.0
            yield SolverStep(i, float(time), x, now.clean, i + 1)

    def _ddim(self, now: Posterior, x: Tensor, k: int, eta: float) -> tuple[Tensor, float]:
        alpha_bar, previous = float(self.alphas_cumprod[k]), float(self.alphas_cumprod_prev[k])
        noise = (x - math.sqrt(alpha_bar) * now.clean) / math.sqrt(1 - alpha_bar)
        spread = eta * math.sqrt((1 - previous) / (1 - alpha_bar) * (1 - alpha_bar / previous))
        return math.sqrt(previous) * now.clean + math.sqrt(1 - previous - spread**2) * noise, spread

    def losses(
        self, network: Velocity, clean: Tensor, noise: Tensor, step: Tensor, kind: str = "mse"
    ) -> dict[str, Tensor]:
        """Per-sample losses (batch,) at kept steps (batch,): "loss" and its terms.

        mse: squared error of the noise; with a learned variance plus the step's variational bound "vb", with gradients
        for the variance only. kl: the bound over all steps, estimated from one, in bits per dimension. Raises
        ValueError for an unknown kind. Source: Nichol & Dhariwal 2021, section 3.1.
        """
        choice("loss", kind, LOSSES)
        x = self.q_sample(clean, step, noise)
        output = self._predict(network, x, step)
        if kind == "kl":
            return {"loss": self.bound(output, clean, x, step) * len(self.timestep_map)}
        guess, *rest = output.split(clean.shape[1], 1)
        terms = {"mse": (guess - noise).square().flatten(1).mean(1)}
        if rest:
            terms["vb"] = self.bound(torch.cat([guess.detach(), *rest], 1), clean, x, step)
        return {**terms, "loss": sum(terms.values())}

    def bound(self, output: Tensor, clean: Tensor, x: Tensor, step: Tensor) -> Tensor:
        """The step's term of the variational bound (batch,) in bits per dimension; at step 0 the pixels' likelihood.

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
        """The network as a field on the continuous path through all steps, for the other solvers.

        network: as in `sample`, but with fractional steps; a learned variance is ignored.
        """
        path = DDPM(self.steps)
        return Field(stepped(network, path), "noise", path)


def stepped(network: Callable[..., Tensor], path: DDPM) -> Callable[..., Tensor]:
    """A network on DDPM's discrete steps as one on t in [0, 1], without a learned variance.

    network: (x (batch, C, ...), step (batch,) float, ...) -> at least C channels.
    """

    def output(x: Tensor, t: Tensor, *cond: Tensor | None) -> Tensor:
        return network(x, path.step_at(t), *cond)[:, : x.shape[1]]

    return output


def _take(table: Table, step: Tensor, x: Tensor) -> Tensor:
    """table[step], rounded to x's dtype and shaped to broadcast over it."""
    entries = torch.from_numpy(table)[step.cpu()].to(x)
    return entries.reshape(-1, *[1] * (x.ndim - 1))


def _normal_cdf(x: Tensor) -> Tensor:
    """The normal distribution function, by the tanh approximation of the official bound."""
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _pixel_log_likelihood(pixels: Tensor, mean: Tensor, log_spread: Tensor) -> Tensor:
    """log probability of 256-level pixels in [-1, 1] under a normal, by bins; the first and last bin are open."""
    scale = torch.exp(-log_spread)
    above, below = (_normal_cdf(scale * (pixels - mean + side / 255)) for side in (1, -1))
    mass = torch.where(pixels < -0.999, above, torch.where(pixels > 0.999, 1 - below, above - below))
    return mass.clamp_min(1e-12).log()
