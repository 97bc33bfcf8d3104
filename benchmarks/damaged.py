"""Damaged files are read or named, quickly and in little memory: `python -m benchmarks.damaged`.

Claim: of 5,000 files of every format that people bring, with flipped bits, cut short, or with a piece of another file
in the middle, each gives items or reasons from `zigdemo.data look` in one process: no traceback, none over 5 seconds,
the peak of memory under 1 GB.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import random
import resource
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from zigdemo.data.look import look

RESULT = Path(__file__).parent / "results/damaged.json"
PICTURES = {
    "png": "PNG", "jpg": "JPEG", "webp": "WEBP", "gif": "GIF", "tif": "TIFF", "bmp": "BMP", "avif": "AVIF",
    "ico": "ICO", "ppm": "PPM", "tga": "TGA", "jp2": "JPEG2000",
}  # fmt: skip
CLIPS = {
    "mp4": ("libx264", "yuv420p"), "mkv": ("libx264", "yuv420p"), "webm": ("libvpx", "yuv420p"),
    "avi": ("mpeg4", "yuv420p"), "mov": ("png", "rgb24"), "mpg": ("mpeg1video", "yuv420p"),
    "ts": ("mpeg2video", "yuv420p"),
}  # fmt: skip
TEXTS = {
    "jsonl": b'{"file_name": "a.png", "text": "one"}\n' * 9, "csv": b"file_name,text\na.png,one\nb.png,two\n" * 5,
    "json": b'{"a.png": "one", "b": {"caption": "two"}}', "txt": "eine Straße\n".encode("utf-16"),
}  # fmt: skip


def samples(folder: Path) -> dict[str, bytes]:
    """A whole file of every format, by its ending."""
    import av

    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 3), np.uint8)
    picture, files = Image.fromarray(noise), {}
    for ending, kind in PICTURES.items():
        out = io.BytesIO()
        picture.save(out, kind)
        files[ending] = out.getvalue()
    for ending, kind in (("anim.gif", "GIF"), ("anim.webp", "WEBP"), ("apng", "PNG")):
        out = io.BytesIO()
        frames = [Image.fromarray(np.roll(noise, i, 1)) for i in range(5)]
        frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=80)
        files[ending] = out.getvalue()
    for ending, (codec, pixel_format) in CLIPS.items():
        path = folder / f"whole.{ending}"
        with av.open(str(path), "w") as file:
            stream = file.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = 40, 64, pixel_format
            for i in range(8):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(noise, i, 1), format="rgb24")))
            file.mux(stream.encode(None))
        files[ending] = path.read_bytes()
        path.unlink()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("cat/a.png", "cat/b.jpg", "a.txt"):
            archive.writestr(name, files.get(name[-3:], b"a text"))
    files["zip"] = out.getvalue()
    for ending, mode in (("tar", "w"), ("tar.gz", "w:gz"), ("tar.xz", "w:xz")):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode=mode) as archive:
            for name in ("dog/a.png", "dog/c.gif"):
                info = tarfile.TarInfo(name)
                info.size = len(files[name[-3:]])
                archive.addfile(info, io.BytesIO(files[name[-3:]]))
        files[ending] = out.getvalue()
    return files | TEXTS


def damaged(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """A file with some bits flipped, cut short, or with a piece of another one written into it."""
    kind = chance.randrange(4)
    if kind == 0:
        return content[: chance.randrange(len(content))]
    harmed = bytearray(content)
    if kind == 1:
        start = chance.randrange(len(harmed))
        piece = other[: chance.randrange(1, 200)]
        harmed[start : start + len(piece)] = piece
    else:
        reach = len(harmed) if kind == 2 else min(len(harmed), 300)  # headers are where it hurts
        for _ in range(chance.randrange(1, 40)):
            harmed[chance.randrange(reach)] ^= 1 << chance.randrange(8)
    return bytes(harmed)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    chance, outcomes, faults, longest = random.Random(options.seed), collections.Counter(), [], (0.0, "")
    with tempfile.TemporaryDirectory() as folder:
        whole = samples(Path(folder))
        endings = list(whole)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(options.count):
            ending = endings[number % len(endings)]
            path = Path(folder, f"{number}.{ending}")
            path.write_bytes(damaged(whole[ending], whole[chance.choice(endings)], chance))
            began = time.monotonic()
            try:
                found = look([path])
                outcomes["read" if found.items else "left out with a reason"] += 1
                if not found.items and not found.left_out:
                    faults.append(f"{path.name}: neither read nor named")
            except ValueError as sentence:
                outcomes["refused in one sentence"] += 1
                if "\n" in str(sentence) or folder in str(sentence):
                    faults.append(f"{path.name}: {sentence}")
            except Exception as fault:
                faults.append(f"{path.name}: {type(fault).__name__}: {fault}")
            longest = max(longest, (time.monotonic() - began, ending))
            path.unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = {
        "files": options.count, "formats": len(endings), **outcomes, "faults": len(faults),
        "longest_seconds": round(longest[0], 2), "of": longest[1], "peak_mb": round(peak / 1024),
        "before_mb": round(before / 1024),
    }  # fmt: skip
    print(json.dumps(result), *faults[:20], sep="\n")
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
