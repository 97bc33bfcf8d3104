"""Clips drawn by several processes into an array file: the same ones for any number of processes."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...ops.threads import usable_cores
from ..clips import motion
from . import FRAMES, SIDE_PX, Figure, figure_at

PIECE = 16  # clips that a process draws at a time
MOST_PROCESSES = 61  # that Windows can wait for


@dataclass(frozen=True)
class Plan:
    """Which clips to draw, as in `figures`. side: of the frames in pixels. workers: processes, None: one per core."""

    count: int
    seed: int
    labels: tuple[str, ...]
    side: int = SIDE_PX
    workers: int | None = None

    @property
    def pieces(self) -> list[range]:
        """The numbers of the clips of each piece, in order."""
        return [range(start, min(start + PIECE, self.count)) for start in range(0, self.count, PIECE)]

    @property
    def processes(self) -> int:
        """The number of processes that pay off; with 1 this one draws."""
        return min(self.workers or usable_cores(), len(self.pieces), MOST_PROCESSES)


@dataclass(frozen=True)
class Piece:
    """Clips that were drawn: the figures, their rows (n, FRAMES, side, side, 3) of the array file, and their motion."""

    figures: list[Figure]
    clips: np.ndarray
    motions: list[float]


def drawn(plan: Plan, file: Path, places: int | None = None) -> Iterator[Piece]:
    """Draw the clips of a plan into a new array file, and yield them in order.

    places: rows of the file, in pieces, which are used in turn, so that a piece stays until the next one is asked for;
    None: a row for every clip, where it stays.
    """
    pieces, processes = plan.pieces, plan.processes
    places = len(pieces) if places is None else min(places, len(pieces))
    rows = plan.count if places == len(pieces) else places * PIECE
    shape = (rows, FRAMES, plan.side, plan.side, 3)
    clips = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    if processes == 1:
        for number, piece in enumerate(pieces):
            first = number % places * PIECE
            yield _piece(plan, piece, clips, first, _draw(file, first, piece, plan.seed, plan.labels))
        return
    # Not forked from here, as that would copy the locks of this process's threads, but not the threads; where there is
    # a fork server, only that one imports this program, which takes seconds.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:

        def submit(number: int) -> tuple[int, object]:
            first = number % places * PIECE
            return first, pool.submit(_draw, file, first, pieces[number], plan.seed, plan.labels)

        waiting = deque(submit(number) for number in range(places))
        try:
            for number, piece in enumerate(pieces):
                first, future = waiting.popleft()
                yield _piece(plan, piece, clips, first, future.result())
                if number + places < len(pieces):
                    waiting.append(submit(number + places))
        finally:
            pool.shutdown(cancel_futures=True)


def _piece(plan: Plan, numbers: range, clips: np.ndarray, first: int, motions: list[float]) -> Piece:
    figures = [figure_at(number, plan.seed, plan.labels) for number in numbers]
    return Piece(figures, clips[first : first + len(numbers)], motions)


def _draw(file: Path, first: int, numbers: Sequence[int], seed: int, labels: tuple[str, ...]) -> list[float]:
    """Draw clips into the rows of an array file from `first` on; returns the motion of each."""
    clips = np.lib.format.open_memmap(file, mode="r+")
    motions = []
    for row, number in enumerate(numbers, first):
        frames = figure_at(number, seed, labels).frames(side=clips.shape[2])
        clips[row] = frames
        motions.append(motion(frames, loops=False))
    return motions
