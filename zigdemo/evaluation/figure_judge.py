"""The judge of figures: a small network that reads which of the classes a clip shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from ..data import CLASSES
from ..zoo import WEIGHTS
from .features import check_items
from .judge import Residual, judge_files

FIGURE_JUDGE = "figures-judge"  # its folder among the weights
SIDE_PX = 64
WIDTHS = (24, 48, 96, 128)  # channels at 32, 16, 8 and 4 px
FRAME_WIDTH, FEATURES = 160, 128  # numbers for a frame, and for a clip
AT_ONCE = 32  # clips per call


class FigureNetwork(nn.Module):
    """Clips (batch, T, 3, 64, 64) in [-1, 1] to the logits of CLASSES.

    Each frame beside its change to the next one goes through 2-D convolutions; then convolutions run along time.
    """

    def __init__(self) -> None:
        super().__init__()
        layers, before = [], 6
        for width in WIDTHS:
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [Residual(width)] if width != WIDTHS[0] else []
            before = width
        self.trunk = nn.Sequential(*layers)
        self.frame = nn.Linear(before * 4, FRAME_WIDTH)
        self.time1, self.time2 = (nn.Conv1d(FRAME_WIDTH, FRAME_WIDTH, 3, padding=1) for _ in range(2))
        self.clip = nn.Linear(2 * FRAME_WIDTH, FEATURES)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(FEATURES, len(CLASSES))

    def features(self, clips: Tensor) -> Tensor:
        """What the network makes of clips before it chooses a class, (batch, FEATURES)."""
        changes = torch.cat([clips[:, 1:] - clips[:, :-1], torch.zeros_like(clips[:, :1])], 1)
        frames = torch.cat([clips, changes], 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        frames = F.avg_pool2d(self.trunk(frames), 2).flatten(1)
        over_time = F.relu(self.frame(frames)).unflatten(0, clips.shape[:2]).transpose(1, 2)
        over_time = F.relu(over_time + self.time1(over_time))
        over_time = F.relu(over_time + self.time2(over_time))
        return F.relu(self.clip(torch.cat([over_time.mean(2), over_time.amax(2)], 1)))

    def forward(self, clips: Tensor) -> Tensor:
        return self.head(self.drop(self.features(clips)))


def to_input(clips: Tensor) -> Tensor:
    """Clips (n, T, H, W, 3) uint8 as the network's input, (n, T, 3, SIDE_PX, SIDE_PX) in [-1, 1]."""
    pixels = clips.flatten(0, 1).permute(0, 3, 1, 2).float() / 127.5 - 1
    if pixels.shape[-2:] == (2 * SIDE_PX,) * 2:
        pixels = F.avg_pool2d(pixels, 2)
    elif pixels.shape[-2:] != (SIDE_PX,) * 2:
        pixels = F.interpolate(pixels, (SIDE_PX, SIDE_PX), mode="bilinear", antialias=True)
    return pixels.unflatten(0, clips.shape[:2])


class FigureJudge:
    """The judge with loaded weights; thread-safe. about: facts of its training, with "ceiling" where it was measured.

    ceiling: share of real clips whose class it reads right, from 0 to 1, or None.
    """

    def __init__(self, network: nn.Module, about: dict[str, Any] | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self.about = dict(about or {})
        self.ceiling: float | None = self.about.get("ceiling")

    @torch.inference_mode()
    def embed(self, clips: np.ndarray) -> np.ndarray:
        """Features (n, FEATURES) of clips (n, T, H, W, 3) uint8 of any size. Raises ValueError for anything else."""
        check_items(clips, clips=True)
        device = next(self.network.parameters()).device
        parts = [torch.from_numpy(np.array(clips[start : start + AT_ONCE])) for start in range(0, len(clips), AT_ONCE)]
        return torch.cat([self.network.features(to_input(part.to(device))).cpu() for part in parts]).numpy()

    def read(self, clips: np.ndarray) -> list[str]:
        """The most likely class of each clip (n, T, H, W, 3) uint8. Raises ValueError for anything else."""
        return self.classes_of(self.embed(clips))

    @torch.inference_mode()
    def classes_of(self, features: np.ndarray) -> list[str]:
        """The most likely class for each row of features."""
        device = next(self.network.parameters()).device
        best = self.network.head(torch.from_numpy(features).to(device)).argmax(1)
        return [CLASSES[number] for number in best.tolist()]

    def accuracy(self, clips: np.ndarray, labels: Sequence[str]) -> float:
        """Share of clips in which it reads the label that belongs to them, from 0 to 1."""
        return float(np.mean([one == other for one, other in zip(self.read(clips), labels, strict=True)]))


def load_figure_judge(folder: str | Path = WEIGHTS / FIGURE_JUDGE, device: str | torch.device = "cpu") -> FigureJudge:
    """Load the judge of a folder, by default the shipped one. Raises ValueError if there is none or it is unusable."""
    folder = Path(folder)
    try:
        content, state = judge_files(folder)
        if content.get("classes") != list(CLASSES):
            raise ValueError("it was trained on other classes")
        about = content.get("about")
        ceiling = about.get("ceiling") if isinstance(about, dict) else None
        if ceiling is not None and not (isinstance(ceiling, int | float) and 0 <= ceiling <= 1):
            raise ValueError("its ceiling must be a share from 0 to 1")
        network = FigureNetwork()
        counters = {key: value for key, value in network.state_dict().items() if not value.is_floating_point()}
        network.load_state_dict(state | counters)
    except FileNotFoundError:
        raise ValueError(
            f"there is no judge in {folder}; make one with `python -m zigdemo.training.judge figures {folder}`"
        ) from None
    except (ValueError, OSError, RuntimeError, RecursionError, SafetensorError) as fault:
        raise ValueError(f"the judge in {folder} cannot be used: {str(fault).splitlines()[0]}") from None
    return FigureJudge(network.to(device), about if isinstance(about, dict) else {})
