"""Labelled clips on disk: a folder with clips.npy, samples.jsonl and info.json, read without copying."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .images import annotations
from .portraits import Attributes
from .prepared import INFO_FILE, Form, augmented, choose_samples, read_set, rows_of

CLIPS = Form(
    noun="clip",
    array_file="clips.npy",
    axes=("count", "frames", "size", "size", "3"),
    how_to_make="run `python -m zigdemo.training.prepare fluent-actions`",
)


@dataclass(frozen=True)
class ClipSet:
    """Square RGB clips of one length, each with one label.

    clips: (count, frames, size, size, 3) uint8, memory-mapped if nothing was left out.
    label_names: the distinct labels, in order of first appearance. labels: (count,) int64 indices into them.
    names: what each clip shows. groups: clips of one group show the same motion or scene, so they are not independent
    samples. keywords, attributes: for captions, as in ImageSet. loops: (count,) bool, whether the last frame leads back
    to the first.
    """

    clips: np.ndarray
    label_names: list[str]
    labels: np.ndarray
    names: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    loops: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    frames_per_second: float = 8.0
    keywords: list[list[str]] = field(default_factory=list)
    attributes: list[Attributes] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.labels)

    @property
    def frames(self) -> int:
        """Number of frames of each clip."""
        return self.clips.shape[1]

    @property
    def size(self) -> int:
        """Side of the frames in pixels."""
        return self.clips.shape[2]

    @classmethod
    def load(
        cls,
        folder: str | Path,
        labels: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
        frames: int = 1,
    ) -> ClipSet:
        """Read a prepared folder, optionally only some labels of it.

        exclude: patterns of labels to leave out; * matches anything. frames: length of the windows to be cut.
        Raises FileNotFoundError if the folder is not a clip set, ValueError if its files are damaged or inconsistent, a
        label is not in it, or the clips have fewer than `frames` frames.
        """
        folder = Path(folder)
        clips, samples = read_set(folder, CLIPS)
        if clips.shape[1] < frames:
            raise ValueError(
                f"the clips of {folder} have {clips.shape[1]} frames, fewer than {frames}; "
                f"train on {clips.shape[1]} frames or prepare longer clips"
            )
        rows, samples = choose_samples(folder, CLIPS, samples, None, labels, exclude)
        return cls(
            rows_of(clips, rows),
            names=[str(sample.get("name", sample["label"])) for sample in samples],
            loops=np.array([sample.get("loops") is True for sample in samples]),
            frames_per_second=_frames_per_second(folder),
            **annotations(samples),
        )

    def window(
        self, row: int, frames: int, rng: np.random.Generator, flip: bool = False, shift_px: int = 0
    ) -> np.ndarray:
        """A window of consecutive frames with a random start, as a new (frames, size, size, 3) uint8 array.

        Windows of a looping clip may start anywhere and wrap around. flip, shift_px: see `augmented`. Deterministic in
        the state of `rng`. Raises ValueError for a window longer than the clip.
        """
        if not 1 <= frames <= self.frames:
            raise ValueError(f"frames must be 1 to {self.frames}, the length of the clips, not {frames}")
        indices = window_indices(self.frames, frames, self.loops[row], rng)
        return augmented(np.asarray(self.clips[row][indices]), rng, flip, shift_px)

    def draw(
        self, rows: np.ndarray, frames: int, seeds: Sequence[int], flip: bool = False, shift_px: int = 0
    ) -> np.ndarray:
        """A window of each of some rows, uint8 (n, frames, size, size, 3), each drawn by its own seed; see `window`."""
        generators = map(np.random.default_rng, seeds)
        return np.stack(
            [self.window(row, frames, rng, flip, shift_px) for row, rng in zip(rows, generators, strict=True)]
        )


def window_indices(length: int, frames: int, loops: bool, rng: np.random.Generator) -> np.ndarray:
    """Indices of `frames` consecutive frames of a clip, from a random one; of a looping clip they may wrap around."""
    starts = length if loops else length - frames + 1
    return (rng.integers(starts) + np.arange(frames)) % length


def motion(clip: np.ndarray, loops: bool) -> float:
    """Mean absolute difference of successive frames, in levels of 0 to 255; loops: including last to first.

    clip: (frames, H, W, 3) uint8.
    """
    frames = clip.astype(np.int16)
    successors = np.roll(frames, -1, axis=0) if loops else frames[1:]
    return float(np.abs(successors - frames[: len(successors)]).mean()) if len(successors) else 0.0


def rank_motion(motions: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Mean motion of the clips of each label, highest first. motions: the label and `motion` of each clip."""
    by_label: dict[str, list[float]] = {}
    for label, value in motions:
        by_label.setdefault(label, []).append(value)
    means = {label: round(float(np.mean(values)), 2) for label, values in by_label.items()}
    return dict(sorted(means.items(), key=lambda entry: -entry[1]))


def _frames_per_second(folder: Path) -> float:
    """The frame rate in info.json; ValueError if there is none."""
    try:
        info = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CLIPS.broken(folder, f"unreadable {INFO_FILE}: {error}") from error
    speed = info.get("frames_per_second") if isinstance(info, dict) else None
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 < speed <= 1000:
        raise CLIPS.broken(folder, f"no frames_per_second in {INFO_FILE}")
    return float(speed)
