"""The CPU scan against its peers, in one process: `python -m benchmarks.selective_scan`.

Peers: our plain-torch reference, the formula of mamba_ssm's own reference, mambapy's parallel scan. The upper bound is
the arithmetic of the state updates alone: a kernel with one exp2 and two fused multiply-adds per state, channel and
token on data that stays in the first-level cache, on as many threads. Medians of consecutive runs, one peer after
another, so that no peer pays for caches that another has just emptied; the allocator keeps freed memory
(`zigdemo.ops.heap`) for all of them.
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
from torch import Tensor

from benchmarks.peers import mamba_ssm_formula, mambapy_scan, transformers_mixer
from zigdemo.backbones.mamba import Mamba
from zigdemo.ops import selective_scan
from zigdemo.ops.heap import keep_freed_memory
from zigdemo.ops.selective_scan.kernels import WIDTH
from zigdemo.ops.threads import run
from zigdemo.ops.vector_math import exp2
from zigdemo.scans import scan_scheme

SIZES = [(1, 256, 256, 16), (4, 256, 256, 16), (1, 1024, 512, 16), (8, 1024, 512, 16)]
QUICK = [(1, 16, 8, 4)]


@numba.njit(nogil=True, fastmath={"contract", "reassoc", "nsz"}, error_model="numpy")
def _arithmetic(rounds: int, out: np.ndarray, first: int, last: int) -> None:
    rate = np.full((16, WIDTH), np.float32(-0.01))
    h = np.ones((16, WIDTH), np.float32)
    step = np.full(WIDTH, np.float32(0.01))
    total = np.zeros(WIDTH, np.float32)
    for task in range(first, last):
        for _ in range(rounds):
            for n in range(16):
                into, weight = np.float32(0.1), np.float32(0.2)
                for c in range(WIDTH):
                    value = exp2(step[c] * rate[n, c]) * h[n, c] + step[c] * into
                    h[n, c] = value
                    total[c] += value * weight
        out[task] = total.sum()


def ceiling(rounds: int = 20_000) -> float:
    """State updates per second of the bare arithmetic on all threads."""
    threads = torch.get_num_threads()
    out = np.zeros(threads, np.float32)
    run(_arithmetic, threads, 1, out)
    best = min(_seconds(lambda: run(_arithmetic, threads, rounds, out)) for _ in range(5))
    return threads * rounds * 16 * WIDTH / best


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _inputs(size: tuple[int, int, int, int], seed: int = 0) -> list[Tensor]:
    batch, length, channels, state = size
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    values = [normal(batch, length, channels), normal(batch, length, channels), -normal(channels, state).exp()]
    values += [normal(batch, length, state), normal(batch, length, state), normal(channels)]
    return values + [normal(batch, length, channels), normal(channels)]


def _ours(backend: str, order: object = None) -> Callable[..., Tensor]:
    def scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor, bias: Tensor) -> Tensor:
        return selective_scan(x, dt, A, B, C, D, z, dt_bias=bias, order=order, backend=backend)

    return scan


PEERS = {
    "cpu": _ours("cpu"),
    "reference": _ours("reference"),
    "mamba_ssm formula": mamba_ssm_formula,
    "mambapy": mambapy_scan,
}


def _both(scan: Callable[..., Tensor], inputs: list[Tensor]) -> None:
    leaves = [value.detach().requires_grad_() for value in inputs]
    y = scan(*leaves)
    torch.autograd.grad(y, leaves, torch.ones_like(y))


@torch.no_grad()
def _forward(scan: Callable[..., Tensor], inputs: list[Tensor]) -> None:
    scan(*inputs)


def compare(size: tuple[int, int, int, int], repeats: int, least: float, most: float) -> dict[str, dict[str, float]]:
    """Median seconds of every peer at one size, forward and forward+backward.

    Each peer runs at least `repeats` times and `least` seconds, and stops after two runs once it has taken `most`
    seconds.
    """
    inputs, found = _inputs(size), {}
    for what, work in (("forward", _forward), ("both", _both)):
        found[what] = {}
        for name, scan in PEERS.items():
            work(scan, inputs)
            times: list[float] = []
            while len(times) < 2 or (sum(times) < most and (len(times) < repeats or sum(times) < least)):
                times.append(_seconds(partial(work, scan, inputs)))
            found[what][name] = statistics.median(times)
    return found


def mixers(batch: int, side: int, width: int, repeats: int) -> dict[str, float] | None:
    """Median seconds of a whole Mamba mixer, ours and that of transformers, with the same weights; None without it."""
    theirs = transformers_mixer(width)
    if theirs is None:
        return None
    ours = Mamba(width)
    theirs.load_state_dict(ours.state_dict())
    order = scan_scheme("sweep").order(layer=0, grid=(side, side))
    tokens = torch.randn(batch, side * side, width, generator=torch.Generator().manual_seed(0))
    calls = {"cpu": partial(ours, tokens, order), "transformers": partial(theirs, tokens)}

    @torch.no_grad()
    def forward(name: str) -> Tensor:
        return calls[name]()

    def both(name: str) -> None:
        calls[name]().sum().backward()

    assert (forward("cpu") - forward("transformers")).abs().max() < 1e-4, "the peers compute different things"
    found = {}
    for what, work in (("forward", forward), ("both", both)):
        for name in calls:
            work(name)
            found[f"{name} {what}"] = statistics.median(_seconds(partial(work, name)) for _ in range(repeats))
    return found


def order_cost(size: tuple[int, int, int, int], repeats: int) -> float:
    """Median ratio of the times of a zigzag-8 scan and a sweep, interleaved over the eight paths."""
    inputs, side = _inputs(size), int(size[1] ** 0.5)
    sweep = _ours("cpu")
    paths = [_ours("cpu", scan_scheme("zigzag-8").order(layer=i, grid=(side, size[1] // side))) for i in range(8)]
    ratios = []
    for turn in range(repeats):
        plain = min(_seconds(partial(_forward, sweep, inputs)) for _ in range(3))
        walked = min(_seconds(partial(_forward, paths[turn % 8], inputs)) for _ in range(3))
        ratios.append(walked / plain)
    return statistics.median(ratios[1:] or ratios)


def main() -> None:
    """Measure, print a table and write benchmarks/results/selective_scan.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "selective_scan.json"))
    chosen = parser.parse_args()
    keep_freed_memory()
    repeats, least, most = (2, 0.0, 1.0) if chosen.quick else (15, 0.5, 5.0)
    top = ceiling(100 if chosen.quick else 20_000)
    rows = []
    others = " | ".join(f"over {name}" for name in PEERS if name != "cpu")
    print(f"| batch, length, channels, state | what | cpu ms | {others} | G updates/s |")
    print("|---|---|---|---|---|---|---|")
    for size in QUICK if chosen.quick else SIZES:
        for what, seconds in compare(size, repeats, least, most).items():
            ours, updates = seconds["cpu"], float(np.prod(size))
            ratios = {name: seconds[name] / ours for name in PEERS if name != "cpu"}
            rows.append(
                {"size": size, "what": what, "seconds": seconds, "ratios": ratios, "updates_per_second": updates / ours}
            )
            columns = " | ".join(f"{ratio:.0f}x" for ratio in ratios.values())
            print(f"| {size} | {what} | {1e3 * ours:.2f} | {columns} | {updates / ours / 1e9:.2f} |")
    size = QUICK[0] if chosen.quick else SIZES[2]
    zigzag = order_cost(size, 3 if chosen.quick else 41)
    share = max(row["updates_per_second"] for row in rows if row["what"] == "forward") / top
    print(f"\nceiling {top / 1e9:.1f} G updates/s; the best forward reaches {100 * share:.0f} % of it")
    print(f"zigzag-8 over sweep at {size}: {zigzag:.3f}")
    whole = mixers(*((1, 4, 16, 2) if chosen.quick else (1, 32, 256, 7)))
    if whole is None:
        print("transformers is not installed; its mixer is left out")
    else:
        for what in ("forward", "both"):
            ratio = whole[f"transformers {what}"] / whole[f"cpu {what}"]
            print(f"mixer of transformers over ours, 1,024 tokens of width 256, {what}: {ratio:.0f}x")
    result = {
        "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "numba": numba.__version__,
        "ceiling_updates_per_second": top,
        "zigzag_over_sweep": zigzag,
        "rows": rows,
        "mixers": whole,
    }
    path = Path(chosen.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
