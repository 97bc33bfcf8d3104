"""Seconds and memory of loading a large model: `python -m benchmarks.loading`.

A DiT-XL/2 (675 M weights, 2.7 GB in float32) with random weights is written to a temporary folder and loaded by a
program of its own, from the disk's cache. Memory is the most that program ever held, above what it holds before; beside
it stands what safetensors' own loader and a copy of the tensors take.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from zigdemo import zoo
from zigdemo.backbones import build
from zigdemo.backbones.presets import preset

PROGRAM = """
import json, re, sys, time
from pathlib import Path
import torch
from safetensors.torch import load_file
from zigdemo.zoo import TENSORS, read_folder
folder = read_folder(sys.argv[1])
held = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before, started = held(), time.perf_counter()
if sys.argv[2] == "ours":
    kept = folder.load()
else:
    kept = {key: value.clone() for key, value in load_file(folder.path / TENSORS).items()}
print(json.dumps({"seconds": time.perf_counter() - started, "bytes": held() - before}))
"""


def write_model(folder: Path, size: str) -> Path:
    """A model folder with random float32 weights."""
    config = preset("dit", size, in_channels=4, size=(32, 32), labels=1000)
    network, path = build(config), folder / "large"
    names = [f"class {number}" for number in range(1000)]
    zoo.write_folder(path, network, prediction="velocity", labels=names, origin="untrained", about={}, card="")
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path / zoo.TENSORS)
    return path


def measured(path: Path, how: str, repeats: int) -> dict[str, float]:
    """The quickest of some loads, each in a new program, and the least memory."""
    rows = []
    for _ in range(repeats):
        command = [sys.executable, "-c", PROGRAM, str(path), how]
        rows.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    return {name: min(row[name] for row in rows) for name in rows[0]}


def main() -> None:
    """Measure, print and write benchmarks/results/loading.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="XL/2")
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "loading.json"))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        path = write_model(Path(folder), chosen.size)
        print(f"written in {time.perf_counter() - started:.0f} s")
        nbytes = (path / zoo.TENSORS).stat().st_size
        result: dict[str, object] = {"file_bytes": nbytes, "torch": torch.__version__}
        for how in ("ours", "safetensors and a copy"):
            row = measured(path, how, 3)
            row["times_the_file"] = row["bytes"] / nbytes
            took = f"{row['seconds']:.1f} s, {row['times_the_file']:.2f} times the file's {nbytes / 1e9:.2f} GB"
            print(f"{how}: {took}")
            result[how] = row
    Path(chosen.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
