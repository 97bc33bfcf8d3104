"""What only the Triton backend has: segments that run at once, and code that compiles for GPUs that are not here."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from waiting import PATIENCE

from zigdemo.ops import backends

FAULT = backends.OPERATORS["selective_scan"][1].fault(torch.device("cpu"), torch.float32)
pytestmark = pytest.mark.skipif(FAULT is not None, reason=str(FAULT))


@pytest.mark.parametrize("pieces", [(16, 4), (32, 2)])
@pytest.mark.parametrize("ordered", [False, True])
def test_segments_give_what_one_walk_gives(pieces, ordered):
    from zigdemo.ops.selective_scan import reference, triton_scan

    generator = torch.Generator().manual_seed(0)
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    values = [normal(1, 50, 33), normal(1, 50, 33), -normal(33, 5).exp(), normal(1, 50, 5), normal(1, 50, 5)]
    values += [normal(33), normal(1, 50, 33), normal(33)]
    perm = torch.from_numpy(np.random.default_rng(0).permutation(50)) if ordered else None
    weight = normal(1, 50, 33)

    def run(scan, kind, **more):
        leaves = [value.to(kind).requires_grad_() for value in values]
        y = scan(*leaves, perm, **more)
        return [y.detach(), *torch.autograd.grad((y * weight.to(kind)).sum(), leaves)]

    exact = run(reference.selective_scan, torch.float64)
    for found, wanted in zip(run(triton_scan.selective_scan, torch.float32, pieces=pieces), exact, strict=True):
        assert (found - wanted).abs().max() < 2e-5 * wanted.std()


def test_the_sequence_is_cut_until_it_fills_the_chip(monkeypatch):
    from zigdemo.ops.selective_scan import triton_scan

    class Chip:
        multi_processor_count = 132

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Chip)
    gpu = torch.device("cuda")
    assert triton_scan.split(64, 1024, 1536, gpu) == (1024, 1), "batch and channels fill it alone"
    span, segments = triton_scan.split(1, 16384, 1536, gpu)
    assert segments * 48 > 0.9 * 132 * 16 and span % triton_scan.TILE == 0 and span * segments >= 16384
    assert triton_scan.split(1, 7, 8, gpu)[1] == 1, "no shorter than four tiles"


COMPILE = """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from zigdemo.ops.gla import triton_kernels as gla
    from zigdemo.ops.selective_scan import triton_conv, triton_kernels

    SCAN = {"STATE": 16, "PAD": 16, "WIDTH": 32, "ORDERED": True, "SHIFTED": True, "GATED": True}
    CONV = {"TAPS": 4, "ORDERED": True, "SILU": True, "ROWS": 16, "WIDTH": 64}
    GLA = {"CHUNK": 64, "PAD": 64, "ORDERED": True, "EXACT": False}
    KERNELS = [
        (triton_kernels.walk, {**SCAN, "SKIP": True, "SAVE": True, "OUTPUT": True, "TILE": 16}),
        (triton_kernels.walk_back, SCAN),
        (triton_kernels.join, {"STATE": 16, "PAD": 16, "WIDTH": 32, "BACKWARD": True}),
        (triton_kernels.differentiate, {**SCAN, "SKIP": True, "TILE": 16}),
        (triton_conv.forward_kernel, CONV),
        (triton_conv.backward_kernel, CONV),
        (gla.walk, {**GLA, "WIDTH": 64, "INITIAL": True}),
        (gla.walk_back, {**GLA, "WIDTH": 64, "FINAL": True}),
        (gla.score, {**GLA, "BLOCK": 16}),
        (gla.attend, {**GLA, "WIDTH": 64}),
        (gla.differentiate_values, {**GLA, "WIDTH": 32}),
        (gla.differentiate_keys, {**GLA, "WIDTH": 32, "BLOCK": 16}),
    ]
    HALF = ("x", "dt", "B", "C", "z", "y", "dy", "dx", "ddt", "dz", "q", "k", "v", "g", "o", "do", "dq", "dk", "dv")
    HALF += ("initial", "dfinal")
    SIZES = ("length", "channels", "span", "segments", "heads", "keys", "values", "chunks")
    for kernel, constants in KERNELS:
        kinds = {name: "*fp32" for name in kernel.arg_names}
        kinds.update({name: "*bf16" for name in HALF if name in kinds}, **{n: "i32" for n in SIZES if n in kinds})
        kinds.update({"scale": "fp32"} if "scale" in kinds else {})
        kinds.update({"perm": "*i64"} if "perm" in kinds else {}, **{name: "constexpr" for name in constants})
        source = ASTSource(kernel, kinds, constants)
        target, warps = GPUTarget("cuda", 90, 32), 8 if "CHUNK" in constants else 1
        made = triton.compile(source, target=target, options={"num_warps": warps})
        assert made.asm["cubin"]
    print("compiled")
"""


def test_the_kernels_compile_for_a_gpu_that_is_not_here(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(COMPILE)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)},
    )
    if "No such file" in done.stderr and "ptxas" in done.stderr:
        pytest.skip("this Triton comes without the assembler of CUDA")
    assert done.stdout.strip() == "compiled", done.stderr[-1500:]
