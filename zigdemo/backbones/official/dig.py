"""The official DiG on our network: its time, directions without restoration, and guidance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from ..dig import DiG, DiGConfig
from .guided import Guided
from .settings import checked_settings, published_sizes, shared_fields

DIG_DEFAULTS: dict[str, Any] = {
    "input_size": 32,
    "patch_size": 2,
    "in_channels": 4,
    "hidden_size": 1152,
    "depth": 28,
    "num_heads": 16,
    "class_dropout_prob": 0.1,
    "num_classes": 1000,
    "learn_sigma": True,
    "expand_k": 0.5,
    "expand_v": 1,
    "bid_mode": "layer",
    "if_quad_dir": False,
    "if_dw_conv": False,
    "conv_kernel_size": 3,
    "if_in_block_conv": False,
    "if_rms_norm": False,
    "if_skip": False,
    "if_fuse_norm": True,
}
# They select a kernel or an initial value, or the official code ignores them.
DIG_IGNORED = (
    "attn_model",
    "mlp_ratio",
    "hidden_act",
    "use_dirpe",
    "if_norm_qkv",
    "if_scale_qkv",
    "if_zero_init_skip",
    "if_old",
    "dtype",
    "enable_flashattn",
    "enable_layernorm_kernel",
    "enable_modulate_kernel",
)


class OfficialDiG(Guided, DiG):
    """DiG as published, with the official guided forward."""


def official_dig(config: Mapping[str, Any], paths: ArrayLike | None = None) -> OfficialDiG:
    """The official DiG of constructor arguments `config`, freshly initialised; t is the DDPM step.

    config: as in DIG_DEFAULTS; those in DIG_IGNORED do not affect a trained model; "factory", such as
    "DiG_S_2_bid_layer_dwconv_qdir_skip", stands for the arguments it sets. Raises ValueError for unknown or unsupported
    settings.
    """
    if paths is not None:
        raise ValueError("DiG has its own directions; leave paths= out")
    settings = checked_settings("DiG", _from_factory(config), (), DIG_DEFAULTS, DIG_IGNORED)
    if not settings["if_fuse_norm"]:
        raise ValueError("if_fuse_norm of DiG gives a norm another name when false; only true can be built")
    convolution = "inside" if settings["if_in_block_conv"] else "block"
    ours = DiGConfig(
        **shared_fields(settings),
        directions=settings["bid_mode"],
        transpose=settings["if_quad_dir"],
        skip=settings["if_skip"],
        conv=convolution if settings["if_dw_conv"] else "none",
        kernel=settings["conv_kernel_size"],
        rms_norm=settings["if_rms_norm"],
        expand_k=settings["expand_k"],
        expand_v=settings["expand_v"],
        restore=False,
        learn_sigma=settings["learn_sigma"],
        time_scale=1.0,
    )
    return OfficialDiG(ours)


def _from_factory(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with the name of a factory replaced by the arguments it stands for."""
    settings = dict(config)
    factory = settings.pop("factory", None)
    if factory is None:
        return settings
    match = re.fullmatch(
        r"DiG-(S|B|L|XL)-([248])-bid-(layer|seq)(-dwconv)?(-qdir)?(-head\d{1,3})?(-skip|-skipzero)?",
        re.sub(r"[_/]", "-", str(factory)),
    )
    if match is None:
        raise ValueError(
            f"factory {str(factory)[:60]!r} of DiG is unknown; give a name such as DiG_S_2_bid_layer_dwconv_qdir_skip"
        )
    size, patch, mode, convolution, quad, heads, skip = match.groups()
    factory_settings = {
        "bid_mode": mode,
        "if_dw_conv": bool(convolution),
        "if_quad_dir": bool(quad),
        "if_skip": bool(skip),
    }
    if heads:
        factory_settings["num_heads"] = int(heads.removeprefix("-head"))
    return {**published_sizes("dig", size, patch), **factory_settings, **settings}
