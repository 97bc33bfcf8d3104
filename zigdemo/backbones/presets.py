"""The published sizes of the backbones, as data."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from .diffussm import DiffuSSMConfig
from .dig import DiGConfig
from .dit import DiTConfig
from .zigma import ZigMaConfig

# ZigMa: B is the width and depth of the published checkpoints. B, L and H are those of Mamba's language models of 130,
# 370 and 790 million weights (arXiv 2312.00752). No published file pins S and M: S is the width that has 31.3 million
# weights at the depth of B, M lies between L and H. With 4 channels, patch 2 and no position table the counts are
# 31.3, 133.9, 472.5, 736.5 and 1,058.7 million.
#
# DiT (arXiv 2212.09748, table 1; SiT has the same): the name says the size and the patch. DiG (arXiv 2405.18428) has
# DiT's sizes, and heads of 64 values in XL too. DiffuSSM (arXiv 2311.18257) names no sizes: DiT's widths, and the depth
# at which the weights come within 3 % of DiT's.
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
Config = ZigMaConfig | DiTConfig | DiGConfig | DiffuSSMConfig


def _patched(sizes: dict[str, dict[str, int]], patches: tuple[int, ...] = (2, 4, 8)) -> dict[str, dict[str, int]]:
    return {f"{name}/{patch}": {**size, "patch": patch} for name, size in sizes.items() for patch in patches}


PRESETS: dict[str, tuple[type[Config], dict[str, dict[str, int]]]] = {
    "zigma": (
        ZigMaConfig,
        {
            "S": {"width": 368, "depth": 24},
            "B": {"width": 768, "depth": 24},
            "L": {"width": 1024, "depth": 48},
            "M": {"width": 1280, "depth": 48},
            "H": {"width": 1536, "depth": 48},
        },
    ),
    "dit": (DiTConfig, _patched(_DIT)),
    "dig": (DiGConfig, _patched(_DIG)),
    "diffussm": (DiffuSSMConfig, _patched(_DIFFUSSM, (1, 2))),
}


def preset(family: str, name: str, /, **changes: Any) -> Config:
    """The config of a published size, with fields changed: preset("zigma", "B", in_channels=4, size=(32, 32)).

    What the table does not say is as in the config's defaults. Raises ValueError for an unknown family, size or
    field, with the names that exist.
    """
    if family not in PRESETS:
        raise ValueError(f"unknown backbone family {family!r}; choose one of {', '.join(PRESETS)}")
    kind, sizes = PRESETS[family]
    if name not in sizes:
        raise ValueError(f"unknown size {name!r} of {family}; choose one of {', '.join(sizes)}")
    known = [field.name for field in fields(kind)]
    for change in changes:
        if change not in known:
            raise ValueError(f"unknown setting {change!r} of {family}; choose one of {', '.join(known)}")
    return kind(**{**sizes[name], **changes})
