"""Factorised scans of clips against scans of the whole clip, and attention: `python -m benchmarks.video`.

One ZigMa (384 wide, 6 deep) on 16 x 16 x 16 tokens with four scan schemes, and the DiT of that width and depth, which
alternates attention within frames and over time. Seconds of a forward pass and of a training step are medians of
interleaved runs in one process; the memory of a training step is the peak of a separate process beyond weights,
gradients and inputs.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

from zigdemo.backbones import DiTConfig, ZigMaConfig, build
from zigdemo.backbones.checks import item_shape
from zigdemo.ops import backends
from zigdemo.ops.heap import keep_freed_memory

SCHEMES = ("sweep3d", "zigzag3d-8", "bidirectional", "factorized-sst", "factorized-st")
FACTORISED_DIT = "dit, frames and time by turns"
CASES = (*SCHEMES, FACTORISED_DIT)


def network(case: str, side: int, width: int, depth: int) -> nn.Module:
    """The network of a case, with its gradients allocated."""
    torch.manual_seed(0)
    sizes = {"in_channels": 4, "size": (side, side), "frames": side, "patch": 1, "width": width, "depth": depth}
    config = DiTConfig(**sizes, heads=6) if case == FACTORISED_DIT else ZigMaConfig(**sizes, scheme=case)
    made = build(config)
    for parameter in made.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return made


def clip(made: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """One clip of noise and its time."""
    return torch.randn(1, *item_shape(made.config)), torch.full((1,), 0.5)


def train(made: nn.Module, x: torch.Tensor, t: torch.Tensor) -> None:
    """The passes of one training step."""
    made(x, t).square().mean().backward()
    made.zero_grad(set_to_none=False)


@torch.inference_mode()
def draw(made: nn.Module, x: torch.Tensor, t: torch.Tensor) -> None:
    """One forward pass."""
    made(x, t)


def seconds(sizes: dict[str, int], turns: int) -> dict[str, dict[str, float]]:
    """Median seconds of every case."""
    made = {case: network(case, **sizes) for case in CASES}
    found: dict[str, dict[str, float]] = {case: {} for case in CASES}
    for what, work in (("forward", draw), ("training", train)):
        times: dict[str, list[float]] = {case: [] for case in CASES}
        for turn in range(turns + 1):
            for case in CASES:
                inputs = clip(made[case])
                started = time.perf_counter()
                work(made[case], *inputs)
                if turn:  # the first warms up
                    times[case].append(time.perf_counter() - started)
        for case in CASES:
            found[case][what] = statistics.median(times[case])
    return found


def peak_kb() -> int:
    """Highest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def step_kb(case: str, sizes: dict[str, int]) -> int:
    """Peak memory in kilobytes of one training step beyond weights, gradients and inputs."""
    backends.warm_up()
    made = network(case, **sizes)
    inputs = clip(made)
    before = peak_kb()
    train(made, *inputs)
    return peak_kb() - before


def main() -> None:
    """Measure, print ratios to the sweep of the whole clip, and write benchmarks/results/video.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", choices=CASES, help="measure the memory of one case and print it")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "video.json"))
    chosen = parser.parse_args()
    sizes = {"side": 4, "width": 24, "depth": 3} if chosen.quick else {"side": 16, "width": 384, "depth": 6}
    if chosen.child:
        print(step_kb(chosen.child, sizes))
        return
    quick = ["--quick"] if chosen.quick else []
    memory = {}
    for case in CASES:
        command = [sys.executable, "-m", "benchmarks.video", "--child", case, *quick]
        memory[case] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    keep_freed_memory()
    found = seconds(sizes, 1 if chosen.quick else 7)
    first = CASES[0]
    for case in CASES:
        found[case]["megabytes"] = memory[case] / 1024
        for what in ("forward", "training", "megabytes"):
            found[case][f"{what} ratio"] = found[case][what] / max(found[first][what], 1e-9)
        print(
            f"{case}: forward {found[case]['forward']:.3f} s ({found[case]['forward ratio']:.2f}), training "
            f"{found[case]['training']:.3f} s ({found[case]['training ratio']:.2f}), "
            f"{found[case]['megabytes']:.0f} MB ({found[case]['megabytes ratio']:.2f})"
        )
    path = Path(chosen.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = {"machine": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
    path.write_text(json.dumps({**sizes, **machine, "torch": torch.__version__, "cases": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
