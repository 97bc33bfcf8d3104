"""What our Triton kernels take of GPUs that are not here: `python -m benchmarks.kernel_resources`.

Every kernel is compiled ahead of time, as the trainer would call it in bfloat16, for an A100, an H200 and a consumer
Blackwell. Registers, spilled bytes and shared memory are the assembler's. The roofline is the time in which the card
could move each tensor once, at the sizes of `benchmarks/gpu`: no kernel can be faster.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "0"  # before triton is imported

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from zigdemo.ops.gla import triton_kernels as gla
from zigdemo.ops.selective_scan import triton_backward, triton_conv, triton_kernels, triton_scan

TARGETS = {80: ("A100", 2.0e12), 90: ("H200", 4.8e12), 120: ("RTX 5090", 1.8e12)}  # compute capability: bytes a second
SCAN = {"WIDTH": triton_kernels.LANES, "ORDERED": True, "SHIFTED": True, "GATED": True}
FULL = {**SCAN, "SKIP": True, "JOINED": False, "TILE": triton_kernels.TILE}
JOIN = {"WIDTH": triton_kernels.LANES, "BACKWARD": True}
CONV = {"TAPS": 4, "ORDERED": True, "SILU": True, "WIDTH": triton_conv.WIDTH}
GLA = {"CHUNK": 64, "PAD": 64, "ORDERED": True, "EXACT": False}


def _scan(state: int) -> dict[str, tuple]:
    """The kernels of a scan with that size of the state, as `triton_scan` launches them."""
    forward, backward = triton_scan.shapes(state), triton_scan.shapes(state, backward=True)
    kernels = {
        "forward": (triton_kernels.walk, {**FULL, **forward, "SAVE": True, "OUTPUT": True}),
        "backward, states": (triton_backward.walk_back, {**SCAN, **forward}),
        "joining segments": (triton_kernels.join, {**JOIN, **forward}),
        "backward": (triton_backward.differentiate, {**FULL, **backward}),
    }
    return {
        f"scan of state {state}, {name}": (kernel, {k: v for k, v in values.items() if k != "num_warps"}, warps)
        for name, (kernel, values) in kernels.items()
        for warps in [values["num_warps"]]
    }


KERNELS = {
    **_scan(16),
    **_scan(8),
    "convolution forward": (triton_conv.forward_kernel, {**CONV, "RUNS": False}, 1),
    "convolution backward": (triton_conv.backward_kernel, {**CONV, "RUNS": False}, 1),
    "convolution backward in runs": (triton_conv.backward_kernel, {**CONV, "RUNS": True}, 1),
    "gla states": (gla.walk, {**GLA, "WIDTH": 64, "INITIAL": True}, 8),
    "gla scores": (gla.score, {**GLA, "BLOCK": 16}, 8),
    "gla outputs": (gla.attend, {**GLA, "WIDTH": 64}, 8),
    "gla backward, states": (gla.walk_back, {**GLA, "WIDTH": 64, "FINAL": True}, 8),
    "gla backward, values": (gla.differentiate_values, {**GLA, "WIDTH": 32}, 8),
    "gla backward, keys": (gla.differentiate_keys, {**GLA, "WIDTH": 32, "BLOCK": 16}, 8),
}
HALF = {"x", "dt", "B", "C", "z", "y", "dy", "dx", "ddt", "dz", "q", "k", "v", "g", "o", "do", "dq", "dk", "dv"}
HALF |= {"initial", "dfinal"}
SIZES = {"length", "channels", "span", "segments", "line", "heads", "keys", "values", "chunks"}
ROUND = {"length", "channels", "span", "line"}  # multiples of 16, as Triton knows when it compiles for a call
BATCH, LENGTH, CHANNELS, STATE = 8, 1024, 1536, 16  # of the scan's roofline
HEADS, DIM = 16, 64  # and of gated linear attention's, at the same batch and length


def compiled(kernel: triton.JITFunction, constants: dict, warps: int, capability: int) -> bytes:
    """The machine code of a kernel."""
    kinds = {}
    for name in kernel.arg_names:
        kinds[name] = "*bf16" if name in HALF else "i32" if name in SIZES else "*fp32"
    kinds |= {"perm": "*i64"} if "perm" in kinds else {}
    kinds |= {"scale": "fp32"} if "scale" in kinds else {}
    kinds |= dict.fromkeys(constants, "constexpr")
    aligned = [name for name, kind in kinds.items() if kind.startswith("*") or name in ROUND]
    attributes = {(kernel.arg_names.index(name),): [["tt.divisibility", 16]] for name in aligned}
    source = ASTSource(kernel, kinds, constants, attributes)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps}).asm["cubin"]


def resources(code: bytes) -> dict[str, int]:
    """Registers of a thread, bytes that it spills, and shared memory of a program."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        told = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    numbers = {name: int(value) for name, value in re.findall(r"(REG|STACK|SHARED|LOCAL):(\d+)", told)}
    return {"registers": numbers["REG"], "spilled": numbers["STACK"] + numbers["LOCAL"], "shared": numbers["SHARED"]}


def rooflines(bandwidth: float) -> dict[str, float]:
    """Milliseconds to move every tensor once: forward, and forward and backward, in bfloat16."""
    row, vectors = 2 * BATCH * LENGTH * CHANNELS, 2 * BATCH * LENGTH * STATE
    head = 2 * BATCH * LENGTH * HEADS * DIM
    moved = {
        "scan forward": 4 * row + 2 * vectors,  # x, dt, z and y; B and C
        "scan both": (4 + 7) * row + 8 * vectors,  # again x, dt, z, dy, and their gradients
        "convolution forward": 2 * row,
        "convolution both": 5 * row,
        "gla forward": 5 * head,  # q, k, v, gates and o
        "gla both": (5 + 9) * head,
    }
    return {name: 1e3 * each / bandwidth for name, each in moved.items()}


def main() -> None:
    """Compile, print two tables and write benchmarks/results/kernel_resources.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "kernel_resources.json"))
    chosen = parser.parse_args()
    result: dict[str, dict] = {"triton": triton.__version__, "kernels": {}, "rooflines_ms": {}}
    print("| kernel | card | registers | spilled bytes | shared bytes |\n|---|---|---|---|---|")
    for capability, (card, bandwidth) in TARGETS.items():
        for name, (kernel, constants, warps) in KERNELS.items():
            found = resources(compiled(kernel, constants, warps, capability))
            result["kernels"].setdefault(name, {})[card] = found
            print(f"| {name} | {card} | {found['registers']} | {found['spilled']} | {found['shared']} |", flush=True)
        result["rooflines_ms"][card] = rooflines(bandwidth)
    print(
        "\n| at batch 8, 1,024 tokens | " + " | ".join(card for card, _ in TARGETS.values()) + " |\n|---|---|---|---|"
    )
    for name in result["rooflines_ms"]["H200"]:
        row = (f"{result['rooflines_ms'][card][name]:.3f} ms" for card, _ in TARGETS.values())
        print(f"| {name} | " + " | ".join(row) + " |")
    Path(chosen.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
