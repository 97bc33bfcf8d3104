"""Layers shared by the backbones, named as in the official state dicts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

EPSILON = 1e-6  # of LayerNorm, as in DiT


def timestep_features(t: Tensor, width: int, max_period: float = 10000.0) -> Tensor:
    """Sinusoidal features [cos | sin] of scaled time. t: (batch,). Returns (batch, width) float32.

    For an odd width the last column is zero. Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = t.float()[:, None] * torch.exp(-math.log(max_period) * steps / half)[None]
    return F.pad(torch.cat([angles.cos(), angles.sin()], -1), (0, width % 2))


def sincos_2d(width: int, grid: tuple[int, int]) -> np.ndarray:
    """Fixed 2-D position table, (rows * columns, width) float64. Raises ValueError unless width is a multiple of 4.

    The first half of the channels encodes the column, the second the row; each has its sines first.
    Source: Dosovitskiy et al. 2020 (arXiv 2010.11929) in the layout of MAE and DiT.
    """
    if width % 4:
        raise ValueError(f"a 2-D sine table needs a width that is a multiple of 4, not {width}")
    rows, columns = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    omega = 1.0 / 10000 ** (np.arange(width // 4) / (width / 4))

    def half(position: np.ndarray) -> np.ndarray:
        angles = position[:, None] * omega[None]
        return np.concatenate([np.sin(angles), np.cos(angles)], 1)

    return np.concatenate([half(columns), half(rows)], 1)


def sincos_1d(width: int, length: int) -> np.ndarray:
    """Fixed 1-D position table, (length, width) float64, for an even width; sines first."""
    angles = np.arange(length)[:, None] / 10000 ** (np.arange(width // 2) / (width / 2))
    return np.concatenate([np.sin(angles), np.cos(angles)], 1)


def sincos_table(config: Any) -> Tensor:
    """The fixed position table of a config's tokens, (1, tokens, width) float32.

    For clips it is the sum of the tables for location and frame. Source: arXiv 2401.03048, section 3.3.
    """
    place = sincos_2d(config.width, config.grid)
    if config.frames:
        place = (sincos_1d(config.width, config.frames)[:, None] + place).reshape(-1, config.width)
    return torch.from_numpy(place).float()[None]


class TimeEmbedder(nn.Module):
    """Sinusoidal time features through a two-layer MLP: (batch,) -> (batch, width); scale: factor of t."""

    def __init__(self, width: int, scale: float, features: int = 256) -> None:
        super().__init__()
        self.scale, self.features = scale, features
        self.mlp = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        features = timestep_features(t * self.scale, self.features)
        return self.mlp(features.to(self.mlp[0].weight.dtype))


class LabelEmbedder(nn.Module):
    """A table of class vectors, with one more row for "no label" if null_label is set, for guidance."""

    def __init__(self, labels: int, width: int, null_label: bool, dropout: float) -> None:
        super().__init__()
        self.labels, self.null, self.dropout = labels, labels if null_label else None, dropout
        self.embedding_table = nn.Embedding(labels + int(null_label), width)

    def forward(self, label: Tensor) -> Tensor:
        """label: (batch,) int64, `labels` is the null row; training replaces a share `dropout` of them by it."""
        if self.training and self.null is not None and self.dropout > 0:
            drop = torch.rand(label.shape, device=label.device) < self.dropout
            label = torch.where(drop, self.null, label)
        return self.embedding_table(label)


class PatchEmbedder(nn.Module):
    """(batch, channels, H, W) -> (batch, tokens, width), one token per patch x patch square, in raster order."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        # Contiguous, as every later layer norm would copy strided tokens again.
        return self.proj(x).flatten(2).transpose(1, 2).contiguous()


def embed_patches(network: Any, x: Tensor) -> Tensor:
    """Tokens of pictures, or of clips frame by frame: (batch, tokens, width) in raster order."""
    if not network.config.frames:
        return network.x_embedder(x)
    return network.x_embedder(x.flatten(0, 1)).reshape(len(x), -1, network.config.width)


def along(mix: Callable[[Tensor], Tensor], x: Tensor, frames: int, axis: str) -> Tensor:
    """mix(x) along an axis: within each frame ("space"), over time at each location ("time"), or over "all" tokens.

    x: (batch, frames * locations, width); mix: (sequences, length, width) -> the same.
    """
    if axis == "all":
        return mix(x)
    tokens = x.unflatten(1, (frames, -1))
    if axis == "space":
        return mix(tokens.flatten(0, 1)).reshape(x.shape)
    mixed = mix(tokens.transpose(1, 2).flatten(0, 1))
    return mixed.unflatten(0, (len(x), -1)).transpose(1, 2).reshape(x.shape)


def unpatchify(tokens: Tensor, grid: tuple[int, int], patch: int, channels: int) -> Tensor:
    """(batch, tokens, patch * patch * channels) -> (batch, channels, H, W); the last axis is (row, column, channel)."""
    rows, columns = grid
    x = tokens.unflatten(1, (rows, columns)).unflatten(3, (patch, patch, channels))
    return x.permute(0, 5, 1, 3, 2, 4).reshape(len(tokens), channels, rows * patch, columns * patch)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """x * (1 + scale) + shift, with one shift and scale vector per batch element."""
    return torch.addcmul(shift[:, None], x, 1 + scale[:, None])


def modulation(width: int, parts: int) -> nn.Sequential:
    """Map from the condition (batch, width) to `parts` concatenated vectors of that width, for `modulate` and gates."""
    return nn.Sequential(nn.SiLU(), nn.Linear(width, parts * width))


class FinalLayer(nn.Module):
    """LayerNorm and a linear map to pixels.

    adaptive: the condition shifts and scales the normalised tokens. affine: the norm has weights.
    Source: arXiv 2212.09748, section 3.2.
    """

    def __init__(self, width: int, outputs: int, *, adaptive: bool, affine: bool = False) -> None:
        super().__init__()
        self.norm_final = nn.LayerNorm(width, eps=EPSILON, elementwise_affine=affine)
        self.linear = nn.Linear(width, outputs)
        if adaptive:
            self.adaLN_modulation = modulation(width, 2)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """x: (batch, tokens, width); c: (batch, width). Returns (batch, tokens, patch * patch * channels)."""
        x = self.norm_final(x)
        if hasattr(self, "adaLN_modulation"):
            x = modulate(x, *self.adaLN_modulation(c).chunk(2, -1))
        return self.linear(x)


class CrossAttention(nn.Module):
    """Unmasked attention from tokens to context tokens; the width of a head is independent of the model's."""

    def __init__(self, width: int, heads: int = 8, head_width: int = 64) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * head_width
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_k = nn.Linear(width, inner, bias=False)
        self.to_v = nn.Linear(width, inner, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(inner, width)])

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """x: (batch, tokens, width); context: (batch, words, width)."""
        split = (self.heads, -1)
        q, k, v = (
            project(source).unflatten(-1, split).transpose(1, 2)
            for project, source in ((self.to_q, x), (self.to_k, context), (self.to_v, context))
        )
        return self.to_out[0](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def condition_embedder(config: Any) -> nn.Module:
    """The embedder of a config's condition: a linear map of text features, or a table of labels."""
    if config.text_width:
        return nn.Linear(config.text_width, config.width)
    return LabelEmbedder(config.labels, config.width, config.null_label, config.label_dropout)


def embed_condition(network: Any, t: Tensor, cond: Tensor | None) -> Tensor | None:
    """The embedded words (batch, words, width), a label as one word, or None if the network has no condition.

    t: (batch,), for the batch size; cond: text features (batch, words, text_width), labels (batch,) int64, or None
    for the null label. Raises ValueError if a condition is missing.
    """
    config = network.config
    if config.text_width:
        if cond is None:
            raise ValueError("this model is conditioned on text; give the text features (batch, words, width)")
        return network.y_embedder(cond)
    if not config.labels:
        return None
    if cond is None:
        if not config.null_label:
            raise ValueError("this model has no null label; give a label for every picture")
        cond = torch.full(t.shape, config.labels, device=t.device)
    return network.y_embedder(cond)[:, None]


def time_and_condition(network: Any, t: Tensor, cond: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The vector for adaLN, (batch, width): time plus the label or the mean of the words; and `embed_condition`."""
    c, words = network.t_embedder(t), embed_condition(network, t, cond)
    return (c if words is None else c + words.mean(1)), words


def initialise_embedders(network: Any) -> None:
    """The official initialisation of `x_embedder`, `t_embedder` and, if it is a label table, `y_embedder`."""
    nn.init.xavier_uniform_(network.x_embedder.proj.weight.flatten(1))
    nn.init.zeros_(network.x_embedder.proj.bias)
    for layer in (network.t_embedder.mlp[0], network.t_embedder.mlp[2]):
        nn.init.normal_(layer.weight, std=0.02)
    if isinstance(getattr(network, "y_embedder", None), LabelEmbedder):
        nn.init.normal_(network.y_embedder.embedding_table.weight, std=0.02)


def initialise_adaptive(network: Any) -> None:
    """The official initialisation of DiT and DiG: Xavier, with zeros for modulation and final layer."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for layer in (*network.blocks, network.final_layer):
        if hasattr(layer, "adaLN_modulation"):
            nn.init.zeros_(layer.adaLN_modulation[1].weight)
    initialise_embedders(network)
    nn.init.zeros_(network.final_layer.linear.weight)


def refiner(channels: int, inner: int) -> nn.Sequential:
    """Two 3x3 convolutions from picture and input, (batch, 2 * channels, H, W), to a correction of the picture.

    The correction smooths the seams between patches and is initially zero.
    """
    layers = nn.Sequential(
        nn.Conv2d(2 * channels, inner, 3, padding=1), nn.SiLU(), nn.Conv2d(inner, channels, 3, padding=1)
    )
    nn.init.zeros_(layers[2].weight)
    nn.init.zeros_(layers[2].bias)
    return layers


def picture(network: Any, pixels: Tensor, x: Tensor) -> Tensor:
    """The output of a network: the final layer's patches as pictures or clips, without a dropped variance.

    pixels: (batch, tokens, patch * patch * channels) in raster order; x: the network's input, for `refine`.
    """
    config, batch = network.config, len(x)
    if config.frames:
        pixels, x = pixels.unflatten(1, (config.frames, -1)).flatten(0, 1), x.flatten(0, 1)
    image = unpatchify(pixels, config.grid, config.patch, pixels.shape[-1] // config.patch**2)
    image = image[:, : config.out_channels]
    if config.refine:
        image = image + network.refine(torch.cat([image, x], 1))
    return image.unflatten(0, (batch, config.frames)) if config.frames else image


def weights_at_depth(one: nn.Module, depth: int) -> int:
    """Number of weights of a network with `depth` blocks, from the same network with a single block."""
    block = sum(parameter.numel() for parameter in one.blocks.parameters())
    return sum(parameter.numel() for parameter in one.parameters()) + (depth - 1) * block


def run_block(network: Any, block: nn.Module, *inputs: Any) -> Any:
    """block(*inputs), recomputed in the backward pass if `network.checkpointing` is set."""
    if network.checkpointing and torch.is_grad_enabled():
        return checkpoint(block, *inputs, use_reentrant=False)
    return block(*inputs)
