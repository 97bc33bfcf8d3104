"""Checkpoints that survive a kill at any moment, a full disk and a damaged file.

A checkpoint is one file `checkpoints/STEP-HASH.pt` of a run folder. It is written aside, flushed to the disk, hashed
and then renamed: under its name it is whole, and the name says whether it still is.
"""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import IO, Any

import torch

from ...files import file_sha256, write_whole

FOLDER = "checkpoints"
NAME = re.compile(r"(\d{7,})-([0-9a-f]{16})\.pt")


def checkpoints(run: str | Path) -> dict[int, Path]:
    """The checkpoints of a run folder by step, the newest first, unread; those whose writing was cut off are none."""
    found = {}
    for path in sorted((Path(run) / FOLDER).glob("*.pt")):
        if named := NAME.fullmatch(path.name):
            found[int(named[1])] = path
    return dict(sorted(found.items(), reverse=True))


def refuse_a_second_start(run: str | Path) -> None:
    """Raise ValueError where a run folder has checkpoints that a new run would mix with."""
    if done := checkpoints(run):
        raise ValueError(f"{run} has a run of {max(done)} steps; use --resume to go on with it, or another run folder")


def write_checkpoint(run: str | Path, step: int, content: dict[str, Any], keep_last: int, keep_every: int = 0) -> Path:
    """Write a checkpoint, then remove those that need not be kept.

    keep_last: of the newest this many stay. keep_every: those at multiples of so many steps stay as well, 0 for none.
    Raises OSError where it cannot be written; every older checkpoint is then still there.
    """
    folder = Path(run) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"{step:07d}.pt.part"
    try:
        with aside.open("wb") as file:
            _save(content, file)
            file.flush()
            os.fsync(file.fileno())
        final = folder / f"{step:07d}-{file_sha256(aside)[:16]}.pt"
        os.replace(aside, final)
        _flush_folder(folder)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    for part in folder.glob("*.part"):  # of a process that was killed while it wrote
        part.unlink()
    older = [path for path in folder.glob("*.pt") if NAME.fullmatch(path.name) and path != final]
    for path in older:
        if int(path.name.split("-")[0]) >= step:  # of a run that went on from an earlier checkpoint than its newest
            path.unlink()
    for place, (at, path) in enumerate(checkpoints(run).items()):
        if place >= keep_last and not (keep_every and at % keep_every == 0):
            path.unlink()
    return final


def _save(content: dict[str, Any], file: IO[bytes]) -> None:
    """torch.save, which hides an OSError of the file in a RuntimeError of its own."""
    fault: OSError | None = None

    class Watched:
        def write(self, data: bytes) -> int:
            nonlocal fault
            try:
                return file.write(data)
            except OSError as found:
                fault = found
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
    """Make a rename last through a power cut, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_checkpoint(run: str | Path) -> dict[str, Any] | None:
    """The newest whole checkpoint of a run folder, on the CPU, or None where there never was one.

    A damaged one is passed over with a warning. Raises ValueError where all are damaged.
    """
    found = checkpoints(run)
    for step, path in found.items():
        if file_sha256(path).startswith(NAME.fullmatch(path.name)[2]):
            return torch.load(path, map_location="cpu", weights_only=True)
        logging.getLogger(__name__).warning("%s is damaged; the checkpoint before step %d is taken", path, step)
    if found:
        raise ValueError(f"every checkpoint in {Path(run) / FOLDER} is damaged; start again in another run folder")
    return None


def cut_metrics(path: Path, step: int) -> None:
    """Take away the lines of a metrics.jsonl that come after a step, or that a kill left unfinished."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_bytes().splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict) and content.get("step", step + 1) <= step:
            kept.append(line + b"\n")
    write_whole(path, b"".join(kept))
