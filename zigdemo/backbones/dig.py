"""DiG: DiT with gated linear attention, cycling through four scan directions (arXiv 2405.18428)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import choice, flag, number
from ..ops import gated_linear_attention
from ..scans import ScanOrder
from .base import Cost, VarianceConfig
from .checks import check_sizes, fits
from .costs import (
    FLOAT_BYTES,
    GLA_SPAN,
    block_costs,
    embedder_costs,
    final_cost,
    linear_weights,
    refine_costs,
    token_count,
)
from .layers import (
    EPSILON,
    FinalLayer,
    PatchEmbedder,
    TimeEmbedder,
    along,
    condition_embedder,
    embed_patches,
    initialise_adaptive,
    modulate,
    modulation,
    picture,
    refiner,
    run_block,
    sincos_table,
    time_and_condition,
    weights_at_depth,
)

DIRECTIONS = ("layer", "seq")
CONVOLUTIONS = ("block", "inside", "none")
GATE_RANK, GATE_SHARE = 16, 16  # rank of the gates' projection; divisor of their logarithm
PIECE = 256  # the MLP's inner width is a multiple of it
LEAST_LOGIT = -80.0  # below it a sigmoid is nearly 0 in float32 and its logarithm equals the logit

Orientation = tuple[bool, bool]  # (reversed, transposed) order of the tokens; the two commute


@dataclass(frozen=True)
class DiGConfig(VarianceConfig):
    """Everything that defines the network; fields of the same name are as in DiTConfig.

    directions: "layer" reverses the order of the tokens after every block, "seq" does not. transpose: also transpose
    the grid after every second block; with "layer" this gives four directions. skip: U-shape, with connections from the
    first half of the blocks to the second. conv: a depthwise convolution over `kernel` x `kernel` tokens after each
    block ("block"), before its attention ("inside") or "none". rms_norm: RMSNorm instead of LayerNorm. expand_k,
    expand_v: width of keys and values relative to width.
    frames: of a clip; even blocks then scan each frame in the directions above, odd blocks scan each location over
    time, alternating between forward and backward.
    restore: align tokens before they are joined by a skip, and restore the picture's orientation at the end. The
    published code does not, so that only depths that are multiples of 4 end in the orientation they began with.
    """

    heads: int = 6
    directions: str = "layer"
    transpose: bool = True
    skip: bool = False
    conv: str = "block"
    kernel: int = 3
    rms_norm: bool = False
    expand_k: float = 0.5
    expand_v: float = 1.0
    restore: bool = True

    operator: ClassVar[str] = "gated_linear_attention"  # of zigdemo.ops, which mixes the tokens

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, ("heads", "kernel"), least=1)
        choice("directions", self.directions, DIRECTIONS)
        choice("conv", self.conv, CONVOLUTIONS)
        for name in ("transpose", "skip", "rms_norm", "restore"):
            flag(name, getattr(self, name))
        for name in ("expand_k", "expand_v"):
            number(name, getattr(self, name), above=0, most=64)
        if self.width % 4:
            raise ValueError(f"width {self.width} must be a multiple of 4")
        for name, inner in (("expand_k", self.keys), ("expand_v", self.values)):
            if inner < 1 or inner % self.heads:
                raise ValueError(
                    f"{name} {getattr(self, name)} makes {inner} channels of width {self.width}, which "
                    f"{self.heads} heads cannot share; change heads, {name} or width"
                )
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that it has a middle, not {self.kernel}")
        if self.skip and self.depth % 2:
            raise ValueError(f"skip joins the first half of the blocks to the second; depth {self.depth} must be even")
        if not self.restore and self.transpose and self.grid[0] != self.grid[1]:
            raise ValueError(f"without restore a transposed grid must be square, not {self.grid}; set restore")

    @property
    def keys(self) -> int:
        """Width of the keys of all heads."""
        return int(self.width * self.expand_k)

    @property
    def values(self) -> int:
        """Width of the values of all heads."""
        return int(self.width * self.expand_v)

    @property
    def inner(self) -> int:
        """Hidden width of the MLP: 8/3 of the width, rounded up to a multiple of 256."""
        return PIECE * math.ceil(self.width * 8 // 3 / PIECE)

    @property
    def adaptive(self) -> bool:
        """Whether the final layer is shifted and scaled: if there is a condition besides the time."""
        return bool(self.labels or self.text_width)

    @property
    def mixing(self) -> str:
        """How tokens are mixed, in a few words for a model card."""
        count = (2 if self.directions == "layer" else 1) * (2 if self.transpose else 1)
        return f"{self.heads} heads, {count} direction{'s' if count > 1 else ''}"

    @property
    def parameters(self) -> int:
        """Number of weights, including the fixed position table, counted without allocating them."""
        with torch.device("meta"):
            one = DiG(replace(self, depth=1, skip=False, size=(self.patch, self.patch), frames=0))
        table = (max(self.frames, 1) * math.prod(self.grid) - 1) * self.width
        joints = (self.depth // 2 - 1) * (2 * self.width + 1) * self.width if self.skip else 0
        return weights_at_depth(one, self.depth) + table + joints

    def orientation(self, block: int) -> Orientation:
        """Orientation of the tokens at the input of a block; block = depth is the output of the last one."""
        turn = (block + 1) // 2 if self.frames else block
        return self.directions == "layer" and turn % 2 == 1, self.transpose and turn // 2 % 2 == 1


def reoriented(tokens: Tensor, grid: tuple[int, int], source: Orientation, target: Orientation) -> Tensor:
    """Tokens (batch, tokens, width) reordered between two orientations; grid: of the picture, not transposed."""
    if source[0] != target[0]:
        tokens = tokens.flip(1)
    if source[1] != target[1]:
        tokens = tokens.unflatten(1, grid[::-1] if source[1] else grid).transpose(1, 2).flatten(1, 2)
    return tokens


def log_sigmoid(x: Tensor) -> Tensor:
    """log(1 / (1 + exp(-x))) by functions that torch vectorises on the CPU; F.logsigmoid takes 7 times as long."""
    return x.clamp_min(LEAST_LOGIT).sigmoid().log() + (x.clamp_max(LEAST_LOGIT) - LEAST_LOGIT)


class NormAndGate(nn.Module):
    """RMSNorm over the values of each head, times swish of a gate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, o: Tensor, gate: Tensor) -> Tensor:
        """o: (batch, tokens, heads, width); gate: (batch, tokens, heads * width). Returns a tensor like gate."""
        return F.rms_norm(o, o.shape[-1:], self.weight.to(o.dtype), EPSILON).flatten(2) * F.silu(gate)


class GatedLinearAttention(nn.Module):
    """Causal linear attention whose state decays by input-dependent gates: (batch, tokens, width) -> the same.

    Source: Yang et al. 2023 (arXiv 2312.06635), section 4.4.
    """

    def __init__(self, config: DiGConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.q_proj = nn.Linear(config.width, config.keys, bias=False)
        self.k_proj = nn.Linear(config.width, config.keys, bias=False)
        self.v_proj = nn.Linear(config.width, config.values, bias=False)
        self.g_proj = nn.Linear(config.width, config.values, bias=False)
        self.gk_proj = nn.Sequential(nn.Linear(config.width, GATE_RANK, bias=False), nn.Linear(GATE_RANK, config.keys))
        self.o_proj = nn.Linear(config.values, config.width, bias=False)
        self.g_norm_swish_gate = NormAndGate(config.values // config.heads)

    def forward(self, x: Tensor) -> Tensor:
        logit = self.gk_proj(x)
        # The gates of many tokens are multiplied: keep their logarithms in float32 at least.
        log_gate = log_sigmoid(logit.to(torch.promote_types(logit.dtype, torch.float32))) / GATE_SHARE
        parts = (self.q_proj(x), self.k_proj(x), self.v_proj(x), log_gate)
        o = gated_linear_attention(*(part.unflatten(-1, (self.heads, -1)) for part in parts))
        return self.o_proj(self.g_norm_swish_gate(o, self.g_proj(x)))


class GatedMlp(nn.Module):
    """SwiGLU: a linear map times swish of another, then a third one. Source: arXiv 2002.05202."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, 2 * inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.gate_proj(x).chunk(2, -1)
        return self.down_proj(F.silu(gate) * value)


class DiGBlock(nn.Module):
    """adaLN-Zero around gated linear attention and a SwiGLU, with a depthwise convolution over the grid."""

    def __init__(self, config: DiGConfig, index: int) -> None:
        super().__init__()
        width, joins = config.width, config.skip and index > config.depth // 2
        self.conv, self.frames = config.conv, config.frames
        self.over_time = bool(config.frames) and index % 2 == 1
        self.backwards = self.over_time and index // 2 % 2 == 1
        if config.rms_norm:  # the published weights have each norm under two names
            self.attn_norm = self.norm1 = nn.RMSNorm(width, eps=EPSILON)
            self.mlp_norm = self.norm2 = nn.RMSNorm(width, eps=EPSILON)
        else:
            self.norm1 = nn.LayerNorm(width, eps=EPSILON, elementwise_affine=False)
            self.norm2 = nn.LayerNorm(width, eps=EPSILON, elementwise_affine=False)
        self.attn = GatedLinearAttention(config)
        self.mlp = GatedMlp(width, config.inner)
        self.adaLN_modulation = modulation(width, 6)
        if config.conv != "none":
            self.dw_conv = nn.Conv2d(width, width, config.kernel, padding=config.kernel // 2, groups=width)
        if joins:
            self.skip_linear = nn.Linear(2 * width, width)

    def forward(self, x: Tensor, c: Tensor, grid: tuple[int, int], skip: Tensor | None = None) -> Tensor:
        """x: (batch, tokens, width) in the current orientation; c: (batch, width); grid: as oriented; skip: like x."""
        if skip is not None:
            x = self.skip_linear(torch.cat([x, skip], -1))
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = self.adaLN_modulation(c).chunk(6, -1)
        modulated = modulate(self.norm1(x), shift, scale)
        if self.conv == "inside":
            modulated = self._convolve(modulated, grid).contiguous()  # five maps read it
        x = torch.addcmul(x, gate[:, None], self._attend(modulated))
        x = torch.addcmul(x, gate_mlp[:, None], self.mlp(modulate(self.norm2(x), shift_mlp, scale_mlp)))
        return self._convolve(x, grid) if self.conv == "block" else x

    def _attend(self, x: Tensor) -> Tensor:
        """Attend over the tokens of each picture or frame, or over time at each location, alternating in direction."""
        if not self.over_time:
            return self.attn(x)
        clips = x.unflatten(0, (-1, self.frames))
        turn = (lambda clip: clip.flip(1)) if self.backwards else (lambda clip: clip)
        return turn(along(self.attn, turn(clips).flatten(1, 2), self.frames, "time").view_as(clips)).flatten(0, 1)

    def _convolve(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Transposed tokens are a picture in torch's channels-last layout, so nothing is copied."""
        return self.dw_conv(x.transpose(1, 2).unflatten(2, grid)).flatten(2).transpose(1, 2)


class DiG(nn.Module):
    """The network; what forward(x, t, cond) predicts depends on how it was trained. checkpointing: as in DiT."""

    checkpointing = False

    def __init__(self, config: DiGConfig) -> None:
        super().__init__()
        self.config = config
        self.x_embedder = PatchEmbedder(config.in_channels, config.width, config.patch)
        self.t_embedder = TimeEmbedder(config.width, config.time_scale)
        if config.adaptive:
            self.y_embedder = condition_embedder(config)
        self.pos_embed = nn.Parameter(sincos_table(config), requires_grad=False)
        self.blocks = nn.ModuleList(DiGBlock(config, i) for i in range(config.depth))
        self.final_layer = FinalLayer(config.width, config.patch_outputs, adaptive=config.adaptive)
        if config.refine:
            self.refine = refiner(config.in_channels, config.refine)
        self._initialise()

    def _initialise(self) -> None:
        """The official initialisation: DiT's, smaller projections in the attention, convolutions as the identity."""
        initialise_adaptive(self)
        for block in self.blocks:
            for module in block.attn.modules():
                if isinstance(module, nn.Linear):
                    nn.init.xavier_uniform_(module.weight, gain=2**-2.5)
            if block.conv != "none":
                nn.init.dirac_(block.dw_conv.weight, groups=self.config.width)
                nn.init.zeros_(block.dw_conv.bias)

    def orders(self, scheme: str | None = None) -> list[ScanOrder]:
        """The fixed scan order of every block. Raises ValueError for any scheme."""
        if scheme is not None:
            raise ValueError(f"this model's directions are fixed and no scheme can be chosen; leave {scheme!r} out")
        cells = np.arange(math.prod(self.config.grid)).reshape(self.config.grid)
        paths = []
        for i in range(self.config.depth):
            reverse, transposed = self.config.orientation(i)
            path = (cells.T if transposed else cells).ravel()
            paths.append(ScanOrder(path[::-1] if reverse else path))
        return paths

    def forward(self, x: Tensor, t: Tensor, cond: Tensor | None = None, *, scheme: str | None = None) -> Tensor:
        """x: (batch, channels, H, W), for clips (batch, frames, channels, H, W); t: (batch,) in [0, 1], from noise to
        data; cond: labels (batch,) int64, text features (batch, words, text_width), or None; scheme: None. Returns a
        tensor like x with config.out_channels.

        Raises ValueError for a wrong shape, a scheme, or a missing condition.
        """
        fits(self.config, x)
        if scheme is not None:
            self.orders(scheme)
        c, _ = time_and_condition(self, t, cond)
        tokens = embed_patches(self, x) + self.pos_embed
        tokens = self._apply_blocks(tokens, c) if not self.config.frames else self._apply_to_frames(tokens, c)
        return picture(self, self.final_layer(tokens, c), x)

    def _apply_to_frames(self, tokens: Tensor, c: Tensor) -> Tensor:
        """The tokens of clips after all blocks: each frame is reoriented and convolved as a picture."""
        frames = self.config.frames
        mixed = self._apply_blocks(tokens.unflatten(1, (frames, -1)).flatten(0, 1), c.repeat_interleave(frames, 0))
        return mixed.reshape(tokens.shape)

    def _apply_blocks(self, tokens: Tensor, c: Tensor) -> Tensor:
        """The tokens after all blocks; each block scans them in order, in its own orientation."""
        config, half = self.config, self.config.depth // 2
        skips: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            now, after = config.orientation(i), config.orientation(i + 1)
            skip = None
            if config.skip and i > half:
                skip = skips.pop()
                if config.restore:  # its orientation is that of the output of block depth - 1 - i
                    skip = reoriented(skip, config.grid, config.orientation(config.depth - i), now)
            if config.restore and i + 1 == config.depth:
                after = (False, False)
            grid = config.grid[::-1] if now[1] else config.grid
            tokens = reoriented(run_block(self, block, tokens, c, grid, skip), config.grid, now, after)
            if config.skip and i + 1 < half:
                skips.append(tokens)
        return tokens


def dig_cost(config: DiGConfig, batch: int, words: int) -> dict[str, Cost]:
    """Cost of a DiG, plain or U-shaped; for clips blocks alternate between space and time."""
    width, keys, values, inner = config.width, config.keys, config.values, config.inner
    tokens, half = token_count(config), config.depth // 2
    frames = config.frames or 1  # each frame is modulated separately
    lengths = (tokens // frames, frames) if config.frames else (tokens,)  # of a scanned sequence
    projections = (2 * keys + 3 * values) * width + GATE_RANK * (width + keys)
    taps = 0 if config.conv == "none" else config.kernel**2 * width

    weights = projections + keys + values // config.heads + 3 * width * inner + linear_weights(width, 6 * width)
    weights += (taps + width if taps else 0) + (2 * width if config.rms_norm else 0)
    state = keys * values // config.heads
    macs = tokens * (projections + 3 * state + 3 * width * inner + taps) + 6 * frames * width**2
    # Per token: both sides of norms and modulations and both branches; logits, their sigmoids, q, k, gates; v, the
    # attention's output, its norm in three steps, swish in two; both sides of the MLP's product; the convolution.
    floats = tokens * (
        6 * width + 5 * keys + GATE_RANK + 7 * values + config.heads + 4 * inner + (width if taps else 0)
    )
    floats += tokens * (2 * (2 * width + 1) if config.rms_norm else 2 * (width + 2))
    floats += 9 * frames * width
    states = (tokens // length * -(-length // GLA_SPAN) * state for length in lengths)
    blocks = [Cost(weights, batch * macs, FLOAT_BYTES * batch * (floats + state_floats)) for state_floats in states]
    joint = Cost(
        linear_weights(2 * width, width), batch * tokens * 2 * width**2, FLOAT_BYTES * batch * tokens * 2 * width
    )

    layers = block_costs(blocks, config.depth, FLOAT_BYTES * batch * frames * width)
    for i in range(half + 1, config.depth if config.skip else 0):
        layers[f"blocks.{i}"] += joint
    return {
        **embedder_costs(config, batch, words),
        "pos_embed": Cost(tokens * width, 0, 0),
        **layers,
        "final_layer": final_cost(config, batch, config.adaptive, 0, tokens),
        **refine_costs(config, batch),
    }
