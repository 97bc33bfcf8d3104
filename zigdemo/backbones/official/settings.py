"""Validation of official constructor arguments by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..presets import preset


def checked_settings(
    what: str,
    settings: Mapping[str, Any],
    needed: tuple[str, ...],
    defaults: Mapping[str, Any],
    ignored: tuple[str, ...],
) -> dict[str, Any]:
    """Settings over the defaults, without ignored ones. Raises ValueError for unknown and missing names."""
    for name in needed:
        if name not in settings:
            raise ValueError(f"the config of {what} lacks {name!r}; give {', '.join(needed)}")
    known = (*needed, *defaults)
    for name in settings:
        if name not in known and name not in ignored:
            raise ValueError(f"unknown setting {name!r} in the config of {what}; choose among {', '.join(known)}")
    return {**defaults, **{name: settings[name] for name in known if name in settings}}


def published_sizes(family: str, size: str, patch: int | str) -> dict[str, int]:
    """Arguments set by an official factory of DiT or DiG. family, size, patch: as in `presets`."""
    config = preset(family, f"{size}/{patch}")
    return {"hidden_size": config.width, "depth": config.depth, "num_heads": config.heads, "patch_size": config.patch}


def shared_fields(settings: dict[str, Any]) -> dict[str, Any]:
    """The fields of our config that the official constructors of DiT, SiT and DiG name alike."""
    dropout = settings["class_dropout_prob"]
    return {
        "in_channels": settings["in_channels"],
        "size": (settings["input_size"], settings["input_size"]),
        "patch": settings["patch_size"],
        "width": settings["hidden_size"],
        "depth": settings["depth"],
        "heads": settings["num_heads"],
        "labels": settings["num_classes"],
        "null_label": dropout > 0,
        "label_dropout": dropout,
    }
