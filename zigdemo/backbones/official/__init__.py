"""The official checkpoints: `read_checkpoint(path)`, and their networks, quirks included: `build_official(...)`.

Our own networks leave these quirks out; they are here so that a published file draws what it drew at home.
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
    """Config of an official network, as a model folder keeps it: the official constructor's arguments.

    Raises ValueError with one sentence for a family that cannot be built and sizes that make no sense.
    """

    family: str
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.family not in OFFICIAL:
            raise ValueError(_unknown(self.family))
        layout(self.family, self.settings)

    @property
    def parameters(self) -> int:
        """Number of weights, counted without building anything."""
        return layout(self.family, self.settings).parameters

    @property
    def labels(self) -> int:
        """Number of classes, 0 for none."""
        return max(0, self.settings.get("num_classes") or 0)

    @property
    def frames(self) -> int:
        """Frames of the clips it draws, 0 for pictures."""
        return self.settings.get("video_frames") or 0

    def build(self) -> nn.Module:
        """The network, freshly initialised."""
        return OFFICIAL[self.family](self.settings, None)


def _unknown(family: object) -> str:
    return f"no official model of family {family!r} can be built; choose one of {', '.join(OFFICIAL)}"


def build_official(
    family: str, config: Mapping[str, Any], state_dict: Mapping[str, Tensor], *, paths: ArrayLike | None = None
) -> nn.Module:
    """The official network with the official weights, in eval mode: forward(x, t, y) equals theirs.

    family: "ZigMa", "DiT", "SiT" or "DiG". config: keyword arguments of the official constructor, as in ZIGMA_NEEDED,
    ZIGMA_DEFAULTS, DIT_DEFAULTS and DIG_DEFAULTS; those in ZIGMA_IGNORED, SSM_IGNORED and DIG_IGNORED do not change
    what a trained model computes and are accepted unread.
    state_dict: official names; the values are copied to float32. paths: see `zigma_paths`, for randomN only.
    DiT, SiT and DiG have forward_with_cfg(x, t, y, cfg_scale) too; ZigMa has no guided forward, as its own raises.
    Raises ValueError, one sentence, for an unknown family or setting, for a scan type that cannot be built, for more
    than MOST_PARAMETERS weights (before any is made), and for weights that are missing, unexpected or of another shape.
    """
    if family not in OFFICIAL:
        raise ValueError(_unknown(family))
    layout(family, config)
    with torch.device("meta"):
        network = OFFICIAL[family](config, paths)
    wanted = network.state_dict()
    fault = misfit(
        {key: value.shape for key, value in wanted.items()}, {key: value.shape for key, value in state_dict.items()}
    )
    if fault:
        raise ValueError(f"the state dict {fault}; give the config and the weights of the same {family}")
    weights = {key: state_dict[key].detach().to(torch.float32, copy=True) for key in wanted}
    network.load_state_dict(weights, assign=True)
    return network.eval()
