"""All GPU measurements in one call: `benchmarks/gpu.sh OUT`, or `python -m benchmarks.gpu --out OUT`.

First every kernel against the float64 reference, then speeds, networks and the profile of a training step, and for the
remaining minutes training (`--train RECIPE...`) or the comparison of scans (`--claims`). Every part is a process of its
own with a time limit, so that one that stalls takes no more than its share, and writes what it has as it comes.
`--dry` does the same on the CPU with tiny sizes and Triton's interpreter, to test the script.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

MOST_BYTES, MOST_FILES = 16 * 2**20, 8
# Seconds that each part may take at most, in order of value.
PARTS = {"correctness": 120, "scan": 60, "attention": 45, "profile": 60, "networks": 75}
RESERVE_SECONDS = 15  # at the end, for the last files
DRY_SECONDS = 600
# The schemes of the claims, 60 s each where nothing else is trained: by held-out loss, judge and Frechet distance.
CLAIMS = ("sweep", "zigzag-1", "zigzag-8", "hilbert-8", "random-8", "bidirectional")


def run(command: list[str], seconds: float) -> dict[str, object]:
    """How a part ended: its exit status, or that it was stopped, and after how long."""
    started = time.monotonic()
    try:
        status: object = subprocess.run([sys.executable, "-u", "-m", *command], timeout=max(1.0, seconds)).returncode
    except subprocess.TimeoutExpired:
        status = f"stopped after {seconds:.0f} s, its limit"
    return {"status": status, "seconds": round(time.monotonic() - started, 1)}


def main() -> int:
    """Run all parts; exit status 1 if a kernel was wrong or its part did not end."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", required=True, type=Path, help="folder for the results")
    parser.add_argument("--minutes", type=float, default=9.0, help="time for everything")
    parser.add_argument("--wheels", help="read by gpu.sh")
    parser.add_argument("--data", help="prepared set for the training (default: each recipe's)")
    parser.add_argument("--profile", default="zigma-portraits", metavar="RECIPE", help="whose steps are looked at")
    chosen_work = parser.add_mutually_exclusive_group()
    chosen_work.add_argument(
        "--train", nargs="*", default=["zigma-portraits"], metavar="RECIPE", help="in equal shares"
    )
    chosen_work.add_argument("--claims", action="store_true", help="compare scan schemes instead of training")
    parser.add_argument("--fla", action="store_true", help="flash-linear-attention too, which tunes itself for minutes")
    parser.add_argument("--dry", action="store_true", help="tiny sizes on the CPU")
    chosen = parser.parse_args()
    end = time.monotonic() + 60 * chosen.minutes
    chosen.out.mkdir(parents=True, exist_ok=True)
    for old in chosen.out.glob("part-*"):
        old.unlink()
    if not chosen.dry and not torch.cuda.is_available():
        print("there is no GPU here; use --dry to see that the script runs", file=sys.stderr)
        return 2
    flags = ["--dry"] * chosen.dry
    result: dict[str, object] = {"torch": torch.__version__, "parts": {}}
    if torch.cuda.is_available():
        result["gpu"] = torch.cuda.get_device_name()

    def keep(name: str, command: list[str], seconds: float) -> None:
        print(f"== {name}, at most {seconds:.0f} s", flush=True)
        result["parts"][name] = run(command, seconds)
        for file in sorted(chosen.out.glob("part-*.json")):
            result.update(json.loads(file.read_text(encoding="utf-8")))
        (chosen.out / "gpu.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

    data = ["--data", chosen.data] if chosen.data else []
    for name, most in PARTS.items():
        part = str(chosen.out / f"part-{name}.json")
        left = DRY_SECONDS if chosen.dry else min(most, end - time.monotonic() - RESERVE_SECONDS)
        command = ["benchmarks.gpu.part", name, "--out", part, "--recipe", chosen.profile, *data, *flags]
        keep(name, [*command, *["--fla"] * chosen.fla], left)
    works = CLAIMS if chosen.claims else chosen.train
    for place, name in enumerate(works):
        left = end - time.monotonic() - RESERVE_SECONDS
        share = left / (len(works) - place)
        if share < 30 and not chosen.dry:
            print(f"no time left for {name}")
            break
        what = ["--scheme", name] if chosen.claims else ["--recipe", name]
        command = ["benchmarks.gpu.training", *what, "--out", str(chosen.out), "--seconds", str(share)]
        keep(f"train {name}", [*command, *data, *flags], DRY_SECONDS if chosen.dry else share + 10)
    for file in chosen.out.glob("part-*"):
        file.unlink()
    files = list(chosen.out.iterdir())
    large = [path.name for path in files if path.stat().st_size > MOST_BYTES]
    if large or len(files) > MOST_FILES:
        print(f"{len(files)} files; larger than 16 MiB: {', '.join(large) or 'none'}", file=sys.stderr)
    rows = result.get("correctness", [])
    ended = result["parts"]["correctness"]["status"] == 0
    return 0 if ended and rows and all(row["good"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
