"""DiffuSSM: dense layers on folded tokens around a bidirectional state-space model at full length (arXiv 2311.18257).

There is no published code, and the paper's equations leave the inner widths open. Ours give the linear maps of a block
9 D^2 + 2 M D^2 weights, the number in the paper: see `DiffuSSMBlock`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import s4d_convolution
from ..ops.s4d import s4d_lin
from ..scans import ScanOrder
from .base import Cost, VarianceConfig
from .checks import check_sizes, fits
from .costs import FLOAT_BYTES, S4D_TABLES, block_costs, embedder_costs, final_cost, linear_weights, refine_costs
from .layers import (
    EPSILON,
    FinalLayer,
    PatchEmbedder,
    TimeEmbedder,
    condition_embedder,
    initialise_adaptive,
    modulate,
    modulation,
    picture,
    refiner,
    run_block,
    sincos_2d,
    time_and_condition,
    weights_at_depth,
)


@dataclass(frozen=True)
class DiffuSSMConfig(VarianceConfig):
    """Everything that defines the network; fields of the same name are as in DiTConfig.

    hourglass: number of neighbouring tokens in raster order that are folded into one vector of the dense layers.
    modes: conjugate pairs in the state-space model of each channel.
    """

    patch: int = 2
    depth: int = 13
    hourglass: int = 2
    modes: int = 16

    operator: ClassVar[str] = "s4d_convolution"  # of zigdemo.ops, which mixes the tokens

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, ("hourglass", "modes"), least=1)
        if self.frames:
            raise ValueError("DiffuSSM draws pictures, not clips; leave frames at 0")
        if self.width % (4 * self.hourglass):
            raise ValueError(f"width {self.width} must be a multiple of 4 times the hourglass, {4 * self.hourglass}")
        if math.prod(self.grid) % self.hourglass:
            raise ValueError(
                f"{self.grid[0]} x {self.grid[1]} tokens cannot be folded by {self.hourglass}; change size, patch or "
                "hourglass"
            )

    @property
    def adaptive(self) -> bool:
        """Whether the condition shifts and scales the final layer: always."""
        return True

    @property
    def mixing(self) -> str:
        """How tokens are mixed, in a few words for a model card."""
        return f"S4D both ways with {self.modes} modes, hourglass {self.hourglass}"

    @property
    def parameters(self) -> int:
        """Number of weights, including the fixed position table, counted without allocating them."""
        with torch.device("meta"):
            one = DiffuSSM(replace(self, depth=1, size=(self.patch, self.patch * self.hourglass)))
        table = (math.prod(self.grid) - self.hourglass) * self.width // self.hourglass
        return weights_at_depth(one, self.depth) + table


class BidirectionalS4D(nn.Module):
    """S4D in both directions with shared rates and steps: (batch, tokens, channels) -> the same.

    Weights are stored as real numbers, which every file format supports. Source: arXiv 2206.11893, S4D-Lin.
    """

    def __init__(self, channels: int, modes: int) -> None:
        super().__init__()
        log_dt, A = s4d_lin(channels, modes)
        self.log_dt = nn.Parameter(log_dt)
        self.log_A_real = nn.Parameter((-A.real).log())
        self.A_imag = nn.Parameter(A.imag.clone())
        self.C = nn.Parameter(torch.randn(2, channels, modes, 2) * 0.5**0.5)
        self.D = nn.Parameter(torch.ones(channels))

    def forward(self, u: Tensor) -> Tensor:
        A = torch.complex(-self.log_A_real.float().exp(), self.A_imag.float())
        C = torch.view_as_complex(self.C.float())
        return s4d_convolution(u, self.log_dt.float(), A, C, self.D.float(), bidirectional=True)


class Unfold(nn.Module):
    """A separate linear map for each token of a folded one: (batch, J, width) -> (batch, J * hourglass, outputs)."""

    def __init__(self, width: int, outputs: int, hourglass: int) -> None:
        super().__init__()
        self.hourglass = hourglass
        self.linear = nn.Linear(width, hourglass * outputs)  # all maps read the same vector: one product

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(-1, (self.hourglass, -1)).flatten(1, 2)


class Fold(nn.Module):
    """A separate linear map for each token to be folded, concatenated: (batch, L, width) -> (batch, J, outputs)."""

    def __init__(self, width: int, outputs: int, hourglass: int) -> None:
        super().__init__()
        self.hourglass = hourglass
        self.linears = nn.ModuleList(nn.Linear(width, outputs // hourglass) for _ in range(hourglass))

    def forward(self, x: Tensor) -> Tensor:
        parts = x.unflatten(1, (-1, self.hourglass)).unbind(2)
        return torch.cat([linear(part) for linear, part in zip(self.linears, parts, strict=True)], -1)


class DiffuSSMBlock(nn.Module):
    """A gated bidirectional S4D at full length L between dense layers at J = L / M; M is the hourglass, D the width.

    With I (J, D) normalised and modulated: U_l = act(W_up[m] act(W_0 I_j)) (L, 2D), Y = S4D(U) (L, 2D), I'_j =
    concat_m act(W_down[m] Y_l) (J, 2D), O = W_out (I' * act(W_gate I)). Weights of the maps: W_0 D^2, W_up 2 M D^2,
    W_down 4 D^2 for any M, W_gate and W_out 2 D^2 each. Source: arXiv 2311.18257, section 3.2; act is SiLU here.
    """

    def __init__(self, config: DiffuSSMConfig) -> None:
        super().__init__()
        width, inner = config.width, 2 * config.width
        self.norm = nn.LayerNorm(width, eps=EPSILON, elementwise_affine=False)
        self.enter = nn.Linear(width, width)
        self.up = Unfold(width, inner, config.hourglass)
        self.mixer = BidirectionalS4D(inner, config.modes)
        self.down = Fold(inner, inner, config.hourglass)
        self.gate = nn.Linear(width, inner)
        self.out = nn.Linear(inner, width)
        self.adaLN_modulation = modulation(width, 3)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """x: (batch, J, width), folded tokens; c: (batch, width), embedding of time and label."""
        shift, scale, gate = self.adaLN_modulation(c).chunk(3, -1)
        modulated = modulate(self.norm(x), shift, scale)
        tokens = F.silu(self.up(F.silu(self.enter(modulated))))
        folded = F.silu(self.down(self.mixer(tokens)))
        return torch.addcmul(x, gate[:, None], self.out(folded * F.silu(self.gate(modulated))))


class DiffuSSM(nn.Module):
    """The network; what forward(x, t, cond) predicts depends on how it was trained.

    A token is embedded in width / hourglass channels, so that a folded token has `width` of them and, with small
    patches, no information is lost. checkpointing: as in DiT.
    """

    checkpointing = False

    def __init__(self, config: DiffuSSMConfig) -> None:
        super().__init__()
        self.config = config
        share = config.width // config.hourglass
        self.x_embedder = PatchEmbedder(config.in_channels, share, config.patch)
        self.t_embedder = TimeEmbedder(config.width, config.time_scale)
        if config.text_width or config.labels:
            self.y_embedder = condition_embedder(config)
        self.pos_embed = nn.Parameter(torch.from_numpy(sincos_2d(share, config.grid)).float()[None], False)
        self.blocks = nn.ModuleList(DiffuSSMBlock(config) for _ in range(config.depth))
        self.final_layer = FinalLayer(config.width, config.hourglass * config.patch_outputs, adaptive=config.adaptive)
        if config.refine:
            self.refine = refiner(config.in_channels, config.refine)
        initialise_adaptive(self)

    def orders(self, scheme: str | None = None) -> list[ScanOrder]:
        """Empty: the raster order in both directions is fixed. Raises ValueError for any scheme."""
        if scheme is not None:
            raise ValueError(f"this model reads the raster order both ways; leave scheme {scheme!r} out")
        return []

    def forward(self, x: Tensor, t: Tensor, cond: Tensor | None = None, *, scheme: str | None = None) -> Tensor:
        """x: (batch, channels, H, W); t: (batch,) in [0, 1], from noise to data; cond: labels (batch,) int64, text
        features (batch, words, text_width), or None; scheme: None. Returns (batch, config.out_channels, H, W).

        Raises ValueError for a wrong shape, a scheme, or a missing condition.
        """
        fits(self.config, x)
        self.orders(scheme)
        hourglass = self.config.hourglass
        c, _ = time_and_condition(self, t, cond)
        tokens = (self.x_embedder(x) + self.pos_embed).unflatten(1, (-1, hourglass)).flatten(2)
        for block in self.blocks:
            tokens = run_block(self, block, tokens, c)
        pixels = self.final_layer(tokens, c).unflatten(-1, (hourglass, -1)).flatten(1, 2)
        return picture(self, pixels, x)


def diffussm_cost(config: DiffuSSMConfig, batch: int, words: int) -> dict[str, Cost]:
    """Cost of a DiffuSSM. Its linear maps have 9 D^2 + 2 M D^2 weights per block, each used once per folded token."""
    width, inner, fold = config.width, 2 * config.width, config.hourglass
    tokens = config.grid[0] * config.grid[1]
    folded = tokens // fold

    maps = (9 + 2 * fold) * width**2
    biases = width + fold * inner + inner + inner + width
    modes = inner * config.modes
    weights = maps + biases + 2 * modes + 4 * modes + 2 * inner + linear_weights(width, 3 * width)
    macs = folded * maps + 2 * 6 * tokens * modes + 3 * width**2
    # Both sides of the norm and its two numbers, the modulation's output, both sides of the first SiLU, the branch;
    # both sides of the second at full length; both of the third and of the gate's, and their product; the output.
    floats = folded * (5 * width + 2 + 5 * inner) + tokens * 3 * inner + folded * width + 5 * width
    block = Cost(weights, batch * macs, FLOAT_BYTES * (batch * floats + (S4D_TABLES + 2) * modes))
    return {
        **embedder_costs(config, batch, words),
        "pos_embed": Cost(tokens * width // fold, 0, 0),
        **block_costs([block], config.depth, FLOAT_BYTES * batch * width),
        "final_layer": final_cost(config, batch, True, 0, folded),
        **refine_costs(config, batch),
    }
