"""The Mamba mixer: one selective scan along a scan order, a bidirectional pair, or several in parallel."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import causal_conv, selective_scan
from ..scans import ScanOrder


class Mamba(nn.Module):
    """(batch, tokens, width) -> the same, mixing the tokens along one or several scan orders.

    scans: suffixes of the weights of each scan, which has its own convolution, projections, A and D; "" for the first.
    The gated outputs of all scans are summed; input and output projections are shared. step_rank: rank of the
    projection to step sizes, 0 for a sixteenth of the width.
    Source: Gu & Dao 2023 (arXiv 2312.00752), figure 3; two scans: arXiv 2401.09417; k scans: arXiv 2403.13802.
    """

    def __init__(
        self,
        width: int,
        state_size: int = 16,
        taps: int = 4,
        expand: int = 2,
        depth: int = 1,
        scans: tuple[str, ...] = ("",),
        step_rank: int = 0,
    ) -> None:
        super().__init__()
        self.inner, self.state_size, self.rank = expand * width, state_size, step_rank or math.ceil(width / 16)
        self.scans = scans
        self.in_proj = nn.Linear(width, 2 * self.inner, bias=False)
        self.out_proj = nn.Linear(self.inner, width, bias=False)
        for side in scans:
            conv = nn.Conv1d(self.inner, self.inner, taps, groups=self.inner, padding=taps - 1)
            self.add_module(f"conv1d{side}", conv)
            self.add_module(f"x_proj{side}", nn.Linear(self.inner, self.rank + 2 * state_size, bias=False))
            self.add_module(f"dt_proj{side}", nn.Linear(self.rank, self.inner))
            self.register_parameter(f"A{side}_log", nn.Parameter(torch.empty(self.inner, state_size)))
            self.register_parameter(f"D{side}", nn.Parameter(torch.empty(self.inner)))
            self._initialise(side)
        nn.init.kaiming_uniform_(self.out_proj.weight, a=math.sqrt(5))
        with torch.no_grad():
            self.out_proj.weight /= math.sqrt(depth)

    def _initialise(self, side: str) -> None:
        """A = -(1 .. state), D = 1, step sizes softplus(dt bias) log-uniform in [0.001, 0.1] (Mamba, section 3.6)."""
        dt_proj = self.get_submodule(f"dt_proj{side}")
        nn.init.uniform_(dt_proj.weight, -(self.rank**-0.5), self.rank**-0.5)
        with torch.no_grad():
            step = torch.exp(torch.empty(self.inner).uniform_(math.log(1e-3), math.log(1e-1)))
            dt_proj.bias.copy_(step + torch.log(-torch.expm1(-step)))
            decays = torch.log(torch.arange(1, self.state_size + 1, dtype=torch.float32))
            self.get_parameter(f"A{side}_log").copy_(decays.expand(self.inner, -1))
            self.get_parameter(f"D{side}").fill_(1.0)

    def forward(self, tokens: Tensor, *orders: ScanOrder) -> Tensor:
        """tokens: (batch, length, width); orders: one scan order of `length` tokens per scan."""
        if type(self.in_proj) is nn.Linear:  # two products, as the halves of a single one would be strided
            x, z = (F.linear(tokens, weight) for weight in self.in_proj.weight.chunk(2))
        else:  # an adapter that adds to its output
            x, z = (half.contiguous() for half in self.in_proj(tokens).chunk(2, -1))
        first, *others = (self._scan(x, z, order, side) for order, side in zip(orders, self.scans, strict=True))
        return self.out_proj(sum(others, first))

    def _scan(self, x: Tensor, z: Tensor, order: ScanOrder, side: str) -> Tensor:
        conv, dt_proj = self.get_submodule(f"conv1d{side}"), self.get_submodule(f"dt_proj{side}")
        x = causal_conv(x, conv.weight.squeeze(1), conv.bias, order=order)
        sizes = (self.rank, self.state_size, self.state_size)
        dt, B, C = self.get_submodule(f"x_proj{side}")(x).split(sizes, -1)
        dt = F.linear(dt, dt_proj.weight)
        A = -torch.exp(self.get_parameter(f"A{side}_log").float())
        D = self.get_parameter(f"D{side}")
        return selective_scan(x, dt, A, B, C, D, z, dt_bias=dt_proj.bias, order=order)
