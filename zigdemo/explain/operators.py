"""One operator of every backbone at any number of tokens, timed on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops import gated_linear_attention, s4d_convolution, s4d_lin, selective_scan
from ..scans import scan_scheme

WIDTH, STATE, HEADS = 192, 16, 4
Call = tuple[Callable[..., Tensor], list[Tensor]]


def _scan(tokens: int, normal: Callable[..., Tensor]) -> Call:
    rows = 2 ** (int(math.log2(tokens)) // 2)
    order = scan_scheme("zigzag-8").order(layer=1, grid=(rows, tokens // rows))
    values = [normal(1, tokens, WIDTH), normal(1, tokens, WIDTH), -normal(WIDTH, STATE).exp()]
    values += [normal(1, tokens, STATE), normal(1, tokens, STATE), normal(WIDTH), normal(1, tokens, WIDTH)]
    return lambda *v: selective_scan(*v[:7], dt_bias=v[7], order=order), [*values, normal(WIDTH)]


def _s4d(tokens: int, normal: Callable[..., Tensor]) -> Call:
    log_dt, A = s4d_lin(WIDTH, STATE)
    C = torch.complex(normal(2, WIDTH, STATE), normal(2, WIDTH, STATE))
    return lambda *v: s4d_convolution(*v, bidirectional=True), [normal(1, tokens, WIDTH), log_dt, A, C, normal(WIDTH)]


def _gla(tokens: int, normal: Callable[..., Tensor]) -> Call:
    q, k, gate = (normal(1, tokens, HEADS, WIDTH // HEADS // 2) for _ in range(3))
    return gated_linear_attention, [q, k, normal(1, tokens, HEADS, WIDTH // HEADS), F.logsigmoid(gate) / 16]


def _softmax(tokens: int, normal: Callable[..., Tensor]) -> Call:
    return F.scaled_dot_product_attention, [normal(1, HEADS, tokens, WIDTH // HEADS) for _ in range(3)]


OPERATORS = {
    "selective scan": _scan,
    "S4D": _s4d,
    "gated linear attention": _gla,
    "softmax attention": _softmax,
}


def operator_call(kind: str, tokens: int, training: bool) -> Callable[[], None]:
    """A call of an operator, with gradients or without, on random values; tokens: a power of two."""
    generator = torch.Generator().manual_seed(0)
    operator, values = OPERATORS[kind](tokens, lambda *shape: torch.randn(*shape, generator=generator))

    def call() -> None:
        if not training:
            with torch.no_grad():
                operator(*values)
            return
        leaves = [value.requires_grad_() for value in values]
        y = operator(*leaves)
        torch.autograd.grad(y, leaves, torch.ones_like(y))

    return call


def least_seconds(call: Callable[[], None], seconds: float) -> float:
    """The time of the fastest of at least three calls, repeated for about so many seconds."""
    times: list[float] = []
    while len(times) < 3 or (sum(times) < seconds and len(times) < 50):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
        if sum(times) > 10 * seconds:
            break
    return min(times)
