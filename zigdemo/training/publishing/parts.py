"""What exports of models with a text tower share: the tower that learned with a model, and files moved into place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...conditioning import TextTower, write_tower
from ...conditioning.text import CONFIG as TOWER_CONFIG
from ...conditioning.text import TENSORS as TOWER_TENSORS
from ...conditioning.text import read_settings
from ...files import find_part
from ..trainer.recipe import Recipe, part_places

TOWER_FILES = (TOWER_TENSORS, TOWER_CONFIG, "README.md")


def move(names: Sequence[str], source: Path, folder: Path) -> None:
    """Replace files of a folder by those of another one on the same disk."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (source / name).replace(folder / name)


def write_learned_tower(folder: Path, tower: TextTower, recipe: Recipe, words: list[str]) -> None:
    """Write the tower that was trained too, with the settings and the card of the one it started from.

    words: those of the captions it learned from.
    """
    start = find_part(recipe.text["tower"], part_places(recipe), TOWER_CONFIG)
    settings, about = read_settings(start)
    settings["text_cfg"]["context_length"] = tower.context
    card = (start / "README.md").read_text(encoding="utf-8") if (start / "README.md").is_file() else ""
    about |= {} if start.name == folder.name else {"from": start.name}
    about |= {"learned_with": recipe.name, "words": words}
    write_tower(folder, tower.clip_model, settings, about, card.replace(f"# {start.name}\n", f"# {folder.name}\n", 1))
