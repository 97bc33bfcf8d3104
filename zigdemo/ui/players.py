"""Clips inside the page: players, filmstrips with frame numbers, downloads, and what they look like on the way."""

from __future__ import annotations

from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from ..media import filmstrip
from ..pipeline import Result, Step
from .texts import data_url, inline

TILE_PX = 96  # the shorter side of a frame of a strip is at most this
SAID = {"mp4": "MP4", "gif": "GIF", "webp": "WebP", "png": "PNG filmstrip"}

CSS = """
.clips { display: grid; gap: 20px 16px; grid-template-columns: repeat(auto-fill, minmax(min(280px, 100%), 1fr)); }
.clip { margin: 0; min-width: 0; }
.clips.one { grid-template-columns: minmax(0, 1fr); }
@media (min-width: 641px) { .clips.one .clip { display: grid; align-content: start; gap: 0 16px;
  grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); grid-auto-flow: dense; }
  .clips.one .clip > * { grid-column: 1; }
  .clips.one .clip > .frames { grid-column: 2; grid-row: 1 / span 4; } }
.clip > :is(video, img) { display: block; width: 100%; margin: 0; object-fit: contain; image-rendering: pixelated;
  border: 1px solid var(--border-color-primary); border-radius: 6px; background: var(--background-fill-secondary); }
.clip p { margin: 8px 0 4px; font-size: 13px; color: var(--body-text-color-subdued);
  font-variant-numeric: tabular-nums; }
.clips .frames { list-style: none; margin: 0; padding: 0; display: grid; gap: 4px;
  grid-template-columns: repeat(8, minmax(0, 1fr)); }
.clips.one .frames { grid-template-columns: repeat(4, minmax(0, 1fr)); }
.clips .frames li { margin: 0; font-size: 11px; line-height: 16px; text-align: center;
  color: var(--body-text-color-subdued); font-variant-numeric: tabular-nums; }
.clips .frames i { display: block; border-radius: 3px; background: var(--strip) no-repeat;
  box-shadow: 0 0 0 1px var(--border-color-primary); }
.clips .saves { display: flex; flex-wrap: wrap; gap: 8px; margin: 8px 0 0; }
.clips .saves a { padding: 6px 14px; border: 1px solid var(--border-color-primary); border-radius: 8px; font-size: 13px;
  line-height: 20px; color: var(--body-text-color); text-decoration: none; background: var(--background-fill-primary); }
.clips .saves a:is(:hover, :focus-visible) { border-color: var(--color-accent); }
.earlier { display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(88px, 1fr)); }
.earlier a { display: block; font-size: 12px; text-align: center; color: var(--body-text-color-subdued); }
.earlier video { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated;
  border-radius: 6px; background: var(--background-fill-secondary); }
.empty { min-height: 280px; display: grid; place-items: center; margin: 0; padding: 16px; text-align: center;
  border: 1px solid var(--border-color-primary); border-radius: var(--block-radius);
  color: var(--body-text-color-subdued); }
#clip-stage .html-container, #clip-scan .html-container, #clip-history .html-container { padding: 0; }
"""


def address(path: str | Path) -> str:
    """Where the server hands out a file it made, from the page."""
    return f"gradio_api/file={quote(str(path))}"


def empty_html(text: str) -> str:
    """The place where clips will be."""
    return f'<p class="empty">{escape(text)}</p>'


def preview_html(step: Step) -> str:
    """The middle frame that every clip is believed to have so far, and the filmstrip of all."""
    middle = len(step.clips[0]) // 2 + 1
    cards = [
        f"{inline(picture, i)}<p>clip {i + 1} so far, frame {middle}</p>{_strip(clip, 'JPEG')}"
        for i, (picture, clip) in enumerate(zip(step.preview, step.clips, strict=True))
    ]
    return _grid(cards)


def result_html(result: Result, files: list[dict[str, str]]) -> str:
    """A player for every clip, its filmstrip, and its files to download. files: of `save_clips`."""
    cards = []
    for i, (clip, paths) in enumerate(zip(result.clips, files, strict=True)):
        count, height, width = clip.shape[:3]
        about = f"seed {result.request.seed + i} · {count} frames, {width} × {height} pixels"
        saves = "".join(
            f'<a href="{address(path)}" download="{escape(Path(path).name)}">{SAID[kind]}</a>'
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
    """The frames of a clip side by side in one image, each shown by its own item and numbered from 1."""
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
