"""Clips as they are shown: turned by their display matrix, square pixels, on white, the video and not its cover."""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np
import pytest

from zigdemo.media import decoding
from zigdemo.media.decoding import MemoryFile, container_of, first_frame, frames, timing

av = pytest.importorskip("av")
SIDES = (32, 48)  # rows, columns
# Which corner of the stored frame is shown at the top left, by the matrix (a, b, c, d) of the track's header.
ONE = 1 << 16
TURNS = {
    (ONE, 0, 0, ONE): "top left", (0, ONE, -ONE, 0): "bottom left", (-ONE, 0, 0, -ONE): "bottom right",
    (0, -ONE, ONE, 0): "top right", (-ONE, 0, 0, ONE): "top right", (ONE, 0, 0, -ONE): "bottom left",
}  # fmt: skip


def corners():
    """A frame with a white square at the top left, grey at the top right, dark at the bottom left."""
    frame = np.zeros((*SIDES, 3), np.uint8)
    frame[:12, :12], frame[:12, -12:], frame[-12:, :12] = 255, 170, 85
    return frame


CORNERS = {"top left": 255, "top right": 170, "bottom left": 85, "bottom right": 0}


def write(path, pictures, codec="libx264", pixel_format="yuv420p", ratio=None, times=None, container=None):
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixel_format
        if ratio:
            stream.codec_context.sample_aspect_ratio = Fraction(ratio)
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba" if picture.shape[-1] == 4 else "rgb24")
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def with_matrix(path, matrix):
    """An MP4 whose track is shown by the matrix (a, b, c, d)."""
    content = bytearray(path.read_bytes())
    a, b, c, d = matrix
    place = content.index(struct.pack(">9i", ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30), content.index(b"tkhd"))
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("matrix", TURNS, ids=lambda matrix: str([value // ONE for value in matrix]))
def test_a_clip_is_turned_and_mirrored_as_its_matrix_says(tmp_path, matrix):
    path = with_matrix(write(tmp_path / "a.mp4", [corners()] * 3), matrix)
    shown = list(frames(path))
    assert shown[0].shape[:2] == (SIDES if matrix[0] else SIDES[::-1])
    assert abs(shown[0][:8, :8].mean() - CORNERS[TURNS[matrix]]) < 12
    assert first_frame(path)[1] == (matrix != (ONE, 0, 0, ONE))
    inside = MemoryFile("a.mp4", path.read_bytes())
    assert np.array_equal(list(frames(inside)), shown) and timing(inside) == timing(path) == (3, 25)


@pytest.mark.parametrize("ratio, size", [("2", (32, 96)), ("1/2", (64, 48)), ("16/15", (32, 51)), ("1000", (32, 48))])
def test_pixels_become_square(tmp_path, ratio, size):
    path = write(tmp_path / "a.mp4", [corners()] * 2, ratio=ratio)
    assert next(frames(path)).shape[:2] == size


@pytest.mark.parametrize("name, codec, pixel_format", [
    ("a.mov", "png", "rgba"), ("a.mov", "qtrle", "argb"), ("a.webm", "libvpx-vp9", "yuva420p"),
    ("a.mkv", "ffv1", "yuva420p"),
])  # fmt: skip
def test_what_is_clear_is_white(tmp_path, name, codec, pixel_format):
    clear = np.zeros((*SIDES, 4), np.uint8)
    clear[:, 24:] = (200, 0, 0, 255)
    shown = next(frames(write(tmp_path / name, [clear] * 2, codec, pixel_format)))
    assert shown[:, :20].mean() > 245 and abs(shown[:, 30:, 0].mean() - 200) < 15 and shown[:, 30:, 1].mean() < 15


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_the_rate_is_the_mean_over_all_frames(tmp_path, name):
    times = [0, 40, 80, 480, 880, 1280]
    path = write(tmp_path / name, [corners()] * 6, times=times)
    assert timing(path)[0] == 6 and timing(path)[1] == pytest.approx(6 / 1.536, rel=0.2)


@pytest.mark.parametrize("name, codec, container, read_as", [
    ("a.mpg", "mpeg1video", None, "mpeg"), ("a.wmv", "wmv2", "asf", "asf"), ("a.3gp", "mpeg4", None, "mp4"),
    ("a.webm", "libvpx", None, "matroska"), ("a.ts", "mpeg2video", "mpegts", "mpegts"), ("a.flv", "flv", None, "flv"),
    ("a.avi", "mpeg4", None, "avi"), ("a.ogv", "libtheora", "ogg", "ogg"),
])  # fmt: skip
def test_containers_are_known_by_their_first_bytes(tmp_path, name, codec, container, read_as):
    if codec not in av.codecs_available:
        pytest.skip(f"{codec} is not in this FFmpeg")
    path = write(tmp_path / name, [corners()] * 5, codec, container=container)
    hidden = path.rename(tmp_path / "no-suffix")
    assert container_of(hidden) == read_as
    assert len(list(frames(hidden))) >= 4 and abs(next(frames(hidden))[:8, :8].mean() - 255) < 20


def test_the_largest_stream_is_the_video_and_a_picture_is_none(tmp_path):
    with av.open(str(tmp_path / "two.mkv"), "w") as file:
        streams = []
        for size in ((16, 16), SIDES):
            stream = file.add_stream("ffv1", rate=25)
            stream.height, stream.width = size
            stream.pix_fmt = "yuv444p"
            streams.append(stream)
        for stream in streams:
            for _ in range(2):
                picture = np.full((stream.height, stream.width, 3), 128, np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            file.mux(stream.encode(None))
    assert next(frames(tmp_path / "two.mkv")).shape[:2] == SIDES
    assert container_of(MemoryFile("a.avif", b"\x00\x00\x00\x20ftypavif0000")) is None


def test_too_large_a_stretch_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", [corners()] * 2, ratio="4")
    monkeypatch.setattr(decoding, "MOST_FRAME_PIXELS", SIDES[0] * SIDES[1] * 2)
    with pytest.raises(decoding.ClipError, match="give a smaller clip"):
        list(frames(path))
