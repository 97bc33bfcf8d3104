"""Parts of a model in separate folders, its autoencoder and its text tower, which are copied with it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..conditioning import TextSpec
from ..conditioning import text as tower_files
from ..files import find_part
from ..latents import AutoencoderSpec, autoencoders


@dataclass(frozen=True)
class Part:
    """A part of a model, named by an id. files: the required ones, the config first."""

    id: str
    files: tuple[str, str]

    def find(self, places: Sequence[Path]) -> Path | None:
        """Its folder in the first of the places that has it, or None."""
        return find_part(self.id, places, self.files[0])

    def copy(self, places: Sequence[Path], to: Path) -> None:
        """Copy its files and its card from the first of the places that has it into the folder `to`.

        Raises ValueError if no place has it.
        """
        source = self.find(places)
        if source is None:
            raise ValueError(f"{self.id} is not here; copy its folder beside the model's")
        to.mkdir(parents=True, exist_ok=True)
        for name in (*self.files, "README.md"):
            if (source / name).is_file():
                shutil.copyfile(source / name, to / name)


def named_parts(latents: AutoencoderSpec | None, text: TextSpec | None) -> list[Part]:
    """The parts that are named by an id, not those on the hub or at an absolute path."""
    parts = []
    if latents is not None and is_id(latents.source) and not latents.subfolder:
        parts.append(Part(latents.source, (autoencoders.CONFIG, autoencoders.TENSORS)))
    if text is not None and not text.pretrained and is_id(text.tower):
        parts.append(Part(text.tower, (tower_files.CONFIG, tower_files.TENSORS)))
    return parts


def is_id(name: str) -> bool:
    return name not in (".", "..") and not set(name) & set("/\\:\0")


def take_along(parts: Sequence[Part], places: Sequence[Path], folder: Path) -> None:
    """Copy into a model's folder those of its parts that are neither in it nor beside it."""
    for part in parts:
        if part.find((folder, folder.parent)) is None:
            part.copy(places, folder / part.id)
