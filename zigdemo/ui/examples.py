"""The results that the page opens with, made by the shipped models: `python -m zigdemo.ui.examples` makes them anew."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from PIL import Image

from .. import media, zoo
from ..pipeline import Pipeline, Request, Result
from . import patches, word_maps
from .compare.axes import Matrix, read_matrix
from .compare.cells import Cells
from .compare.presets import PRESETS, preset_matrix
from .compare.view import IMPOSSIBLE, cell_state, view_json
from .files import new_folder
from .maps import one_picture
from .settings import defaults, examples, installed_model, installed_models
from .texts import data_url
from .theme import ASSETS

EXAMPLES = ASSETS / "examples"
COMPARED, MAPS, PATCH = "compare.json", "maps.json", "influence.webp"
PORTRAITS, CLIPS = "zigma-portraits", "zigma-actions"  # the models of the example pictures and of the clip
PROMPTS = (0, 1, 2, 6)  # of the examples of PORTRAITS, by place


@dataclass(frozen=True)
class Compared:
    """The example matrix, and what the page's grid shows of it."""

    matrix: Matrix
    view: str


def example_picture() -> str:
    """A portrait as a data URL, to lay scan orders over."""
    return "data:image/webp;base64," + base64.b64encode((ASSETS / "portrait.webp").read_bytes()).decode("ascii")


def _here(*models: str) -> bool:
    return set(models) <= {folder.id for folder in installed_models()}


def pictures() -> list[str]:
    """The paths of example pictures, with their settings inside; empty where their model is not installed."""
    paths = sorted(EXAMPLES.glob("picture-*.png"))
    return [str(path) for path in paths] if _here(PORTRAITS) else []


def clip() -> tuple[Result, list[dict[str, str]]] | None:
    """The example clip as the result of a run with its MP4 file; None without its model or PyAV."""
    path = EXAMPLES / "clip.mp4"
    if not (path.is_file() and _here(CLIPS) and find_spec("av")):
        return None
    request = Request.from_metadata(path)
    file = shutil.copy(path, new_folder() / media.file_name(request.settings, 0, "mp4"))  # a folder that is served
    return Result([], [media.read_clip(path)], request, {}, 0.0, 0), [{"mp4": str(file)}]


def compared() -> Compared | None:
    """The example matrix; None where one of its models is not installed."""
    path = EXAMPLES / COMPARED
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if not _here(*content["weights"]):
        return None
    matrix = read_matrix(json.dumps(content["matrix"]))
    cells = {(cell["row"], cell["column"]): cell["shows"] for cell in content["cells"]}
    return Compared(matrix, view_json(matrix, cells, linked=False))


@dataclass(frozen=True)
class Maps:
    """What the tabs that look inside open with, as HTML, of PORTRAITS and its first example.

    lit, words: the picture whose words light up, and the maps of one. patch: the path of the picture with a marked
    patch; about, influence: the line about the patch and its maps.
    """

    lit: str
    words: str
    about: str
    influence: str
    patch: str


def maps() -> Maps | None:
    """The example maps; None where their model is not installed."""
    path = EXAMPLES / MAPS
    if not (path.is_file() and _here(PORTRAITS)):
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return Maps(**content["shows"], patch=str(EXAMPLES / PATCH))


def _make_maps() -> None:
    prompt, steps, model = examples(PORTRAITS)[0], defaults(PORTRAITS)["steps"], installed_model(PORTRAITS)
    words = word_maps.draw(PORTRAITS, prompt, steps, 0)
    choice = word_maps.first_choice(words, word_maps.first_kind(PORTRAITS))
    patch = patches.draw(one_picture(PORTRAITS, prompt, None, None, steps, 0), lambda: False)
    shows = {
        "lit": lighter(word_maps.picture_html(words)),
        "words": lighter(word_maps.view_html(words, choice)),
        "about": patches.about(patch),
        "influence": lighter(patches.maps_html(patch)),
    }
    patches.mark(patch, patch.shown).save(EXAMPLES / PATCH, quality=85)
    content = {"weights": {PORTRAITS: model.sha256}, "shows": shows}
    (EXAMPLES / MAPS).write_text(json.dumps(content, indent=1), encoding="utf-8")
    print(EXAMPLES / MAPS)


def lighter(html: str) -> str:
    """HTML with its PNG pictures as WebP, a few times smaller."""

    def webp(match: re.Match[str]) -> str:
        with Image.open(io.BytesIO(base64.b64decode(match[1]))) as image:
            return data_url(image.convert("RGB"), "WEBP")

    return re.sub(r"data:image/png;base64,([A-Za-z0-9+/=]+)", webp, html)


def _make_pictures() -> None:
    pipe = Pipeline.load(PORTRAITS)
    for number, place in enumerate(PROMPTS, 1):
        prompt = examples(PORTRAITS)[place]
        result = pipe(pipe.request(prompt=prompt, count=1, seed=number))
        path = EXAMPLES / f"picture-{number}.png"
        media.save_png(result.images[0], path, result.request.settings, result.provenance)
        print(path)


def _make_clip() -> None:
    pipe = Pipeline.load(CLIPS)
    result = pipe(pipe.request(label=pipe.labels[0], count=1))
    print(media.save_clip(result.clips[0], EXAMPLES / "clip.mp4", result.request.settings, result.provenance))


def _make_matrix() -> None:
    matrix, drawn = preset_matrix(PRESETS[0]), Cells()
    weights: dict[str, str] = {}
    shown: list[dict[str, Any]] = []
    for cell in matrix.by_rows:
        entry: dict[str, Any] = {"row": cell.row, "column": cell.column}
        if cell.request is None:
            entry["shows"] = cell_state(None, IMPOSSIBLE, cell.reason)
        else:
            picture = drawn.draw(cell.request, lambda: False)
            with Image.open(picture.path) as file:
                source = data_url(file.convert("RGB"), "WEBP")
            entry["shows"] = {**cell_state(picture), "source": source}
            weights[cell.request.model] = zoo.installed(cell.request.model).sha256
        shown.append(entry)
    content = {"matrix": matrix.content(), "weights": weights, "cells": shown}
    (EXAMPLES / COMPARED).write_text(json.dumps(content, indent=1), encoding="utf-8")
    print(EXAMPLES / COMPARED)


def main() -> None:
    """Make all examples by the shipped models."""
    EXAMPLES.mkdir(exist_ok=True)
    _make_pictures()
    _make_clip()
    _make_matrix()
    _make_maps()


if __name__ == "__main__":
    main()
