"""The table of backbones: one entry for each, with all that the rest of the program knows about it."""

from __future__ import annotations

from typing import Any

from torch import nn

from .base import BackboneConfig, Family
from .diffussm import DiffuSSM, DiffuSSMConfig, diffussm_cost
from .dig import DiG, DiGConfig, dig_cost
from .dit import DiT, DiTConfig, dit_cost
from .zigma import ZigMa, ZigMaConfig, zigma_cost

# ZigMa: B has the width and depth of the published checkpoints. B, L and H equal Mamba's language models with 130, 370
# and 790 million weights (arXiv 2312.00752). No published file determines S and M: S has the width that gives 31.3
# million weights at the depth of B, M is between L and H. With 4 channels, patch 2 and no position table the counts are
# 31.3, 133.9, 472.5, 736.5 and 1,058.7 million.
#
# DiT (arXiv 2212.09748, table 1; SiT is the same): names give size and patch. DiG (arXiv 2405.18428) has DiT's sizes,
# but 64 values per head also in XL. DiffuSSM (arXiv 2311.18257) names no sizes: these have DiT's widths, and the depth
# that brings the number of weights within 3 % of DiT's.
_DIT = {
    "S": {"width": 384, "depth": 12, "heads": 6},
    "B": {"width": 768, "depth": 12, "heads": 12},
    "L": {"width": 1024, "depth": 24, "heads": 16},
    "XL": {"width": 1152, "depth": 28, "heads": 16},
}
_DIG = {**_DIT, "XL": {**_DIT["XL"], "heads": 18}}
_DIFFUSSM = {
    "S": {"width": 384, "depth": 13},
    "B": {"width": 768, "depth": 13},
    "L": {"width": 1024, "depth": 27},
    "XL": {"width": 1152, "depth": 31},
}
_ZIGMA = {
    "S": {"width": 368, "depth": 24},
    "B": {"width": 768, "depth": 24},
    "L": {"width": 1024, "depth": 48},
    "M": {"width": 1280, "depth": 48},
    "H": {"width": 1536, "depth": 48},
}


def _patched(sizes: dict[str, dict[str, int]], patches: tuple[int, ...] = (2, 4, 8)) -> dict[str, dict[str, int]]:
    return {f"{name}/{patch}": {**size, "patch": patch} for name, size in sizes.items() for patch in patches}


FAMILIES: dict[str, Family] = {
    "zigma": Family(
        ZigMaConfig,
        ZigMa,
        roles=lambda config: ("scan",) * len(config.scans) + (("words",) if config.text_width else ()),
        cost=zigma_cost,
        sizes=_ZIGMA,
        mixer=("Scan as attention", "what the scan carries here: products of its decays, B and C"),
        in_order=True,
        reads_words=lambda config: "words" if config.text_width else None,
    ),
    "dit": Family(
        DiTConfig,
        DiT,
        roles=lambda config: ("self-attention", "words")[: 1 + (config.conditioning == "cross-attention")],
        cost=dit_cost,
        sizes=_patched(_DIT),
        mixer=("Attention", "the softmax of this patch, the mean of all heads"),
        reads_words=lambda config: {"cross-attention": "words", "in-context": "self-attention"}.get(
            config.conditioning
        ),
        before_words=("time",),
    ),
    "dig": Family(
        DiGConfig,
        DiG,
        roles=lambda config: ("linear attention",),
        cost=dig_cost,
        sizes=_patched(_DIG),
        mixer=("Linear attention", "what the gates let through to here: products of gates, keys and query"),
        in_order=True,
    ),
    "diffussm": Family(
        DiffuSSMConfig,
        DiffuSSM,
        roles=lambda config: ("convolution",),
        cost=diffussm_cost,
        sizes=_patched(_DIFFUSSM, (1, 2)),
        mixer=("Convolution", "the weights of its two kernels at each distance"),
    ),
}


def family_of(config: Any) -> tuple[str, Family]:
    """Name and entry of a config's backbone. Raises ValueError for an unknown type of config."""
    for name, family in FAMILIES.items():
        if isinstance(config, family.config):
            return name, family
    raise ValueError(f"no backbone is known of a {type(config).__name__}; use one of {', '.join(FAMILIES)}")


def build(config: BackboneConfig) -> nn.Module:
    """The freshly initialised network of a config. Raises ValueError for an unknown type of config."""
    return family_of(config)[1].network(config)
