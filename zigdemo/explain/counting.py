"""Cost of a network, counted layer by layer in a dry run on the meta device; formulas are in `complexity`."""

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


class _Saved(torch.autograd.Function):
    """Returns a given output and saves for the backward pass what the fused operator saves."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, *saved: Tensor | None) -> Tensor:
        ctx.save_for_backward(*saved)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> None:
        raise NotImplementedError("a dry run has no backward pass")


def _attention(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, int]:
    """Fused attention saves inputs, row sums and output, which is (batch, tokens, heads, width) in memory."""
    batch, heads, tokens, width = q.shape
    output = q.new_empty(batch, tokens, heads, width).transpose(1, 2)
    macs = batch * heads * tokens * k.shape[2] * (width + v.shape[3])
    return _Saved.apply(output, q, k, v, output, q.new_empty(batch, heads, tokens)), macs


def _scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor, *, dt_bias: Tensor, order: object
) -> tuple[Tensor, int]:
    """Four multiply-adds per token, channel and state: step * A, decay * state, input * B, state * C."""
    batch, tokens, channels = x.shape
    states = x.new_empty(batch, -(-tokens // SCAN_CHUNK), A.shape[1], channels)
    macs = 4 * batch * tokens * channels * A.shape[1]
    return _Saved.apply(torch.empty_like(x), x, dt, A, B, C, D, z, dt_bias, states), macs


def _gla(q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor) -> tuple[Tensor, int]:
    """Three multiply-adds per token, key and value of a head: decay * state, key * value, query * state."""
    batch, tokens, heads, keys = q.shape
    states = q.new_empty(batch, heads, -(-tokens // GLA_SPAN), keys, v.shape[3])
    return _Saved.apply(torch.empty_like(v), q, k, v, log_gate, states), 3 * v.numel() * keys


def _s4d(u: Tensor, log_dt: Tensor, A: Tensor, C: Tensor, D: Tensor, *, bidirectional: bool) -> tuple[Tensor, int]:
    """Six multiply-adds per token, channel, mode and direction: four for decay * state (complex), two for the output.

    This is the recurrence on the CPU; with very many modes an FFT needs fewer.
    """
    tables = u.new_empty(S4D_TABLES, *A.shape, dtype=torch.float32)
    return _Saved.apply(torch.empty_like(u), u, log_dt, D, tables), 6 * u.numel() * A.shape[1] * len(C)


def _conv(x: Tensor, weight: Tensor, bias: Tensor, *, order: object) -> tuple[Tensor, int]:
    """One multiply-add per token, channel and tap of the kernel."""
    return _Saved.apply(torch.empty_like(x), x, weight, bias), x.numel() * weight.shape[1]


STAND_INS: dict[Callable, Callable[..., tuple[Tensor, int]]] = {
    F.scaled_dot_product_attention: _attention,
    selective_scan: _scan,
    gated_linear_attention: _gla,
    causal_conv: _conv,
    s4d_convolution: _s4d,
}


class _StandIns(TorchFunctionMode):
    """Replaces fused operators by stand-ins for the meta device, and counts their multiply-adds."""

    macs = 0

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        if function not in STAND_INS:
            return function(*args, **(kwargs or {}))
        output, macs = STAND_INS[function](*args, **(kwargs or {}))
        self.macs += macs
        return output


def counted_cost(config: Any, batch: int = 1, words: int = WORDS) -> dict[str, Cost]:
    """Cost of every layer, counted in a forward pass on the meta device.

    Arguments, layers and errors as in `cost`. No other network may run meanwhile, as torch's counter hooks all modules.
    """
    with torch.device("meta"):
        network = build(config).eval().to("meta")  # tables made by numpy are on the CPU at first
        x, t = torch.empty(batch, *item_shape(config)), torch.empty(batch)
        cond = torch.empty(batch, words, config.text_width) if config.text_width else None
        if cond is None and config.labels:
            cond = torch.empty(batch, dtype=torch.int64)
    layers = dict(_named_layers(network))
    macs, saved_bytes = dict.fromkeys(layers, 0), dict.fromkeys(layers, 0)
    storages = {parameter.untyped_storage()._cdata: parameter for parameter in network.parameters()}
    current = [""]
    flops, stand_ins = FlopCounterMode(display=False), _StandIns()

    def so_far() -> int:
        return flops.get_total_flops() // 2 + stand_ins.macs

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage._cdata not in storages:
            storages[storage._cdata] = value  # keep it alive, so that no later storage has the same address
            saved_bytes[current[0]] += storage.nbytes()
        return value

    @contextmanager
    def counting(name: str) -> Iterator[None]:
        start, current[0] = so_far(), name
        yield
        macs[name] += so_far() - start

    for name, layer in layers.items():
        if isinstance(layer, nn.Module):
            _wrap(layer, counting, name)
    with flops, stand_ins, torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        network(x, t, cond)
    return {
        name: Cost(sum(p.numel() for p in _parameters(layer)), macs[name], saved_bytes[name])
        for name, layer in layers.items()
    }


def _wrap(layer: nn.Module, counting: Callable, name: str) -> None:
    """Let every call of a layer run inside counting(name)."""
    forward = layer.forward

    def counted(*args: Any, **kwargs: Any) -> Any:
        with counting(name):
            return forward(*args, **kwargs)

    layer.forward = counted


def _named_layers(network: nn.Module) -> Iterator[tuple[str, nn.Module | nn.Parameter]]:
    """The direct parts of a network, with its blocks one by one."""
    yield from network.named_parameters(recurse=False)
    for name, part in network.named_children():
        if isinstance(part, nn.ModuleList):
            yield from ((f"{name}.{i}", block) for i, block in enumerate(part))
        else:
            yield name, part


def _parameters(layer: nn.Module | nn.Parameter) -> Iterable[nn.Parameter]:
    """The parameters of a direct part of a network, which may be a parameter itself."""
    return layer.parameters() if isinstance(layer, nn.Module) else [layer]
