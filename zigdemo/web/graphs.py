"""The parts of a loaded model as ONNX graphs: network, text tower and decoder.

A backbone is written a second time here, as a graph; tests hold it to the network within 1e-4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..backbones.diffussm import DiffuSSMConfig
from ..backbones.dig import DiGConfig, reoriented
from ..backbones.dit import PARTS, DiTConfig
from ..backbones.layers import EPSILON, sincos_table
from ..backbones.zigma import ZigMaConfig
from ..pipeline import Pipeline
from .builder import Graph, Value
from .linear_attention import gated_attention
from .long_convolution import s4d
from .scanning import mamba

if TYPE_CHECKING:
    import onnx


def network_graph(pipe: Pipeline) -> onnx.ModelProto:
    """The network, for any number of pictures at once: inputs x, t, words and, with scans, perm and inverse.

    perm, inverse: (layers * scans of a block, tokens) int32, see `scan_rows`. Output: velocity, like x.
    """
    network, config, graph = pipe.network, pipe.network.config, Graph()
    shape = (config.in_channels, *config.size)
    x, t = graph.input("x", "batch", *shape), graph.input("t", "batch")
    features = graph.input("words", "batch", pipe.text.context, pipe.text.width)
    patches = network.x_embedder.proj
    tokens = graph.conv(x, patches).reshape(0, patches.out_channels, -1).transpose(0, 2, 1)
    time, words = _time(graph, t, network.t_embedder), graph.linear(features, network.y_embedder)
    pixels = BACKBONES[type(config)](graph, network, tokens, time, words)
    return graph.finish(_picture(graph, network, pixels, x), "velocity", ["batch", *shape])


def scan_rows(pipe: Pipeline, scheme: str | None = None) -> tuple[Tensor, Tensor] | None:
    """The orders of all scans of a network and their inverses, (layers * scans, tokens) int32; None without scans.

    scheme: of the network's own by default. Raises ValueError for one that needs another kind of block.
    """
    if not hasattr(pipe.network, "scans"):
        return None
    orders = [order for layer in pipe.network.scans(scheme) for order in layer]
    perm, inverse = (
        torch.stack([torch.from_numpy(getattr(order, name).copy()) for order in orders]).int()
        for name in ("perm", "inverse")
    )
    return perm, inverse


def _time(graph: Graph, t: Value, embedder: nn.Module) -> Value:
    """The embedding of the time, (batch, width); see `backbones.layers.TimeEmbedder`."""
    half = embedder.features // 2
    rates = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32) / half)
    angles = (t * embedder.scale).unsqueeze(1) * rates
    features = graph.cat([graph.node("Cos", angles), graph.node("Sin", angles)], -1)
    return graph.linear(graph.silu(graph.linear(features, embedder.mlp[0])), embedder.mlp[2])


def _modulation(graph: Graph, c: Value, layer: nn.Sequential, parts: int) -> list[Value]:
    """The vectors of a `modulation` layer, each (batch, 1, width)."""
    vectors = graph.linear(graph.silu(c), layer[1])
    width = layer[1].out_features // parts
    return [vector.unsqueeze(1) for vector in vectors.split(-1, *[width] * parts)]


def _modulate(x: Value, shift: Value, scale: Value) -> Value:
    return x * (scale + 1.0) + shift


def _cross_attention(graph: Graph, x: Value, context: Value, layer: nn.Module) -> Value:
    q, k, v = graph.linear(x, layer.to_q), graph.linear(context, layer.to_k), graph.linear(context, layer.to_v)
    width = layer.to_q.out_features // layer.heads
    return graph.linear(graph.attention(q, k, v, layer.heads, width), layer.to_out[0])


def _final(graph: Graph, x: Value, c: Value, layer: nn.Module) -> Value:
    x = graph.norm(x, layer.norm_final)
    if hasattr(layer, "adaLN_modulation"):
        x = _modulate(x, *_modulation(graph, c, layer.adaLN_modulation, 2))
    return graph.linear(x, layer.linear)


def _picture(graph: Graph, network: nn.Module, pixels: Value, x: Value) -> Value:
    """The pixels of all patches as pictures; see `backbones.layers.picture`."""
    config = network.config
    (rows, columns), patch = config.grid, config.patch
    channels = config.patch_outputs // patch**2
    image = pixels.reshape(0, rows, columns, patch, patch, channels).transpose(0, 5, 1, 3, 2, 4)
    image = image.reshape(0, channels, rows * patch, columns * patch)
    if channels != config.out_channels:
        image = image.slice(1, 0, config.out_channels)
    if config.refine:
        first, _, second = network.refine
        image = image + graph.conv(graph.silu(graph.conv(graph.cat([image, x], 1), first)), second)
    return image


def _zigma(graph: Graph, network: nn.Module, tokens: Value, time: Value, words: Value) -> Value:
    """The pixels of all patches by a ZigMa; see `backbones.zigma`."""
    config = network.config
    length, scans = math.prod(config.token_grid), len(config.scans)
    perm = graph.input("perm", config.depth * scans, length, whole=True)
    inverse = graph.input("inverse", config.depth * scans, length, whole=True)
    if config.position != "none":
        tokens = tokens + (sincos_table(config) if config.position == "sincos" else network.pos_embed)
    c, residual = time + graph.mean(words, 1), None
    row = 0
    for block in network.blocks:
        orders = []
        for _ in range(scans):
            index = torch.tensor(row, dtype=torch.int64)
            orders.append((perm.take(index), inverse.take(index)))
            row += 1
        residual = tokens if residual is None else residual + tokens
        x = graph.norm(residual, block.norm)
        shift, scale, gate, *attention = _modulation(graph, c, block.adaLN_modulation, 6)
        mixed = gate * mamba(graph, _modulate(x, shift, scale), block.mixer, orders, length)
        x = x + mixed if block.normalised_skip else mixed
        shift, scale, gate = attention
        query = graph.layer_norm(x if block.normalised_skip else residual + x, config.width, EPSILON)
        tokens = x + gate * _cross_attention(graph, _modulate(query, shift, scale), words, block.msa)
    return _final(graph, graph.norm(residual + tokens, network.norm_f), c, network.final_layer)


def _dit(graph: Graph, network: nn.Module, tokens: Value, time: Value, words: Value) -> Value:
    """The pixels of all patches by a DiT of any conditioning but "in-context"; see `backbones.dit`."""
    config = network.config
    c = time + graph.mean(words, 1)
    context = graph.cat([time.unsqueeze(1), words], 1)
    width = config.width // config.heads

    def attend(x: Value, layer: nn.Module) -> Value:
        q, k, v = graph.linear(x, layer.qkv).split(-1, *[config.width] * 3)
        return graph.linear(graph.attention(q, k, v, layer.heads, width), layer.proj)

    def mlp(x: Value, layer: nn.Module) -> Value:
        return graph.linear(graph.gelu(graph.linear(x, layer.fc1), tanh=True), layer.fc2)

    x = tokens + network.pos_embed
    for block in network.blocks:
        first, second = graph.norm(x, block.norm1), lambda x, block=block: graph.norm(x, block.norm2)
        if config.conditioning == "cross-attention":
            x = x + attend(first, block.attn)
            x = x + _cross_attention(graph, graph.norm(x, block.norm3), context, block.msa)
            x = x + mlp(second(x), block.mlp)
            continue
        vectors = _modulation(graph, c, block.adaLN_modulation, PARTS[config.conditioning])
        gates = (1.0, 1.0)
        if config.conditioning == "adaln-zero":
            gates = (vectors.pop(2), vectors.pop(4))
        shift, scale, shift_mlp, scale_mlp = vectors
        x = x + attend(_modulate(first, shift, scale), block.attn) * gates[0]
        x = x + mlp(_modulate(second(x), shift_mlp, scale_mlp), block.mlp) * gates[1]
    return _final(graph, x, c, network.final_layer)


def _dig(graph: Graph, network: nn.Module, tokens: Value, time: Value, words: Value) -> Value:
    """The pixels of all patches by a DiG, whose directions are fixed; see `backbones.dig`."""
    config, half = network.config, network.config.depth // 2
    length = math.prod(config.grid)
    c = time + graph.mean(words, 1)
    skips: list[Value] = []

    def turned(x: Value, source: tuple[bool, bool], target: tuple[bool, bool]) -> Value:
        order = reoriented(torch.arange(length)[None, :, None], config.grid, source, target).flatten()
        return x if source == target else x.take(graph.table(order), 1)

    def convolve(x: Value, layer: nn.Conv2d, grid: tuple[int, int]) -> Value:
        picture = x.transpose(0, 2, 1).reshape(0, config.width, *grid)
        return graph.conv(picture, layer).reshape(0, config.width, length).transpose(0, 2, 1)

    x = tokens + network.pos_embed
    for i, block in enumerate(network.blocks):
        now, after = config.orientation(i), config.orientation(i + 1)
        grid = config.grid[::-1] if now[1] else config.grid
        if config.skip and i > half:
            skip = skips.pop()
            if config.restore:
                skip = turned(skip, config.orientation(config.depth - i), now)
            x = graph.linear(graph.cat([x, skip], -1), block.skip_linear)
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = _modulation(graph, c, block.adaLN_modulation, 6)
        mixed = _modulate(graph.norm(x, block.norm1), shift, scale)
        if config.conv == "inside":
            mixed = convolve(mixed, block.dw_conv, grid)
        x = x + gate * gated_attention(graph, mixed, block.attn, length)
        inner = graph.linear(_modulate(graph.norm(x, block.norm2), shift_mlp, scale_mlp), block.mlp.gate_proj)
        opened, value = inner.split(-1, config.inner, config.inner)
        x = x + gate_mlp * graph.linear(graph.silu(opened) * value, block.mlp.down_proj)
        if config.conv == "block":
            x = convolve(x, block.dw_conv, grid)
        if config.restore and i + 1 == config.depth:
            after = (False, False)
        x = turned(x, now, after)
        if config.skip and i + 1 < half:
            skips.append(x)
    return _final(graph, x, c, network.final_layer)


def _diffussm(graph: Graph, network: nn.Module, tokens: Value, time: Value, words: Value) -> Value:
    """The pixels of all patches by a DiffuSSM; see `backbones.diffussm`."""
    config = network.config
    length, width, fold = math.prod(config.grid), config.width, config.hourglass
    c = time + graph.mean(words, 1)
    x = (tokens + network.pos_embed).reshape(0, length // fold, width)
    for block in network.blocks:
        shift, scale, gate = _modulation(graph, c, block.adaLN_modulation, 3)
        modulated = _modulate(graph.norm(x, block.norm), shift, scale)
        up = graph.linear(graph.silu(graph.linear(modulated, block.enter)), block.up.linear)
        mixed = s4d(graph, graph.silu(up.reshape(0, length, 2 * width)), block.mixer, length)
        parts = mixed.reshape(0, length // fold, fold * 2 * width).split(-1, *[2 * width] * fold)
        folded = graph.cat([graph.linear(part, one) for part, one in zip(parts, block.down.linears, strict=True)], -1)
        opened = graph.silu(folded) * graph.silu(graph.linear(modulated, block.gate))
        x = x + gate * graph.linear(opened, block.out)
    return _final(graph, x, c, network.final_layer).reshape(0, length, config.patch_outputs)


# (graph, network, tokens, time, words) -> pixels of all patches, by the class of the config.
BACKBONES: dict[type, Callable[..., Value]] = {
    ZigMaConfig: _zigma,
    DiTConfig: _dit,
    DiGConfig: _dig,
    DiffuSSMConfig: _diffussm,
}


def has_graph(config: Any) -> bool:
    """Whether a network of this config can be written as a graph."""
    return type(config) in BACKBONES and getattr(config, "conditioning", None) != "in-context" and not config.frames


def tower_graph(pipe: Pipeline) -> onnx.ModelProto:
    """The text tower: ids (1, context) int32 to features (1, context, width); see `conditioning.hidden_states`.

    Raises ValueError for one with other blocks than CLIP's.
    """
    tower, graph = pipe.text.clip_model, Graph()
    ids = graph.input("ids", 1, pipe.text.context, whole=True)
    x = graph.node("Gather", tower.token_embedding.weight, ids, axis=0) + tower.positional_embedding
    for block in tower.transformer.resblocks:
        activation = block.mlp.gelu if hasattr(block, "mlp") else None
        if type(block).__name__ != "ResidualAttentionBlock" or not isinstance(activation, nn.GELU):
            raise ValueError(f"the tower {pipe.text.name} has blocks that browsers do not know; use portraits-text")
        layer = block.attn
        projected = graph.norm(x, block.ln_1) @ layer.in_proj_weight.T + layer.in_proj_bias
        q, k, v = projected.split(-1, *[layer.embed_dim] * 3)
        mixed = graph.attention(q, k, v, layer.num_heads, layer.head_dim, tower.attn_mask)
        x = x + graph.linear(mixed, layer.out_proj)
        inner = graph.gelu(graph.linear(graph.norm(x, block.ln_2), block.mlp.c_fc))
        x = x + graph.linear(inner, block.mlp.c_proj)
    return graph.finish(graph.norm(x, tower.ln_final), "features", [1, pipe.text.context, pipe.text.width])


def decoder_graph(pipe: Pipeline) -> onnx.ModelProto:
    """The decoder of a tiny autoencoder: scaled latents of one picture to pixels (1, 3, H, W), not clamped."""
    latents, config, graph = pipe.latents, pipe.network.config, Graph()
    x = graph.input("latents", 1, config.in_channels, *config.size)
    x = x / latents.scale + latents.shift
    x = graph.node("Tanh", x / 3.0) * 3.0
    x = _layers(graph, x, latents.network.decoder.layers) * 2.0 + -1.0
    return graph.finish(x, "pixels", [1, 3, *pipe.size])


def _layers(graph: Graph, x: Value, layers: nn.Module) -> Value:
    """The layers of a tiny autoencoder, one after the other. Raises ValueError for one that it does not have."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            x = graph.conv(x, layer)
        elif isinstance(layer, nn.ReLU):
            x = graph.node("Relu", x)
        elif isinstance(layer, nn.Upsample) and layer.mode == "nearest":
            scales = torch.tensor([1.0, 1.0, layer.scale_factor, layer.scale_factor])
            how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            x = graph.node("Resize", x, "", scales, **how)
        elif type(layer).__name__ == "AutoencoderTinyBlock":
            skip = x if isinstance(layer.skip, nn.Identity) else graph.conv(x, layer.skip)
            x = graph.node("Relu", _layers(graph, x, layer.conv) + skip)
        else:
            raise ValueError(f"the autoencoder has a layer {type(layer).__name__}, which browsers do not know")
    return x
