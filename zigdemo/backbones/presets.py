"""The published sizes of the backbones, as data."""

from __future__ import annotations

from typing import Any

from .zigma import ZigMaConfig

# ZigMa: B has the width and depth of the published checkpoints; B, L and H are those of Mamba's language models of
# 130, 370 and 790 million weights (arXiv 2312.00752). With patch 2 and no position table the counts are, in order,
# 31.3, 133.9, 472.5, 736.5 and 1,058.7 million.
PRESETS: dict[str, tuple[type[ZigMaConfig], dict[str, dict[str, int]]]] = {
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
}


def preset(family: str, size: str, **changes: Any) -> ZigMaConfig:
    """The config of a published size, with fields changed: preset("zigma", "B", in_channels=4, size=(32, 32)).

    As `size` is also a field (of the input), this function takes family and size by position only.
    Raises ValueError for an unknown family, size or field, with the names that exist.
    """
    if family not in PRESETS:
        raise ValueError(f"unknown backbone family {family!r}; choose one of {', '.join(PRESETS)}")
    kind, sizes = PRESETS[family]
    if size not in sizes:
        raise ValueError(f"unknown size {size!r} of {family}; choose one of {', '.join(sizes)}")
    return kind(**{**sizes[size], **changes})
