"""The networks: `build(config)` makes one, `families.py` lists them, `official/` reproduces the published ones."""

from __future__ import annotations

from .base import BackboneConfig, Cost, Family
from .diffussm import DiffuSSM, DiffuSSMConfig
from .dig import DiG, DiGConfig
from .dit import DiT, DiTConfig
from .families import FAMILIES, build, family_of
from .zigma import ZigMa, ZigMaConfig

__all__ = [
    "BackboneConfig",
    "Cost",
    "DiG",
    "DiGConfig",
    "DiT",
    "DiTConfig",
    "DiffuSSM",
    "DiffuSSMConfig",
    "FAMILIES",
    "Family",
    "ZigMa",
    "ZigMaConfig",
    "build",
    "family_of",
]
