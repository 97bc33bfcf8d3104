"""ZigMa: a DiT-style stack of single-scan Mamba blocks, each layer with its own scan order (arXiv 2403.13802)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import choice, flag
from ..scans import ScanOrder, scan_scheme
from .base import BackboneConfig, Cost
from .checks import check_sizes, fits
from .costs import FLOAT_BYTES, SCAN_CHUNK, block_costs, embedder_costs, linear_weights, refine_costs, token_count
from .layers import (
    EPSILON,
    CrossAttention,
    FinalLayer,
    PatchEmbedder,
    TimeEmbedder,
    condition_embedder,
    embed_patches,
    initialise_embedders,
    modulate,
    modulation,
    picture,
    refiner,
    run_block,
    sincos_table,
    time_and_condition,
    weights_at_depth,
)
from .mamba import Mamba

POSITIONS = ("none", "sincos", "learned", "shared")
SKIPS = ("plain", "normalised")


def scan_names(scheme: str) -> tuple[str, ...]:
    """Suffixes of the weights of a block's scans: ("",), bidirectional ("", "_b"), or parallel ("", "_1", ...)."""
    rule = scan_scheme(scheme)
    if rule.block == "bidirectional":
        return "", "_b"
    return "", *(f"_{i}" for i in range(1, rule.at_once))


@dataclass(frozen=True)
class ZigMaConfig(BackboneConfig):
    """Everything that defines the network; the defaults are ours, `official/` sets the published behaviour.

    Shared fields are in BackboneConfig; clips need a scheme for grids (T, H, W).
    text_heads, text_head_width: of the attention to the text.
    position: embedding of the tokens: "none", "sincos" (fixed), "learned", or "shared" (learned, the same table for
    every frame). frame_position: add a learned vector per frame to all its tokens.
    skip: "plain" adds to the residual stream; "normalised" uses the normalised tokens as the skip branch, so that the
    next block adds them to the residual again (official). zero_final: initialise the final layer with zeros.
    scheme: the scan scheme of all layers, or one name per layer; all must need the same kind of block.
    step_rank: rank of the projection to Mamba's step sizes, 0 for a sixteenth of the width.
    drop_path: rate of dropped branches in training, rising with depth from 0 to this value.
    """

    scheme: str | tuple[str, ...] = "zigzag-8"
    text_heads: int = 8
    text_head_width: int = 64
    position: str = "learned"
    frame_position: bool = False
    state_size: int = 16
    taps: int = 4
    expand: int = 2
    step_rank: int = 0
    rms_norm: bool = True
    norm_epsilon: float = 1e-5
    skip: str = "plain"
    zero_final: bool = True
    drop_path: float = 0.0

    operator: ClassVar[str | None] = "selective_scan"  # of zigdemo.ops, which mixes the tokens

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, ("state_size", "taps", "expand", "text_heads", "text_head_width"), least=1)
        check_sizes(self, ("step_rank",), least=0)
        choice("position", self.position, POSITIONS)
        choice("skip", self.skip, SKIPS)
        if not isinstance(self.scheme, str):
            object.__setattr__(self, "scheme", tuple(self.scheme))
            if len(self.scheme) != self.depth:
                raise ValueError(f"scheme names {len(self.scheme)} layers and depth is {self.depth}; name every layer")
        kinds = {scan_names(name) for name in set(self.schemes)}
        if len(kinds) > 1:
            raise ValueError(f"schemes {', '.join(sorted(set(self.schemes)))} need different blocks; mix others")
        flag("frame_position", self.frame_position)
        if self.frame_position and not self.frames:
            raise ValueError("frame_position is a vector for each frame of a clip; give frames with it")

    @property
    def schemes(self) -> tuple[str, ...]:
        """The scan scheme of every layer."""
        return (self.scheme,) * self.depth if isinstance(self.scheme, str) else self.scheme

    @property
    def scans(self) -> tuple[str, ...]:
        """Suffixes of the weights of each scan in a block."""
        return scan_names(self.schemes[0])

    @property
    def mixing(self) -> str:
        """How tokens are mixed, in a few words for a model card."""
        return f"state size {self.state_size}, scanned by {', '.join(dict.fromkeys(self.schemes))}"

    @property
    def parameters(self) -> int:
        """Number of weights, counted without allocating them."""
        position = "learned" if self.position == "sincos" else self.position
        with torch.device("meta"):
            one = ZigMa(replace(self, depth=1, scheme=self.schemes[0], position=position))
        return weights_at_depth(one, self.depth)


def _norm(config: ZigMaConfig) -> nn.Module:
    kind = nn.RMSNorm if config.rms_norm else nn.LayerNorm
    return kind(config.width, eps=config.norm_epsilon)


def mixer_settings(config: ZigMaConfig) -> tuple[Any, ...]:
    """The arguments of every block's Mamba."""
    inner = (config.width, config.state_size, config.taps, config.expand)
    return (*inner, config.depth, config.scans, config.step_rank)


class Block(nn.Module):
    """adaLN-modulated Mamba, then, with text, adaLN-modulated cross-attention."""

    def __init__(self, config: ZigMaConfig, drop: float) -> None:
        super().__init__()
        self.normalised_skip, self.drop = config.skip == "normalised", drop
        self.mixer = Mamba(*mixer_settings(config))
        self.norm = _norm(config)
        self.adaLN_modulation = modulation(config.width, 6 if config.text_width else 3)
        if config.text_width:
            self.msa = CrossAttention(config.width, config.text_heads, config.text_head_width)

    def forward(
        self, x: Tensor, residual: Tensor | None, c: Tensor, context: Tensor | None, *orders: ScanOrder
    ) -> tuple[Tensor, Tensor]:
        """x, residual: (batch, tokens, width); c: (batch, width); context: (batch, words, width) or None; orders: one
        per scan of the block.
        """
        residual = x if residual is None else residual + drop_path(x, self.drop, self.training)
        x = self.norm(residual)
        shift, scale, gate, *attention = self.adaLN_modulation(c).chunk(6 if context is not None else 3, -1)
        mixed = self.mixer(modulate(x, shift, scale), *orders)
        x = torch.addcmul(x, gate[:, None], mixed) if self.normalised_skip else gate[:, None] * mixed
        if context is not None:
            shift, scale, gate = attention
            skipped = x if self.normalised_skip else residual + x
            query = F.layer_norm(skipped, skipped.shape[-1:], eps=EPSILON)
            x = torch.addcmul(x, gate[:, None], self.msa(modulate(query, shift, scale), context))
        return x, residual


def drop_path(x: Tensor, rate: float, training: bool) -> Tensor:
    """In training drop the whole branch for a share `rate` of the batch (Huang et al. 2016, arXiv 1603.09382)."""
    if not training or rate == 0:
        return x
    keep = x.new_empty(len(x), 1, 1).bernoulli_(1 - rate)
    return x * keep / (1 - rate)


class ZigMa(nn.Module):
    """The network; what forward(x, t, cond) predicts depends on how it was trained. checkpointing: as in DiT."""

    checkpointing = False

    def __init__(self, config: ZigMaConfig) -> None:
        super().__init__()
        self.config = config
        width, tokens = config.width, math.prod(config.token_grid)
        self.x_embedder = PatchEmbedder(config.in_channels, width, config.patch)
        self.t_embedder = TimeEmbedder(width, scale=1000.0)
        if config.text_width or config.labels:
            self.y_embedder = condition_embedder(config)
        if config.position in ("learned", "shared"):
            rows = tokens if config.position == "learned" else math.prod(config.grid)
            self.pos_embed = nn.Parameter(torch.zeros(1, rows, width))
        elif config.position == "sincos":
            self.pos_embed = nn.Parameter(sincos_table(config), requires_grad=False)
        if config.frame_position:
            self.temporal_pos_embedding = nn.Parameter(torch.zeros(1, config.frames, width))
        rates = [config.drop_path * max(i - 1, 0) / max(config.depth - 1, 1) for i in range(config.depth)]
        self.blocks = nn.ModuleList(Block(config, rate) for rate in rates)
        self.norm_f = _norm(config)
        self.final_layer = FinalLayer(width, config.patch_outputs, adaptive=False)
        if config.refine:
            self.refine = refiner(config.in_channels, config.refine)
        self._initialise()

    def _initialise(self) -> None:
        """The official initialisation; with `zero_final` the initial prediction is zero, as in DiT."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and module.bias is not None and "dt_proj" not in name:
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            nn.init.zeros_(block.adaLN_modulation[1].weight)
        initialise_embedders(self)
        if self.config.zero_final:
            nn.init.zeros_(self.final_layer.linear.weight)

    def scans(self, scheme: str | None = None) -> list[tuple[ScanOrder, ...]]:
        """The orders of every layer, one per scan of its block, by the config's schemes or the given one.

        Raises ValueError for a scheme that needs another kind of block.
        """
        names = self.config.schemes if scheme is None else (scheme,) * self.config.depth
        if scheme is not None and scan_names(scheme) != self.config.scans:
            raise ValueError(
                f"scan scheme {scheme!r} needs a {scan_scheme(scheme).block}-scan block and this model has "
                f"{scan_scheme(self.config.schemes[0]).block}-scan blocks of {len(self.config.scans)}; choose another "
                "scheme or model"
            )
        return [scan_scheme(name).scans(layer=i, grid=self.config.token_grid) for i, name in enumerate(names)]

    def orders(self, scheme: str | None = None) -> list[ScanOrder]:
        """The order of every layer, the first one if it has several; as `scans`."""
        return [paths[0] for paths in self.scans(scheme)]

    @cached_property
    def _config_scans(self) -> list[tuple[ScanOrder, ...]]:
        return self.scans()

    def condition(self, t: Tensor, cond: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The conditioning vector (batch, width) and, with text, the projected words (batch, words, width)."""
        c, words = time_and_condition(self, t, cond)
        return c, (words if self.config.text_width else None)

    def forward(self, x: Tensor, t: Tensor, cond: Tensor | None = None, *, scheme: str | None = None) -> Tensor:
        """x: (batch, channels, H, W), for clips (batch, frames, channels, H, W); t: (batch,) in [0, 1], from noise to
        data; cond: labels (batch,) int64, text features (batch, words, text_width), or None; scheme: other than the
        config's, or None. Returns a tensor like x.

        Raises ValueError for a wrong shape, a scheme for another kind of block, or a missing condition.
        """
        fits(self.config, x)
        tokens = self._with_positions(embed_patches(self, x))
        c, context = self.condition(t, cond)
        residual = None
        for block, paths in zip(self.blocks, self._config_scans if scheme is None else self.scans(scheme), strict=True):
            tokens, residual = run_block(self, block, tokens, residual, c, context, *paths)
        tokens = self.norm_f(residual + drop_path(tokens, self.config.drop_path, self.training))
        return picture(self, self.final_layer(tokens, c), x)

    def _with_positions(self, tokens: Tensor) -> Tensor:
        """Tokens (batch, tokens, width) plus their position embeddings."""
        if self.config.position == "shared":
            tokens = tokens + self.pos_embed.repeat(1, tokens.shape[1] // self.pos_embed.shape[1], 1)
        elif self.config.position != "none":
            tokens = tokens + self.pos_embed
        if self.config.frame_position:
            tokens = tokens + self.temporal_pos_embedding.repeat_interleave(math.prod(self.config.grid), 1)
        return tokens


def zigma_cost(config: ZigMaConfig, batch: int, words: int) -> dict[str, Cost]:
    """Cost of a ZigMa, with labels or text, with any number of scans per block."""
    width, inner, state = config.width, config.expand * config.width, config.state_size
    rank = config.step_rank or -(-width // 16)
    sides = len(config.scans)
    tokens, parts = token_count(config), 6 if config.text_width else 3
    norm = width if config.rms_norm else 2 * width
    norm_floats = width * (2 if config.rms_norm else 1) + (1 if config.rms_norm else 2)

    projections = inner * (rank + 2 * state) + rank * inner
    side = projections + inner * (config.taps + state) + 3 * inner  # 3 inner: biases of convolution and step, and D
    weights = 3 * inner * width + sides * side + norm + linear_weights(width, parts * width)
    macs = tokens * (3 * inner * width + sides * (projections + inner * (config.taps + 4 * state)))
    macs += parts * width**2
    states = -(-tokens // SCAN_CHUNK) * state * inner
    floats = tokens * (norm_floats + 3 * width + 3 * inner + sides * (2 * inner + rank + 2 * state))
    floats += sides * states + width * (2 + parts)
    if config.text_width:
        attended = config.text_heads * config.text_head_width
        weights += 3 * width * attended + linear_weights(attended, width)
        macs += 2 * (tokens + words) * width * attended + 2 * tokens * words * attended
        floats += tokens * (4 * width + 2 + 2 * attended + config.text_heads) + 2 * words * attended + width
    decays = 2 * sides * inner * state  # A and its exponential, independent of the batch
    block = Cost(weights, batch * macs, FLOAT_BYTES * (batch * floats + decays))

    outputs = config.patch_outputs
    positions = math.prod(config.grid) if config.position == "shared" else tokens
    shared = FLOAT_BYTES * batch * width * (1 + (words if config.text_width else 0))
    return {
        **embedder_costs(config, batch, words),
        **({} if config.position == "none" else {"pos_embed": Cost(positions * width, 0, 0)}),
        **({"temporal_pos_embedding": Cost(config.frames * width, 0, 0)} if config.frame_position else {}),
        **block_costs([block], config.depth, shared),
        "norm_f": Cost(norm, 0, FLOAT_BYTES * batch * tokens * norm_floats),
        "final_layer": Cost(
            linear_weights(width, outputs),
            batch * tokens * width * outputs,
            FLOAT_BYTES * batch * tokens * (2 * width + 2),
        ),
        **refine_costs(config, batch),
    }
