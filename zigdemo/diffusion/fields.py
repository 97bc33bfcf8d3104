"""A network seen as a field over (x, t): any of its predictions as a velocity, score, noise or clean sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .interpolants import LINEAR, NEAREST_END, Interpolant, convert, readable, singular_end

Velocity = Callable[[Tensor, Tensor], Tensor]  # (x (batch, ...), t (batch,)) -> a tensor like x
Noise = Callable[[], Tensor]  # the next standard normal, shaped like x


@dataclass(frozen=True)
class Field:
    """A network's prediction at (x, t) on a path; calling it gives the velocity.

    output: (x (batch, ...), t (batch,)) -> prediction like x. prediction: of PREDICTIONS, read no nearer to a
    singular end than `readable` says. Each evaluation is one network call.
    """

    output: Velocity
    prediction: str = "velocity"
    path: Interpolant = LINEAR

    def is_singular_at(self, time: float) -> bool:
        """Whether the velocity cannot be evaluated at this time, at the data end."""
        return time > 1 - NEAREST_END and singular_end(self.prediction, self.path)

    def read(self, x: Tensor, t: Tensor, *kinds: str) -> tuple[Tensor, ...]:
        """Predictions of the given kinds at (x, t), from one network call."""
        t = readable(self.prediction, t, self.path)
        output = self.output(x, t)
        return tuple(convert(kind, self.prediction, output, x, t, self.path) for kind in kinds)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        return self.read(x, t, "velocity")[0]


def as_field(velocity: Velocity) -> Field:
    """The field itself, or a plain function as a velocity on the linear path."""
    return velocity if isinstance(velocity, Field) else Field(velocity)


@dataclass(frozen=True)
class SolverStep:
    """One update: its index, the time it reached, the state there, and the clean sample predicted on the way."""

    index: int
    time: float
    x: Tensor
    clean: Tensor
    nfe: int


Steps = Iterator[SolverStep]


def at(x: Tensor, time: float) -> Tensor:
    """`time` for every item of the batch, (batch,); float64 if x is."""
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return torch.full((len(x),), time, dtype=dtype, device=x.device)


def number(coefficient: Callable[[Tensor], Tensor], time: float) -> float:
    """A path's coefficient at one time, as a float64 number: number(path.alpha, 0.5)."""
    return float(coefficient(torch.tensor(time, dtype=torch.float64)))


def item_noise(generators: Sequence[torch.Generator], like: Tensor) -> Noise:
    """Standard normals for a batch, drawn from one CPU generator per item.

    generators: one per item of `like` (batch, ...). An item's draws do not depend on the rest of the batch. Raises
    ValueError if the numbers differ or a generator appears twice.
    """
    if len(generators) != len(like):
        raise ValueError(f"generators must be one per item, {len(like)}, not {len(generators)}")
    if len({id(generator) for generator in generators}) < len(generators):
        raise ValueError("generators must all be different objects, or items would share one stream of noise")

    def draw() -> Tensor:
        rows = [torch.randn(like.shape[1:], generator=generator) for generator in generators]
        return torch.stack(rows).to(like)

    return draw
