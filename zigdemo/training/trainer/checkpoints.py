"""Checkpoints that survive a kill at any moment, a full disk and a damaged file.

A checkpoint is one file `checkpoints/STEP-HASH.pt` in the run folder. It is written to a temporary file, flushed to
disk, hashed and then renamed: a file under its final name is complete, and the hash in the name reveals later damage.
"""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import IO, Any

import torch

from ...data.prepared import identity
from ...files import file_sha256, write_whole

FOLDER = "checkpoints"
NAME = re.compile(r"(\d{7,})-([0-9a-f]{16})\.pt")


def checkpoints(run: str | Path) -> dict[int, Path]:
    """The checkpoints of a run folder by step, newest first, without reading them; incomplete files are ignored."""
    paths = {}
    for path in sorted((Path(run) / FOLDER).glob("*.pt")):
        if match := NAME.fullmatch(path.name):
            paths[int(match[1])] = path
    return dict(sorted(paths.items(), reverse=True))


def refuse_a_second_start(run: str | Path) -> None:
    """Check that a run folder is free for a new run. Raises ValueError if it already has checkpoints."""
    if existing := checkpoints(run):
        raise ValueError(
            f"{run} already has a run of {max(existing)} steps; use --resume to continue it, or another run folder"
        )


def write_checkpoint(run: str | Path, step: int, content: dict[str, Any], keep_last: int, keep_every: int = 0) -> Path:
    """Write a checkpoint, then delete the ones that need not be kept.

    keep_last: number of newest checkpoints to keep. keep_every: also keep those at multiples of this many steps; 0:
    none. Raises OSError if it cannot be written; all older checkpoints are then still there.
    """
    folder = Path(run) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{step:07d}.pt.part"
    try:
        with temporary.open("wb") as file:
            _save(content, file)
            file.flush()
            os.fsync(file.fileno())
        final = folder / f"{step:07d}-{file_sha256(temporary)[:16]}.pt"
        os.replace(temporary, final)
        _flush_folder(folder)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    for part in folder.glob("*.part"):  # left by a process that was killed while writing
        part.unlink()
    older = [path for path in folder.glob("*.pt") if NAME.fullmatch(path.name) and path != final]
    for path in older:
        if int(path.name.split("-")[0]) >= step:  # the run was resumed from an older checkpoint
            path.unlink()
    for rank, (saved_step, path) in enumerate(checkpoints(run).items()):
        if rank >= keep_last and not (keep_every and saved_step % keep_every == 0):
            path.unlink()
    return final


def _save(content: dict[str, Any], file: IO[bytes]) -> None:
    """torch.save, but an OSError of the file is raised as such; torch turns it into a RuntimeError."""
    fault: OSError | None = None

    class Watched:
        def write(self, data: bytes) -> int:
            nonlocal fault
            try:
                return file.write(data)
            except OSError as error:
                fault = error
                raise

        def flush(self) -> None:
            file.flush()

    try:
        torch.save(content, Watched())
    except RuntimeError:
        if fault is None:
            raise
        raise fault from None


def _flush_folder(folder: Path) -> None:
    """Make a rename survive a power failure, on systems that support it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_checkpoint(run: str | Path) -> dict[str, Any] | None:
    """The newest intact checkpoint of a run folder, on the CPU, or None if there are no checkpoints.

    Damaged ones are skipped with a warning. Raises ValueError if all are damaged.
    """
    paths = checkpoints(run)
    for step, path in paths.items():
        if file_sha256(path).startswith(NAME.fullmatch(path.name)[2]):
            return torch.load(path, map_location="cpu", weights_only=True)
        logging.getLogger(__name__).warning("%s is damaged; falling back to the checkpoint before step %d", path, step)
    if paths:
        raise ValueError(f"every checkpoint in {Path(run) / FOLDER} is damaged; start again in another run folder")
    return None


def cut_metrics(path: Path, step: int) -> None:
    """Remove the lines of a metrics.jsonl after a step, and lines left incomplete by a kill."""
    if not path.is_file():
        return
    lines = []
    for line in path.read_bytes().splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict) and content.get("step", step + 1) <= step:
            lines.append(line + b"\n")
    write_whole(path, b"".join(lines))


def refuse_other_data(run: Path, content: dict[str, Any], data: str | Path) -> None:
    """Raise ValueError, saying what differs, if a checkpoint was trained on other data than a prepared set is now."""
    here = identity(Path(data))
    differing = [name for name, value in content.get("data", here).items() if here.get(name) != value]
    if differing:
        raise ValueError(
            f"{run} was trained on other data than {data} is now: {', '.join(differing)} differ; resume it with the "
            "data it had, or start a new run with init"
        )
