"""DiT: a transformer over patches with four ways to condition it (arXiv 2212.09748); SiT is the same network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import choice, number
from ..scans import ScanOrder
from .base import Cost, VarianceConfig
from .checks import check_sizes, fits
from .costs import FLOAT_BYTES, block_costs, embedder_costs, final_cost, linear_weights, refine_costs, token_count
from .layers import (
    EPSILON,
    CrossAttention,
    FinalLayer,
    PatchEmbedder,
    TimeEmbedder,
    along,
    condition_embedder,
    embed_condition,
    embed_patches,
    initialise_adaptive,
    modulate,
    modulation,
    picture,
    refiner,
    run_block,
    sincos_table,
    weights_at_depth,
)

CONDITIONINGS = ("adaln-zero", "adaln", "cross-attention", "in-context")
PARTS = {"adaln-zero": 6, "adaln": 4}  # modulation vectors per block


@dataclass(frozen=True)
class DiTConfig(VarianceConfig):
    """Everything that defines the network; shared fields are in VarianceConfig and BackboneConfig.

    frames: of a clip, 0 for pictures; even blocks then attend within each frame, odd blocks over time at each location
    (arXiv 2401.03048, variant 1).

    conditioning: how time and label (or text) enter a block. "adaln": shift and scale after each LayerNorm;
    "adaln-zero": also a gate on each branch, initially zero; "cross-attention": a third branch attends to them;
    "in-context": tokens in front of the image tokens. adaLN uses the mean over the words of a text.
    mlp_ratio: hidden width of the MLP relative to width.
    """

    heads: int = 6
    conditioning: str = "adaln-zero"
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, ("heads",), least=1)
        choice("conditioning", self.conditioning, CONDITIONINGS)
        if self.width % self.heads or self.width % 4:
            raise ValueError(f"width {self.width} must be a multiple of 4 and of the {self.heads} heads")
        if self.frames and self.conditioning == "in-context":
            raise ValueError("in-context tokens belong to no frame of a clip; choose another conditioning")
        number("mlp_ratio", self.mlp_ratio, above=0, most=64)
        if self.inner < 1:
            raise ValueError(f"mlp_ratio {self.mlp_ratio} leaves nothing of width {self.width}; give a larger one")

    @property
    def inner(self) -> int:
        """Hidden width of the MLP."""
        return int(self.width * self.mlp_ratio)

    @property
    def mixing(self) -> str:
        """How tokens are mixed, in a few words for a model card."""
        return f"{self.heads} heads, {self.conditioning}"

    @property
    def parameters(self) -> int:
        """Number of weights, including the fixed position table, counted without allocating them."""
        with torch.device("meta"):
            one = DiT(replace(self, depth=1, size=(self.patch, self.patch), frames=0))
        table = (max(self.frames, 1) * math.prod(self.grid) - 1) * self.width
        return weights_at_depth(one, self.depth) + table


class Attention(nn.Module):
    """Self-attention over all tokens: (batch, tokens, width) -> the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear maps with the published tanh form of GELU in between."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


def _norm(config: DiTConfig) -> nn.LayerNorm:
    """LayerNorm, with learned shift and scale unless the condition provides them."""
    return nn.LayerNorm(config.width, eps=EPSILON, elementwise_affine=config.conditioning not in PARTS)


class DiTBlock(nn.Module):
    """Self-attention and an MLP, conditioned in one of four ways. Source: arXiv 2212.09748, figure 3."""

    def __init__(self, config: DiTConfig, axis: str = "all") -> None:
        super().__init__()
        self.conditioning, self.frames, self.axis = config.conditioning, config.frames, axis
        self.norm1 = _norm(config)
        self.attn = Attention(config.width, config.heads)
        self.norm2 = _norm(config)
        self.mlp = Mlp(config.width, config.inner)
        if config.conditioning in PARTS:
            self.adaLN_modulation = modulation(config.width, PARTS[config.conditioning])
        if config.conditioning == "cross-attention":
            self.norm3 = _norm(config)
            self.msa = CrossAttention(config.width, config.heads, config.width // config.heads)

    def forward(self, x: Tensor, c: Tensor, context: Tensor) -> Tensor:
        """x: (batch, tokens, width); c: (batch, width), for adaLN; context: (batch, words, width), for attention."""
        if self.conditioning == "adaln-zero":
            shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = self.adaLN_modulation(c).chunk(6, -1)
            x = torch.addcmul(x, gate[:, None], self._attend(modulate(self.norm1(x), shift, scale)))
            return torch.addcmul(x, gate_mlp[:, None], self.mlp(modulate(self.norm2(x), shift_mlp, scale_mlp)))
        if self.conditioning == "adaln":
            shift, scale, shift_mlp, scale_mlp = self.adaLN_modulation(c).chunk(4, -1)
            x = x + self._attend(modulate(self.norm1(x), shift, scale))
            return x + self.mlp(modulate(self.norm2(x), shift_mlp, scale_mlp))
        x = x + self._attend(self.norm1(x))
        if self.conditioning == "cross-attention":
            x = x + self.msa(self.norm3(x), context)
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: Tensor) -> Tensor:
        return along(self.attn, x, self.frames, self.axis)


class DiT(nn.Module):
    """The network; what forward(x, t, cond) predicts depends on how it was trained.

    checkpointing: set to True to recompute blocks in the backward pass instead of storing their activations, which
    makes training slower but saves memory.
    """

    checkpointing = False

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        self.x_embedder = PatchEmbedder(config.in_channels, config.width, config.patch)
        self.t_embedder = TimeEmbedder(config.width, config.time_scale)
        if config.text_width or config.labels:
            self.y_embedder = condition_embedder(config)
        self.pos_embed = nn.Parameter(sincos_table(config), requires_grad=False)
        axes = ("space", "time") if config.frames else ("all",)
        self.blocks = nn.ModuleList(DiTBlock(config, axes[i % len(axes)]) for i in range(config.depth))
        adaptive = config.conditioning in PARTS
        self.final_layer = FinalLayer(config.width, config.patch_outputs, adaptive=adaptive, affine=not adaptive)
        if config.refine:
            self.refine = refiner(config.in_channels, config.refine)
        initialise_adaptive(self)

    def orders(self, scheme: str | None = None) -> list[ScanOrder]:
        """Empty: attention has no scan. Raises ValueError for any scheme."""
        if scheme is not None:
            raise ValueError(f"this model attends to all tokens at once and has no scan; leave scheme {scheme!r} out")
        return []

    def condition(self, t: Tensor, cond: Tensor | None) -> tuple[Tensor, Tensor]:
        """The vector for adaLN, (batch, width), and the tokens for attention, (batch, 1 + words, width), time first."""
        c, words = self.t_embedder(t), embed_condition(self, t, cond)
        if words is None:
            return c, c[:, None]
        return c + words.mean(1), torch.cat([c[:, None], words], 1)

    def forward(self, x: Tensor, t: Tensor, cond: Tensor | None = None, *, scheme: str | None = None) -> Tensor:
        """x: (batch, channels, H, W), for clips (batch, frames, channels, H, W); t: (batch,) in [0, 1], from noise to
        data; cond: labels (batch,) int64, text features (batch, words, text_width), or None; scheme: None. Returns a
        tensor like x with config.out_channels.

        Raises ValueError for a wrong shape, a scheme, or a missing condition.
        """
        fits(self.config, x)
        self.orders(scheme)
        c, context = self.condition(t, cond)
        tokens = embed_patches(self, x) + self.pos_embed
        in_context = self.config.conditioning == "in-context"
        if in_context:
            tokens = torch.cat([context, tokens], 1)
        for block in self.blocks:
            tokens = run_block(self, block, tokens, c, context)
        if in_context:
            tokens = tokens[:, context.shape[1] :]
        return picture(self, self.final_layer(tokens, c), x)


def dit_cost(config: DiTConfig, batch: int, words: int) -> dict[str, Cost]:
    """Cost of a DiT with any of the four conditionings; for clips blocks alternate between space and time."""
    width, heads, inner = config.width, config.heads, config.inner
    adaptive = {"adaln-zero": 6, "adaln": 4}.get(config.conditioning, 0)
    crossing, in_context = config.conditioning == "cross-attention", config.conditioning == "in-context"
    context = 1 + (words if config.text_width else int(config.labels > 0))
    image = token_count(config)
    tokens = image + context * in_context
    reach = (image // config.frames, config.frames) if config.frames else (tokens,)  # number of tokens one attends to

    norms = 0 if adaptive else 2 * width
    weights = (
        linear_weights(width, 3 * width)
        + linear_weights(width, width)
        + linear_weights(width, inner)
        + linear_weights(inner, width)
    )
    weights += 2 * norms
    macs = tokens * (4 * width**2 + 2 * width * inner)
    # Per token: input and output of norm and modulation, q k v, the attention's output and row sums, both MLP sides.
    floats = tokens * (8 * width + heads + 4 + 2 * inner)
    if adaptive:
        weights += linear_weights(width, adaptive * width)
        macs += adaptive * width**2
        gates = adaptive == 6  # both factors of a gated branch are kept: the branch and the gates
        floats += tokens * width * (2 + 2 * gates) + width * (3 + 6 * gates)
    if crossing:
        weights += 3 * linear_weights(width, width, bias=False) + linear_weights(width, width) + norms
        macs += 2 * tokens * width**2 + 2 * context * width**2 + 2 * tokens * context * width
        floats += tokens * (4 * width + heads + 2) + 2 * context * width
    blocks = [
        Cost(weights, batch * (macs + 2 * tokens * attended * width), FLOAT_BYTES * batch * floats)
        for attended in reach
    ]

    shared = width if adaptive else context * width if crossing else 0
    return {
        **embedder_costs(config, batch, words),
        "pos_embed": Cost(image * width, 0, 0),
        **block_costs(blocks, config.depth, FLOAT_BYTES * batch * shared),
        "final_layer": final_cost(config, batch, bool(adaptive), norms, tokens),
        **refine_costs(config, batch),
    }
