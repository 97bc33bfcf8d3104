"""A tiny model folder for tests that need something to generate with."""

from pathlib import Path

import torch
from torch import nn

from zigdemo.backbones import FAMILIES, BackboneConfig, build
from zigdemo.conditioning import TextSpec, TextTower
from zigdemo.latents import AutoencoderSpec
from zigdemo.zoo import ModelFolder, write_folder

SMALL = {"heads": 2, "state_size": 4}  # for the backbones that have such a setting
LABELS = ["red heart", "hedgehog", "grinning face"]


def tiny_config(family: str, **changes: object) -> BackboneConfig:
    """The config of a small network for 16 x 16 pixels and three labels."""
    kind = FAMILIES[family].config
    settings = {"width": 32, "depth": 2, "size": (16, 16), "patch": 4, "labels": len(LABELS)}
    settings |= {name: size for name, size in SMALL.items() if hasattr(kind, name)}
    return kind(**{**settings, **changes})


def noisy(config: BackboneConfig, scale: float = 0.1) -> nn.Module:
    """A network of random weights in which no branch is zero."""
    torch.manual_seed(0)
    network = build(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return network


def tiny_folder(
    path: Path,
    family: str = "zigma",
    latents: AutoencoderSpec | None = None,
    text: TextTower | None = None,
    **changes: object,
) -> ModelFolder:
    """Random weights (no branch is zero), three labels or a text tower beside it, 16 x 16 pixels or latents."""
    settings = {"labels": 0, "text_width": text.width} if text else {}
    settings |= {"in_channels": latents.channels} if latents else {}
    network = noisy(tiny_config(family, **{**settings, **changes}), 0.05)
    labels = LABELS if network.config.labels else None
    return write_folder(
        path,
        network,
        prediction="clean",
        labels=labels,
        origin="untrained",
        about={},
        card="# tiny\n",
        latents=latents,
        text=TextSpec(text.name) if text else None,
    )
