"""The benchmarks run, on sizes too small to mean anything."""

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["selective_scan", "gla", "memory"])
def test_a_benchmark_runs_and_writes_its_result(name, tmp_path):
    pytest.importorskip("numba", reason="the CPU kernels need numba")
    if name == "selective_scan":
        pytest.importorskip("mambapy", reason="mambapy is a peer of this benchmark")
    out = tmp_path / "result.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(out.read_text())
