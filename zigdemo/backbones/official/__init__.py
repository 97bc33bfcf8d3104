"""The official checkpoints' networks, quirks included: `build_official(family, config, state_dict)`.

Our own networks leave these quirks out; they are here so that a published file draws what it drew at home.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from .dit import OfficialDiT, official_dit, official_sit
from .zigma import OfficialZigMa, official_zigma, zigma_paths

__all__ = [
    "OFFICIAL",
    "OfficialDiT",
    "OfficialZigMa",
    "build_official",
    "official_dit",
    "official_sit",
    "official_zigma",
    "zigma_paths",
]

OFFICIAL: dict[str, Callable[[Mapping[str, Any], ArrayLike | None], nn.Module]] = {
    "ZigMa": official_zigma,
    "DiT": official_dit,
    "SiT": official_sit,
}


def build_official(
    family: str, config: Mapping[str, Any], state_dict: Mapping[str, Tensor], *, paths: ArrayLike | None = None
) -> nn.Module:
    """The official network with the official weights, in eval mode: forward(x, t, y) equals theirs.

    family: "ZigMa", "DiT" or "SiT". config: keyword arguments of the official constructor, as in ZIGMA_NEEDED,
    ZIGMA_DEFAULTS and DIT_DEFAULTS; those in ZIGMA_IGNORED and SSM_IGNORED do not change what a trained model computes
    and are accepted unread.
    state_dict: official names; the values are copied to float32. paths: see `zigma_paths`, for randomN only.
    DiT and SiT have forward_with_cfg(x, t, y, cfg_scale) too; ZigMa has no guided forward, as its own raises. Raises
    ValueError, one sentence, for an unknown family or setting, for a scan type that cannot be built, and for weights
    that are missing, unexpected or of another shape.
    """
    if family not in OFFICIAL:
        raise ValueError(f"no official model of family {family!r} can be built; choose one of {', '.join(OFFICIAL)}")
    with torch.device("meta"):
        network = OFFICIAL[family](config, paths)
    wanted = network.state_dict()
    missing = [key for key in wanted if key not in state_dict]
    unexpected = [key for key in state_dict if key not in wanted]
    for keys, fault in ((missing, "lacks"), (unexpected, "has, beyond what the config asks for,")):
        if keys:
            raise ValueError(
                f"the state dict {fault} {keys[0]!r}{f' and {len(keys) - 1} more' if keys[1:] else ''}; "
                f"give the config and the weights of the same {family}"
            )
    for key, value in wanted.items():
        if state_dict[key].shape != value.shape:
            raise ValueError(
                f"{key} must have shape {tuple(value.shape)} by the config, not {tuple(state_dict[key].shape)}; "
                f"give the config and the weights of the same {family}"
            )
    weights = {key: state_dict[key].detach().to(torch.float32, copy=True) for key in wanted}
    network.load_state_dict(weights, assign=True)
    return network.eval()
