"""Clips cut from videos: UCF101 in its official layout, or any videos in one folder per class.

The files are untrusted: each is decoded in a worker process, frame by frame within limits, and unreadable files are
skipped and reported.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from .clips import CLIPS, motion, rank_motion
from .prepared import describe, replacing

ENDINGS = {".mp4", ".m4v", ".mov", ".avi", ".webm", ".mkv", ".gif", ".webp"}
LISTS = "ucfTrainTestlist"
PARTS = ("train", "test", "all")
AT_ONCE = 64  # videos submitted to the workers at a time; bounds the clips in memory
UCF101_NAME = re.compile(r"(\w+)/(v_\1_(g\d+)_c\d+\.avi)")


@dataclass(frozen=True)
class Video:
    """A video file with its label. group: videos of one group show the same scene."""

    path: Path
    label: str
    group: str


@dataclass(frozen=True)
class Cut:
    """How clips are cut from a video: at most `most` consecutive clips of `frames` frames, every skip-th frame.

    Frames are resized so that the shorter side has `size` pixels, and centre-cropped.
    """

    frames: int = 24
    skip: int = 1
    most: int = 2
    size: int = 64

    def __post_init__(self) -> None:
        for name, limit in (("frames", 512), ("skip", 100), ("most", 1000), ("size", 512)):
            value = getattr(self, name)
            if not 1 <= value <= limit:
                raise ValueError(f"{name} must be 1 to {limit}, not {value}")


@dataclass(frozen=True)
class Clips:
    """The clips of one video: (count, frames, size, size, 3) uint8, frames per second, and the motion of each clip."""

    pixels: np.ndarray
    frames_per_second: float
    motions: list[float]


def ucf101(root: Path, split: int = 1, part: str = "train") -> list[Video]:
    """The videos of one part of an official split, in the order of its list.

    root: contains the class folders, directly or in UCF-101, and ucfTrainTestlist with classInd.txt and the lists.
    Raises ValueError if a list is missing or names anything other than videos of the classes.
    """
    if split not in (1, 2, 3) or part not in PARTS:
        raise ValueError(f"there is no part {part!r} of split {split}; choose train, test or all of split 1, 2 or 3")
    known = {line.split()[-1] for line in _lines(root / LISTS / "classInd.txt")}
    videos = root / "UCF-101" if (root / "UCF-101").is_dir() else root
    result = []
    for name in ("train", "test") if part == "all" else (part,):
        path = root / LISTS / f"{name}list0{split}.txt"
        for line in _lines(path):
            match = UCF101_NAME.fullmatch(line.split()[0])
            if match is None or match[1] not in known:
                raise ValueError(f"{path} names no video of its classes: {line[:80]!r}; use the official lists")
            result.append(Video(videos / match[0], match[1], f"{match[1]}_{match[3]}"))
    return result


def _lines(path: Path) -> list[str]:
    """The non-empty lines of an official list."""
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{path} is missing or unreadable; unpack UCF101 and its ucfTrainTestlist there") from None


def class_folders(root: Path) -> list[Video]:
    """The videos in the subfolders of a folder, sorted; the name of a subfolder is the label.

    Raises ValueError if there are none.
    """
    paths = sorted(path for path in root.glob("*/*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not paths:
        raise ValueError(f"no folder in {root} has videos; make one folder per class with {', '.join(sorted(ENDINGS))}")
    return [Video(path, path.parent.name, f"{path.parent.name}/{path.name}") for path in paths]


def read_clips(path: Path, cut: Cut) -> Clips | str:
    """The clips of one video, or the reason why there are none: a string, as this runs in another process."""
    from ..media import decoding

    frames: list[np.ndarray] = []
    try:
        for frame in islice(decoding.frames(path), 0, cut.frames * cut.skip * cut.most, cut.skip):
            frames.append(_square(frame, cut.size))
        speed = decoding.frames_per_second(path)
    except ValueError as fault:
        return str(fault)
    count = len(frames) // cut.frames
    if not count:
        return f"{len(frames)} frames where {cut.frames} are needed; choose fewer --frames or a smaller --skip"
    pixels = np.stack(frames[: count * cut.frames]).reshape(count, cut.frames, cut.size, cut.size, 3)
    return Clips(pixels, speed / cut.skip, [motion(clip, loops=False) for clip in pixels])


def _square(frame: np.ndarray, size: int) -> np.ndarray:
    """The central square of a frame (H, W, 3) uint8, resized with antialiasing to (size, size, 3)."""
    from PIL import Image

    height, width = frame.shape[:2]
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.LANCZOS, box=box))


def write_clips(
    out: Path, videos: Sequence[Video], cut: Cut, info: dict[str, Any], workers: int | None = None
) -> tuple[int, list[str], dict[str, float]]:
    """Cut videos into a clip set in the folder `out`, in order, with about a hundred clips in memory.

    info: content of info.json besides sizes, frame rate and hash. workers: decoding processes; None: one per core.
    Returns the number of clips, the skipped files with reasons, and the motion of each label.
    Raises ValueError if no video is usable.
    """
    samples, skipped, speeds, motions = [], [], [], []
    with replacing(out, CLIPS) as fresh, (fresh / CLIPS.array_file).open("wb") as file:
        file.write(_header(0, cut))
        for video, clips in _decoded(videos, cut, workers or os.cpu_count() or 1):
            if isinstance(clips, str):
                skipped.append(f"{video.label}/{video.path.name} ({clips})")
                continue
            file.write(clips.pixels.data)
            speeds.append(clips.frames_per_second)
            motions += [(video.label, value) for value in clips.motions]
            for number in range(len(clips.pixels)):
                key = f"{video.label}/{video.path.name}/{number}"
                sample = {"key": key, "label": video.label, "name": video.label, "group": video.group}
                samples.append({**sample, "loops": False})
        if not samples:
            raise ValueError(f"none of the {len(videos)} videos can be used; the first is {skipped[0]}")
        file.seek(0)
        file.write(_header(len(samples), cut))
        file.close()
        facts = {
            "size": cut.size,
            "count": len(samples),
            "frames": cut.frames,
            "skip": cut.skip,
            "frames_per_second": round(float(np.median(speeds)), 3),
            "motion": rank_motion(motions),
        }
        describe(fresh, CLIPS, samples, {**info, **facts})
    return len(samples), skipped, facts["motion"]


def _header(count: int, cut: Cut) -> bytes:
    """The header of an .npy file; NumPy pads it, so that its length is the same for every count."""
    buffer = io.BytesIO()
    shape = (count, cut.frames, cut.size, cut.size, 3)
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _decoded(videos: Sequence[Video], cut: Cut, workers: int) -> Iterator[tuple[Video, Clips | str]]:
    """The clips of each video, in order, decoded in worker processes."""
    pool = _pool(workers)
    try:
        for start in range(0, len(videos), AT_ONCE):
            batch, broken = videos[start : start + AT_ONCE], False
            futures = [pool.submit(read_clips, video.path, cut) for video in batch]
            for video, future in zip(batch, futures, strict=True):
                try:
                    result = future.result()
                except BrokenProcessPool:  # a video crashed its worker, which ends the whole pool
                    broken, result = True, _decoded_alone(video, cut)
                yield video, result
            if broken:
                pool.shutdown()
                pool = _pool(workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _decoded_alone(video: Video, cut: Cut) -> Clips | str:
    with _pool(1) as pool:
        try:
            return pool.submit(read_clips, video.path, cut).result()
        except BrokenProcessPool:
            return f"{video.path.name} crashes the process that decodes it; give another clip"


def _pool(workers: int) -> ProcessPoolExecutor:
    # Spawned, as a fork would copy the locks of this process's threads, but not the threads.
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
