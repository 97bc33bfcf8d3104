"""Pictures or clips to score: read from disk, or drawn by a model."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..checks import whole
from ..pipeline import MOST_COUNT, Pipeline, Request

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MOST_PICTURE_PX = 2**26
ARRAYS = ("images.npy", "clips.npy")
SAMPLES = "samples.jsonl"


@dataclass(frozen=True)
class Material:
    """Pictures (n, H, W, 3) or clips (n, T, H, W, 3), uint8, and the label of each, or None where they have none."""

    items: np.ndarray
    labels: list[str] | None = None

    @property
    def clips(self) -> bool:
        """Whether these are clips."""
        return self.items.ndim == 5


def read_material(path: str | Path) -> Material:
    """A prepared image or clip set, an .npy file, or a folder of pictures of one size.

    Raises ValueError with one sentence for anything else, and for a file that is broken.
    """
    path = Path(path)
    if path.is_file():
        return Material(_read_array(path))
    if not path.is_dir():
        raise ValueError(f"there is no file, folder or model {path}; give one that exists")
    for name in ARRAYS:
        if (path / name).is_file():
            items = _read_array(path / name)
            labels = _read_labels(path / SAMPLES) if (path / SAMPLES).is_file() else None
            if labels is not None and len(labels) != len(items):
                raise ValueError(f"{path} is broken: {len(items)} in {name} but {len(labels)} in {SAMPLES}")
            return Material(items, labels)
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{path} has no pictures; give a folder of {', '.join(SUFFIXES)}, or with {ARRAYS[0]}")
    pictures = [_read_picture(file) for file in files]
    for file, picture in zip(files, pictures, strict=True):
        if picture.shape != pictures[0].shape:
            sizes = " and ".join(f"{each.shape[1]} x {each.shape[0]}" for each in (pictures[0], picture))
            raise ValueError(f"pictures of {path} must have one size, but {file.name} makes it {sizes}")
    return Material(np.stack(pictures))


@dataclass(frozen=True)
class Draw:
    """One request to a model, and which items of the real set it means, one a picture; none for no condition."""

    request: Request
    rows: list[int]


def plan_draws(
    pipe: Pipeline, real: Material, count: int, seed: int, steps: int | None = None, guidance: float | None = None
) -> list[Draw]:
    """Requests for `count` pictures or clips with the labels of real ones drawn at random, each as often as it comes.

    A model of texts gets the labels as prompts; one without condition none. Seeds rise by one from item to item.
    Raises ValueError where the model knows no label of the real set.
    """
    whole("count", count, 1)
    texts, kind = _texts(pipe, real)
    usable = np.arange(len(real.items)) if texts is None else np.array(list(texts))
    rows = np.resize(np.random.default_rng(seed).permutation(usable), count).tolist()
    rows.sort(key=lambda row: "" if texts is None else texts[row])
    draws, done = [], 0
    for text, group in itertools.groupby(rows, key=lambda row: None if texts is None else texts[row]):
        group = list(group)
        for first in range(0, len(group), MOST_COUNT):
            part = group[first : first + MOST_COUNT]
            condition = {} if text is None else {kind: text}
            request = pipe.request(count=len(part), seed=seed + done, steps=steps, guidance=guidance, **condition)
            draws.append(Draw(request, part))
            done += len(part)
    return draws


def drawn(pipe: Pipeline, draws: Sequence[Draw]) -> np.ndarray:
    """What a model makes of requests, in their order: pictures (n, H, W, 3) or clips (n, T, H, W, 3), uint8."""
    items = []
    for draw in draws:
        result = pipe(draw.request)
        items += result.clips or [np.asarray(image) for image in result.images]
    return np.stack(items)


def _texts(pipe: Pipeline, real: Material) -> tuple[dict[int, str] | None, str]:
    """Row to label of the real items that the model can be asked for, or None without condition; and how to ask."""
    if pipe.text is None and pipe.labels is None:
        return None, ""
    if real.labels is None:
        raise ValueError(
            f"{pipe.folder.id} is drawn by label or prompt, and the data have no labels; give a labelled set"
        )
    known = None if pipe.text else set(pipe.labels)
    texts = {row: label for row, label in enumerate(real.labels) if known is None or label in known}
    if not texts:
        raise ValueError(
            f"{pipe.folder.id} knows no label of the data, such as {real.labels[0]!r}; give what it learned"
        )
    return texts, "prompt" if pipe.text else "label"


def _read_array(file: Path) -> np.ndarray:
    try:
        items = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as fault:
        raise ValueError(f"{file} is no .npy file that can be read ({fault})") from None
    if not isinstance(items, np.ndarray) or items.dtype != np.uint8 or items.ndim not in (4, 5) or items.shape[-1] != 3:
        found = f"{items.dtype} {items.shape}" if isinstance(items, np.ndarray) else "an archive"
        raise ValueError(f"{file} must be uint8 (n, H, W, 3) or (n, T, H, W, 3), not {found}")
    return items


def _read_labels(file: Path) -> list[str]:
    try:
        labels = [json.loads(line)["label"] for line in file.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError, KeyError, RecursionError) as fault:
        raise ValueError(f"{file} is broken ({type(fault).__name__}); prepare the data again") from None
    if not all(isinstance(label, str) for label in labels):
        raise ValueError(f"{file} is broken (a label is no text); prepare the data again")
    return labels


def _read_picture(file: Path) -> np.ndarray:
    """One picture, transparent parts white, (H, W, 3) uint8."""
    try:
        with Image.open(file) as image:
            if image.width * image.height > MOST_PICTURE_PX:
                raise ValueError(f"{file} has {image.width} x {image.height} pixels, too many to score")
            picture = image.convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as fault:
        raise ValueError(f"{file} is no picture that can be read ({type(fault).__name__})") from None
    return np.asarray(Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB"))
