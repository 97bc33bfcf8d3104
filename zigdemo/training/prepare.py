"""Make a data set for training: `python -m zigdemo.training.prepare fluent-emoji`."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .data import fluent_emoji
from .data.folders import read_pictures
from .data.images import IMAGES_FILE, INFO_FILE, SAMPLES_FILE, choices

SIZES_PX = range(8, 257)


@dataclass(frozen=True)
class Prepared:
    """What was made: the folder, the number of images, and what was left out (unusable; a known name)."""

    folder: Path
    count: int
    skipped: list[str]
    repeated: list[str]


def prepare_fluent_emoji(
    out: Path,
    size: int = 64,
    from_tar: Path | None = None,
    groups: Sequence[str] | None = None,
    run: fluent_emoji.Runner | None = None,
) -> Prepared:
    """Write the emoji as an image set into the folder `out`: one image a name, in the order of the archive.

    size: side of the images in pixels. groups: keep only these. run: starts npm (see fluent_emoji.read_npm).
    Errors: ValueError for unusable archives or arguments, RuntimeError where npm fails; `out` is then kept.
    """
    if size not in SIZES_PX:
        raise ValueError(f"size {size} is not possible; choose {SIZES_PX[0]} to {SIZES_PX[-1]} pixels")
    _check_replaceable(out)
    if from_tar is None:
        samples, skipped = fluent_emoji.read_npm(run, shrink=size <= fluent_emoji.PREPARED_PX)
    else:
        samples, skipped = fluent_emoji.read_tar(from_tar)
    source = from_tar or "the npm packages"
    if groups is not None:
        known = list(dict.fromkeys(sample.group for sample in samples))
        for group in groups:
            if group not in known:
                raise ValueError(f"unknown group {group!r} in {source}; {choices('group', group, known)}")
        samples = [sample for sample in samples if sample.group in groups]
    kept: dict[str, tuple[fluent_emoji.EmojiSample, np.ndarray]] = {}
    repeated = []
    for sample in samples:
        if sample.name in kept:
            repeated.append(f"{sample.key}.webp ({sample.name})")
            continue
        try:
            picture = fluent_emoji.open_picture(sample.webp)
        except ValueError as error:
            skipped.append(f"{sample.key}.webp ({error})")
            continue
        if max(picture.size) < size:
            advice = f"--size {max(picture.size)} or less{' or no --from-tar' if from_tar else ''}"
            raise ValueError(f"{sample.key}.webp of {source} is too small for size {size}; choose {advice}")
        kept[sample.name] = sample, fluent_emoji.on_white(picture, size)
    if not kept:
        raise ValueError(f"no usable emoji in {source}; use an unchanged copy of the data")
    lines = [
        {"key": one.key, "label": one.name, "group": one.group, "keywords": one.keywords, "emoji": one.emoji}
        for one, _ in kept.values()
    ]
    info = {
        "dataset": "fluent-emoji",
        "size": size,
        "count": len(kept),
        "made_from": from_tar.name if from_tar else "npm",
        "sources": [{"package": name, "version": version} for name, version in fluent_emoji.PACKAGES],
        "licence": fluent_emoji.LICENCE,
    }
    write_image_set(out, np.stack([image for _, image in kept.values()]), lines, info)
    return Prepared(out, len(kept), skipped, repeated)


def prepare_folder(out: Path, source: str | Path, size: int = 64, label: str | None = None) -> Prepared:
    """Write pictures from a folder, an archive or a Hugging Face data set as an image set, see `read_pictures`.

    Errors: ValueError for a source without a usable picture or a size that is not possible; `out` is then kept.
    """
    if size not in SIZES_PX:
        raise ValueError(f"size {size} is not possible; choose {SIZES_PX[0]} to {SIZES_PX[-1]} pixels")
    _check_replaceable(out)
    found = read_pictures(source, size, label)
    write_image_set(out, found.images, found.samples(), {"dataset": Path(source).name, "size": size})
    return Prepared(out, len(found.images), found.skipped, [])


def write_image_set(folder: Path, images: np.ndarray, samples: Sequence[dict[str, Any]], info: dict[str, Any]) -> None:
    """Write an image set beside `folder`, then put it in place: a reader never sees half of one.

    images: (count, size, size, 3) uint8. samples: one an image. info: what info.json says, besides a hash.
    """
    _check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    fresh, old = aside / "new", aside / "old"
    try:
        fresh.mkdir()
        np.save(fresh / IMAGES_FILE, images)
        digest = hashlib.sha256((fresh / IMAGES_FILE).read_bytes()).hexdigest()
        lines = [json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples]
        _write_text(fresh / SAMPLES_FILE, "".join(lines))
        _write_text(fresh / INFO_FILE, json.dumps({**info, "images_sha256": digest}, indent=2) + "\n")
        # Two folders cannot be swapped in one step everywhere: the old one goes aside, and back on failure.
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)


def _write_text(path: Path, text: str) -> None:
    """Write UTF-8 with plain line ends, the same bytes on every system."""
    path.write_bytes(text.encode("utf-8"))


def _check_replaceable(folder: Path) -> None:
    """Refuse to replace what is not an image set: somebody's own folder or file."""
    ours = {IMAGES_FILE, SAMPLES_FILE, INFO_FILE}
    if folder.exists() and not (folder.is_dir() and {path.name for path in folder.iterdir()} <= ours):
        raise ValueError(f"{folder} exists and is no prepared image set; choose another --out")


DATASETS: dict[str, Callable[..., Prepared]] = {"fluent-emoji": prepare_fluent_emoji}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser("python -m zigdemo.training.prepare", description="Make a data set.")
    parser.add_argument("dataset", choices=[*DATASETS, "folder"])
    parser.add_argument("--root", help="for folder: a folder, zip, tar shard, or hf:OWNER/NAME")
    parser.add_argument("--label", help="for folder: the label of all pictures (default: by captions and names)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write (default: data/DATASET)")
    parser.add_argument("--from-tar", type=Path, metavar="FILE", help="prepared tar file, not npm packages")
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels (default: 64)")
    parser.add_argument("--groups", metavar="A,B", help="keep only these groups (default: all)")
    options = parser.parse_args(arguments)
    groups = [name.strip() for name in options.groups.split(",")] if options.groups is not None else None
    out = options.out or Path("data", options.dataset)
    try:
        if options.dataset == "folder":
            if not options.root:
                raise ValueError("folder needs --root, the pictures to read")
            made = prepare_folder(out, options.root, options.size, options.label)
        else:
            made = DATASETS[options.dataset](out, options.size, options.from_tar, groups)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name in made.skipped:
        print(f"skipped {name}", file=sys.stderr)
    repeats = f"; left out {len(made.repeated)} that repeat a name" if made.repeated else ""
    print(f"{made.folder}: {made.count} images of {options.size} px{repeats}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
