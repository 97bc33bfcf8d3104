"""The one function that samples items from a network: for the page, for training samples and for evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .fields import SolverStep, item_noise
from .gaussian import stepped
from .guidance import Network, guided_velocity
from .interpolants import LINEAR, Interpolant, renoise
from .samplers import SAMPLERS, sample

PER_CALL_GPU, PER_CALL_CPU = 8, 4
SMALL_ITEM = 2**14  # numbers in an item of which one alone does not keep a CPU busy: pictures of 64 px, small latents


@dataclass(frozen=True)
class Sampling:
    """How items are sampled: the part of a `Request` about sampling.

    interval: the range of t in which guidance acts; rescale: see `guide`; shift: see `shift_times`; start: time at
    which to start from a given clean item; options: those of the solver.
    """

    solver: str = "heun"
    steps: int = 25
    guidance: float = 2.0
    interval: tuple[float, float] = (0.0, 1.0)
    rescale: float = 0.0
    shift: float = 1.0
    start: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)


def items_per_call(device: torch.device, shape: tuple[int, ...], solver: str) -> int:
    """Number of items per network call: on a CPU several small ones, which share the reading of the weights.

    shape: of an item. A solver with adaptive steps takes them alone there, as it steps as the worst of a call needs.
    """
    if device.type == "cuda":
        return PER_CALL_GPU
    return PER_CALL_CPU if math.prod(shape) <= SMALL_ITEM and SAMPLERS[solver].calls is not None else 1


def groups(count: int, size: int) -> list[list[int]]:
    """Indices 0 to count - 1 in groups that share a network call; the last may be smaller."""
    return [list(range(first, min(first + size, count))) for first in range(0, count, size)]


def sample_items(
    network: Network,
    shape: tuple[int, ...],
    seeds: Sequence[int],
    cond: Tensor | None,
    null: Tensor | None,
    sampling: Sampling,
    *,
    prediction: str,
    device: torch.device,
    path: Interpolant = LINEAR,
    guided_channels: int | None = None,
    clean: Tensor | None = None,
    watch: Callable[[Network, list[int]], Network] | None = None,
) -> Iterator[list[SolverStep]]:
    """Sample one item per seed; after each solver step yields the steps of all groups. Closing stops the work.

    network: (x, t, cond) -> prediction. shape: of one item. cond, null: (n, ...), one row per seed, or (1, ...) for all
    of them, or None. clean: (1, ...), an item to start from at time `sampling.start`. watch: (network, rows) -> a
    function to call instead, which returns the same and may record the calls for these items. Raises ValueError as
    `sample` does.

    Equal calls give equal items. Matrix products may round differently for other batch sizes: on a GPU all calls
    therefore have the same size, the last group padded with copies, so that an item does not depend on what is sampled
    with it. On a CPU, where padding would cost as much as items, it may, in the last bits.
    """
    size = items_per_call(device, shape, sampling.solver)

    def solve(rows: list[int]) -> Iterator[SolverStep]:
        padded_rows = rows + [rows[-1]] * (size - len(rows)) if device.type == "cuda" else rows
        generators = [torch.Generator().manual_seed(seeds[row]) for row in padded_rows]
        x, start = torch.stack([torch.randn(shape, generator=each) for each in generators]), sampling.start
        if clean is not None:
            x, start = renoise(clean.expand_as(x), x, 1 - start, path)
        x = x.to(device)
        group_cond, group_null = (_rows(value, padded_rows, device) for value in (cond, null))
        call = network if watch is None else watch(network, rows)
        velocity = guided_velocity(
            stepped(call, path) if path.name == "ddpm" else call,
            prediction,
            group_cond,
            group_null,
            sampling.guidance,
            sampling.interval,
            guided_channels,
            rescale=sampling.rescale,
            path=path,
        )
        noise = item_noise(generators, x)
        options = {"noise": noise, "start": start, "shift": sampling.shift, **sampling.options}
        return sample(sampling.solver, velocity, x, sampling.steps, **options)

    with ExitStack() as stack:
        runs = [stack.enter_context(closing(solve(rows))) for rows in groups(len(seeds), size)]
        for _ in range(sampling.steps):
            yield [next(run) for run in runs]


def own_items(parts: Sequence[Tensor], count: int) -> Tensor:
    """The items of all groups, (count, ...), without the padding of the last."""
    return torch.cat(list(parts))[:count]


def _rows(value: Tensor | None, rows: list[int], device: torch.device) -> Tensor | None:
    """The conditions of some items; a single row applies to all items."""
    if value is None:
        return None
    return (value.expand(len(rows), *value.shape[1:]) if len(value) == 1 else value[rows]).to(device)
