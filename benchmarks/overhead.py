"""Sampling time relative to the time of its network calls: `python -m benchmarks.overhead`.

Four pictures, 50 Euler steps, guidance 2, after a warm-up, without previews and with previews of every picture in every
step. Network calls are timed in the same run: the difference is the cost of everything else, noise, guidance, solver,
conversions and pictures. Limits: 1.03 without, 1.10 with previews.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from zigdemo.ops import backends
from zigdemo.ops.heap import keep_freed_memory
from zigdemo.pipeline import Pipeline, Request

BARS = {"off": 1.03, "on": 1.10}


class NetworkClock:
    """Total seconds and number of a network's calls."""

    def __init__(self, network: nn.Module) -> None:
        self.seconds, self.calls, self._began = 0.0, 0, 0.0
        network.register_forward_pre_hook(self._before)
        network.register_forward_hook(self._after)

    def _before(self, network: nn.Module, inputs: tuple) -> None:
        self._began = time.perf_counter()

    def _after(self, network: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        self.seconds += time.perf_counter() - self._began
        self.calls += 1


def measure(model: str, steps: int, repeats: int) -> dict[str, dict[str, float]]:
    """Median seconds and ratio of the same request with previews off and on, interleaved."""
    pipe = Pipeline.load(model, device="cpu")  # on a GPU a call returns before it is done
    clock = NetworkClock(pipe.network)
    label = pipe.labels[0] if pipe.labels else None
    request = Request(model, label=label, count=4, solver="euler", steps=steps)
    pipe(Request(model, label=label, count=1, steps=2))
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in BARS}
    for _ in range(repeats):
        for name, found in rows.items():
            clock.seconds, clock.calls = 0.0, 0
            started = time.perf_counter()
            for _step in pipe.stream(request, previews=name == "on"):
                pass
            found.append((time.perf_counter() - started, clock.seconds))
    return {
        name: {
            "seconds": statistics.median(whole for whole, _ in found),
            "network_seconds": statistics.median(network for _, network in found),
            "ratio": statistics.median(whole / network for whole, network in found),
            "bar": BARS[name],
            "network_calls": clock.calls,
        }
        for name, found in rows.items()
    }


def main() -> None:
    """Measure, print and write benchmarks/results/overhead.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="zigma-emoji")
    parser.add_argument("--quick", action="store_true", help="two steps, to see that it runs")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "overhead.json"))
    chosen = parser.parse_args()
    keep_freed_memory()
    backends.warm_up()
    steps, repeats = (2, 1) if chosen.quick else (50, chosen.repeats)
    result = {"model": chosen.model, "steps": steps, "pictures": 4, "previews": measure(chosen.model, steps, repeats)}
    result |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
    result |= {"machine": platform.processor() or platform.machine()}
    path = Path(chosen.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    for name, row in result["previews"].items():
        print(f"previews {name}: {row['seconds']:.2f} s, {row['ratio']:.3f} times its network calls (bar {row['bar']})")


if __name__ == "__main__":
    main()
