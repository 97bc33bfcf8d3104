"""One part of the measurements, in a process of its own: `python -m benchmarks.gpu.part NAME --out FILE`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from . import kernels, networks, steps


def main() -> None:
    """Measure, and write the result under its name."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu.part", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--recipe", default="zigma-portraits", help="whose training steps are looked at")
    parser.add_argument("--data", help="prepared set (default: the recipe's)")
    parser.add_argument("--fla", action="store_true")
    parser.add_argument("--dry", action="store_true")
    chosen = parser.parse_args()
    device = torch.device("cpu" if chosen.dry else "cuda")
    result: dict[str, list] = {}

    def keep(name: str, rows: list) -> None:
        result[name] = result.get(name, []) + rows
        aside = chosen.out.with_suffix(".part")
        aside.write_text(json.dumps(result), encoding="utf-8")
        aside.replace(chosen.out)  # whole at any moment, as this process may be stopped

    def each(name: str, rows: Iterator[dict]) -> None:
        for row in rows:
            keep(name, [row])

    def correctness() -> None:
        each("correctness", kernels.attention_correctness(device, chosen.dry, chosen.fla))
        each("correctness", kernels.correctness(device, chosen.dry))

    parts: dict[str, Callable[[], None]] = {
        "correctness": correctness,
        "scan": lambda: each("scan", kernels.speed(device, chosen.dry)),
        "attention": lambda: each("attention", kernels.attention_speed(device, chosen.dry, chosen.fla)),
        "networks": lambda: each("networks", networks.table(device, chosen.dry)),
        "profile": lambda: each("profile", steps.profile(chosen.recipe, chosen.data, chosen.dry)),
    }
    parts[chosen.name]()


if __name__ == "__main__":
    main()
