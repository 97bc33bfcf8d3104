"""A small text tower with random weights, as the project ships one."""

from pathlib import Path

import torch

from zigdemo.conditioning import TextTower, write_tower
from zigdemo.conditioning.text import build_clip

SETTINGS = {
    "embed_dim": 16,
    "vision_cfg": {"layers": [1, 1, 1, 1], "width": 8, "head_width": 64, "image_size": 32},
    "text_cfg": {"context_length": 16, "vocab_size": 1200, "width": 24, "heads": 2, "layers": 2, "mlp_ratio": 2.0},
}


def small_tower(path: Path) -> TextTower:
    """16 tokens, features of width 24, pictures of 32 px."""
    torch.manual_seed(0)
    clip = build_clip(SETTINGS)
    with torch.no_grad():
        for parameter in clip.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return write_tower(path, clip.eval(), SETTINGS, {}, "# small\n")
