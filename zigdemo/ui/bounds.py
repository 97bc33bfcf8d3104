"""What a visitor may ask for: open on one's own machine, strict where strangers share it; each bound has a variable."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from functools import lru_cache

from ..data.folders import Limits
from .address import is_shared

PREFIX = "ZIGDEMO_MAX_"
MEGABYTE = 10**6


@dataclass(frozen=True)
class Bounds:
    """At most so much of everything. The variable of a bound is ZIGDEMO_MAX_ and its name in capitals.

    pictures, steps, calls: of a run; calls are those of the network, which solvers with adaptive steps decide on.
    cells: of a matrix. waiting: runs of a visitor that wait or draw; waiting_in_all: of all. body_mb: of a request
    without files; upload_mb: of the files of a visitor, upload_in_all_mb: of all, in a day. picture_mp: million pixels
    of a picture to start from. sessions: open pages whose state is kept; kept_mb: of all maps on them that wait for the
    next click. train_pictures, train_steps, train_batch,
    train_minutes: of a visitor's fine-tuning; train_keep_hours: after which a run that ended is deleted.
    """

    pictures: int = 16
    steps: int = 250
    calls: int = 20_000
    cells: int = 36
    waiting: int = 16
    waiting_in_all: int = 64
    body_mb: int = 8
    upload_mb: int = 16_000
    upload_in_all_mb: int = 64_000
    picture_mp: int = 50
    sessions: int = 4000
    kept_mb: int = 1000
    train_pictures: int = 100_000
    train_steps: int = 100_000
    train_batch: int = 1024
    train_minutes: int = 10_000
    train_keep_hours: int = 30 * 24


OPEN = Bounds()
STRICT = Bounds(
    pictures=8, steps=100, calls=1000, cells=16, waiting=4, body_mb=2, upload_mb=64, upload_in_all_mb=2000,
    picture_mp=16, sessions=2000, kept_mb=400, train_pictures=200, train_steps=600, train_batch=64, train_minutes=20,
    train_keep_hours=6,
)  # fmt: skip
STRICT_FILES = Limits(2000, 16 * 2**20, 128 * 2**20, 16_000_000)  # read for fine-tuning


def bounds() -> Bounds:
    """The bounds on this machine. Raises ValueError with one sentence for a variable that is no number."""
    names = [PREFIX + one.name.upper() for one in fields(Bounds)]
    return _bounds(is_shared(), tuple(os.environ.get(name, "").strip() for name in names))


@lru_cache(maxsize=8)
def _bounds(shared: bool, texts: tuple[str, ...]) -> Bounds:
    changed = {}
    for one, text in zip(fields(Bounds), texts, strict=True):
        if not text:
            continue
        if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) > 0):
            raise ValueError(f"{PREFIX}{one.name.upper()} must be a whole number from 1, not {text[:60]!r}")
        changed[one.name] = int(text)
    return replace(STRICT if shared else OPEN, **changed)


def file_limits() -> Limits:
    """The limits of what is read for fine-tuning."""
    return STRICT_FILES if is_shared() else Limits()
