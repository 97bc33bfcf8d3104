"""Observation of the operators that mix tokens as blocks call them, without changes to the networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..backbones import family_of
from .mixing import MATRICES

if TYPE_CHECKING:
    from ..pipeline import Network, Request

Look = Callable[..., Any]  # (layer, role, operator, args, kwargs) -> what the operator would return


class Watch(TorchFunctionMode):
    """A context in which `look(layer, role, operator, args, kwargs)` replaces every mixing operator of the blocks.

    For a single call of the network of `config`, in this thread only. Without it there is no overhead.
    """

    def __init__(self, config: Any, look: Look) -> None:
        super().__init__()
        self._look = look
        self._expected = iter(
            [(layer, role) for layer in range(config.depth) for role in family_of(config)[1].roles(config)]
        )

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function not in MATRICES:
            return function(*args, **(kwargs or {}))
        return self._look(*next(self._expected), function, args, kwargs or {})


class FirstCalls:
    """Base of a `pipeline.Record` that observes the first network call of every step, for one item of a request.

    Further calls of higher-order solvers within a step, at intermediate states, are ignored. With guidance the
    conditional half of the call is observed.
    """

    def __init__(self, item: int = 0) -> None:
        self.item = item

    def begin(self, network: nn.Module, request: Request) -> None:
        """Start of a request, which clears earlier records. Raises ValueError if the request has no such item."""
        if not 0 <= self.item < request.count:
            raise ValueError(f"item {self.item} is not among the {request.count} pictures of the request")
        self.network, self.request = network, request
        self.index, self._is_done = 0, False

    def next_step(self, index: int) -> None:
        """Start of step `index` of the solver."""
        self.index, self._is_done = index, False

    def watch(self, call: Network, rows: list[int]) -> Network:
        """A replacement of `call` for the items `rows`, whose first result in a step comes from `look`."""
        if self.item not in rows:
            return call

        def watched(x: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
            if self._is_done:
                return call(x, t, cond)
            self._is_done = True
            return self.look(call, rows.index(self.item), x, t, cond)

        return watched

    def look(self, call: Network, place: int, x: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
        """call(x, t, cond), where `place` is the index of the item in the batch."""
        raise NotImplementedError


class RecordGroup:
    """Several records of one run, as one `pipeline.Record`.

    Records that make extra network calls must come after those that count calls.
    """

    def __init__(self, *records: FirstCalls) -> None:
        self.records = records

    def begin(self, network: nn.Module, request: Request) -> None:
        for record in self.records:
            record.begin(network, request)

    def next_step(self, index: int) -> None:
        for record in self.records:
            record.next_step(index)

    def watch(self, call: Network, rows: list[int]) -> Network:
        for record in self.records:
            call = record.watch(call, rows)
        return call


def own_copy(value: Tensor | None, place: int) -> Tensor | None:
    """A copy of one item of a batch, (1, ...), usable in autograd even if made in inference mode."""
    with torch.inference_mode(False):
        return None if value is None else value[place : place + 1].clone()
