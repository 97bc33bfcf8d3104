"""Variants of the scan's and the convolution's kernels, timed: `python -m benchmarks.gpu.variants [--dry]`.

One line per variant and size: milliseconds forward, and forward and backward, beside mamba_ssm's where it is there.
Stops after `--seconds`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from zigdemo.ops import causal_conv, selective_scan
from zigdemo.ops.selective_scan import triton_conv, triton_scan

from .kernels import draw, seconds, usable

SIZES = [(8, 1024, 1536, 16), (64, 256, 1536, 16), (2, 4096, 1536, 16), (1, 16384, 1536, 16)]
SIZES += [(512, 64, 448, 8), (2048, 16, 448, 8)]
SCANS: dict[str, dict[str, int]] = {
    "chosen": {},
    "decays computed again": {"KEEP": False},
    "in one part": {"PARTS": 1},
    "at most 168 registers": {"KEEP": False, "maxnreg": 168},
}
LINES = (64, 32, 128)  # tokens of a program of the convolution


def timed(work: Callable[[], Tensor], leaves: list[Tensor], device: torch.device, repeats: int) -> str:
    """Milliseconds forward, and forward and backward."""
    ones = torch.ones_like(work())
    with torch.no_grad():
        forward = seconds(work, device, repeats)
    both = seconds(lambda: torch.autograd.grad(work(), leaves, ones), device, repeats)
    return f"forward {1e3 * forward:.3f} ms, both {1e3 * both:.3f} ms"


def main() -> None:
    """Time every variant at every size."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu.variants", description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--dry", action="store_true", help="tiny sizes on the CPU")
    chosen = parser.parse_args()
    device, end = torch.device("cpu" if chosen.dry else "cuda"), time.monotonic() + chosen.seconds
    repeats = 1 if chosen.dry else 10
    for size in [(1, 9, 33, 16)] if chosen.dry else SIZES:
        arguments = draw(size, device, torch.bfloat16)
        leaves = [value.requires_grad_() for value in arguments.values() if isinstance(value, Tensor)]
        works = [(name, settings, "triton") for name, settings in SCANS.items()]
        works += [("mamba_ssm", {}, name) for name in usable(device, ("mamba_ssm",))]
        for name, settings, backend in works:
            if time.monotonic() > end:
                return
            triton_scan.BACKWARD_SETTINGS = settings
            try:
                result = timed(lambda a=arguments, b=backend: selective_scan(**a, backend=b), leaves, device, repeats)
            except Exception as fault:  # a variant that does not compile must not end the others
                result = f"failed: {fault!r:.200}"
            print(f"scan {size}, {name}: {result}", flush=True)
        triton_scan.BACKWARD_SETTINGS = {}
        x, order = arguments["x"], arguments["order"]
        weight = torch.randn(size[2], 4, device=device, requires_grad=True)
        bias = torch.zeros(size[2], device=device, requires_grad=True)
        for line in LINES:
            triton_conv.LINE = line
            result = timed(
                lambda x=x, w=weight, b=bias, o=order: causal_conv(x, w, b, order=o, backend="triton"),
                [x, weight, bias], device, repeats,
            )  # fmt: skip
            print(f"convolution {size}, lines of {line}: {result}", flush=True)
        triton_conv.LINE = LINES[0]


if __name__ == "__main__":
    main()
