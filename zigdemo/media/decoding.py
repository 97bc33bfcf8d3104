"""Frames of videos and animations, decoded one by one within limits, as the files are untrusted.

PyAV gets an open file and the one container format indicated by its first bytes, never a path or URL, so that disguised
playlists and file lists are not followed. It is imported only to open a video.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .opening import AVIF_BRANDS, HEIC_BRANDS, PILLOW_FAULTS, animation_timing, laid_on_white

MOST_FRAME_PIXELS = 2**23  # a little more than 3840 x 2160
MOST_VIDEO_BYTES = 2**31
MOST_STRETCH = 8  # of pixels that are not square; a file that says more is not believed
ANIMATIONS = ("GIF", "WEBP", "PNG", "AVIF")
# Containers by their first bytes; MP4 is told by the kind of its first box.
CONTAINERS = (
    (b"\x1a\x45\xdf\xa3", "matroska"), (b"\x00\x00\x01\xba", "mpeg"), (b"\x00\x00\x01\xb3", "mpegvideo"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"), (b"OggS", "ogg"), (b"FLV\x01", "flv"),
)  # fmt: skip
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
TRANSPORT_PACKET = 188  # bytes, each packet starting with 0x47
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # those of FFmpeg's own leave WebM's transparency out
OUR_RATE = 8.0  # frames per second of a clip that says none that makes sense


@dataclass(frozen=True)
class MemoryFile:
    """A file that is in memory, such as a member of an archive."""

    name: str
    data: bytes = field(repr=False)

    def open(self, mode: str = "rb") -> io.BytesIO:
        return io.BytesIO(self.data)


File = Path | MemoryFile


class ClipError(ValueError):
    """A clip that cannot be read, or would need too much memory; one sentence."""


def import_av() -> Any:
    """The module of PyAV. Raises ValueError with one sentence if it is not installed."""
    try:
        import av
    except ImportError:
        raise ValueError("videos need PyAV, which is not installed; run `pip install av`") from None
    return av


def container_of(path: File) -> str | None:
    """FFmpeg's name of a video's container by its first bytes, "mp4" (MOV, 3GP too) or of CONTAINERS; None for others.

    Raises ClipError where there is no such file.
    """
    try:
        with path.open("rb") as file:
            start = file.read(2 * TRANSPORT_PACKET + 1)
    except OSError:
        raise ClipError(f"there is no readable file {path.name}; choose an existing one") from None
    if start[4:8] in MP4_BOXES:
        return None if start[8:12] in (*AVIF_BRANDS, *HEIC_BRANDS) else "mp4"
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return "avi"
    if len(start) > TRANSPORT_PACKET and start[0] == start[TRANSPORT_PACKET] == start[-1] == 0x47:
        return "mpegts"
    return next((name for magic, name in CONTAINERS if start.startswith(magic)), None)


def frames(path: File, frames_per_second: float | None = None) -> Iterator[np.ndarray]:
    """RGB frames of a video or animation, each (H, W, 3) uint8, upright, with square pixels, on white, as displayed.

    frames_per_second: repeat each frame of an animation for its duration at this rate; None: yield it once, although
    GIF and WebP merge equal consecutive frames. Raises ClipError for any other file, a damaged one, and frames that are
    too large or change their size.
    """
    shape = None
    for frame, _ in _video(path) if container_of(path) else _animation(path, frames_per_second):
        if frame.shape != (shape or frame.shape):
            raise ClipError(f"{path.name} has frames of several sizes; give another clip")
        shape = frame.shape
        yield frame


def frames_per_second(path: File) -> float:
    """The mean speed over all frames of a video or animation; OUR_RATE where it says none that makes sense.

    Raises ClipError as `frames` does.
    """
    return timing(path)[1]


def timing(path: File) -> tuple[int, float]:
    """(frames, mean frames per second) of a video or animation, without decoding it.

    Raises ClipError as `frames` does.
    """
    count, speed = _video_timing(path) if container_of(path) else _animation_timing(path)
    return count, speed if 0.1 <= speed <= 240 else OUR_RATE


def first_frame(path: File) -> tuple[np.ndarray, bool]:
    """The first frame as `frames` gives it, and whether it is stored otherwise, turned or mirrored by a display matrix.

    Raises ClipError as `frames` does, and for a file without frames.
    """
    first = next(_video(path) if container_of(path) else _animation(path, None), None)
    if first is None:
        raise ClipError(f"{path.name} has no frames; give another clip")
    return first


def comment(path: Path) -> str | None:
    """The comment in a video's metadata. Raises ClipError as `frames` does."""
    with _open(path) as container:
        return container.metadata.get("comment")


@contextmanager
def _open(path: File) -> Iterator[Any]:
    """A video as an open container of PyAV; whatever is wrong with it becomes one ClipError."""
    av = import_av()
    if isinstance(path, Path) and path.stat().st_size > MOST_VIDEO_BYTES:
        raise ClipError(f"{path.name} is larger than {MOST_VIDEO_BYTES // 2**20} MB; give a smaller clip")
    try:
        with path.open("rb") as file, av.open(file, format=container_of(path), metadata_errors="replace") as container:
            yield container
    except ClipError:
        raise
    except (av.FFmpegError, ValueError, OSError, EOFError, MemoryError, OverflowError) as fault:
        raise ClipError(f"{path.name} is not a readable video; give an MP4, MOV, AVI or WebM") from fault


def _stream(path: File, container: Any) -> Any:
    """The video to show: the largest of the streams that are no cover picture."""
    from av.stream import Disposition

    cover = Disposition.attached_pic
    streams = [one for one in container.streams.video if cover not in one.disposition]
    streams = [one for one in streams if one.codec_context is not None]
    if not streams:
        raise ClipError(f"{path.name} has no moving pictures that can be read; give a video")
    return max(streams, key=lambda one: one.codec_context.width * one.codec_context.height)


def _video_timing(path: File) -> tuple[int, float]:
    with _open(path) as container:
        stream = _stream(path, container)
        times, duration = [], None
        for packet in container.demux(stream):
            if not packet.size:
                continue
            time = packet.dts if packet.pts is None else packet.pts
            times.append(time)
            duration = packet.duration
        known = [time for time in times if time is not None]
        said = float(stream.average_rate or stream.guessed_rate or 0)
        if len(known) < len(times) or len(known) < 2:
            return len(times), said
        span = max(known) - min(known) + (duration or (max(known) - min(known)) / (len(known) - 1))
        return len(times), len(times) / float(span * stream.time_base) if span else said


def _video(path: File) -> Iterator[tuple[np.ndarray, bool]]:
    """Every frame as displayed, and whether its display matrix turns or mirrors it."""
    with _open(path) as container:
        stream = _stream(path, container)
        _check_pixels(path, stream.codec_context.width, stream.codec_context.height)
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(MOST_FRAME_PIXELS)}
        ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        for frame in _decoded(container, stream):
            _check_pixels(path, frame.width, frame.height)
            yield _as_displayed(path, frame, float(ratio or 1)), any(_turn(frame))


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """The frames of a stream, with the transparency of a WebM where there is a decoder that knows it."""
    av = import_av()
    name = ALPHA_DECODERS.get(stream.codec_context.name)
    if stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) != "1" or name not in av.codecs_available:
        yield from container.decode(stream)
        return
    decoder = av.CodecContext.create(name, "r")
    decoder.options = {"max_pixels": str(MOST_FRAME_PIXELS)}
    for packet in container.demux(stream):
        yield from decoder.decode(packet if packet.size else None)


def _as_displayed(path: File, frame: Any, ratio: float) -> np.ndarray:
    """A frame as (H, W, 3): its pixels made square, laid on white, turned as its display matrix says."""
    width, height = frame.width, frame.height
    if 1 / MOST_STRETCH <= ratio <= MOST_STRETCH and abs(ratio - 1) > 0.005:
        width, height = (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
        _check_pixels(path, width, height)
    clear = any(component.is_alpha for component in frame.format.components)
    pixels = frame.to_ndarray(format="rgba" if clear else "rgb24")
    if clear:
        pixels = np.asarray(laid_on_white(Image.fromarray(pixels)))
    if (width, height) != (frame.width, frame.height):
        pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
    swapped, flipped_x, flipped_y = _turn(frame)
    if swapped:
        pixels = pixels.swapaxes(0, 1)
    return np.ascontiguousarray(pixels[:: -1 if flipped_y else 1, :: -1 if flipped_x else 1])


def _turn(frame: Any) -> tuple[bool, bool, bool]:
    """What a frame's display matrix asks for: swap rows and columns, then mirror left to right, then top to bottom.

    Turns by other than quarters are rounded to the nearest. Source: ISO 14496-12, the matrix of a track header.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(matrix)[:36], np.int32)[:5].tolist()
    if abs(a) >= abs(b):
        return False, a < 0, d < 0
    return True, c < 0, b < 0


def _animation_timing(path: File) -> tuple[int, float]:
    with _opened_animation(path) as picture:
        count = _frame_count(path, picture)
        _, speed = animation_timing(picture)
    return count, speed or 0.0


def _animation(path: File, frames_per_second: float | None) -> Iterator[tuple[np.ndarray, bool]]:
    with _opened_animation(path) as picture:
        _check_pixels(path, *picture.size)
        for number in range(_frame_count(path, picture)):
            picture.seek(number)
            shown = np.asarray(laid_on_white(picture.convert("RGBA")))
            seconds = picture.info.get("duration", 0) / 1000
            yield from repeat((shown, False), max(1, round(seconds * (frames_per_second or 0))))


@contextmanager
def _opened_animation(path: File) -> Iterator[Image.Image]:
    """An open animation; whatever Pillow finds wrong with it, here or in the block, is one ClipError."""
    try:
        with path.open("rb") as file, Image.open(file, formats=ANIMATIONS) as picture:
            yield picture
    except ClipError:
        raise
    except PILLOW_FAULTS as fault:
        raise _unreadable(path) from fault


def _frame_count(path: File, picture: Image.Image) -> int:
    """Frames of an animation; a still GIF or WebP is one of a single frame, a still PNG or AVIF is no clip."""
    count = getattr(picture, "n_frames", 1)
    if count < 2 and picture.format not in ("GIF", "WEBP"):
        raise _unreadable(path)
    return count


def _unreadable(path: File) -> ClipError:
    return ClipError(f"{path.name} is not a readable clip; give an MP4, MOV, AVI, WebM, GIF or WebP")


def _check_pixels(path: File, width: int, height: int) -> None:
    if width * height > MOST_FRAME_PIXELS:
        raise ClipError(f"{path.name} has frames of {width} x {height} pixels; give a smaller clip")
