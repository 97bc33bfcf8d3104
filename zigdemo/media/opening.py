"""Any picture, as it is meant to be seen: upright, 8 bits, sRGB, on white; whatever is wrong with it is one reason."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from ..files import not_the_file

MOST_PIXELS = 64_000_000
# Formats that Pillow knows and no picture of a stranger may bring: they run another program, or hold no pixels.
REFUSED_FORMATS = ("EPS", "WMF", "EMF", "MPEG", "HDF5", "GRIB", "BUFR", "STUB", "PDF", "PALM")
MOST_TIMED_FRAMES, MOST_TIMED_PIXELS = 2000, 2**28  # of an animation whose durations are read
AVIF_BRANDS = (b"avif", b"avis")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
PICTURE_MAGICS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
ORIENTATION = 0x0112  # tag of Exif
DEEP_GREYS = (8, 10, 12, 14, 16)  # bits that greys of 16 are known to hold
# What Pillow lets out for damaged files: its own errors, and those of numbers and places that are not there.
PILLOW_FAULTS = (OSError, EOFError, SyntaxError, ValueError, IndexError, KeyError, TypeError, AttributeError)
PILLOW_FAULTS += (struct.error, MemoryError, OverflowError, RuntimeError, ZeroDivisionError, NotImplementedError)
PILLOW_FAULTS += (Image.DecompressionBombError, ImageCms.PyCMSError)


@dataclass(frozen=True)
class OpenedPicture:
    """A picture ready to use. image: RGB. turned: by its Exif orientation. frames: None for a still one.

    frames_per_second: the mean over all frames of an animation, None for a still picture. notes: what was done to it
    that one may want to know, a few words each.
    """

    image: Image.Image
    turned: bool = False
    frames: int | None = None
    frames_per_second: float | None = None
    notes: list[str] = field(default_factory=list)


@lru_cache(maxsize=1)
def picture_formats() -> tuple[str, ...]:
    """The formats that can be opened here: all of Pillow's but REFUSED_FORMATS, HEIC where pillow-heif is installed."""
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except ImportError:
        pass
    Image.init()
    return tuple(name for name in Image.ID if name not in REFUSED_FORMATS)


def open_picture(source: bytes | Path | Image.Image, most_pixels: int = MOST_PIXELS) -> OpenedPicture:
    """Open a picture of any format that Pillow knows; of an animation, the first frame.

    Deep and floating-point greys are scaled to 8 bits, colours converted to sRGB by the profile in the file, clear
    parts laid on white. Raises ValueError with a reason of a few words ("no picture", "broken picture (...)") to be
    put behind the name of the file.
    """
    with _opened(source, most_pixels) as image:
        turned = image.getexif().get(ORIENTATION, 1) in range(2, 9)
        frames, speed = (None, None) if image is source else animation_timing(image)  # an open one shows some frame
        notes = [f"only the first of {frames} frames"] if frames else []
        if image.format in ("TIFF", "PSD") and getattr(image, "n_frames", 1) > 1:
            notes.append(f"only the first of {image.n_frames} pages")
        image.load()
        upright = ImageOps.exif_transpose(image)
        return OpenedPicture(laid_on_white(_to_srgb(_to_8_bits(upright, notes), notes)), turned, frames, speed, notes)


def on_white(image: Image.Image) -> Image.Image:
    """An open picture as 8-bit RGB, upright and on white, as `open_picture` gives it. Raises ValueError as it does."""
    return open_picture(image).image


@contextmanager
def _opened(source: bytes | Path | Image.Image, most_pixels: int) -> Iterator[Image.Image]:
    """The open image; every fault of Pillow in the block becomes one reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # size is checked here, by a limit of our own
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            is_open = isinstance(source, Image.Image)
            with nullcontext(source) if is_open else Image.open(file, formats=picture_formats()) as image:
                width, height = image.size
                if width * height > most_pixels:
                    raise _Refusal(f"{width} x {height} pixels are more than {most_pixels:,}; shrink it")
                yield image
    except _Refusal as refusal:
        raise ValueError(str(refusal)) from None
    except Image.DecompressionBombError:
        raise ValueError(f"it has more than {most_pixels:,} pixels; shrink it") from None
    except Image.UnidentifiedImageError:
        raise ValueError(_not_a_picture(source)) from None
    except FileNotFoundError:
        raise ValueError("there is no such file") from None
    except PILLOW_FAULTS as fault:
        line = next(iter(str(fault).splitlines()), "")[:100]
        raise ValueError(f"broken picture ({line or type(fault).__name__})") from None


class _Refusal(Exception):
    """A reason of our own among Pillow's faults."""


def _not_a_picture(source: bytes | Path | Image.Image) -> str:
    try:
        start = source[:512] if isinstance(source, bytes) else _start(source) if isinstance(source, Path) else b""
    except OSError:
        return "it cannot be read"
    if start[4:8] == b"ftyp" and start[8:12] in HEIC_BRANDS:
        if "HEIF" in picture_formats():
            return "broken picture (HEIC)"
        return "HEIC needs another package; run `pip install pillow-heif`, or save it as JPEG"
    if start[4:8] == b"ftyp" and start[8:12] in AVIF_BRANDS:
        return "broken or unsupported AVIF; save it as PNG or JPEG"
    if b"<svg" in start.lower():
        return "a drawing (SVG), which has no pixels; save it as PNG"
    if start.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6", b"%PDF")):
        return "a page (PostScript or PDF), which has no pixels; save it as PNG"
    if instead := not_the_file(start):
        return instead
    if start.startswith(PICTURE_MAGICS):
        return "broken picture (its beginning is damaged)"
    return "it is empty" if not start else "no picture, whatever its name says"


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)


def animation_timing(image: Image.Image) -> tuple[int | None, float | None]:
    """(frames, mean frames per second) of an open animation, None for a speed it does not say; twice None if still."""
    count = getattr(image, "n_frames", 1)
    if count < 2 or image.format in ("TIFF", "MPO", "PSD", "ICO", "ICNS", "DCX", "FLI", "HEIF"):
        return None, None  # pages, sizes or layers, not moments
    timed = max(1, min(count, MOST_TIMED_FRAMES, MOST_TIMED_PIXELS // (image.width * image.height)))
    milliseconds = 0.0
    for number in range(timed):
        image.seek(number)
        if image.format in ("WEBP", "AVIF"):
            image.load()  # which alone tells their durations
        milliseconds += image.info.get("duration", 0) or 0
    image.seek(0)
    return count, 1000 * timed / milliseconds if milliseconds > 0 else None


def _to_8_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    """Greys of more than 8 bits, whole or floating-point, as 8; others as they are."""
    if image.mode not in ("F", "I") and not image.mode.startswith("I;16"):
        return image
    values = np.nan_to_num(np.asarray(image, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    least, most = float(values.min()), float(values.max())
    if least < 0 or most > 65535:
        values, what = (values - least) / max(most - least, 1e-30), "from its darkest to its brightest"
    elif image.mode == "F" and most <= 1:
        what = "from 0 to 1"
    else:
        bits = next(bits for bits in DEEP_GREYS if most < 2**bits)
        values, what = values / (2**bits - 1), f"of {bits} bits"
    notes.append(f"greys {what} scaled to 8 bits")
    return Image.fromarray(np.rint(values * 255).astype(np.uint8), "L")


def _to_srgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """RGB or RGBA in sRGB: by the colour profile of the file where it has another one."""
    alpha = None
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    elif image.mode not in ("L", "RGB", "CMYK", "LAB"):
        image = image.convert("RGB")
    profile = image.info.get("icc_profile")
    source = ImageCms.createProfile("LAB") if image.mode == "LAB" else _profile(profile)
    if source is not None:
        try:
            image = ImageCms.profileToProfile(image, source, _srgb(), outputMode="RGB")
            notes.append("colours converted to sRGB")
        except (ImageCms.PyCMSError, ValueError, OSError, TypeError):
            notes.append("its colour profile does not fit and was left out")
    image = image.convert("RGB")
    if alpha is not None:
        image.putalpha(alpha)
    return image


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _profile(content: object) -> ImageCms.ImageCmsProfile | None:
    """The colour profile of a file where it is readable and not sRGB."""
    if not isinstance(content, bytes) or not 128 <= len(content) <= 2**22:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        name = ImageCms.getProfileDescription(profile)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return None if "srgb" in name.lower() and "linear" not in name.lower() else profile


def middle_square(image: Image.Image, size: int) -> Image.Image:
    """The largest square in the middle of a picture, resized with antialiasing to `size` pixels."""
    return ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)


def laid_on_white(image: Image.Image) -> Image.Image:
    """A picture as RGB, its clear parts on white."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
