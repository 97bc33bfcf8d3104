"""All GPU measurements in one run: `benchmarks/gpu.sh OUT`, or `python -m benchmarks.gpu --out OUT`.

First every kernel against the float64 reference, then the table of speeds, then training recipes in order of value for
the remaining minutes. Each result is written as soon as it is known, so that an interrupted run keeps what it has.
`--dry` does the same on the CPU with tiny sizes and Triton's interpreter, to test the script.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from zigdemo.ops import backends, gated_linear_attention, selective_scan
from zigdemo.scans import ScanOrder, scan_scheme
from zigdemo.training.publishing.export import export
from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import Recipe, load_recipe

MOST_BYTES = 16 * 2**20  # a result file must not be larger
SIZES = [(8, 1024, 1536, 16), (2, 4096, 1536, 16), (1, 16384, 1536, 16)]
DRY_SIZES = [(1, 16, 32, 4)]
# (name, recipe, changes, share of the time left): the most valuable first, the last takes what remains.
RECIPES = [
    ("zigma-emoji", "zigma-emoji", {"precision": "bf16", "batch": 512, "lr": 2.0e-3}, 0.6),
    ("zigma-emoji-fine", "zigma-emoji", {"precision": "bf16", "batch": 256, "patch": 4}, 1.0),
]


def draw(
    size: tuple[int, int, int, int], device: torch.device, dtype: torch.dtype, seed: int = 0
) -> dict[str, Tensor | ScanOrder]:
    """Random arguments of a scan along a zigzag; parameters stay in float32 unless dtype is float64."""
    batch, length, channels, state = size
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    side = max(d for d in range(1, int(length**0.5) + 1) if length % d == 0)
    tensors = {
        "x": normal(batch, length, channels),
        "dt": normal(batch, length, channels) - 2,
        "A": -normal(channels, state).exp(),
        "B": normal(batch, length, state),
        "C": normal(batch, length, state),
        "D": normal(channels),
        "z": normal(batch, length, channels),
        "dt_bias": normal(channels),
    }
    wide = dtype if dtype == torch.float64 else torch.float32
    moved = {
        name: value.to(device, wide if name in ("A", "D", "dt_bias") else dtype) for name, value in tensors.items()
    }
    return moved | {"order": scan_scheme("zigzag-8").order(layer=1, grid=(side, length // side))}


def outcome(arguments: dict, backend: str) -> list[Tensor]:
    """Output and gradients of a scan, in float64 for comparison."""
    leaves = {k: v.detach().requires_grad_() for k, v in arguments.items() if isinstance(v, Tensor)}
    y = selective_scan(**{**arguments, **leaves}, backend=backend)
    weight = torch.linspace(-1, 1, y.numel(), device=y.device).reshape(y.shape)
    grads = torch.autograd.grad((y.float() * weight).sum(), list(leaves.values()))
    return [value.double() for value in (y.detach(), *grads)]


def usable(device: torch.device, asked: tuple[str, ...] = ("triton", "mamba_ssm")) -> Iterator[str]:
    """The GPU backends of the scan that run here."""
    for entry in backends.OPERATORS["selective_scan"]:
        fault = entry.fault(device, torch.float32)
        if entry.name in asked:
            if fault is None:
                yield entry.name
            else:
                print(f"{entry.name}: {fault}")


def correctness(device: torch.device, dry: bool) -> list[dict]:
    """Error of every backend in output and gradients, as a share of the norm of the float64 result."""
    rows = []
    sizes = [(1, 21, 20, 8)] if dry else [(2, 37, 100, 8), (2, 257, 96, 16), (1, 300, 70, 24), (1, 2048, 64, 64)]
    for size in sizes:
        for dtype, most in ((torch.float32, 1e-4), (torch.bfloat16, 1e-2)):  # results in bfloat16 have 8 bits
            arguments = draw(size, device, dtype)
            wide = {k: v.double() if isinstance(v, Tensor) else v for k, v in arguments.items()}
            exact = outcome(wide, "reference")
            for backend in usable(device):
                found = outcome(arguments, backend)
                errors = [((a - b).norm() / b.norm()).item() for a, b in zip(found, exact, strict=True)]
                good = all(error < most for error in errors)
                rows.append({"size": size, "backend": backend, "dtype": str(dtype), "good": good, "errors": errors})
                print(f"{backend} {size} {dtype}: output {errors[0]:.1e}, gradients {max(errors[1:]):.1e}", flush=True)
    return rows


def heads(size: tuple[int, int, int, int], device: torch.device, dtype: torch.dtype) -> list[Tensor]:
    """q, k, v and log gates of gated linear attention, (batch, length, heads, dim), gates down to -20 per token."""
    batch, length, count, dim = size
    generator = torch.Generator().manual_seed(0)
    q, k, v, gate = (torch.randn(batch, length, count, dim, generator=generator) for _ in range(4))
    return [value.to(device, dtype) for value in (q, k, v, -20 * torch.sigmoid(gate - 4))]


def attention_correctness(device: torch.device, dry: bool) -> list[dict]:
    """The same for gated linear attention, by every backend that runs on the device."""
    rows = []
    for size in [(1, 21, 2, 8)] if dry else [(2, 77, 3, 32), (1, 1000, 4, 64)]:
        values = heads(size, device, torch.float32)
        exact = gated_linear_attention(*(value.double() for value in values), backend="reference")
        for entry in backends.OPERATORS["gated_linear_attention"]:
            if entry.name == "reference" or entry.fault(device, torch.float32) is not None:
                continue
            found = gated_linear_attention(*values, backend=entry.name).double()
            error = ((found - exact).norm() / exact.norm()).item()
            # fla multiplies its chunks in TF32
            rows.append({"size": size, "backend": entry.name, "good": error < 5e-3, "errors": [error]})
            print(f"gla {entry.name} {size}: output {error:.1e}", flush=True)
    return rows


def attention_speed(device: torch.device, dry: bool) -> list[dict]:
    """Seconds of gated linear attention and of softmax attention (torch's fused kernel), forward, bf16."""
    rows = []
    for size in [(1, 32, 2, 8)] if dry else [(2, 4096, 24, 64), (1, 16384, 24, 64)]:
        q, k, v, gate = heads(size, device, torch.bfloat16)
        row: dict = {"size": size}
        turned = [value.transpose(1, 2) for value in (q, k, v)]
        repeats = 2 if dry else 20
        row["softmax"] = seconds(lambda t=turned: F.scaled_dot_product_attention(*t), device, repeats)
        backend = backends.choose("gated_linear_attention", "auto", device, torch.bfloat16)
        if backend != "reference":
            values = (q, k, v, gate)
            row[backend] = seconds(lambda a=values, b=backend: gated_linear_attention(*a, backend=b), device, repeats)
        print(" ".join(f"{name}={value}" for name, value in row.items()), flush=True)
        rows.append(row)
    return rows


def seconds(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median seconds of a call, on a GPU between events, after three warm-up calls."""
    for _ in range(3):
        work()
    times = []
    for _ in range(repeats):
        if device.type == "cuda":
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            work()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1e3)
        else:
            started = time.perf_counter()
            work()
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def speed(device: torch.device, dry: bool) -> list[dict]:
    """Seconds of the scan by backend, forward and forward+backward, in bf16; the two gathers alone for comparison."""
    rows = []
    for size in DRY_SIZES if dry else SIZES:
        arguments = draw(size, device, torch.bfloat16)
        perm = torch.from_numpy(arguments["order"].perm.copy()).to(device)
        leaves = {k: v.requires_grad_() for k, v in arguments.items() if isinstance(v, Tensor)}
        ones = torch.ones_like(arguments["x"])

        def forward(backend: str, arguments: dict = arguments) -> None:
            with torch.no_grad():
                selective_scan(**arguments, backend=backend)

        def both(backend: str, arguments: dict = arguments, leaves: dict = leaves, ones: Tensor = ones) -> None:
            y = selective_scan(**arguments, backend=backend)
            torch.autograd.grad(y, list(leaves.values()), ones)

        def gathers(arguments: dict = arguments, perm: Tensor = perm) -> None:
            with torch.no_grad():
                for name in ("x", "dt", "z", "B", "C"):
                    arguments[name][:, perm].transpose(1, 2).contiguous()

        row: dict = {"size": size, "gathers": seconds(gathers, device, 3 if dry else 20)}
        for backend in usable(device):
            for what, work in (("forward", forward), ("both", both)):
                row[f"{backend} {what}"] = seconds(lambda w=work, b=backend: w(b), device, 2 if dry else 20)
        if device.type == "cuda":
            row["peak_bytes"] = torch.cuda.max_memory_allocated()
        print(" ".join(f"{k}={v if k == 'size' else round(v, 6)}" for k, v in row.items()), flush=True)
        rows.append(row)
    return rows


def plan(name: str, recipe: str, changes: dict, data: str, work: Path, dry: bool) -> Recipe:
    """The recipe to run, with its own run folder; a dry run shrinks it to almost nothing."""
    changes = dict(changes)
    base = load_recipe(Path("zigdemo/training/recipes") / f"{recipe}.yaml")
    model = {**base.model, **({"patch": changes.pop("patch")} if "patch" in changes else {})}
    if dry:
        changes.update(batch=2, precision="fp32")
        model.update(width=16, depth=1, patch=16, state_size=2, refine=4)
    return replace(base, name=name, data=data, run=str(work / name), model=model, init=None, **changes)


def train(recipe: Recipe, minutes: float, out: Path, dry: bool) -> dict:
    """Train for about `minutes`: the speed of a few steps sets their number; the model is returned as one zip."""
    trial = 2 if dry else 60
    quiet = {"log_every": 100_000, "save_every": 100_000, "sample_every": 100_000}
    probe = Training(replace(recipe, run=recipe.run + "-trial", steps=trial, cooldown=0, warmup=0, **quiet))
    for _ in range(trial // 2):
        probe.update()
        probe.step += 1
    started = time.perf_counter()
    for _ in range(trial // 2):
        loss = probe.update()
        probe.step += 1
    loss.item()
    step_seconds = (time.perf_counter() - started) / (trial // 2)
    del probe
    steps = trial if dry else max(trial, int(0.9 * minutes * 60 / step_seconds))
    shape = {"steps": steps, "warmup": min(200, steps // 10), "cooldown": steps // 4}
    often = {"log_every": max(1, steps // 50), "save_every": max(1, steps // 4), "sample_every": steps}
    folder = Training(replace(recipe, ema_halflife=max(1.0, steps / 60), **shape, **often)).run()
    model = export(folder, folder / "model", origin="shipped (toy)", count=4 if dry else 400, force=True)
    with zipfile.ZipFile(out / f"{recipe.name}.zip", "w", zipfile.ZIP_STORED) as archive:
        for path in sorted((folder / "model").iterdir()):
            archive.write(path, path.name)
        archive.write(folder / "metrics.jsonl", "metrics.jsonl")
    return {"name": recipe.name, "steps": steps, "step_seconds": step_seconds, "about": model.about}


def main() -> int:
    """Run all parts; exit status 1 if a kernel was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="folder for the results")
    parser.add_argument("--minutes", type=float, default=9.0, help="time for everything")
    parser.add_argument("--wheels", help="read by gpu.sh")
    parser.add_argument("--data", default="data/fluent-emoji", help="prepared pictures for the training")
    parser.add_argument("--dry", action="store_true", help="tiny sizes on the CPU")
    chosen = parser.parse_args()
    started, out = time.monotonic(), Path(chosen.out)
    out.mkdir(parents=True, exist_ok=True)
    if not chosen.dry and not torch.cuda.is_available():
        print("there is no GPU here; use --dry to see that the script runs", file=sys.stderr)
        return 2
    device = torch.device("cpu" if chosen.dry else "cuda")
    results: dict = {"torch": torch.__version__}
    if device.type == "cuda":
        results["gpu"] = torch.cuda.get_device_name()

    def keep(name: str, value: object) -> None:
        results[name] = value
        (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")

    keep("correctness", correctness(device, chosen.dry) + attention_correctness(device, chosen.dry))
    keep("speed", speed(device, chosen.dry))
    keep("attention_speed", attention_speed(device, chosen.dry))
    work, models = out / "work", []
    for name, recipe, changes, share in RECIPES:
        left = chosen.minutes - (time.monotonic() - started) / 60 - 0.5
        if left * share < 1 and not chosen.dry:
            print(f"no time left for {name}")
            break
        models.append(train(plan(name, recipe, changes, chosen.data, work, chosen.dry), left * share, out, chosen.dry))
        keep("models", models)
    shutil.rmtree(work, ignore_errors=True)
    large = [path.name for path in out.iterdir() if path.stat().st_size > MOST_BYTES]
    if large:
        print(f"larger than 16 MiB: {', '.join(large)}", file=sys.stderr)
    return 0 if all(row["good"] for row in results["correctness"]) else 1


if __name__ == "__main__":
    sys.exit(main())
