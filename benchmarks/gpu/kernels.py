"""The kernels on a GPU: every one against the float64 reference, and their speed beside what peers and memory allow."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from zigdemo.ops import backends, gated_linear_attention, selective_scan
from zigdemo.scans import ScanOrder, scan_scheme

SIZES = [(64, 256, 1536, 16), (8, 1024, 1536, 16), (2, 4096, 1536, 16), (1, 16384, 1536, 16)]
DRY_SIZES = [(1, 16, 32, 4)]
HEADS = [(8, 1024, 16, 64), (2, 4096, 16, 64), (1, 16384, 16, 64)]
COPY_BYTES = 2**30  # moved to find the bandwidth of the card


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


def correctness(device: torch.device, dry: bool) -> Iterator[dict]:
    """Error of every backend in output and gradients, as a share of the norm of the float64 result."""
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
                yield {"size": size, "backend": backend, "dtype": str(dtype), "good": good, "errors": errors}
                print(f"{backend} {size} {dtype}: output {errors[0]:.1e}, gradients {max(errors[1:]):.1e}", flush=True)


def heads(size: tuple[int, int, int, int], device: torch.device, dtype: torch.dtype) -> list[Tensor]:
    """q, k, v and log gates of gated linear attention, (batch, length, heads, dim), gates down to -20 per token."""
    batch, length, count, dim = size
    generator = torch.Generator().manual_seed(0)
    q, k, v, gate = (torch.randn(batch, length, count, dim, generator=generator) for _ in range(4))
    return [value.to(device, dtype) for value in (q, k, v, -20 * torch.sigmoid(gate - 4))]


def attention_backends(device: torch.device, fla: bool) -> list[str]:
    """The GPU backends of gated linear attention that run here; flash-linear-attention's only where asked for."""
    entries = backends.OPERATORS["gated_linear_attention"]
    asked = ("triton", "fla") if fla else ("triton",)
    return [entry.name for entry in entries if entry.name in asked and entry.fault(device, torch.float32) is None]


def attention_correctness(device: torch.device, dry: bool, fla: bool) -> Iterator[dict]:
    """The same for gated linear attention, in output and gradients."""
    for size in [(1, 21, 2, 8)] if dry else [(2, 77, 3, 32), (1, 1000, 4, 64), (1, 300, 2, 128)]:
        for dtype, most in ((torch.float32, 1e-4), (torch.bfloat16, 2e-2)):
            values = heads(size, device, dtype)
            exact = attention_outcome([value.double() for value in values], "reference")
            for backend in attention_backends(device, fla):
                found = attention_outcome(values, backend)
                errors = [((a - b).norm() / b.norm()).item() for a, b in zip(found, exact, strict=True)]
                # fla multiplies its chunks in TF32, also in float32
                good = all(error < (5e-3 if backend == "fla" else most) for error in errors)
                row = {"size": size, "backend": f"gla {backend}", "dtype": str(dtype), "good": good, "errors": errors}
                yield row
                print(
                    f"gla {backend} {size} {dtype}: output {errors[0]:.1e}, gradients {max(errors[1:]):.1e}", flush=True
                )


def attention_outcome(values: list[Tensor], backend: str) -> list[Tensor]:
    """Output and gradients of gated linear attention, in float64 for comparison."""
    leaves = [value.detach().requires_grad_() for value in values]
    o = gated_linear_attention(*leaves, backend=backend)
    weight = torch.linspace(-1, 1, o.numel(), device=o.device).reshape(o.shape)
    grads = torch.autograd.grad((o.float() * weight).sum(), leaves)
    return [value.double() for value in (o.detach(), *grads)]


def attention_speed(device: torch.device, dry: bool, fla: bool) -> Iterator[dict]:
    """Seconds of gated linear attention and of softmax attention (torch's fused kernel), forward and both, bf16."""
    repeats = 2 if dry else 20
    for size in [(1, 32, 2, 8)] if dry else HEADS:
        leaves = [value.requires_grad_() for value in heads(size, device, torch.bfloat16)]
        q, k, v, _ = leaves
        ones = torch.ones_like(v)

        def softmax(q: Tensor = q, k: Tensor = k, v: Tensor = v) -> Tensor:
            turned = F.scaled_dot_product_attention(*(value.transpose(1, 2) for value in (q, k, v)))
            return turned.transpose(1, 2)

        works: dict[str, Callable[[], Tensor]] = {"softmax": softmax}
        for backend in attention_backends(device, fla):
            works[backend] = lambda given=leaves, name=backend: gated_linear_attention(*given, backend=name)
        row: dict = {"size": size}
        for name, work in works.items():
            inputs = leaves[:3] if name == "softmax" else leaves
            started = time.perf_counter()
            with torch.no_grad():
                work()
                row[f"{name} first"] = time.perf_counter() - started  # with compiling or tuning
                row[f"{name} forward"] = seconds(work, device, repeats)
            row[f"{name} both"] = seconds(
                lambda w=work, g=inputs, o=ones: torch.autograd.grad(w(), g, o), device, repeats
            )
        print(" ".join(f"{name}={value}" for name, value in row.items()), flush=True)
        yield row


def bandwidth(device: torch.device, dry: bool) -> float:
    """Bytes a second that a copy reads and writes on this card."""
    source = torch.empty(2**16 if dry else COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / seconds(lambda: target.copy_(source), device, 2 if dry else 10)


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


def speed(device: torch.device, dry: bool) -> Iterator[dict]:
    """Seconds of the scan by backend, forward and forward+backward, in bf16; the two gathers alone for comparison.

    share: of the card's bandwidth that the forward pass uses, if it reads and writes every tensor once.
    """
    speed_of_memory = bandwidth(device, dry)
    for size in DRY_SIZES if dry else SIZES:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
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
        moved = sum(arguments[name].nbytes for name in ("x", "dt", "z", "B", "C")) + arguments["x"].nbytes
        for backend in usable(device):
            row[f"{backend} share"] = moved / row[f"{backend} forward"] / speed_of_memory
        if device.type == "cuda":
            row["peak_bytes"] = torch.cuda.max_memory_allocated()
        print(" ".join(f"{k}={v if k == 'size' else round(v, 6)}" for k, v in row.items()), flush=True)
        yield row
