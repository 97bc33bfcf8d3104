"""Generation time relative to the network's matrix products: `python -m benchmarks.generation`.

Four pictures, 25 Heun steps, guidance 2, after a warm-up. The matrix products are every linear and convolution call of
the same run, recorded and replayed on the same tensors: the difference is the cost of everything else, the scans,
norms, gates, guidance and previews.

Portraits are timed as on the page: four with the model's default settings, and one live, with four Euler steps, both
including text encoding and decoding.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from zigdemo.ops import backends
from zigdemo.ops.heap import keep_freed_memory
from zigdemo.pipeline import Pipeline, Request

LIVE_STEPS = 4
PRODUCTS = (F.linear, F.conv2d, torch.conv2d, F.conv1d)


class Products(TorchFunctionMode):
    """Records every linear and convolution call with its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple] = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in PRODUCTS:
            self.calls.append((function, args, kwargs or {}))
        return function(*args, **(kwargs or {}))


def measure(model: str, steps: int, repeats: int) -> dict[str, float]:
    """Median seconds of the request and of its matrix products alone, interleaved."""
    pipe = Pipeline.load(model, dtype="fp32")  # the products are replayed outside autocast
    label = pipe.labels[0] if pipe.labels else None
    request = Request(model, label=label, count=4, steps=steps, guidance=2.0)
    pipe(Request(model, label=label, count=1, steps=1))
    with Products() as products:  # of one call, which all four pictures share where that is quicker
        pipe(Request(model, label=label, count=4, steps=1, guidance=2.0, solver="euler"))
    calls = 2 * steps

    @torch.inference_mode()
    def replay() -> None:
        for _ in range(calls):
            for function, args, kwargs in products.calls:
                function(*args, **kwargs)

    replay()
    whole, alone = [], []
    for _ in range(repeats):
        started = time.perf_counter()
        pipe(request)
        whole.append(time.perf_counter() - started)
        started = time.perf_counter()
        replay()
        alone.append(time.perf_counter() - started)
    return {
        "seconds": statistics.median(whole),
        "products_seconds": statistics.median(alone),
        "ratio": statistics.median(a / b for a, b in zip(whole, alone, strict=True)),
        "products_per_call": len(products.calls),
    }


def measure_portraits(model: str, repeats: int) -> dict[str, float]:
    """Median seconds, after a warm-up, of four portraits by default settings and of one by four Euler steps."""
    pipe = Pipeline.load(model)
    prompts = iter(f"a smiling person with {colour} hair" for _ in range(repeats + 1) for colour in ("red", "blue"))
    cases = {"four": {"count": 4}, "live": {"count": 1, "solver": "euler", "steps": LIVE_STEPS}}
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats + 1):
        for name, settings in cases.items():
            request = pipe.request(prompt=next(prompts), **settings)
            started = time.perf_counter()
            pipe(request)
            seconds[name].append(time.perf_counter() - started)
    steps = pipe.request().steps
    return {"model": model, "steps": steps, **{name: statistics.median(taken[1:]) for name, taken in seconds.items()}}


def main() -> None:
    """Measure, print and write benchmarks/results/generation.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="zigma-emoji")
    parser.add_argument("--portraits", default="zigma-portraits", help="a model of portraits; empty for none")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "generation.json"))
    chosen = parser.parse_args()
    keep_freed_memory()
    backends.warm_up()
    found = measure(chosen.model, chosen.steps, chosen.repeats)
    found |= {"model": chosen.model, "steps": chosen.steps, "threads": torch.get_num_threads()}
    found |= {"torch": torch.__version__, "machine": platform.processor() or platform.machine()}
    if chosen.portraits:
        found["portraits"] = measure_portraits(chosen.portraits, chosen.repeats)
    path = Path(chosen.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(f"four pictures, {chosen.steps} Heun steps: {found['seconds']:.2f} s")
    print(f"their matrix products alone: {found['products_seconds']:.2f} s, ratio {found['ratio']:.2f}")
    if chosen.portraits:
        row = found["portraits"]
        took = f"{row['four']:.2f} s, one live: {row['live']:.2f} s"
        print(f"four portraits of {row['model']}, {row['steps']} steps: {took}")


if __name__ == "__main__":
    main()
