"""What a network costs, layer by layer: by formula (`cost`), and counted on a run without numbers (`counted_cost`).

A layer is a part of the network that has a name of its own: "x_embedder", "blocks.3", "final_layer". Multiply-adds are
those of matrix products, convolutions, attention and scans; sums, norms and gates are left out, as in the
papers, whose "Gflops" are these. Activations are what autograd keeps for the backward pass, in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from ..backbones import FAMILIES, DiffuSSMConfig, DiGConfig, DiTConfig, ZigMaConfig, build
from ..backbones.dig import GATE_RANK
from ..ops import causal_conv, gated_linear_attention, s4d_convolution, selective_scan

WORDS = 77  # tokens of a text, as CLIP gives them
TIME_FEATURES = 256
NUMBER = 4  # bytes of a float32
SCAN_CHUNK = 16  # tokens between two states that the scan keeps for its backward pass
GLA_SPAN = 64  # and gated linear attention
S4D_TABLES = 32  # numbers that the S4D convolution keeps of every channel and mode, whatever the batch


@dataclass(frozen=True)
class Cost:
    """weights: how many; macs: multiply-adds of a forward pass; activation_bytes: kept for the backward pass."""

    weights: int
    macs: int
    activation_bytes: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.weights + other.weights, self.macs + other.macs, self.activation_bytes + other.activation_bytes
        )

    @classmethod
    def total(cls, costs: Iterable[Cost]) -> Cost:
        """The sum, such as a whole network's: Cost.total(cost(config).values())."""
        return sum(costs, cls(0, 0, 0))


def cost(config: Any, batch: int = 1, words: int = WORDS) -> dict[str, Cost]:
    """Cost of every layer of the network of a config, by formula; nothing is built.

    batch: pictures in a pass. words: length of the text, for a network with text. Raises ValueError for a config of
    a family without formulas.
    """
    for family, formula in FORMULAS.items():
        if isinstance(config, FAMILIES[family][0]):
            return formula(config, batch, words)
    raise ValueError(f"no cost is known of a {type(config).__name__}; use one of {', '.join(FORMULAS)}")


def _linear(inputs: int, outputs: int, bias: bool = True) -> int:
    """Weights of a linear map; without the bias also its multiply-adds a token."""
    return inputs * outputs + (outputs if bias else 0)


def _embedders(config: Any, batch: int, words: int) -> dict[str, Cost]:
    """Patches, time and condition: the same in every backbone."""
    width, tokens = config.width, config.grid[0] * config.grid[1]
    share = width // getattr(config, "hourglass", 1)  # of a token, where several are folded into one
    pixels = config.in_channels * config.size[0] * config.size[1]
    patch = config.in_channels * config.patch**2
    layers = {
        "x_embedder": Cost(_linear(patch, share), batch * tokens * patch * share, NUMBER * batch * pixels),
        "t_embedder": Cost(
            _linear(TIME_FEATURES, width) + _linear(width, width),
            batch * (TIME_FEATURES + width) * width,
            NUMBER * batch * (TIME_FEATURES + 2 * width),
        ),
    }
    if config.text_width:
        macs = batch * words * config.text_width * width
        layers["y_embedder"] = Cost(_linear(config.text_width, width), macs, NUMBER * batch * words * config.text_width)
    elif config.labels:
        layers["y_embedder"] = Cost((config.labels + config.null_label) * width, 0, 8 * batch)  # int64 rows
    return layers


def _refine(config: Any, batch: int) -> dict[str, Cost]:
    if not config.refine:
        return {}
    area, taps = config.size[0] * config.size[1], 9 * config.in_channels * config.refine
    weights = 3 * taps + config.refine + config.in_channels
    kept = 2 * config.in_channels + 2 * config.refine
    return {"refine": Cost(weights, batch * area * 3 * taps, NUMBER * batch * area * kept)}


def dit_cost(config: DiTConfig, batch: int, words: int) -> dict[str, Cost]:
    """Cost of a DiT in each of its four conditionings."""
    width, heads, inner = config.width, config.heads, config.inner
    adaptive = {"adaln-zero": 6, "adaln": 4}.get(config.conditioning, 0)
    crossing, in_context = config.conditioning == "cross-attention", config.conditioning == "in-context"
    context = 1 + (words if config.text_width else int(config.labels > 0))
    image = config.grid[0] * config.grid[1]
    tokens = image + context * in_context

    norms = 0 if adaptive else 2 * width
    weights = _linear(width, 3 * width) + _linear(width, width) + _linear(width, inner) + _linear(inner, width)
    weights += 2 * norms
    macs = tokens * (4 * width**2 + 2 * width * inner) + 2 * tokens**2 * width
    # Per token: input and output of norm and modulation, q k v, the attention's output and row sums, both MLP sides.
    kept = tokens * (8 * width + heads + 4 + 2 * inner)
    if adaptive:
        weights += _linear(width, adaptive * width)
        macs += adaptive * width**2
        gates = adaptive == 6  # their factors are kept too: the branches, and the modulation that holds the gates
        kept += tokens * width * (2 + 2 * gates) + width * (3 + 6 * gates)
    if crossing:
        weights += 3 * _linear(width, width, bias=False) + _linear(width, width) + norms
        macs += 2 * tokens * width**2 + 2 * context * width**2 + 2 * tokens * context * width
        kept += tokens * (4 * width + heads + 2) + 2 * context * width
    block = Cost(weights, batch * macs, NUMBER * batch * kept)

    shared = width if adaptive else context * width if crossing else 0
    return {
        **_embedders(config, batch, words),
        "pos_embed": Cost(image * width, 0, 0),
        **_blocks(block, config.depth, NUMBER * batch * shared),
        "final_layer": _final(config, batch, bool(adaptive), norms, tokens),
        **_refine(config, batch),
    }


def dig_cost(config: DiGConfig, batch: int, words: int) -> dict[str, Cost]:
    """Cost of a DiG, plain or U-shaped."""
    width, keys, values, inner = config.width, config.keys, config.values, config.inner
    tokens, half = config.grid[0] * config.grid[1], config.depth // 2
    projections = (2 * keys + 3 * values) * width + GATE_RANK * (width + keys)
    taps = 0 if config.conv == "none" else config.kernel**2 * width

    weights = projections + keys + values // config.heads + 3 * width * inner + _linear(width, 6 * width)
    weights += (taps + width if taps else 0) + (2 * width if config.rms_norm else 0)
    state = keys * values // config.heads
    macs = tokens * (projections + 3 * state + 3 * width * inner + taps) + 6 * width**2
    # Per token: both sides of norms and modulations and both branches; logits, their sigmoids, q, k, gates; v, the
    # attention's output, its norm in three steps, swish in two; both sides of the MLP's product; the convolution.
    kept = tokens * (6 * width + 5 * keys + GATE_RANK + 7 * values + config.heads + 4 * inner + (width if taps else 0))
    kept += tokens * (2 * (2 * width + 1) if config.rms_norm else 2 * (width + 2))
    kept += -(-tokens // GLA_SPAN) * state + 9 * width
    block = Cost(weights, batch * macs, NUMBER * batch * kept)
    joint = Cost(_linear(2 * width, width), batch * tokens * 2 * width**2, NUMBER * batch * tokens * 2 * width)

    layers = _blocks(block, config.depth, NUMBER * batch * width)
    for i in range(half + 1, config.depth if config.skip else 0):
        layers[f"blocks.{i}"] += joint
    return {
        **_embedders(config, batch, words),
        "pos_embed": Cost(tokens * width, 0, 0),
        **layers,
        "final_layer": _final(config, batch, config.adaptive, 0, tokens),
        **_refine(config, batch),
    }


def diffussm_cost(config: DiffuSSMConfig, batch: int, words: int) -> dict[str, Cost]:
    """Cost of a DiffuSSM. Its maps have 9 D^2 + 2 M D^2 weights a block, each used once a folded token."""
    width, inner, fold = config.width, 2 * config.width, config.hourglass
    tokens = config.grid[0] * config.grid[1]
    folded = tokens // fold

    maps = (9 + 2 * fold) * width**2
    biases = width + fold * inner + inner + inner + width
    modes = inner * config.modes
    weights = maps + biases + 2 * modes + 4 * modes + 2 * inner + _linear(width, 3 * width)
    macs = folded * maps + 2 * 6 * tokens * modes + 3 * width**2
    # Both sides of the norm and its two numbers, the modulation's output, both sides of the first SiLU, the branch;
    # both sides of the second at full length; both of the third and of the gate's, and their product; the output.
    kept = folded * (5 * width + 2 + 5 * inner) + tokens * 3 * inner + folded * width + 5 * width
    block = Cost(weights, batch * macs, NUMBER * (batch * kept + (S4D_TABLES + 2) * modes))
    return {
        **_embedders(config, batch, words),
        "pos_embed": Cost(tokens * width // fold, 0, 0),
        **_blocks(block, config.depth, NUMBER * batch * width),
        "final_layer": _final(config, batch, True, 0, folded),
        **_refine(config, batch),
    }


def zigma_cost(config: ZigMaConfig, batch: int, words: int) -> dict[str, Cost]:
    """Cost of a ZigMa, with labels or text, with any number of scans in a block."""
    width, inner, state = config.width, config.expand * config.width, config.state_size
    rank = config.step_rank or -(-width // 16)
    sides = len(config.scans)
    tokens, parts = config.grid[0] * config.grid[1], 6 if config.text_width else 3
    norm = width if config.rms_norm else 2 * width
    norm_kept = width * (2 if config.rms_norm else 1) + (1 if config.rms_norm else 2)

    projections = inner * (rank + 2 * state) + rank * inner
    side = projections + inner * (config.taps + state) + 3 * inner  # and the biases of convolution and step, and D
    weights = 3 * inner * width + sides * side + norm + _linear(width, parts * width)
    macs = tokens * (3 * inner * width + sides * (projections + inner * (config.taps + 4 * state)))
    macs += parts * width**2
    states = -(-tokens // SCAN_CHUNK) * state * inner
    kept = tokens * (norm_kept + 3 * width + 3 * inner + sides * (2 * inner + rank + 2 * state))
    kept += sides * states + width * (2 + parts)
    if config.text_width:
        attended = config.text_heads * config.text_head_width
        weights += 3 * width * attended + _linear(attended, width)
        macs += 2 * (tokens + words) * width * attended + 2 * tokens * words * attended
        kept += tokens * (4 * width + 2 + 2 * attended + config.text_heads) + 2 * words * attended + width
    decays = 2 * sides * inner * state  # A and the exponential it is made of, once whatever the batch
    block = Cost(weights, batch * macs, NUMBER * (batch * kept + decays))

    outputs = config.patch**2 * config.in_channels
    shared = NUMBER * batch * width * (1 + (words if config.text_width else 0))
    return {
        **_embedders(config, batch, words),
        **({} if config.position == "none" else {"pos_embed": Cost(tokens * width, 0, 0)}),
        **_blocks(block, config.depth, shared),
        "norm_f": Cost(norm, 0, NUMBER * batch * tokens * norm_kept),
        "final_layer": Cost(
            _linear(width, outputs), batch * tokens * width * outputs, NUMBER * batch * tokens * (2 * width + 2)
        ),
        **_refine(config, batch),
    }


def _final(config: Any, batch: int, adaptive: bool, norms: int, tokens: int) -> Cost:
    """The last layer but ZigMa's. norms: weights of its norm. tokens: of what it is cut from, which stays whole."""
    width, fold = config.width, getattr(config, "hourglass", 1)
    image = config.grid[0] * config.grid[1] // fold
    outputs = fold * config.patch**2 * config.in_channels * (2 if config.learn_sigma else 1)
    return Cost(
        _linear(width, outputs) + norms + (_linear(width, 2 * width) if adaptive else 0),
        batch * (image * width * outputs + (2 * width**2 if adaptive else 0)),
        NUMBER * batch * (tokens * width + image * (width + 2) + ((image + 2) * width if adaptive else 0)),
    )


def _blocks(block: Cost, depth: int, shared_bytes: int) -> dict[str, Cost]:
    """All blocks; what every block reads and is kept once is booked with the first."""
    return {f"blocks.{i}": block if i else block + Cost(0, 0, shared_bytes) for i in range(depth)}


FORMULAS: dict[str, Callable[[Any, int, int], dict[str, Cost]]] = {
    "dit": dit_cost,
    "dig": dig_cost,
    "diffussm": diffussm_cost,
    "zigma": zigma_cost,
}


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
        x, t = torch.empty(batch, config.in_channels, *config.size), torch.empty(batch)
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
