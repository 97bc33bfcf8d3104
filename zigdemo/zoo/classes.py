"""What the labels of a model are called on the page: official models number their classes, which have names."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

from ..backbones.official import OfficialConfig

if TYPE_CHECKING:
    from . import ModelFolder

IMAGENET_CLASSES = 1000


@cache
def imagenet_names() -> tuple[str, ...]:
    """The names of the ImageNet classes in the order of their numbers, from torchvision; empty without it."""
    package = find_spec("torchvision")
    places = [] if package is None else package.submodule_search_locations or []
    file = next((path for path in (Path(place, "models/_meta.py") for place in places) if path.is_file()), None)
    if file is None:
        return ()
    try:  # this file alone: the whole package is slow to import, and refuses a torch that it was not built for
        spec = spec_from_file_location("_imagenet_classes", file)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        names = tuple(map(str, module._IMAGENET_CATEGORIES))
    except Exception as fault:  # another version may have it elsewhere; numbers are shown then
        logging.getLogger(__name__).info("no names of the ImageNet classes: %r", fault)
        return ()
    return names if len(names) == IMAGENET_CLASSES else ()


def numbered_label(number: int) -> str:
    """The label of a class of an official model, in its folder, in requests, links and files."""
    return f"class {number}"


def label_choices(folder: ModelFolder) -> list[tuple[str, str]]:
    """(text to show, label) of every label of a model, none for a model without labels.

    The text is the label itself, but for the 1000 numbered classes of an official model, which are ImageNet's.
    """
    labels = folder.labels or ()
    is_numbered = isinstance(folder.model, OfficialConfig) and labels == tuple(
        map(numbered_label, range(IMAGENET_CLASSES))
    )
    names = imagenet_names() if is_numbered else ()
    texts = [f"{name} · {label}" for name, label in zip(names, labels, strict=True)] if names else labels
    return list(zip(texts, labels, strict=True))
