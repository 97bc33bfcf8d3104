"""Peak memory of one training step with and without the scan: `python -m benchmarks.memory`.

A network of the size of ZigMa-S (384 wide, 12 deep), 1,024 tokens, batch 4. Each run is a separate process; what counts
is its highest resident memory beyond that of the network, its gradients and the inputs.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

from zigdemo.backbones import ZigMaConfig, build
from zigdemo.backbones.mamba import Mamba
from zigdemo.ops import backends


def _without_scan(self: Mamba, tokens: torch.Tensor, order: object) -> torch.Tensor:
    """The mixer without its convolution, the projections of the scan and the scan; the gate stays."""
    weight_x, weight_z = self.in_proj.weight.chunk(2)
    return self.out_proj(F.linear(tokens, weight_x) * F.silu(F.linear(tokens, weight_z)))


def _peak_kb() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def step_kb(scan: bool, width: int, depth: int, side: int, batch: int) -> int:
    """Peak memory in kilobytes of one forward and backward pass beyond weights, gradients and inputs."""
    if not scan:
        Mamba.forward = _without_scan
    backends.warm_up()
    torch.manual_seed(0)
    network = build(ZigMaConfig(in_channels=4, size=(side, side), patch=1, width=width, depth=depth, zero_final=False))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    x, t = torch.randn(batch, 4, side, side), torch.rand(batch)
    before = _peak_kb()
    network(x, t).square().mean().backward()
    return _peak_kb() - before


def main() -> None:
    """Measure both in child processes, print the ratio and write benchmarks/results/memory.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", choices=["scan", "none"], help="measure one case and print it")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "memory.json"))
    chosen = parser.parse_args()
    sizes = (
        {"width": 32, "depth": 2, "side": 8, "batch": 2}
        if chosen.quick
        else {"width": 384, "depth": 12, "side": 32, "batch": 4}
    )
    if chosen.child:
        print(step_kb(chosen.child == "scan", **sizes))
        return
    quick = ["--quick"] if chosen.quick else []
    found = {}
    for name in ("scan", "none"):
        command = [sys.executable, "-m", "benchmarks.memory", "--child", name, *quick]
        found[name] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    found["ratio"] = found["scan"] / max(found["none"], 1)
    path = Path(chosen.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**sizes, **found}, indent=1) + "\n")
    print(f"with the scan {found['scan'] / 1024:.0f} MB, without {found['none'] / 1024:.0f} MB")
    print(f"ratio {found['ratio']:.2f}")


if __name__ == "__main__":
    main()
