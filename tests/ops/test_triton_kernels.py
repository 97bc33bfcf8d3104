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


@pytest.mark.parametrize(("length", "runs"), [(63, 1), (64, 1), (67, 1), (130, 1), (132, 2), (130, 26)])
@pytest.mark.parametrize("taps", [1, 4])
def test_lines_of_the_convolution_meet_without_a_seam(length, runs, taps):
    from zigdemo.ops.selective_scan import reference, triton_conv

    generator = torch.Generator().manual_seed(length)
    values = [torch.randn(*shape, generator=generator) for shape in ((2, length, 67), (67, taps), (67,))]
    perm = torch.from_numpy(np.random.default_rng(length).permutation(length))

    def run(conv, kind):
        leaves = [value.to(kind).requires_grad_() for value in values]
        y = conv(*leaves, perm, True, runs)
        return [y.detach(), *torch.autograd.grad(y.square().sum(), leaves)]

    exact = run(reference.causal_conv, torch.float64)
    for found, wanted in zip(run(triton_conv.causal_conv, torch.float32), exact, strict=True):
        assert (found - wanted).abs().max() < 2e-5 * wanted.abs().max()


COMPILE = """
    from benchmarks.kernel_resources import KERNELS, compiled

    assert len(KERNELS) >= 12
    for kernel, constants, warps in KERNELS.values():
        assert compiled(kernel, constants, warps, 90)
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
