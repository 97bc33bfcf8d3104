"""The published sizes of the backbones, by name."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ..checks import choice
from .base import BackboneConfig
from .families import FAMILIES


def preset(family: str, name: str, /, **changes: Any) -> BackboneConfig:
    """The config of a published size, with fields changed: preset("zigma", "B", in_channels=4, size=(32, 32)).

    Fields that are not in the table have the config's defaults. Raises ValueError for an unknown family, size or field,
    listing the known names.
    """
    choice("backbone family", family, FAMILIES)
    kind, sizes = FAMILIES[family].config, FAMILIES[family].sizes
    if name not in sizes:
        raise ValueError(f"unknown size {name!r} of {family}; choose one of {', '.join(sizes)}")
    known = [field.name for field in fields(kind)]
    for change in changes:
        if change not in known:
            raise ValueError(f"unknown setting {change!r} of {family}; choose one of {', '.join(known)}")
    return kind(**{**sizes[name], **changes})
