"""Cost by formula of what the backbones share; each adds its blocks. `explain.counting` counts the same in a dry run.

A layer is a named part of the network: "x_embedder", "blocks.3", "final_layer". Multiply-adds include matrix products,
convolutions, attention and scans, but not sums, norms and gates, as the "Gflops" of the papers do. Activations are what
autograd keeps for the backward pass, in float32.
"""

from __future__ import annotations

import math
from typing import Any

from .base import Cost
from .checks import item_shape

TIME_FEATURES = 256
FLOAT_BYTES = 4
SCAN_CHUNK = 16  # tokens between two states that the scan keeps for its backward pass
GLA_SPAN = 64  # the same for gated linear attention
S4D_TABLES = 32  # numbers that the S4D convolution keeps per channel and mode, independent of the batch


def linear_weights(inputs: int, outputs: int, bias: bool = True) -> int:
    """Weights of a linear map; without the bias also its multiply-adds per token."""
    return inputs * outputs + (outputs if bias else 0)


def token_count(config: Any) -> int:
    """Number of tokens in a picture, or in all frames of a clip."""
    return math.prod(config.token_grid)


def embedder_costs(config: Any, batch: int, words: int) -> dict[str, Cost]:
    """Embedders of patches, time and condition, the same in every backbone."""
    width, tokens = config.width, token_count(config)
    share = width // getattr(config, "hourglass", 1)  # width of a token before folding
    pixels = math.prod(item_shape(config))
    patch = config.in_channels * config.patch**2
    layers = {
        "x_embedder": Cost(linear_weights(patch, share), batch * tokens * patch * share, FLOAT_BYTES * batch * pixels),
        "t_embedder": Cost(
            linear_weights(TIME_FEATURES, width) + linear_weights(width, width),
            batch * (TIME_FEATURES + width) * width,
            FLOAT_BYTES * batch * (TIME_FEATURES + 2 * width),
        ),
    }
    if config.text_width:
        macs = batch * words * config.text_width * width
        layers["y_embedder"] = Cost(
            linear_weights(config.text_width, width), macs, FLOAT_BYTES * batch * words * config.text_width
        )
    elif config.labels:
        layers["y_embedder"] = Cost((config.labels + config.null_label) * width, 0, 8 * batch)  # int64 rows
    return layers


def refine_costs(config: Any, batch: int) -> dict[str, Cost]:
    """The convolutions that smooth the seams between patches, if there are some."""
    if not config.refine:
        return {}
    area, taps = math.prod(item_shape(config)) // config.in_channels, 9 * config.in_channels * config.refine
    weights = 3 * taps + config.refine + config.in_channels
    floats = 2 * config.in_channels + 2 * config.refine
    return {"refine": Cost(weights, batch * area * 3 * taps, FLOAT_BYTES * batch * area * floats)}


def final_cost(config: Any, batch: int, adaptive: bool, norms: int, tokens: int) -> Cost:
    """The final layer of all but ZigMa. norms: weights of its norm. tokens: of its input, with the context tokens."""
    width, fold = config.width, getattr(config, "hourglass", 1)
    image = token_count(config) // fold
    outputs = fold * config.patch_outputs
    return Cost(
        linear_weights(width, outputs) + norms + (linear_weights(width, 2 * width) if adaptive else 0),
        batch * (image * width * outputs + (2 * width**2 if adaptive else 0)),
        FLOAT_BYTES * batch * (tokens * width + image * (width + 2) + ((image + 2) * width if adaptive else 0)),
    )


def block_costs(kinds: list[Cost], depth: int, shared_bytes: int) -> dict[str, Cost]:
    """All blocks, cycling through the kinds; what all blocks share counts as part of the first."""
    return {f"blocks.{i}": kinds[i % len(kinds)] + Cost(0, 0, 0 if i else shared_bytes) for i in range(depth)}
