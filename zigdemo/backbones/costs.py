"""Cost of a network by formula, layer by layer; `explain.counting` counts the same in a dry run.

A layer is a named part of the network: "x_embedder", "blocks.3", "final_layer". Multiply-adds include matrix products,
convolutions, attention and scans, but not sums, norms and gates, as the "Gflops" of the papers do. Activations are what
autograd keeps for the backward pass, in float32.
"""

from __future__ import annotations

import math
from typing import Any

from .base import Cost
from .checks import item_shape
from .diffussm import DiffuSSMConfig
from .dig import GATE_RANK, DiGConfig
from .dit import DiTConfig
from .zigma import ZigMaConfig

TIME_FEATURES = 256
FLOAT_BYTES = 4
SCAN_CHUNK = 16  # tokens between two states that the scan keeps for its backward pass
GLA_SPAN = 64  # the same for gated linear attention
S4D_TABLES = 32  # numbers that the S4D convolution keeps per channel and mode, independent of the batch


def _linear(inputs: int, outputs: int, bias: bool = True) -> int:
    """Weights of a linear map; without the bias also its multiply-adds per token."""
    return inputs * outputs + (outputs if bias else 0)


def _tokens(config: Any) -> int:
    """Number of tokens in a picture, or in all frames of a clip."""
    return math.prod(config.token_grid)


def _embedders(config: Any, batch: int, words: int) -> dict[str, Cost]:
    """Embedders of patches, time and condition, the same in every backbone."""
    width, tokens = config.width, _tokens(config)
    share = width // getattr(config, "hourglass", 1)  # width of a token before folding
    pixels = math.prod(item_shape(config))
    patch = config.in_channels * config.patch**2
    layers = {
        "x_embedder": Cost(_linear(patch, share), batch * tokens * patch * share, FLOAT_BYTES * batch * pixels),
        "t_embedder": Cost(
            _linear(TIME_FEATURES, width) + _linear(width, width),
            batch * (TIME_FEATURES + width) * width,
            FLOAT_BYTES * batch * (TIME_FEATURES + 2 * width),
        ),
    }
    if config.text_width:
        macs = batch * words * config.text_width * width
        layers["y_embedder"] = Cost(
            _linear(config.text_width, width), macs, FLOAT_BYTES * batch * words * config.text_width
        )
    elif config.labels:
        layers["y_embedder"] = Cost((config.labels + config.null_label) * width, 0, 8 * batch)  # int64 rows
    return layers


def _refine(config: Any, batch: int) -> dict[str, Cost]:
    if not config.refine:
        return {}
    area, taps = math.prod(item_shape(config)) // config.in_channels, 9 * config.in_channels * config.refine
    weights = 3 * taps + config.refine + config.in_channels
    floats = 2 * config.in_channels + 2 * config.refine
    return {"refine": Cost(weights, batch * area * 3 * taps, FLOAT_BYTES * batch * area * floats)}


def dit_cost(config: DiTConfig, batch: int, words: int) -> dict[str, Cost]:
    """Cost of a DiT with any of the four conditionings; for clips blocks alternate between space and time."""
    width, heads, inner = config.width, config.heads, config.inner
    adaptive = {"adaln-zero": 6, "adaln": 4}.get(config.conditioning, 0)
    crossing, in_context = config.conditioning == "cross-attention", config.conditioning == "in-context"
    context = 1 + (words if config.text_width else int(config.labels > 0))
    image = _tokens(config)
    tokens = image + context * in_context
    reach = (image // config.frames, config.frames) if config.frames else (tokens,)  # number of tokens one attends to

    norms = 0 if adaptive else 2 * width
    weights = _linear(width, 3 * width) + _linear(width, width) + _linear(width, inner) + _linear(inner, width)
    weights += 2 * norms
    macs = tokens * (4 * width**2 + 2 * width * inner)
    # Per token: input and output of norm and modulation, q k v, the attention's output and row sums, both MLP sides.
    floats = tokens * (8 * width + heads + 4 + 2 * inner)
    if adaptive:
        weights += _linear(width, adaptive * width)
        macs += adaptive * width**2
        gates = adaptive == 6  # both factors of a gated branch are kept: the branch and the gates
        floats += tokens * width * (2 + 2 * gates) + width * (3 + 6 * gates)
    if crossing:
        weights += 3 * _linear(width, width, bias=False) + _linear(width, width) + norms
        macs += 2 * tokens * width**2 + 2 * context * width**2 + 2 * tokens * context * width
        floats += tokens * (4 * width + heads + 2) + 2 * context * width
    blocks = [
        Cost(weights, batch * (macs + 2 * tokens * attended * width), FLOAT_BYTES * batch * floats)
        for attended in reach
    ]

    shared = width if adaptive else context * width if crossing else 0
    return {
        **_embedders(config, batch, words),
        "pos_embed": Cost(image * width, 0, 0),
        **_blocks(blocks, config.depth, FLOAT_BYTES * batch * shared),
        "final_layer": _final(config, batch, bool(adaptive), norms, tokens),
        **_refine(config, batch),
    }


def dig_cost(config: DiGConfig, batch: int, words: int) -> dict[str, Cost]:
    """Cost of a DiG, plain or U-shaped; for clips blocks alternate between space and time."""
    width, keys, values, inner = config.width, config.keys, config.values, config.inner
    tokens, half = _tokens(config), config.depth // 2
    frames = config.frames or 1  # each frame is modulated separately
    lengths = (tokens // frames, frames) if config.frames else (tokens,)  # of a scanned sequence
    projections = (2 * keys + 3 * values) * width + GATE_RANK * (width + keys)
    taps = 0 if config.conv == "none" else config.kernel**2 * width

    weights = projections + keys + values // config.heads + 3 * width * inner + _linear(width, 6 * width)
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
    joint = Cost(_linear(2 * width, width), batch * tokens * 2 * width**2, FLOAT_BYTES * batch * tokens * 2 * width)

    layers = _blocks(blocks, config.depth, FLOAT_BYTES * batch * frames * width)
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
    """Cost of a DiffuSSM. Its linear maps have 9 D^2 + 2 M D^2 weights per block, each used once per folded token."""
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
    floats = folded * (5 * width + 2 + 5 * inner) + tokens * 3 * inner + folded * width + 5 * width
    block = Cost(weights, batch * macs, FLOAT_BYTES * (batch * floats + (S4D_TABLES + 2) * modes))
    return {
        **_embedders(config, batch, words),
        "pos_embed": Cost(tokens * width // fold, 0, 0),
        **_blocks([block], config.depth, FLOAT_BYTES * batch * width),
        "final_layer": _final(config, batch, True, 0, folded),
        **_refine(config, batch),
    }


def zigma_cost(config: ZigMaConfig, batch: int, words: int) -> dict[str, Cost]:
    """Cost of a ZigMa, with labels or text, with any number of scans per block."""
    width, inner, state = config.width, config.expand * config.width, config.state_size
    rank = config.step_rank or -(-width // 16)
    sides = len(config.scans)
    tokens, parts = _tokens(config), 6 if config.text_width else 3
    norm = width if config.rms_norm else 2 * width
    norm_floats = width * (2 if config.rms_norm else 1) + (1 if config.rms_norm else 2)

    projections = inner * (rank + 2 * state) + rank * inner
    side = projections + inner * (config.taps + state) + 3 * inner  # 3 inner: biases of convolution and step, and D
    weights = 3 * inner * width + sides * side + norm + _linear(width, parts * width)
    macs = tokens * (3 * inner * width + sides * (projections + inner * (config.taps + 4 * state)))
    macs += parts * width**2
    states = -(-tokens // SCAN_CHUNK) * state * inner
    floats = tokens * (norm_floats + 3 * width + 3 * inner + sides * (2 * inner + rank + 2 * state))
    floats += sides * states + width * (2 + parts)
    if config.text_width:
        attended = config.text_heads * config.text_head_width
        weights += 3 * width * attended + _linear(attended, width)
        macs += 2 * (tokens + words) * width * attended + 2 * tokens * words * attended
        floats += tokens * (4 * width + 2 + 2 * attended + config.text_heads) + 2 * words * attended + width
    decays = 2 * sides * inner * state  # A and its exponential, independent of the batch
    block = Cost(weights, batch * macs, FLOAT_BYTES * (batch * floats + decays))

    outputs = config.patch**2 * config.in_channels
    positions = math.prod(config.grid) if config.position == "shared" else tokens
    shared = FLOAT_BYTES * batch * width * (1 + (words if config.text_width else 0))
    return {
        **_embedders(config, batch, words),
        **({} if config.position == "none" else {"pos_embed": Cost(positions * width, 0, 0)}),
        **({"temporal_pos_embedding": Cost(config.frames * width, 0, 0)} if config.frame_position else {}),
        **_blocks([block], config.depth, shared),
        "norm_f": Cost(norm, 0, FLOAT_BYTES * batch * tokens * norm_floats),
        "final_layer": Cost(
            _linear(width, outputs), batch * tokens * width * outputs, FLOAT_BYTES * batch * tokens * (2 * width + 2)
        ),
        **_refine(config, batch),
    }


def _final(config: Any, batch: int, adaptive: bool, norms: int, tokens: int) -> Cost:
    """The final layer of all but ZigMa. norms: weights of its norm. tokens: of its input, with the context tokens."""
    width, fold = config.width, getattr(config, "hourglass", 1)
    image = _tokens(config) // fold
    outputs = fold * config.patch**2 * config.in_channels * (2 if config.learn_sigma else 1)
    return Cost(
        _linear(width, outputs) + norms + (_linear(width, 2 * width) if adaptive else 0),
        batch * (image * width * outputs + (2 * width**2 if adaptive else 0)),
        FLOAT_BYTES * batch * (tokens * width + image * (width + 2) + ((image + 2) * width if adaptive else 0)),
    )


def _blocks(kinds: list[Cost], depth: int, shared_bytes: int) -> dict[str, Cost]:
    """All blocks, cycling through the kinds; what all blocks share counts as part of the first."""
    return {f"blocks.{i}": kinds[i % len(kinds)] + Cost(0, 0, 0 if i else shared_bytes) for i in range(depth)}
