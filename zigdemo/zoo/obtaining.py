"""Models by any name a person may give: local, official, or in a repository; downloaded if needed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import zoo
from ..checks import shown
from ..files import write_whole
from ..huggingface import hub_file, is_repository
from .hub import SOURCES, Bar
from .official import import_checkpoint
from .parts import is_id, take_along

CARD_FILES = ("README.md", "grid.webp", "grid.png")
OTHERS = "yours"  # the origin of a model from a repository, whatever its config claims


def obtain(name: str | Path, bar: Bar | None = None) -> zoo.ModelFolder:
    """The model of `find`, else an official one or a repository owner/name of huggingface.co, downloaded first.

    Only for names that the user entered: names in untrusted files or links must not start a download. bar: as in
    `hub.fetch`. Raises ValueError with one sentence.
    """
    if str(name) in SOURCES and not (zoo.WEIGHTS / str(name) / zoo.CONFIG).is_file():
        return import_checkpoint(str(name), bar=bar)
    if zoo.retired(name) or not is_repository(str(name)) or Path(name).is_dir():
        return zoo.find(name)
    otherwise = "download it once with a network, or give a model folder"
    folder = hub_file(str(name), zoo.CONFIG, str(name), otherwise, bar).parent
    zoo.read_folder(folder)  # validated before the weights are downloaded
    hub_file(str(name), zoo.TENSORS, str(name), otherwise, bar)
    model = zoo.read_folder(folder)
    for part in model.parts:
        try:
            for file in part.files:
                hub_file(str(name), f"{part.id}/{file}", str(name), otherwise, bar)
        except ValueError:
            if part.find((zoo.WEIGHTS,)) is None:
                raise
    return model


def install(
    what: str, name: str | None = None, *, settings: Mapping[str, Any] | None = None, bar: Bar | None = None
) -> zoo.ModelFolder:
    """Put a model among the weights, from where every list of models has it.

    what: an id of SOURCES, the path of a checkpoint or a model folder, or a repository owner/name. name: of its folder,
    by default what the source is called. settings: "family" and arguments of the official constructor that a checkpoint
    does not say. bar: as in `hub.fetch`. Raises ValueError with one sentence.
    """
    path, settings = Path(what).expanduser(), dict(settings or {})
    if what in SOURCES or path.is_file():
        family = settings.pop("family", None)
        return import_checkpoint(
            what if what in SOURCES else path, name, family=family, settings=settings or None, bar=bar
        )
    if path.is_dir():
        return _copied(zoo.read_folder(path), _place(name or path.resolve().name))
    if not is_repository(what):
        raise ValueError(
            f"{shown(what)} is no file or folder here; give a path, owner/name of a repository on huggingface.co, or "
            f"one of {', '.join(SOURCES)}"
        )
    folder = _place(name or what.partition("/")[2])  # before anything is downloaded
    model = obtain(what, bar)
    for file in CARD_FILES:
        with suppress(ValueError):  # none is needed
            hub_file(what, file, what, "", bar)
    content = json.loads((_copied(model, folder).path / zoo.CONFIG).read_text(encoding="utf-8"))
    if content.get("origin") in ("shipped (toy)", "official"):
        write_whole(folder / zoo.CONFIG, json.dumps({**content, "origin": OTHERS}, ensure_ascii=False, indent=1))
    return zoo.read_folder(folder)


def _place(name: str) -> Path:
    """The folder of a new model of this name. Raises ValueError if it is taken or no name of a model."""
    if not is_id(name) or not name or len(name) > zoo.MOST_ID:
        raise ValueError(f"a model cannot be called {shown(name)}; give it another name")
    if (zoo.WEIGHTS / name).exists():
        raise ValueError(f"{name} is installed already; give this one another name")
    return zoo.WEIGHTS / name


def _copied(model: zoo.ModelFolder, folder: Path) -> zoo.ModelFolder:
    """A copy of a model in a new folder. Raises ValueError if its weights are missing."""
    if not (model.path / zoo.TENSORS).is_file():
        raise ValueError(f"{model.path} has no {zoo.TENSORS}; copy the weights file there first")
    folder.mkdir(parents=True)
    try:
        for file in (*CARD_FILES, zoo.TENSORS, zoo.CONFIG):  # the config last: with it a folder counts as a model
            if (model.path / file).is_file():
                shutil.copyfile(model.path / file, folder / file)
        take_along(model.parts, model.places, folder)
        return zoo.read_folder(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
