"""Clips cut out of videos: UCF101 in its official layout, or any folder of videos by class.

The files are anyone's: each is decoded in a worker process, frame after frame inside bounds, and what cannot be read is
named and left out.
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

from ..checks import whole
from .clips import CLIPS, motion, rank_motion
from .names import decode_text
from .prepared import check_choice, describe, replacing

ENDINGS = {
    ".mp4", ".m4v", ".mov", ".avi", ".webm", ".mkv", ".gif", ".webp", ".mpg", ".mpeg", ".wmv", ".3gp", ".3g2", ".flv",
    ".ogv", ".ts", ".mts", ".m2ts", ".apng",
}  # fmt: skip
CLASSES = "classInd.txt"
FOLDERS = ("ucf-101", "ucf101", "videos")  # what the folder of the class folders may be called
PARTS = ("train", "test", "all")
AT_ONCE = 64  # videos in the hands of the workers; bounds what waits to be written
UCF101_NAME = re.compile(r"([\w-]+)/(v_\1_(g\d+)_c\d+)\.(?:avi|mp4|mkv|webm|mov|m4v)", re.IGNORECASE)


@dataclass(frozen=True)
class Video:
    """A file and what it shows. group: videos of one group show the same scene."""

    path: Path
    label: str
    group: str


@dataclass(frozen=True)
class Cut:
    """How clips are cut out of a video: consecutive ones of `frames` frames, every skip-th one, at most `most`.

    The shorter side of a frame is shrunk or stretched to size pixels, and the middle of the longer one kept.
    """

    frames: int = 24
    skip: int = 1
    most: int = 2
    size: int = 64

    def __post_init__(self) -> None:
        for name, limit in (("frames", 512), ("skip", 100), ("most", 1000), ("size", 512)):
            whole(name, getattr(self, name), 1, limit)


@dataclass(frozen=True)
class Clips:
    """What one video gave: (count, frames, size, size, 3) uint8, its frames per second, how much each clip moves."""

    pixels: np.ndarray
    frames_per_second: float
    motions: list[float]


def ucf101(
    root: Path, split: int = 1, part: str = "train", labels: Sequence[str] | None = None
) -> tuple[list[Video], list[str]]:
    """The videos of one part of an official split, in the order of its list, and those of the list that are not here.

    root: has the class folders, itself or in UCF-101, and classInd.txt with the lists, itself or in ucfTrainTestlist
    (or any folder in it). Names are compared without regard to case, as the official lists spell HandstandPushups in
    two ways; the label is the name of the folder. A video may have been converted: any ending of ENDINGS will do.
    labels: of these classes alone. Raises ValueError where a list is missing, names something else than videos of the
    classes, or a wanted class has no video here.
    """
    if split not in (1, 2, 3) or part not in PARTS:
        raise ValueError(f"there is no part {part!r} of split {split}; choose train, test or all of split 1, 2 or 3")
    lists = next((path.parent for path in (root / CLASSES, *sorted(root.glob(f"*/{CLASSES}"))) if path.is_file()), root)
    known = {line.split()[-1].casefold(): line.split()[-1] for line in _lines(lists / CLASSES)}
    wanted = set(known) if labels is None else {label.casefold() for label in labels}
    for label in labels or ():
        check_choice("label", [label] if label.casefold() not in known else [], list(known.values()), lists / CLASSES)
    here = _videos_by_name(root)
    videos, missing = [], []
    for name in ("train", "test") if part == "all" else (part,):
        path = lists / f"{name}list0{split}.txt"
        for line in _lines(path):
            match = UCF101_NAME.fullmatch(re.sub(r"\s+\d+$", "", line.strip().replace("\\", "/")))
            if match is None or match[1].casefold() not in known:
                raise ValueError(f"{path} names no video of its classes: {line[:80]!r}; use the official lists")
            if match[1].casefold() not in wanted:
                continue
            video = here.get((match[1].casefold(), match[2].casefold()))
            if video is None:
                missing.append(match[0])
            else:
                folder = video.parent.name
                label = folder if folder.casefold() == match[1].casefold() else known[match[1].casefold()]
                videos.append(Video(video, label, f"{label}_{match[3].lower()}"))
    empty = sorted(wanted - {video.label.casefold() for video in videos}) if labels is not None or not videos else []
    if empty:
        names = ", ".join(known[name] for name in empty[:5])
        raise ValueError(f"{root} has no video of {names} in this part; unpack it there, or leave it out of --labels")
    return videos, missing


def _videos_by_name(root: Path) -> dict[tuple[str, str], Path]:
    """The videos of UCF101 by class and stem, without regard to case; in class folders, or all in one."""
    tops = [
        path for path in root.iterdir() if path.is_dir() and path.name.casefold() in ("ucf-101", "ucf101", "videos")
    ]
    top = tops[0] if tops else root
    return {
        (path.parent.name.casefold(), path.stem.casefold()): path
        for path in sorted(top.glob("*/*"), reverse=True)
        if path.suffix.lower() in ENDINGS and path.is_file()
    }


def _lines(path: Path) -> list[str]:
    """The lines of an official list that say something."""
    try:
        text, _ = decode_text(path.read_bytes())
    except OSError:
        raise ValueError(f"there is no readable {path}; unpack UCF101 and its ucfTrainTestlist there") from None
    return [line for line in text.splitlines() if line.strip()]


def class_folders(root: Path) -> list[Video]:
    """The videos in the folders of a folder, sorted; the name of a folder is the label.

    Raises ValueError where there are none.
    """
    paths = sorted(path for path in root.glob("*/*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not paths:
        raise ValueError(f"no folder in {root} has videos; make one folder a class with {', '.join(sorted(ENDINGS))}")
    return [Video(path, path.parent.name, f"{path.parent.name}/{path.name}") for path in paths]


def read_clips(path: Path, cut: Cut) -> Clips | str:
    """The clips of one video, or why there are none: in one sentence, as this is called in another process."""
    from ..media import decoding

    found: list[np.ndarray] = []
    try:
        for frame in islice(decoding.frames(path), 0, cut.frames * cut.skip * cut.most, cut.skip):
            found.append(_square(frame, cut.size))
        speed = decoding.frames_per_second(path)
    except ValueError as fault:
        return str(fault)
    count = len(found) // cut.frames
    if not count:
        return f"{len(found)} frames, {cut.frames} are needed; choose fewer --frames or a smaller --skip"
    pixels = np.stack(found[: count * cut.frames]).reshape(count, cut.frames, cut.size, cut.size, 3)
    return Clips(pixels, speed / cut.skip, [motion(clip, loops=False) for clip in pixels])


def _square(frame: np.ndarray, size: int) -> np.ndarray:
    """The middle of a frame (H, W, 3) uint8 as (size, size, 3), resized with antialiasing."""
    from PIL import Image

    height, width = frame.shape[:2]
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.LANCZOS, box=box))


def write_clips(
    out: Path, videos: Sequence[Video], cut: Cut, info: dict[str, Any], workers: int | None = None
) -> tuple[int, list[str], dict[str, float]]:
    """Cut videos into a clip set in the folder `out`, in their order, with about a hundred clips in memory.

    info: what info.json says besides sizes, speed and hash. workers: processes that decode; None: one a core.
    Returns the number of clips, what was left out and why, and how much the clips of each label move.
    Raises ValueError where no video could be read.
    """
    samples, skipped, speeds, motions = [], [], [], []
    with replacing(out, CLIPS) as fresh, (fresh / CLIPS.array_file).open("wb") as file:
        file.write(_header(0, cut))
        for video, made in _decoded(videos, cut, workers or os.cpu_count() or 1):
            if isinstance(made, str):
                skipped.append(f"{video.label}/{video.path.name} ({made})")
                continue
            file.write(made.pixels.data)
            speeds.append(made.frames_per_second)
            motions += [(video.label, value) for value in made.motions]
            for number in range(len(made.pixels)):
                key = f"{video.label}/{video.path.name}/{number}"
                sample = {"key": key, "label": video.label, "name": video.label, "group": video.group}
                samples.append({**sample, "loops": False})
        if not samples:
            raise ValueError(f"none of the {len(videos)} videos can be used; the first: {skipped[0]}")
        file.seek(0)
        file.write(_header(len(samples), cut))
        file.close()
        seen = {
            "size": cut.size,
            "count": len(samples),
            "frames": cut.frames,
            "skip": cut.skip,
            "frames_per_second": round(float(np.median(speeds)), 3),
            "motion": rank_motion(motions),
        }
        describe(fresh, CLIPS, samples, {**info, **seen})
    return len(samples), skipped, seen["motion"]


def _header(count: int, cut: Cut) -> bytes:
    """The head of an .npy file; NumPy leaves room in it, so that its length is the same for every count."""
    buffer = io.BytesIO()
    shape = (count, cut.frames, cut.size, cut.size, 3)
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _decoded(videos: Sequence[Video], cut: Cut, workers: int) -> Iterator[tuple[Video, Clips | str]]:
    """What each video gives, in their order, from worker processes."""
    pool = _pool(workers)
    try:
        for start in range(0, len(videos), AT_ONCE):
            batch, broken = videos[start : start + AT_ONCE], False
            futures = [pool.submit(read_clips, video.path, cut) for video in batch]
            for video, future in zip(batch, futures, strict=True):
                try:
                    made = future.result()
                except BrokenProcessPool:  # one of the batch ended its process, and with it the work on all others
                    broken, made = True, _decoded_alone(video, cut)
                yield video, made
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
            return f"{video.path.name} ends the process that decodes it; give another clip"


def _pool(workers: int) -> ProcessPoolExecutor:
    # Fresh processes: a copy of this one would have its threads' locks, but not its threads.
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
