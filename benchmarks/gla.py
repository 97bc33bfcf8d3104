"""Gated linear attention on the CPU against its peers, in one process: `python -m benchmarks.gla`.

Peers: our plain-torch reference (checkpointed) and the naive recurrence of flash-linear-attention. Log gates are
logsigmoid(normal) / 16, as in DiG. Medians of consecutive runs, one peer after another, so that no peer pays for caches
that another has just emptied; the allocator keeps freed memory (`zigdemo.ops.heap`) for all of them.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.peers import naive_gla
from zigdemo.ops import gated_linear_attention
from zigdemo.ops.heap import keep_freed_memory

SIZES = [(2, 1024, 4, 64, 128), (8, 256, 6, 32, 64)]  # batch, length, heads, dim_k, dim_v
QUICK = [(1, 20, 2, 4, 8)]
PEERS = {
    "cpu": partial(gated_linear_attention, backend="cpu"),
    "reference": partial(gated_linear_attention, backend="reference"),
    "fla naive": naive_gla,
}


def _inputs(size: tuple[int, int, int, int, int], seed: int = 0) -> list[Tensor]:
    batch, length, heads, keys, values = size
    generator = torch.Generator().manual_seed(seed)
    q, k, gate = (torch.randn(batch, length, heads, keys, generator=generator) for _ in range(3))
    v = torch.randn(batch, length, heads, values, generator=generator)
    return [q, k, v, F.logsigmoid(gate) / 16]


@torch.no_grad()
def _forward(attend: Callable[..., Tensor], inputs: list[Tensor]) -> None:
    attend(*inputs)


def _both(attend: Callable[..., Tensor], inputs: list[Tensor]) -> None:
    leaves = [value.detach().requires_grad_() for value in inputs]
    o = attend(*leaves)
    torch.autograd.grad(o, leaves, torch.ones_like(o))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(size: tuple[int, int, int, int, int], repeats: int, most: float) -> dict[str, dict[str, float]]:
    """Median seconds of every peer at one size, forward and forward+backward.

    Each peer runs `repeats` times after a warm-up, and stops after two runs once it has taken `most` seconds.
    """
    inputs, found = _inputs(size), {}
    for what, work in (("forward", _forward), ("both", _both)):
        found[what] = {}
        for name, attend in PEERS.items():
            work(attend, inputs)
            times: list[float] = []
            while len(times) < 2 or (sum(times) < most and len(times) < repeats):
                times.append(_seconds(partial(work, attend, inputs)))
            found[what][name] = statistics.median(times)
    return found


def main() -> None:
    """Measure, print a table and write benchmarks/results/gla.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "gla.json"))
    chosen = parser.parse_args()
    keep_freed_memory()
    rows = []
    others = " | ".join(f"over {name}" for name in PEERS if name != "cpu")
    print(f"| batch, length, heads, dim_k, dim_v | what | cpu ms | {others} | G updates/s |")
    print("|---|---|---|---|---|---|")
    for size in QUICK if chosen.quick else SIZES:
        for what, seconds in compare(size, *((2, 1.0) if chosen.quick else (25, 5.0))).items():
            ours, updates = seconds["cpu"], float(np.prod(size))
            ratios = {name: seconds[name] / ours for name in PEERS if name != "cpu"}
            rows.append(
                {"size": size, "what": what, "seconds": seconds, "ratios": ratios, "updates_per_second": updates / ours}
            )
            columns = " | ".join(f"{ratio:.0f}x" for ratio in ratios.values())
            print(f"| {size} | {what} | {1e3 * ours:.2f} | {columns} | {updates / ours / 1e9:.2f} |")
    result = {
        "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "numba": numba.__version__,
        "rows": rows,
    }
    path = Path(chosen.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
