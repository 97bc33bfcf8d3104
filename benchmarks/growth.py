"""Time and peak memory of one operator of each backbone against the number of tokens: `python -m benchmarks.growth`.

Selective scan along a zigzag (16 states), bidirectional S4D (16 modes), gated linear attention (4 heads, half as many
keys as values) and softmax attention (4 heads) for comparison, all of the same width, batch 1, without and with
gradients. Every point runs in a separate process, so that none inherits another's memory: the time is that of the
fastest run after a warm-up, the memory the highest resident size beyond that of the inputs. The exponent is the slope
of a least-squares line through the logarithms, from 4,096 tokens on. Softmax attention with gradients stops where a run
would take longer than the others together.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import torch

from zigdemo.explain.operators import OPERATORS, WIDTH, least_seconds, operator_call
from zigdemo.ops.heap import keep_freed_memory

TOKENS = [256, 1024, 4096, 8192, 16384, 32768, 65536]
QUICK = [16, 64]
FIT_FROM = 4096
MOST_ATTENTION = 16384  # tokens of softmax attention with gradients


def _peak_kb() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def measure(kind: str, tokens: int, training: bool, seconds: float) -> dict[str, float]:
    """Least seconds and peak kilobytes of one call in this process."""
    call = operator_call(kind, tokens, training)
    operator_call(kind, 16, training)()  # compiles, loads libraries
    before = _peak_kb()
    call()
    peak = _peak_kb() - before
    return {"seconds": least_seconds(call, seconds), "peak_kb": peak}


def measure_apart(kind: str, tokens: int, mode: str) -> dict[str, float]:
    """`measure` in a separate process, as peak memory never decreases within one."""
    command = [sys.executable, "-m", "benchmarks.growth", "--point", kind, str(tokens), mode]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def exponent(points: list[dict], quantity: str) -> float | None:
    """Slope of log(quantity) over log(tokens) from FIT_FROM tokens on; None for fewer than two points."""
    logs = [(math.log(p["tokens"]), math.log(max(p[quantity], 1e-9))) for p in points if p["tokens"] >= FIT_FROM]
    if len(logs) < 2:
        return None
    middle = [statistics.mean(axis) for axis in zip(*logs, strict=True)]
    spread = sum((x - middle[0]) ** 2 for x, _ in logs)
    return sum((x - middle[0]) * (y - middle[1]) for x, y in logs) / spread


def plot(curves: dict[str, list[dict]], path: Path) -> bool:
    """Two log-log plots, time and memory, with gradients; False if matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for axis, quantity, unit in ((axes[0], "seconds", 1.0), (axes[1], "peak_kb", 1 / 1024)):
        for name, points in curves.items():
            drawn = [(p["tokens"], p[quantity] * unit) for p in points if p[quantity] > 0]
            slope = exponent(points, quantity)
            label = name if slope is None else f"{name}: exponent {slope:.2f}"
            axis.loglog(*zip(*drawn, strict=True), marker="o", label=label)
        axis.set_xlabel("tokens")
        axis.set_ylabel("seconds" if quantity == "seconds" else "peak MB over the inputs")
        axis.grid(True, which="both", alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(f"One operator, width {WIDTH}, batch 1, forward and backward, {torch.get_num_threads()} threads")
    figure.savefig(path, dpi=110)
    return True


def main() -> None:
    """Measure every point in a separate process, print exponents, and write growth.json and growth.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes in one process, to see that it runs")
    parser.add_argument("--point", nargs=3, metavar=("KIND", "TOKENS", "MODE"), help="measure one point and print it")
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "growth.json"))
    chosen = parser.parse_args()
    if chosen.point:
        keep_freed_memory()
        kind, tokens, mode = chosen.point
        print(json.dumps(measure(kind, int(tokens), mode == "training", 0.5)))
        return
    result: dict = {"machine": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
    result |= {"torch": torch.__version__, "width": WIDTH, "curves": {}, "exponents": {}}
    for mode in ("forward", "training"):
        for kind in OPERATORS:
            points = []
            for tokens in QUICK if chosen.quick else TOKENS:
                if kind == "softmax attention" and mode == "training" and tokens > MOST_ATTENTION:
                    break
                if chosen.quick:
                    found = measure(kind, tokens, mode == "training", 0.05)
                else:
                    found = measure_apart(kind, tokens, mode)
                points.append({"tokens": tokens, **found})
            result["curves"].setdefault(mode, {})[kind] = points
            slopes = {quantity: exponent(points, quantity) for quantity in ("seconds", "peak_kb")}
            result["exponents"].setdefault(mode, {})[kind] = slopes
            last = points[-1]
            words = ", ".join(f"{name} grows as tokens^{s:.2f}" for name, s in slopes.items() if s is not None)
            print(f"{kind}, {mode}: {1e3 * last['seconds']:.1f} ms at {last['tokens']} tokens; {words}", flush=True)
    path = Path(chosen.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    if not plot(result["curves"]["training"], path.with_suffix(".png")):
        print("matplotlib is not installed; no plot was drawn")


if __name__ == "__main__":
    main()
