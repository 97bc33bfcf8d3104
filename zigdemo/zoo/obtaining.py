"""Models by any name a person may give: local, official, or in a repository; downloaded if needed."""

from __future__ import annotations

from pathlib import Path

from .. import zoo
from ..huggingface import hub_file, is_repository
from .hub import SOURCES
from .official import import_checkpoint


def obtain(name: str | Path) -> zoo.ModelFolder:
    """The model of `find`, else an official one or a repository owner/name of huggingface.co, downloaded first.

    Only for names that the user entered: names in untrusted files or links must not start a download. Raises ValueError
    with one sentence.
    """
    if str(name) in SOURCES and not (zoo.WEIGHTS / str(name) / zoo.CONFIG).is_file():
        return import_checkpoint(str(name))
    if zoo.retired(name) or not is_repository(str(name)) or Path(name).is_dir():
        return zoo.find(name)
    otherwise = "download it once with a network, or give a model folder"
    folder = hub_file(str(name), zoo.CONFIG, str(name), otherwise).parent
    zoo.read_folder(folder)  # validated before the weights are downloaded
    hub_file(str(name), zoo.TENSORS, str(name), otherwise)
    model = zoo.read_folder(folder)
    for part in model.parts:
        try:
            for file in part.files:
                hub_file(str(name), f"{part.id}/{file}", str(name), otherwise)
        except ValueError:
            if part.find((zoo.WEIGHTS,)) is None:
                raise
    return model
