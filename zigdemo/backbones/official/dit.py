"""The official DiT and SiT on our network: their time, and guidance on three channels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from ..dit import DiT, DiTConfig
from .guided import Guided
from .settings import checked_settings, published_sizes, shared_fields

DIT_DEFAULTS: dict[str, Any] = {
    "input_size": 32,
    "patch_size": 2,
    "in_channels": 4,
    "hidden_size": 1152,
    "depth": 28,
    "num_heads": 16,
    "mlp_ratio": 4.0,
    "class_dropout_prob": 0.1,
    "num_classes": 1000,
    "learn_sigma": True,
}


class OfficialDiT(Guided, DiT):
    """DiT or SiT as published, with the official guided forward."""


def official_dit(config: Mapping[str, Any], paths: ArrayLike | None = None) -> OfficialDiT:
    """The official DiT of constructor arguments `config`, freshly initialised; t is the DDPM step.

    config: as in DIT_DEFAULTS; "factory", such as "DiT_XL_2", stands for its sizes. Raises ValueError for unknown
    settings.
    """
    return _official("DiT", config, paths)


def official_sit(config: Mapping[str, Any], paths: ArrayLike | None = None) -> OfficialDiT:
    """The official SiT, arguments as in `official_dit`; t is in [0, 1], no variance is returned."""
    return _official("SiT", config, paths)


def _official(family: str, config: Mapping[str, Any], paths: ArrayLike | None) -> OfficialDiT:
    if paths is not None:
        raise ValueError(f"{family} has no scan paths; leave paths= out")
    settings = checked_settings(family, _sizes(family, config), (), DIT_DEFAULTS, ())
    ours = DiTConfig(
        **shared_fields(settings),
        mlp_ratio=settings["mlp_ratio"],
        learn_sigma=settings["learn_sigma"],
        drop_sigma=family == "SiT" and settings["learn_sigma"],
        time_scale=1.0,
    )
    return OfficialDiT(ours)


def _sizes(family: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with the name of a factory replaced by its sizes."""
    settings = dict(config)
    factory = settings.pop("factory", None)
    if factory is None:
        return settings
    match = re.fullmatch(rf"{family}[-_](S|B|L|XL)[/_]([248])", str(factory))
    if match is None:
        raise ValueError(f"factory {factory!r} of {family} is unknown; give {family}_S, B, L or XL and _2, _4 or _8")
    return {**published_sizes("dit", match[1], match[2]), **settings}
