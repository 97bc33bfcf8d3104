"""Mamba's mixer as part of a graph: convolution and selective scan along an order that is an input."""

from __future__ import annotations

import torch

from ..backbones.mamba import Mamba
from .builder import Graph, Value

PIECE = 8  # tokens of a piece: the steps of a scan in pieces are fewest where a piece is as long as pieces are many


def mamba(graph: Graph, tokens: Value, mixer: Mamba, orders: list[tuple[Value, Value]], length: int) -> Value:
    """The output of a mixer. orders: perm and inverse, (length,) each, for each of its scans."""
    x, z = (tokens @ weight.T for weight in mixer.in_proj.weight.chunk(2))
    scanned = [_scan(graph, x, mixer, order, side, length) for order, side in zip(orders, mixer.scans, strict=True)]
    total = scanned[0]
    for one in scanned[1:]:
        total = total + one
    return graph.linear(total * graph.silu(z), mixer.out_proj)


def _scan(graph: Graph, x: Value, mixer: Mamba, order: tuple[Value, Value], side: str, length: int) -> Value:
    """One scan, without its gate: the tokens are in scan order from the first gather to the last."""
    perm, inverse = order
    conv, projection, steps = (mixer.get_submodule(f"{name}{side}") for name in ("conv1d", "x_proj", "dt_proj"))
    x = graph.silu(causal_conv(graph, x.take(perm, 1), conv.weight[:, 0], conv.bias, length))
    dt, B, C = graph.linear(x, projection).split(-1, mixer.rank, mixer.state_size, mixer.state_size)
    dt = graph.node("Softplus", graph.linear(dt, steps))
    A = -torch.exp(mixer.get_parameter(f"A{side}_log").float())
    y = scan_in_pieces(graph, x, dt, B, C, A, length) + x * mixer.get_parameter(f"D{side}")
    return y.take(inverse, 1)


def causal_conv(graph: Graph, x: Value, weight: torch.Tensor, bias: torch.Tensor, length: int) -> Value:
    """Depthwise: y_k = bias + sum_j weight_j x_(k - taps + 1 + j), as shifted sums, which browsers compute quicker.

    x: (batch, length, channels); weight: (channels, taps).
    """
    taps = weight.shape[1]
    padded = graph.node("Pad", x, [0, taps - 1, 0, 0, 0, 0])
    y = padded.slice(1, taps - 1, taps - 1 + length) * weight[:, taps - 1] + bias
    for tap in range(taps - 1):
        y = y + padded.slice(1, tap, tap + length) * weight[:, tap]
    return y


def scan_in_pieces(graph: Graph, x: Value, steps: Value, B: Value, C: Value, A: torch.Tensor, length: int) -> Value:
    """h_k = exp(steps_k A) h_(k-1) + steps_k B_k x_k; y_k = C_k h_k; y like x.

    x, steps: (batch, length, channels); B, C: (batch, length, state); A: (channels, state). First all pieces of PIECE
    tokens at once from an empty state, which gives the state that each adds; then the states at the starts of the
    pieces, one after the other; then all pieces again from there. That takes about 6 PIECE + 2 length / PIECE nodes
    instead of 4 length, and no decay is ever divided by. Channels are last, where they are contiguous.
    """
    count = -(-length // PIECE)
    rest = count * PIECE - length
    channels, state = A.shape

    def pieces(value: Value, width: int) -> Value:
        """(PIECE, batch, count, width): the k-th tokens of all pieces; steps of 0 after the end change nothing."""
        value = graph.node("Pad", value, [0, 0, 0, 0, rest, 0]) if rest else value
        return value.reshape(0, count, PIECE, width).transpose(2, 0, 1, 3)

    x, steps = pieces(x, channels), pieces(steps, channels)
    B, C = pieces(B, state), pieces(C, state)
    each = [1] * PIECE
    kept = graph.node("Exp", steps.unsqueeze(3) * A.T).split(0, *each)  # each (1, batch, count, state, channels)
    added = ((steps * x).unsqueeze(3) * B.unsqueeze(4)).split(0, *each)
    h, whole = added[0], kept[0]
    for keep, add in zip(kept[1:], added[1:], strict=True):
        h, whole = keep * h + add, keep * whole
    if count > 1:
        ends, wholes = h.split(2, *[1] * count), whole.split(2, *[1] * count)
        starts = [ends[0] * 0.0, ends[0]]
        for keep, end in zip(wholes[1:-1], ends[1:-1], strict=True):
            starts.append(keep * starts[-1] + end)
        h = graph.cat(starts, 2)
    else:
        h = h * 0.0
    outputs = []
    for keep, add, row in zip(kept, added, C.unsqueeze(3).split(0, *each), strict=True):
        h = keep * h + add
        outputs.append(row @ h)  # (1, batch, count, 1, channels)
    y = graph.cat(outputs, 3).reshape(-1, count * PIECE, channels)
    return y.slice(1, 0, length) if rest else y
