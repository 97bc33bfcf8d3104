"""The networks: `build(config)` makes one; `presets.py` has the published sizes, `official/` their behaviour."""

from __future__ import annotations

from torch import nn

from .diffussm import DiffuSSM, DiffuSSMConfig
from .dig import DiG, DiGConfig
from .dit import DiT, DiTConfig
from .zigma import ZigMa, ZigMaConfig

__all__ = [
    "FAMILIES",
    "DiG",
    "DiGConfig",
    "DiT",
    "DiTConfig",
    "DiffuSSM",
    "DiffuSSMConfig",
    "ZigMa",
    "ZigMaConfig",
    "build",
]

FAMILIES: dict[str, tuple[type, type[nn.Module]]] = {
    "zigma": (ZigMaConfig, ZigMa),
    "dit": (DiTConfig, DiT),
    "dig": (DiGConfig, DiG),
    "diffussm": (DiffuSSMConfig, DiffuSSM),
}


def build(config: ZigMaConfig | DiTConfig | DiGConfig | DiffuSSMConfig) -> nn.Module:
    """The network of a config, freshly initialised. Raises ValueError for a config of no known family."""
    for kind, network in FAMILIES.values():
        if isinstance(config, kind):
            return network(config)
    raise ValueError(f"no backbone is built from a {type(config).__name__}; use one of {', '.join(FAMILIES)}")
