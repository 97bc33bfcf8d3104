"""What the Cost tab and the lesson show: the terms of every block, and what was measured."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ..explain import BLOCKS, SIZES

RESULT = Path(__file__).resolve().parents[2] / "benchmarks/results/growth.json"
OPERATOR_OF = {  # the block whose colour an operator has
    "selective scan": "zigma",
    "S4D": "diffussm",
    "gated linear attention": "dig",
    "softmax attention": "dit",
}
PRESETS = (
    ("Portraits here: 64 tokens", 64, 224, 8),
    ("A clip here: 1,024 tokens", 1024, 240, 8),
    ("DiT-XL/2 at 256 px", 256, 1152, 16),
    ("DiT-XL/2 at 1024 px", 4096, 1152, 16),
    ("A clip of 16 frames at 256 px", 4096, 768, 16),
)

Curves = dict[str, dict[str, list[dict[str, float]]]]  # by mode and operator: points with tokens, seconds, peak_kb


def measured() -> list[dict[str, Any]]:
    """What was measured before, as {machine, curves}; empty without the results."""
    try:
        result = json.loads(RESULT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    machine = f"Measured on {result['threads']} threads of a CPU ({result['machine']}), torch {result['torch']}"
    return [{"machine": machine, "curves": result["curves"]}]


def cost_json(here: Curves | None = None) -> str:
    """What assets/cost.js shows: the terms of all blocks, presets, and what was measured before and here."""
    runs_measured = measured()
    if here is not None:
        machine = f"measured here, {torch.get_num_threads()} threads ({platform.machine()})"
        runs_measured.append({"machine": machine, "curves": here})
    return json.dumps(
        {
            "blocks": {name: asdict(block) for name, block in BLOCKS.items()},
            "sizes": SIZES,
            "presets": [dict(zip(("label", "M", "D", "N"), preset, strict=True)) for preset in PRESETS],
            "measured": runs_measured,
            "operator_of": OPERATOR_OF,
        }
    )
