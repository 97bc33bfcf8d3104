"""Runs external programs that make data, such as npm and Node.js."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


def run_program(
    command: Sequence[str], folder: Path, timeout_seconds: int, need: str, purpose: str, way_out: str
) -> None:
    """Run an installed program in a folder.

    For the error message: need: what to install if it is missing; purpose: what it was to do; way_out: the option that
    avoids it. Raises RuntimeError with one sentence if the program is missing, fails or takes too long.
    """
    program = shutil.which(command[0])
    if program is None:
        raise RuntimeError(f"{command[0]} was not found; install {need} or pass {way_out}")
    try:
        result = subprocess.run(
            [program, *command[1:]], cwd=folder, timeout=timeout_seconds, stdin=subprocess.DEVNULL, capture_output=True
        )
    except subprocess.TimeoutExpired:
        reason = f"no answer in {timeout_seconds} seconds"
    except OSError as error:
        reason = str(error)
    else:
        if result.returncode == 0:
            return
        first = result.stderr.decode(errors="replace").strip().partition("\n")[0].strip()
        reason = first[:200] or f"exit status {result.returncode}"
    raise RuntimeError(f"{command[0]} could not {purpose} ({reason}); check the network and Node.js, or pass {way_out}")
