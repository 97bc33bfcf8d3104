"""What a network costs, counted layer by layer on a run without numbers; the formulas are in `complexity`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from ..backbones import Cost, build
from ..backbones.checks import item_shape
from ..backbones.costs import GLA_SPAN, S4D_TABLES, SCAN_CHUNK
from ..ops import causal_conv, gated_linear_attention, s4d_convolution, selective_scan
from .complexity import WORDS


class _Kept(torch.autograd.Function):
    """Hands on an output made elsewhere, keeping for the backward pass what a fused operator keeps."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, *kept: Tensor | None) -> Tensor:
        ctx.save_for_backward(*kept)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> None:
        raise NotImplementedError("a run that counts has no backward pass")


def _attention(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, int]:
    """A fused attention keeps its inputs, its output, in memory (batch, tokens, heads, width), and its row sums."""
    batch, heads, tokens, width = q.shape
    output = q.new_empty(batch, tokens, heads, width).transpose(1, 2)
    macs = batch * heads * tokens * k.shape[2] * (width + v.shape[3])
    return _Kept.apply(output, q, k, v, output, q.new_empty(batch, heads, tokens)), macs


def _scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor, *, dt_bias: Tensor, order: object
) -> tuple[Tensor, int]:
    """Four multiply-adds a token, channel and state: step times A, decay times state, input times B, state times C."""
    batch, tokens, channels = x.shape
    states = x.new_empty(batch, -(-tokens // SCAN_CHUNK), A.shape[1], channels)
    macs = 4 * batch * tokens * channels * A.shape[1]
    return _Kept.apply(torch.empty_like(x), x, dt, A, B, C, D, z, dt_bias, states), macs


def _gla(q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor) -> tuple[Tensor, int]:
    """Three multiply-adds a token, key and value of a head: decay times state, key times value, query times state."""
    batch, tokens, heads, keys = q.shape
    states = q.new_empty(batch, heads, -(-tokens // GLA_SPAN), keys, v.shape[3])
    return _Kept.apply(torch.empty_like(v), q, k, v, log_gate, states), 3 * v.numel() * keys


def _s4d(u: Tensor, log_dt: Tensor, A: Tensor, C: Tensor, D: Tensor, *, bidirectional: bool) -> tuple[Tensor, int]:
    """Six multiply-adds a token, channel, mode and direction: four of a complex product with the state, two to read it.

    By FFT they are fewer for very many modes; these are of the recurrence that runs on the CPU.
    """
    tables = u.new_empty(S4D_TABLES, *A.shape, dtype=torch.float32)
    return _Kept.apply(torch.empty_like(u), u, log_dt, D, tables), 6 * u.numel() * A.shape[1] * len(C)


def _conv(x: Tensor, weight: Tensor, bias: Tensor, *, order: object) -> tuple[Tensor, int]:
    return _Kept.apply(torch.empty_like(x), x, weight, bias), x.numel() * weight.shape[1]


STAND_INS: dict[Callable, Callable[..., tuple[Tensor, int]]] = {
    F.scaled_dot_product_attention: _attention,
    selective_scan: _scan,
    gated_linear_attention: _gla,
    causal_conv: _conv,
    s4d_convolution: _s4d,
}


class _StandIns(TorchFunctionMode):
    """Calls stand-ins, which need no numbers, in place of fused operators, and adds up their multiply-adds."""

    macs = 0

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        if function not in STAND_INS:
            return function(*args, **(kwargs or {}))
        output, macs = STAND_INS[function](*args, **(kwargs or {}))
        self.macs += macs
        return output


def counted_cost(config: Any, batch: int = 1, words: int = WORDS) -> dict[str, Cost]:
    """Cost of every layer, counted on a forward pass on the meta device, where no tensor has numbers.

    Arguments and layers as in `cost`. No other network may run at the time: torch's counter listens to all modules.
    """
    with torch.device("meta"):
        network = build(config).eval().to("meta")  # a table made by numpy is not there yet
        x, t = torch.empty(batch, *item_shape(config)), torch.empty(batch)
        cond = torch.empty(batch, words, config.text_width) if config.text_width else None
        if cond is None and config.labels:
            cond = torch.empty(batch, dtype=torch.int64)
    layers = dict(_named_layers(network))
    macs, kept = dict.fromkeys(layers, 0), dict.fromkeys(layers, 0)
    seen = {parameter.untyped_storage()._cdata: parameter for parameter in network.parameters()}
    current = [""]
    flops, stand_ins = FlopCounterMode(display=False), _StandIns()

    def so_far() -> int:
        return flops.get_total_flops() // 2 + stand_ins.macs

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage._cdata not in seen:
            seen[storage._cdata] = value  # held, so that no later storage has the same address
            kept[current[0]] += storage.nbytes()
        return value

    @contextmanager
    def booked(name: str) -> Iterator[None]:
        before, current[0] = so_far(), name
        yield
        macs[name] += so_far() - before

    for name, layer in layers.items():
        if isinstance(layer, nn.Module):
            _wrap(layer, booked, name)
    with flops, stand_ins, torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        network(x, t, cond)
    return {
        name: Cost(sum(p.numel() for p in _parameters(layer)), macs[name], kept[name]) for name, layer in layers.items()
    }


def _wrap(layer: nn.Module, booked: Callable, name: str) -> None:
    forward = layer.forward

    def counted(*args: Any, **kwargs: Any) -> Any:
        with booked(name):
            return forward(*args, **kwargs)

    layer.forward = counted


def _named_layers(network: nn.Module) -> Iterator[tuple[str, nn.Module | nn.Parameter]]:
    """The network's own parts, and the blocks one by one."""
    yield from network.named_parameters(recurse=False)
    for name, part in network.named_children():
        if isinstance(part, nn.ModuleList):
            yield from ((f"{name}.{i}", block) for i, block in enumerate(part))
        else:
            yield name, part


def _parameters(layer: nn.Module | nn.Parameter) -> Iterable[nn.Parameter]:
    return layer.parameters() if isinstance(layer, nn.Module) else [layer]
