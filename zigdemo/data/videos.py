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

from ..checks import whole
from .clips import CLIPS, motion, rank_motion
from .named_files import named_files
from .names import decode_text
from .prepared import check_choice, describe, replacing
from .sources import LeftOut, Limits

ENDINGS = {
    ".mp4", ".m4v", ".mov", ".avi", ".webm", ".mkv", ".gif", ".webp", ".mpg", ".mpeg", ".wmv", ".3gp", ".3g2", ".flv",
    ".ogv", ".ts", ".mts", ".m2ts", ".apng",
}  # fmt: skip
CLASSES = "classInd.txt"
FOLDERS = ("ucf-101", "ucf101", "videos")  # what the folder of the class folders may be called
NO_LIMITS = Limits(files=10_000_000, total_bytes=2**50)  # videos are read one by one, frame after frame
PARTS = ("train", "test", "all")
AT_ONCE = 64  # videos in the hands of the workers; bounds what waits to be written
UCF101_NAME = re.compile(r"([\w-]+)/(v_\1_(g\d+)_c\d+)\.(?:avi|mp4|mkv|webm|mov|m4v)", re.IGNORECASE)


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
            whole(name, getattr(self, name), 1, limit)


@dataclass(frozen=True)
class Clips:
    """The clips of one video: (count, frames, size, size, 3) uint8, frames per second, and the motion of each clip."""

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
    tops = [path for path in root.iterdir() if path.is_dir() and path.name.casefold() in FOLDERS]
    top = tops[0] if tops else root
    files = [path for path in (*top.glob("*"), *top.glob("*/*")) if path.suffix.lower() in ENDINGS and path.is_file()]
    videos = {}
    for path in sorted(files, reverse=True):
        flat = re.match(r"v_([^_]+)_", path.name, re.IGNORECASE) if path.parent == top else None
        videos[(flat[1] if flat else path.parent.name).casefold(), path.stem.casefold()] = path
    return videos


def _lines(path: Path) -> list[str]:
    """The non-empty lines of an official list."""
    try:
        text, _ = decode_text(path.read_bytes())
    except OSError:
        raise ValueError(f"there is no readable {path}; unpack UCF101 and its ucfTrainTestlist there") from None
    return [line for line in text.splitlines() if line.strip()]


def class_folders(root: Path) -> tuple[list[Video], list[str]]:
    """The clips in a folder and below it by name, and every file that is left out, with its reason.

    A clip's label is its caption, its class or the name of its folder, as for pictures (see `named_files`).
    Raises ValueError if there are none.
    """
    from ..media.decoding import container_of  # loads Pillow, which prepared sets do without

    left_out: list[LeftOut] = []
    videos = []
    for named, _ in named_files([root], NO_LIMITS, left_out, []):
        file = named.file
        if file.path is None:
            left_out.append(LeftOut(file.name, "inside an archive; unpack it, as clips are read from folders"))
        elif file.place.suffix.lower() in ENDINGS or container_of(file.path):
            videos.append(Video(file.path, named.learned, f"{file.path.parent.name}/{file.path.name}"))
        else:
            left_out.append(LeftOut(file.name, "no clip"))
    if not videos:
        kinds = ", ".join(sorted(ENDINGS))
        raise ValueError(f"no folder in {root} has videos; make one folder per class with {kinds}")
    return videos, [str(one) for one in left_out]


def read_clips(path: Path, cut: Cut) -> Clips | str:
    """The clips of one video, or the reason why there are none: a string, as this runs in another process."""
    from PIL import Image

    from ..media import decoding
    from ..media.opening import middle_square

    frames: list[np.ndarray] = []
    try:
        for frame in islice(decoding.frames(path), 0, cut.frames * cut.skip * cut.most, cut.skip):
            frames.append(np.asarray(middle_square(Image.fromarray(frame), cut.size)))
        speed = decoding.frames_per_second(path)
    except ValueError as fault:
        return str(fault)
    count = len(frames) // cut.frames
    if not count:
        return f"{len(frames)} frames where {cut.frames} are needed; choose fewer --frames or a smaller --skip"
    pixels = np.stack(frames[: count * cut.frames]).reshape(count, cut.frames, cut.size, cut.size, 3)
    return Clips(pixels, speed / cut.skip, [motion(clip, loops=False) for clip in pixels])


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
