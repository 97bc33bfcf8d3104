"""Whose the models and runs are that visitors have trained, where many share the machine."""

from __future__ import annotations

import json

from .. import zoo
from ..training.finetuning.jobs import PLAN, Job
from .address import is_shared
from .files import runs_folder
from .visitors import current_visitor


def owners() -> dict[str, str | None]:
    """The owner of every model that a run here makes, by its id; read anew, as runs come and go."""
    found: dict[str, str | None] = {}
    for file in runs_folder().glob(f"*/{PLAN}"):
        try:
            plan = json.loads(file.read_text(encoding="utf-8"))
            found[plan["name"]] = plan.get("owner")
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue
    return found


def visible(folders: list[zoo.ModelFolder]) -> list[zoo.ModelFolder]:
    """The models that who asks may see: all on one's own machine; else those that no visitor trained, and one's own."""
    if not is_shared():
        return folders
    owned, visitor = owners(), current_visitor()
    return [folder for folder in folders if owned.get(folder.id, visitor) == visitor]


def is_own(job: Job) -> bool:
    """Whether who asks may see and change a run."""
    return not is_shared() or job.plan.owner == current_visitor()
