"""Speed of a forward pass and a training step of all backbones and diffusers' DiT: `python -m benchmarks.backbones`.

All have the parameters of an S/2 network (about 33 M) with a quarter of its layers, as layers are alike; 4 channels,
patch 2, batch 1, float32, in one process. diffusers' DiTTransformer2DModel has the size of our DiT and the same
work. Runs of the peers are interleaved, and the median counts; the allocator keeps freed memory for all of them.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from zigdemo.backbones import FAMILIES, build
from zigdemo.backbones.presets import preset
from zigdemo.ops.heap import keep_freed_memory

SIDES = (16, 64)  # tokens along one side: 256 and 4,096 tokens
LABELS, CHANNELS, PATCH, SHARE = 1000, 4, 2, 4


def ours(family: str, side: int) -> tuple[nn.Module, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    """The smallest published size with a quarter of its layers."""
    name = "S" if "S" in FAMILIES[family].sizes else "S/2"
    given = {"in_channels": CHANNELS, "size": (PATCH * side, PATCH * side), "patch": PATCH, "labels": LABELS}
    config = preset(family, name, **given)
    network = build(replace(config, depth=max(1, config.depth // SHARE)))
    return network, network


def theirs(side: int) -> tuple[nn.Module, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    """diffusers' DiT of the same size."""
    from diffusers import DiTTransformer2DModel

    sizes = preset("dit", "S/2")
    network = DiTTransformer2DModel(
        num_attention_heads=sizes.heads,
        attention_head_dim=sizes.width // sizes.heads,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        num_layers=sizes.depth // SHARE,
        sample_size=PATCH * side,
        patch_size=PATCH,
        num_embeds_ada_norm=LABELS,
    )
    return network, lambda x, t, y: network(x, timestep=1000 * t, class_labels=y).sample


def measure(side: int, turns: int) -> dict[str, dict[str, float]]:
    """Parameters, and median seconds of a forward pass and of a training step, by backbone."""
    torch.manual_seed(0)
    peers = {family: ours(family, side) for family in FAMILIES} | {"diffusers DiT": theirs(side)}
    x = torch.randn(1, CHANNELS, PATCH * side, PATCH * side)
    t, y = torch.full((1,), 0.5), torch.zeros(1, dtype=torch.int64)

    def forward(name: str) -> None:
        _, call = peers[name]
        with torch.inference_mode():
            call(x, t, y)

    def training(name: str) -> None:
        network, call = peers[name]
        call(x, t, y).square().mean().backward()
        network.zero_grad(set_to_none=False)

    found = {name: {"weights": sum(p.numel() for p in network.parameters())} for name, (network, _) in peers.items()}
    for network, _ in peers.values():
        network.train()
    for what, work in (("forward", forward), ("training", training)):
        times: dict[str, list[float]] = {name: [] for name in peers}
        names = list(peers)
        for turn in range(turns + 1):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:  # nobody always goes first
                started = time.perf_counter()
                work(name)
                if turn:
                    times[name].append(time.perf_counter() - started)
        for name, seconds in times.items():
            found[name][what] = statistics.median(seconds)
    return found


def main() -> None:
    """Measure, print a table and write benchmarks/results/backbones.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "backbones.json"))
    chosen = parser.parse_args()
    keep_freed_memory()
    rows = []
    print("| tokens | backbone | M weights | forward ms | training ms | forward over diffusers | training |")
    print("|---|---|---|---|---|---|---|")
    for side in (2,) if chosen.quick else SIDES:
        found = measure(side, 1 if chosen.quick else 15 if side < 32 else 10)
        base = found["diffusers DiT"]
        for name, row in found.items():
            ratios = {what: row[what] / base[what] for what in ("forward", "training")}
            rows.append({"tokens": side * side, "backbone": name, **row, "over_diffusers": ratios})
            print(
                f"| {side * side} | {name} | {row['weights'] / 1e6:.1f} | {1e3 * row['forward']:.1f} | "
                f"{1e3 * row['training']:.1f} | {ratios['forward']:.2f} | {ratios['training']:.2f} |"
            )
    result = {
        "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "rows": rows,
    }
    path = Path(chosen.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
