"""Clips as files with embedded settings: MP4, GIF, animated WebP and PNG filmstrips."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from ..checks import is_whole, number
from ..files import replacing_file
from .decoding import MOST_FRAME_PIXELS, PILLOW_FAULTS, ClipError, frames, import_av
from .metadata import EXIF_DESCRIPTION, KEY, read_metadata, settings_text

CLIP_KINDS = ("mp4", "gif", "webp", "png")
SHOWN_PX = 256  # minimum shorter side of a clip for watching, reached by integer upscaling
MOST_SHOWN_PX, MOST_SIDE_PX = 2048, 4096
MOST_FRAMES = 1024
MOST_CLIP_BYTES = 2**29
REC709 = 1  # code of its matrix, primaries and transfer in the file formats
LIMITED_RANGE = 1


def save_clip(
    clip: np.ndarray,
    path: str | Path,
    settings: Mapping[str, Any],
    provenance: dict[str, Any],
    index: int = 0,
    frames_per_second: float = 8.0,
) -> Path:
    """Write a clip atomically, with the settings of its request, its provenance and its index in the batch.

    clip: (frames, H, W, 3) uint8. The suffix of the path selects the kind, of CLIP_KINDS. MP4 (H.264, yuv420p), GIF and
    lossless WebP are upscaled for watching in a browser; a PNG has all frames side by side, unscaled. Raises ValueError
    for another kind, a wrong shape, too large a clip, and for an MP4 if PyAV is not installed.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in CLIP_KINDS:
        raise ValueError(f"{path.name} is no kind of clip; choose a name that ends in {', '.join(CLIP_KINDS)}")
    _check(clip)
    number("frames_per_second", frames_per_second, least=0.1, most=100)
    about: dict[str, float] = {"frames": len(clip), "frames_per_second": frames_per_second}
    if kind == "png":
        about["columns"] = _columns(len(clip))
    text = settings_text(settings, provenance, index, about)
    with replacing_file(path) as aside:
        if kind == "mp4":
            _save_mp4(enlarged(clip), aside, text, frames_per_second)
        elif kind == "png":
            info = PngImagePlugin.PngInfo()
            info.add_itxt(KEY, text)
            filmstrip(clip).save(aside, format="PNG", pnginfo=info)
        else:
            _save_animation(enlarged(clip), aside, kind.upper(), text, frames_per_second)
    return path


def read_clip(path: str | Path) -> np.ndarray:
    """The frames of an MP4, MOV, AVI, WebM, GIF, animated WebP or our own filmstrip, as (frames, H, W, 3) uint8.

    The frames are as in the file: upscaling and losses of `save_clip` are not undone. Raises ValueError with one
    sentence for any other file, a damaged one, and too many or too large frames.
    """
    path = Path(path)
    about = _about(path)
    if "columns" in about:
        return _split_filmstrip(path, about)
    speed = about.get("frames_per_second")
    clip_frames: list[np.ndarray] = []
    for frame in frames(path, speed if isinstance(speed, int | float) and 0 < speed <= 100 else None):
        if len(clip_frames) == MOST_FRAMES or (len(clip_frames) + 1) * frame.nbytes > MOST_CLIP_BYTES:
            raise ClipError(f"{path.name} has too many or too large frames; give a shorter clip")
        clip_frames.append(frame)
    if not clip_frames:
        raise ClipError(f"{path.name} has no frames; give another clip")
    return np.stack(clip_frames)


def filmstrip(clip: np.ndarray, columns: int | None = None) -> Image.Image:
    """All frames of a clip (frames, H, W, 3) uint8 in one picture, row by row on white; None: nearly square."""
    _check(clip)
    count, height, width = clip.shape[:3]
    columns = min(columns or _columns(count), count)
    rows = -(-count // columns)
    sheet = np.full((rows * columns, height, width, 3), 255, np.uint8)
    sheet[:count] = clip
    grid = sheet.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return Image.fromarray(grid.reshape(rows * height, columns * width, 3))


def enlarged(clip: np.ndarray) -> np.ndarray:
    """A clip upscaled by an integer factor, so that its shorter side has at least SHOWN_PX and pixels stay crisp.

    The factor is smaller for narrow clips, so that the longer side has at most MOST_SHOWN_PX.
    """
    times = max(1, min(-(-SHOWN_PX // min(clip.shape[1:3])), MOST_SHOWN_PX // max(clip.shape[1:3])))
    return clip.repeat(times, axis=1).repeat(times, axis=2)


def _check(clip: np.ndarray) -> None:
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] != 3 or not 0 < clip.size <= MOST_CLIP_BYTES:
        raise ValueError(f"clip must be uint8 (frames, H, W, 3), not {clip.dtype} {clip.shape}")
    height, width = clip.shape[1:3]
    if max(height, width) > MOST_SIDE_PX or height * width > MOST_FRAME_PIXELS:
        raise ValueError(f"clip must have sides of at most {MOST_SIDE_PX} pixels, not {height} x {width}")


def _columns(count: int) -> int:
    """Columns of a filmstrip: the smallest number with no more rows than columns."""
    return next(columns for columns in range(1, count + 1) if columns * columns >= count)


def _save_mp4(clip: np.ndarray, path: Path, text: str, frames_per_second: float) -> None:
    """H.264 tagged as Rec. 709, with the index before the frames for streaming in browsers."""
    av = import_av()
    # yuv420p stores colour per 2 x 2 pixels, so both sides must be even: repeat the last row or column.
    clip = np.pad(clip, ((0, 0), (0, clip.shape[1] % 2), (0, clip.shape[2] % 2), (0, 0)), mode="edge")
    with av.open(path, "w", format="mp4", options={"movflags": "faststart"}) as container:
        container.metadata["comment"] = text
        stream = container.add_stream("libx264", rate=Fraction(frames_per_second).limit_denominator(1000))
        stream.height, stream.width, stream.pix_fmt = *clip.shape[1:3], "yuv420p"
        stream.options = {"crf": "16"}
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = REC709
        context.color_range = LIMITED_RANGE
        for frame in clip:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(stream.encode(None))


def _save_animation(clip: np.ndarray, path: Path, kind: str, text: str, frames_per_second: float) -> None:
    """GIF with the settings as its comment, or WebP with them in its EXIF description."""
    first, *rest = map(Image.fromarray, clip)
    # GIF durations are in hundredths of a second: rounding the end times, not the durations, keeps the speed.
    ends = np.round(np.arange(len(clip) + 1) * 100 / frames_per_second).astype(int) * 10
    options: dict[str, Any] = {"save_all": True, "append_images": rest, "duration": np.diff(ends).tolist(), "loop": 0}
    if kind == "GIF":
        first.save(path, format=kind, comment=text.encode(), **options)
    else:
        exif = Image.Exif()
        exif[EXIF_DESCRIPTION] = text
        first.save(path, format=kind, lossless=True, exif=exif, **options)


def _about(path: Path) -> dict[str, Any]:
    """The metadata of a file about its frames; empty for files of other origin."""
    try:
        return read_metadata(path).get("clip", {})
    except ValueError:
        return {}


def _split_filmstrip(path: Path, about: dict[str, Any]) -> np.ndarray:
    """The frames of a filmstrip, whose metadata gives their number and the columns."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            sheet = np.asarray(image.convert("RGB"))
    except PILLOW_FAULTS as fault:
        raise ClipError(f"{path.name} is not a readable filmstrip; give another clip") from fault
    count, columns = about.get("frames"), about["columns"]
    if not all(is_whole(value, 1, MOST_FRAMES) for value in (count, columns)):
        raise ClipError(f"{path.name} does not say how many frames it has; give another clip")
    rows = -(-count // columns)
    if sheet.shape[0] % rows or sheet.shape[1] % columns:
        raise ClipError(f"{path.name} was cut or resized; give another clip")
    height, width = sheet.shape[0] // rows, sheet.shape[1] // columns
    return sheet.reshape(rows, height, columns, width, 3).swapaxes(1, 2).reshape(-1, height, width, 3)[:count]
