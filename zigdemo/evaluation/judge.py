"""The judge of portraits: a small network that reads attributes, and the share of asked ones that a picture shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..data import KINDS, Attributes
from ..zoo import WEIGHTS

JUDGE = "portraits-judge"  # its folder among the weights
CONFIG, TENSORS = "judge.json", "judge.safetensors"  # not those of a generative model
MOST_CONFIG_BYTES, MOST_TENSOR_BYTES = 2**20, 2**26
SIDE_PX = 128
ABSENT = ("hair", "hairColor", "hat", "wears", "beard", "clothes", "clothesColor")  # kinds a portrait may lack
WIDTHS = (24, 48, 96, 128)  # channels at 64, 32, 16 and 8 px


def classes(kind: str) -> tuple[str | None, ...]:
    """The classes of a kind; the first is None if the kind may be absent."""
    return (None, *KINDS[kind]) if kind in ABSENT else KINDS[kind]


class Residual(nn.Module):
    """Two 3x3 convolutions with a skip connection: (batch, width, H, W) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


class JudgeNetwork(nn.Module):
    """Pictures (batch, 3, 128, 128) in [-1, 1] to the concatenated logits of all kinds."""

    def __init__(self) -> None:
        super().__init__()
        layers, before = [], 3
        for width in WIDTHS:
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [Residual(width)] if width != WIDTHS[0] else []
            before = width
        self.trunk = nn.Sequential(*layers)
        self.drop = nn.Dropout(0.2)
        self.heads = nn.Linear(before * 16, sum(len(classes(kind)) for kind in KINDS))

    def forward(self, x: Tensor) -> Tensor:
        return self.heads(self.drop(F.avg_pool2d(self.trunk(x), 2).flatten(1)))


def by_kind(logits: Tensor) -> dict[str, Tensor]:
    """The logits of each kind, (batch, classes)."""
    return dict(zip(KINDS, logits.split([len(classes(kind)) for kind in KINDS], 1), strict=True))


def targets(attributes: Sequence[Attributes]) -> dict[str, Tensor]:
    """The class number of every kind for some portraits, (batch,) int64 each.

    Raises ValueError for an attribute that is none of its kind.
    """
    return {kind: torch.tensor([classes(kind).index(one.get(kind)) for one in attributes]) for kind in KINDS}


@dataclass(frozen=True)
class Obedience:
    """How many of the asked attributes pictures show, by kind and in total; every attribute has the same weight."""

    shown: dict[str, int]
    asked: dict[str, int]

    @property
    def share(self) -> float:
        """Share of all asked attributes that are shown, from 0 to 1."""
        return sum(self.shown.values()) / max(1, sum(self.asked.values()))

    def by_kind(self) -> dict[str, float]:
        """The share for each kind that was asked for."""
        return {kind: round(self.shown[kind] / count, 4) for kind, count in self.asked.items() if count}


class Judge:
    """The judge with loaded weights; thread-safe.

    ceiling: of each kind the share that it reads right in real portraits, from 0 to 1; empty where nobody measured it.
    """

    def __init__(self, network: nn.Module, ceiling: Mapping[str, float] | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self.ceiling = dict(ceiling or {})

    @torch.inference_mode()
    def read(self, pictures: np.ndarray) -> list[Attributes]:
        """The most likely attributes of pictures (n, H, W, 3) uint8 of any size, without absent kinds."""
        logits = torch.cat(
            [self.network(_to_input(part)) for part in np.array_split(pictures, -(-len(pictures) // 64))]
        )
        best = {kind: values.argmax(1).tolist() for kind, values in by_kind(logits).items()}
        return [
            {kind: value for kind in KINDS if (value := classes(kind)[best[kind][row]]) is not None}
            for row in range(len(pictures))
        ]

    def obedience(self, pictures: np.ndarray, asked: Sequence[Attributes]) -> Obedience:
        """How many of the attributes asked of each picture it shows.

        pictures: (n, H, W, 3) uint8; asked: one for each. Raises ValueError for numbers that differ.
        """
        shown, counts = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
        for visible, requested in zip(self.read(pictures), asked, strict=True):
            for kind, value in requested.items():
                counts[kind] += 1
                shown[kind] += visible.get(kind) == value
        return Obedience(shown, counts)

    def ceiling_of(self, asked: Mapping[str, int]) -> float | None:
        """The score that real portraits would get, from 0 to 1; None where it was not measured.

        asked: number of asked attributes of each kind.
        """
        counts = {kind: count for kind, count in asked.items() if count}
        if not counts or not counts.keys() <= self.ceiling.keys():
            return None
        return sum(self.ceiling[kind] * count for kind, count in counts.items()) / sum(counts.values())


def _to_input(pictures: np.ndarray) -> Tensor:
    """Pictures (n, H, W, 3) uint8 as the network's input, (n, 3, SIDE_PX, SIDE_PX) in [-1, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    if pixels.shape[-2:] != (SIDE_PX, SIDE_PX):
        pixels = F.interpolate(pixels, (SIDE_PX, SIDE_PX), mode="bilinear", antialias=True)
    return pixels.contiguous(memory_format=torch.channels_last)


def judge_files(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The content of a judge's config and its tensors in float32.

    Raises FileNotFoundError if one is missing, and ValueError, OSError or SafetensorError for others than a judge's.
    """
    if (folder / CONFIG).stat().st_size > MOST_CONFIG_BYTES or (folder / TENSORS).stat().st_size > MOST_TENSOR_BYTES:
        raise ValueError("its files are far larger than those of a judge")
    content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"its {CONFIG} is no object")
    state = {key: value.float() for key, value in load_file(folder / TENSORS).items()}
    if not all(value.isfinite().all() for value in state.values()):
        raise ValueError("its weights hold NaN or infinity")
    return content, state


def load_judge(folder: str | Path = WEIGHTS / JUDGE) -> Judge:
    """Load the judge of a folder, by default the shipped one. Raises ValueError if there is none or it is unusable."""
    folder = Path(folder)
    try:
        content, state = judge_files(folder)
        if content.get("kinds") != {kind: list(KINDS[kind]) for kind in KINDS}:
            raise ValueError("it was trained on other attributes")
        about = content.get("about")
        ceiling = about.get("ceiling", {}) if isinstance(about, dict) else {}
        if not isinstance(ceiling, dict) or not all(_is_share(ceiling[kind]) for kind in ceiling):
            raise ValueError("its ceiling must be a share from 0 to 1 for each kind")
        network = JudgeNetwork()
        network.load_state_dict(state, strict=False)
    except FileNotFoundError:
        raise ValueError(
            f"there is no judge in {folder}; make one with `python -m zigdemo.training.judge portraits DATA {folder}`"
        ) from None
    except (ValueError, OSError, RuntimeError, RecursionError, SafetensorError) as fault:
        raise ValueError(f"the judge in {folder} cannot be used: {str(fault).splitlines()[0]}") from None
    return Judge(network.to(memory_format=torch.channels_last), ceiling)


def _is_share(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= 1
