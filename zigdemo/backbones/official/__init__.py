"""Official checkpoints, `read_checkpoint(path)`, and their networks including all quirks, `build_official(...)`.

Our own networks do not have these quirks; they are here so that published files give the published results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from .checkpoint import OfficialCheckpoint, read_checkpoint
from .dig import OfficialDiG, official_dig
from .dit import OfficialDiT, official_dit, official_sit
from .layouts import LAYOUTS, MOST_PARAMETERS, layout, misfit
from .zigma import OfficialZigMa, official_zigma, zigma_paths

__all__ = [
    "LAYOUTS",
    "MOST_PARAMETERS",
    "OFFICIAL",
    "OfficialCheckpoint",
    "OfficialConfig",
    "OfficialDiG",
    "OfficialDiT",
    "OfficialZigMa",
    "build_official",
    "official_dig",
    "official_dit",
    "official_sit",
    "official_zigma",
    "read_checkpoint",
    "zigma_paths",
]

OFFICIAL: dict[str, Callable[[Mapping[str, Any], ArrayLike | None], nn.Module]] = {
    "ZigMa": official_zigma,
    "DiT": official_dit,
    "SiT": official_sit,
    "DiG": official_dig,
}


@dataclass(frozen=True)
class OfficialConfig:
    """Config of an official network in a model folder: the arguments of the official constructor.

    Raises ValueError with one sentence for an unsupported family or invalid sizes.
    """

    family: str
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.family not in OFFICIAL:
            raise ValueError(_unknown(self.family))
        layout(self.family, self.settings)

    @property
    def parameters(self) -> int:
        """Number of weights, counted without building the network."""
        return layout(self.family, self.settings).parameters

    @property
    def labels(self) -> int:
        """Number of classes, 0 for none."""
        return max(0, self.settings.get("num_classes") or 0)

    @property
    def frames(self) -> int:
        """Frames of its clips, 0 for pictures."""
        return self.settings.get("video_frames") or 0

    def build(self) -> nn.Module:
        """The network, freshly initialised."""
        return OFFICIAL[self.family](self.settings, None)


def _unknown(family: object) -> str:
    return f"no official model of family {family!r} can be built; choose one of {', '.join(OFFICIAL)}"


def build_official(
    family: str, config: Mapping[str, Any], state_dict: Mapping[str, Tensor], *, paths: ArrayLike | None = None
) -> nn.Module:
    """The official network with the official weights, in eval mode: forward(x, t, y) equals the original.

    family: "ZigMa", "DiT", "SiT" or "DiG". config: keyword arguments of the official constructor, as in ZIGMA_NEEDED,
    ZIGMA_DEFAULTS, DIT_DEFAULTS and DIG_DEFAULTS; those in ZIGMA_IGNORED, SSM_IGNORED and DIG_IGNORED do not affect a
    trained model and are ignored. state_dict: official names; values are copied to float32. paths: see `zigma_paths`,
    for randomN only. DiT, SiT and DiG also have forward_with_cfg(x, t, y, cfg_scale); the guided forward of ZigMa is
    left out, as the official one raises.
    Raises ValueError with one sentence for an unknown family or setting, an unsupported scan type, more than
    MOST_PARAMETERS weights (before allocating any), and weights that are missing, unexpected or of a wrong shape.
    """
    if family not in OFFICIAL:
        raise ValueError(_unknown(family))
    layout(family, config)
    with torch.device("meta"):
        network = OFFICIAL[family](config, paths)
    expected = network.state_dict()
    fault = misfit(
        {key: value.shape for key, value in expected.items()}, {key: value.shape for key, value in state_dict.items()}
    )
    if fault:
        raise ValueError(f"the state dict {fault}; give the config and the weights of the same {family}")
    weights = {key: state_dict[key].detach().to(torch.float32, copy=True) for key in expected}
    network.load_state_dict(weights, assign=True)
    return network.eval()
