"""Frames of videos and animations, decoded one after another inside bounds: the files may be anyone's.

PyAV gets an open file and the one container format that its first bytes say, never a path or an address: a playlist or
a list of files in disguise is no video here. It is imported where a video is opened.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .white import on_white

MOST_FRAME_PIXELS = 2**23  # a little more than 3840 x 2160
MOST_VIDEO_BYTES = 2**31
ANIMATIONS = ("GIF", "WEBP")
# What Pillow lets out for damaged files: its own errors, and those of numbers and places that are not there.
PILLOW_FAULTS = (OSError, EOFError, SyntaxError, ValueError, IndexError, KeyError, TypeError, struct.error)
PILLOW_FAULTS += (MemoryError, Image.DecompressionBombError)


class ClipError(ValueError):
    """A clip that cannot be read, or only with more memory than a clip may take; one sentence."""


def import_av() -> Any:
    """The module of PyAV. Raises ValueError, one sentence, where it is not installed."""
    try:
        import av
    except ImportError:
        raise ValueError("videos need PyAV, which is not installed; run `pip install av`") from None
    return av


def container_of(path: Path) -> str | None:
    """The container format of a video by its first bytes: mp4 (MOV too), avi or matroska (WebM too); None for others.

    Raises ValueError where there is no such file.
    """
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        raise ClipError(f"there is no readable file {path.name}; choose an existing one") from None
    if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mp4"
    if start[:4] == b"RIFF" and start[8:] == b"AVI ":
        return "avi"
    return "matroska" if start[:4] == b"\x1a\x45\xdf\xa3" else None


def frames(path: Path, frames_per_second: float | None = None) -> Iterator[np.ndarray]:
    """RGB frames of a video, GIF or animated WebP, each (H, W, 3) uint8 on white, in order of display.

    frames_per_second: give a frame of an animation as often as its time asks for at this speed; None: once, though
    GIF and WebP keep equal frames that follow each other as one.
    Raises ClipError where the file is no such thing, damaged, or its frames too large or of several sizes.
    """
    shape = None
    for frame in _video(path) if container_of(path) else _animation(path, frames_per_second):
        if frame.shape != (shape or frame.shape):
            raise ClipError(f"{path.name} changes its size on the way; give another clip")
        shape = frame.shape
        yield frame


def frames_per_second(path: Path) -> float:
    """The mean speed that a video, GIF or animated WebP says; 8 where it says none that makes sense.

    Raises ClipError as `frames` does.
    """
    if container_of(path):
        with _open(path) as container:
            said = container.streams.video[0].average_rate if container.streams.video else None
            speed = float(said) if said else 0.0
    else:
        try:
            with Image.open(path, formats=ANIMATIONS) as picture:
                picture.load()
                speed = 1000 / max(1, picture.info.get("duration", 0))
        except PILLOW_FAULTS as fault:
            raise _unreadable(path) from fault
    return speed if 0.1 <= speed <= 240 else 8.0


def comment(path: Path) -> str | None:
    """The comment that a video carries."""
    with _open(path) as container:
        return container.metadata.get("comment")


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """A video as an open container of PyAV; whatever is wrong with it becomes one ValueError."""
    av = import_av()
    if path.stat().st_size > MOST_VIDEO_BYTES:
        raise ClipError(f"{path.name} is larger than {MOST_VIDEO_BYTES // 2**20} MB; give a smaller clip")
    try:
        with path.open("rb") as file, av.open(file, format=container_of(path), metadata_errors="replace") as container:
            yield container
    except ClipError:
        raise
    except (av.FFmpegError, ValueError, OSError, EOFError, MemoryError) as fault:
        raise ClipError(f"{path.name} is not a readable video; give an MP4, MOV, AVI or WebM") from fault


def _video(path: Path) -> Iterator[np.ndarray]:
    with _open(path) as container:
        if not container.streams.video:
            raise ClipError(f"{path.name} has no pictures in it; give a video")
        stream = container.streams.video[0]
        _check_pixels(path, stream.codec_context.width, stream.codec_context.height)
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(MOST_FRAME_PIXELS)}
        for frame in container.decode(stream):
            _check_pixels(path, frame.width, frame.height)
            yield frame.to_ndarray(format="rgb24")


def _animation(path: Path, frames_per_second: float | None) -> Iterator[np.ndarray]:
    try:
        with Image.open(path, formats=ANIMATIONS) as picture:
            _check_pixels(path, *picture.size)
            for number in range(getattr(picture, "n_frames", 1)):
                picture.seek(number)
                frame = np.asarray(on_white(picture))
                seconds = picture.info.get("duration", 0) / 1000
                yield from repeat(frame, max(1, round(seconds * (frames_per_second or 0))))
    except ClipError:
        raise
    except PILLOW_FAULTS as fault:
        raise _unreadable(path) from fault


def _unreadable(path: Path) -> ClipError:
    return ClipError(f"{path.name} is not a readable clip; give an MP4, MOV, AVI, WebM, GIF or WebP")


def _check_pixels(path: Path, width: int, height: int) -> None:
    if width * height > MOST_FRAME_PIXELS:
        raise ClipError(f"{path.name} has frames of {width} x {height} pixels; give a smaller clip")
