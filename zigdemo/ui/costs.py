"""What the Cost tab and the lesson show: the terms of every block, and what was measured."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ..explain import BLOCKS, SIZES

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks/results"
OPERATORS_FILE, NETWORKS_FILE, GPU_FILE = "growth.json", "backbones.json", "gpu.json"
OPERATOR_OF = {  # the block whose colour an operator has
    "selective scan": "zigma",
    "S4D": "diffussm",
    "gated linear attention": "dig",
    "softmax attention": "dit",
}
NETWORK_OF = {"ZigMa": "zigma", "DiT": "dit", "DiG": "dig", "DiffuSSM": "diffussm"}  # and a network
PRESETS = (
    ("Portraits here: 64 tokens", 64, 224, 8),
    ("A clip here: 1,024 tokens", 1024, 240, 8),
    ("DiT-XL/2 at 256 px", 256, 1152, 16),
    ("DiT-XL/2 at 1024 px", 4096, 1152, 16),
    ("A clip of 16 frames at 256 px", 4096, 768, 16),
)

FLAT = "where a line is flat, kernels wait to be launched"

# By mode and operator or network: points with tokens, seconds, peak_kb.
Curves = dict[str, dict[str, list[dict[str, float]]]]


def measured() -> list[dict[str, Any]]:
    """What was measured before, as {machine, of, curves}; empty without the results.

    of: "operator", "network" or "gpu", a network of the largest published size on one. Whole networks on a CPU have 8
    to 11 M weights; the memory of networks was not measured.
    """
    runs = []
    for file, of in ((OPERATORS_FILE, "operator"), (NETWORKS_FILE, "network")):
        try:
            result = json.loads((RESULTS / file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        machine = f"Measured on {result['threads']} threads of a CPU ({result['machine']}), torch {result['torch']}"
        curves = result["curves"] if of == "operator" else _networks(result["rows"])
        runs.append({"machine": machine, "of": of, "curves": curves})
    try:
        result = json.loads((RESULTS / GPU_FILE).read_text(encoding="utf-8"))
        machine = f"Measured on one {result['gpu']} in bfloat16, torch {result['torch']}; {FLAT}"
        curves = {"forward": _on_gpu(result["networks"])}
    except (OSError, ValueError, KeyError, TypeError):  # not measured, or not all of it
        return runs
    return [*runs, {"machine": machine, "of": "gpu", "curves": curves}]


def _networks(rows: list[dict[str, Any]]) -> Curves:
    """The seconds of each backbone's network for one picture."""
    return {
        mode: {
            name: [
                {"tokens": row["tokens"], "seconds": row[mode], "peak_kb": 0}
                for row in rows
                if row["backbone"] == family
            ]
            for name, family in NETWORK_OF.items()
        }
        for mode in ("forward", "training")
    }


def _on_gpu(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, float]]]:
    """The seconds of the largest network of each backbone for one picture, by its name; too large ones are left out."""
    points: dict[str, list[dict[str, float]]] = {name: [] for name in NETWORK_OF}
    names = {family: name for name, family in NETWORK_OF.items()}
    for row in rows:
        if row["seconds"] is not None:
            point = {"tokens": row["tokens"], "seconds": row["seconds"], "peak_kb": 0}
            points[names[row["network"].split()[0]]].append(point)
    return points


def cost_json(here: Curves | None = None) -> str:
    """What assets/cost.js shows: the terms of all blocks, presets, and what was measured before and here."""
    runs_measured = measured()
    if here is not None:
        machine = f"measured here, {torch.get_num_threads()} threads ({platform.machine()})"
        runs_measured.append({"machine": machine, "of": "operator", "curves": here})
    return json.dumps(
        {
            "blocks": {name: asdict(block) for name, block in BLOCKS.items()},
            "sizes": SIZES,
            "presets": [dict(zip(("label", "M", "D", "N"), preset, strict=True)) for preset in PRESETS],
            "measured": runs_measured,
            "colour_of": OPERATOR_OF | NETWORK_OF,
        }
    )
