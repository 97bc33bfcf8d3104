"""Official constructor arguments, checked by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..presets import preset


def checked_settings(
    what: str,
    given: Mapping[str, Any],
    needed: tuple[str, ...],
    defaults: Mapping[str, Any],
    ignored: tuple[str, ...],
) -> dict[str, Any]:
    """Given settings over the defaults, without the ignored ones; ValueError for unknown and missing names."""
    for name in needed:
        if name not in given:
            raise ValueError(f"the config of {what} lacks {name!r}; give {', '.join(needed)}")
    known = (*needed, *defaults)
    for name in given:
        if name not in known and name not in ignored:
            raise ValueError(f"unknown setting {name!r} in the config of {what}; choose among {', '.join(known)}")
    return {**defaults, **{name: given[name] for name in known if name in given}}


def published_sizes(family: str, size: str, patch: int | str) -> dict[str, int]:
    """The arguments that an official factory of DiT's or DiG's sizes sets. family, size, patch: as in `presets`."""
    known = preset(family, f"{size}/{patch}")
    return {"hidden_size": known.width, "depth": known.depth, "num_heads": known.heads, "patch_size": known.patch}
