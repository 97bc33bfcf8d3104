"""Clips on the page: players, filmstrips with frame numbers, downloads, and previews while they are drawn."""

from __future__ import annotations

from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from ..media import filmstrip
from ..pipeline import Result, Step
from .texts import data_url, inline

TILE_PX = 96  # the shorter side of a filmstrip frame, at most
KIND_LABELS = {"mp4": "MP4", "gif": "GIF", "webp": "WebP", "png": "PNG filmstrip"}


def address(path: str | Path) -> str:
    """The URL, relative to the page, at which the server offers a file it made."""
    return f"gradio_api/file={quote(str(path))}"


def empty_html(text: str) -> str:
    """The empty place where clips will appear."""
    return f'<p class="empty">{escape(text)}</p>'


def preview_html(step: Step) -> str:
    """For every clip, the middle frame as predicted so far, and the filmstrip of all frames."""
    middle = len(step.clips[0]) // 2 + 1
    cards = [
        f"{inline(picture, i)}<p>clip {i + 1} so far, frame {middle}</p>{_strip(clip, 'JPEG')}"
        for i, (picture, clip) in enumerate(zip(step.preview, step.clips, strict=True))
    ]
    return _grid(cards)


def result_html(result: Result, files: list[dict[str, str]]) -> str:
    """A player for every clip, its filmstrip, and its files to download. files: as `save_clips` returns them."""
    cards = []
    for i, (clip, paths) in enumerate(zip(result.clips, files, strict=True)):
        count, height, width = clip.shape[:3]
        about = f"seed {result.request.seed + i} · {count} frames, {width} × {height} pixels"
        saves = "".join(
            f'<a href="{address(path)}" download="{escape(Path(path).name)}">{KIND_LABELS[kind]}</a>'
            for kind, path in paths.items()
        )
        cards.append(
            f'<video src="{address(paths["mp4"])}" style="aspect-ratio:{width}/{height}" aria-label="clip {i + 1}" '
            f"loop autoplay muted playsinline controls></video><p>{escape(about)}</p>{_strip(clip, 'PNG')}"
            f'<div class="saves">{saves}</div>'
        )
    return _grid(cards)


def earlier_html(paths: list[str]) -> str:
    """Small players of earlier clips; a click opens the file, which restores its settings when dropped."""
    players = "".join(
        f'<a href="{address(path)}" download="{escape(Path(path).name)}"><video src="{address(path)}" loop autoplay '
        f"muted playsinline></video>{escape(_short(path))}</a>"
        for path in paths
    )
    return f'<div class="earlier">{players}</div>'


def _short(path: str) -> str:
    """The seed that a file's name ends in."""
    return Path(path).stem.rpartition("-")[2].replace("seed", "seed ")


def _grid(cards: list[str]) -> str:
    figures = "".join(f'<figure class="clip">{card}</figure>' for card in cards)
    return f'<div class="clips{" one" if len(cards) == 1 else ""}">{figures}</div>'


def _strip(clip: np.ndarray, kind: str) -> str:
    """A filmstrip: one image of all frames, of which each list item shows one, numbered from 1."""
    count, height, width = clip.shape[:3]
    sheet = filmstrip(clip, columns=count)
    side = min(height, width)
    scale = TILE_PX / side if side > TILE_PX else TILE_PX // side
    size = (round(width * scale) * count, round(height * scale))
    sheet = sheet.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX)
    tile = f"aspect-ratio:{width}/{height};background-size:{count * 100}% 100%;background-position:"
    frames = "".join(
        f'<li><i style="{tile}{100 * i / max(1, count - 1):.4g}% 0"></i>{i + 1}</li>' for i in range(count)
    )
    return (
        f'<ol class="frames" aria-label="filmstrip of {count} frames" '
        f'style="--strip:url({data_url(sheet, kind)})">{frames}</ol>'
    )
