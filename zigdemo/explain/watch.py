"""The operators that mix tokens, seen as the blocks of a network call them; nothing in a network knows of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..backbones import family_of
from ..ops import gated_linear_attention, s4d_convolution, selective_scan

if TYPE_CHECKING:
    from ..pipeline import Network, Request

OPERATORS = (selective_scan, gated_linear_attention, s4d_convolution, F.scaled_dot_product_attention)

Look = Callable[..., Any]


class Watch(TorchFunctionMode):
    """Within it, `look(layer, role, operator, args, kwargs)` answers for every operator that a block calls.

    For one call of the network of `config`, in this thread alone: others see nothing of it. Outside of it no code
    differs, so that not looking costs nothing.
    """

    def __init__(self, config: Any, look: Look) -> None:
        super().__init__()
        self._look = look
        self._expected = iter(
            [(layer, role) for layer in range(config.depth) for role in family_of(config)[1].roles(config)]
        )

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function not in OPERATORS:
            return function(*args, **(kwargs or {}))
        return self._look(*next(self._expected), function, args, kwargs or {})


class FirstCalls:
    """What a `pipeline.Record` needs that looks at the first network call of every step, for one item of a request.

    A solver of higher order asks the network again within a step, at states that are only tried; these are left out.
    With guidance the half of the call that has the condition is meant.
    """

    def __init__(self, item: int = 0) -> None:
        self.item = item

    def begin(self, network: nn.Module, request: Request) -> None:
        """A request starts; what was seen before is dropped. Raises ValueError where it has no such item."""
        if not 0 <= self.item < request.count:
            raise ValueError(f"item {self.item} is not among the {request.count} pictures of the request")
        self.network, self.request = network, request
        self.index, self._seen = 0, False

    def next_step(self, index: int) -> None:
        """Step `index` of the solver starts."""
        self.index, self._seen = index, False

    def watch(self, call: Network, rows: list[int]) -> Network:
        """`call` for the items `rows`, looked at; its first result of a step comes from `look`."""
        if self.item not in rows:
            return call

        def watched(x: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
            if self._seen:
                return call(x, t, cond)
            self._seen = True
            return self.look(call, rows.index(self.item), x, t, cond)

        return watched

    def look(self, call: Network, place: int, x: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
        """call(x, t, cond), where the item is number `place` of the batch."""
        raise NotImplementedError


class RecordGroup:
    """Several records that look at one drawing. One that asks the network more often comes after those that count."""

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
    """One item of a batch, (1, ...), usable in autograd though it was made without."""
    with torch.inference_mode(False):
        return None if value is None else value[place : place + 1].clone()
