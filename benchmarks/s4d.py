"""The S4D convolution on the CPU against its peers, in one process: `python -m benchmarks.s4d`.

The peers are our FFT backend and our plain-torch recurrence, token by token. Medians of consecutive runs, one peer
after another; the allocator keeps freed memory (`zigdemo.ops.heap`) for all of them.
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

import torch
from torch import Tensor

from zigdemo.ops import s4d_convolution, s4d_lin
from zigdemo.ops.heap import keep_freed_memory

SIZES = [(1, 4096, 192, 16), (4, 4096, 192, 16), (4, 4096, 192, 32)]  # batch, length, channels, modes
QUICK = [(1, 20, 4, 2)]
BACKENDS = ("cpu", "fft", "reference")


def inputs(size: tuple[int, int, int, int]) -> list[Tensor]:
    """u, log_dt, A, C and D of a bidirectional convolution with the S4D-Lin initialisation."""
    batch, length, channels, modes = size
    generator = torch.Generator().manual_seed(0)
    log_dt, A = s4d_lin(channels, modes, generator=generator)
    u = torch.randn(batch, length, channels, generator=generator)
    C = torch.randn(2, channels, modes, dtype=torch.complex64, generator=generator)
    return [u, log_dt, A, C, torch.randn(channels, generator=generator)]


@torch.no_grad()
def _forward(backend: str, values: list[Tensor]) -> None:
    s4d_convolution(*values, bidirectional=True, backend=backend)


def _both(backend: str, values: list[Tensor]) -> None:
    leaves = [value.detach().requires_grad_() for value in values]
    y = s4d_convolution(*leaves, bidirectional=True, backend=backend)
    torch.autograd.grad(y, leaves, torch.ones_like(y))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(size: tuple[int, int, int, int], repeats: int, most: float) -> dict[str, dict[str, float]]:
    """Median seconds by backend, forward and forward+backward; at most about `most` seconds per backend."""
    values, found = inputs(size), {}
    for what, work in (("forward", _forward), ("both", _both)):
        found[what] = {}
        for backend in BACKENDS:
            work(backend, values)
            times: list[float] = []
            while len(times) < 2 or (sum(times) < most and len(times) < repeats):
                times.append(_seconds(partial(work, backend, values)))
            found[what][backend] = statistics.median(times)
    return found


def main() -> None:
    """Measure, print a table and write benchmarks/results/s4d.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "s4d.json"))
    chosen = parser.parse_args()
    keep_freed_memory()
    rows = []
    print(
        "| batch, length, channels, modes | what | cpu ms | fft over cpu | recurrence over cpu |\n|---|---|---|---|---|"
    )
    for size in QUICK if chosen.quick else SIZES:
        for what, seconds in compare(size, *((2, 1.0) if chosen.quick else (25, 3.0))).items():
            ratios = {peer: seconds[peer] / seconds["cpu"] for peer in BACKENDS[1:]}
            rows.append({"size": size, "what": what, "seconds": seconds, "ratios": ratios})
            times = " | ".join(f"{ratio:.1f}x" for ratio in ratios.values())
            print(f"| {size} | {what} | {1e3 * seconds['cpu']:.2f} | {times} |")
    result = {"machine": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
    path = Path(chosen.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**result, "torch": torch.__version__, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
