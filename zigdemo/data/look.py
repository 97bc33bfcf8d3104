"""What there is to learn from in anything: `python -m zigdemo.data look PATH...`, before anything is trained.

Pictures, clips, folders, archives, several of them, the official layout of UCF101 and prepared sets. Every file is an
item, the caption of one, or left out with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from ..media.decoding import MemoryFile, first_frame, timing
from ..media.opening import open_picture
from .clips import CLIPS
from .images import IMAGES
from .named_files import Named, decodable, named_files
from .prepared import INFO_FILE, SAMPLES_FILE, read_samples, read_set
from .sources import LIMITS, LeftOut, Limits
from .videos import ucf101

MOST_SHOWN = 60  # lines of items that are printed for people


@dataclass(frozen=True)
class Item:
    """One picture or clip that would be learned from; None where something is not there.

    file: relative to the path given, members of archives as archive.zip/name. label: its class. caption: what is
    written of it. width, height: after turning, in pixels. mean: of the 8-bit RGB, 0 to 255, of a clip's first frame.
    frames, fps: of a clip or animation, the mean rate. turned: whether it is stored otherwise than it is shown.
    """

    file: str
    label: str | None
    caption: str | None
    width: int
    height: int
    mean: float
    frames: int | None = None
    fps: float | None = None
    turned: bool = False


@dataclass
class Look:
    """What was found: items, files left out with their reasons, and sentences that one should know."""

    items: list[Item] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def content(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The same for people."""
        items = [_line(item) for item in self.items[:MOST_SHOWN]]
        if len(self.items) > MOST_SHOWN:
            items.append(f"... and {len(self.items) - MOST_SHOWN:,} more")
        labels = Counter(item.caption or item.label for item in self.items)
        count = f"{len(self.items):,} item{'s' * (len(self.items) != 1)}, {len(labels):,} labels or captions"
        left_out = [f"left out: {one}" for one in self.left_out]
        return [count, *items, *left_out, *(f"note: {note}" for note in self.notes)]


def look(paths: Sequence[Path], limits: Limits = LIMITS) -> Look:
    """What would be learned from some paths, and what not. Raises ValueError with one sentence where a path is none."""
    found = Look()
    others = []
    for path in paths:
        if (path / SAMPLES_FILE).is_file() and (path / INFO_FILE).is_file():
            _look_at_prepared(path, found)
        elif (path / "classInd.txt").is_file() or list(path.glob("*/classInd.txt")):
            _look_at_ucf101(path, found)
        else:
            others.append(path)
    for named, content in named_files(others, limits, found.left_out, found.notes):
        try:
            found.items.append(_item(named, content, limits, found.notes))
        except ValueError as reason:
            found.left_out.append(LeftOut(named.file.name, _without_name(str(reason), named.file.name)))
    return found


def _item(named: Named, content: bytes | None, limits: Limits, notes: list[str]) -> Item:
    """A file as an item. Raises ValueError with the reason where it is none."""
    file = named.file
    source, is_clip = decodable(file, content, limits)
    caption = named.words.caption
    label = named.words.label or (None if caption else named.learned)
    if is_clip:
        return clip_item(file.name, source, label, caption)
    picture = open_picture(file.path if content is None else content, limits.pixels)
    notes += [f"{file.name}: {note}" for note in picture.notes]
    width, height = picture.image.size
    return Item(
        file.name, label, caption, width, height, _mean(picture.image), picture.frames,
        _rounded(picture.frames_per_second), picture.turned,
    )  # fmt: skip


def clip_item(name: str, source: Path | MemoryFile, label: str | None, caption: str | None) -> Item:
    """A video as an item. Raises ValueError with the reason where it cannot be read."""
    first, turned = first_frame(source)
    count, speed = timing(source)
    height, width = first.shape[:2]
    return Item(name, label, caption, width, height, _mean(first), count, _rounded(speed), turned)


def _look_at_prepared(folder: Path, found: Look) -> None:
    form = CLIPS if (folder / CLIPS.array_file).is_file() else IMAGES
    if not (folder / form.array_file).is_file():
        samples = read_samples(folder, IMAGES)
        found.notes.append(
            f"{folder.name} holds {len(samples):,} prepared latents; look at the set they were made from"
        )
        return
    array, samples = read_set(folder, form)
    for row, sample in enumerate(samples):
        first = array[row] if form is IMAGES else array[row, 0]
        count = None if form is IMAGES else int(array.shape[1])
        found.items.append(
            Item(
                str(sample.get("key", row)), sample["label"], None, first.shape[1], first.shape[0],
                _mean(first), count,
            )
        )  # fmt: skip


def _look_at_ucf101(root: Path, found: Look) -> None:
    videos, missing = ucf101(root, 1, "all")
    for video in videos:
        name = video.path.relative_to(root).as_posix()
        try:
            found.items.append(clip_item(name, video.path, video.label, None))
        except ValueError as reason:
            found.left_out.append(LeftOut(name, _without_name(str(reason), video.path.name)))
    found.left_out += [LeftOut(name, "in the lists, but not here") for name in missing]
    found.notes.append(f"UCF101 in its official layout: {len(videos)} videos of the lists of split 1")


def _line(item: Item) -> str:
    said = item.caption or item.label or ""
    clip = f", {item.frames} frames at {item.fps:g} per second" if item.frames and item.fps else ""
    return f"{item.file}: {said!r}, {item.width} x {item.height}{clip}{', turned upright' * item.turned}"


def _mean(image: Image.Image | np.ndarray) -> float:
    return round(float(np.asarray(image, np.float32).mean()), 2)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _without_name(reason: str, name: str) -> str:
    """A reason that does not say again which file it is about."""
    last = PurePosixPath(name).name
    for start in (f"{last} is ", f"{last} has ", f"{last} "):
        if reason.startswith(start):
            return reason[len(last) + 1 :]
    return reason
