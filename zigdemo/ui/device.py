"""Drawing on the visitor's own device: an exported folder that the page serves, and the fold that opens its panel."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from .address import in_class

FOLDER = "ZIGDEMO_WEB"  # names a folder of `python -m zigdemo.web export`
PREFIX = "/device"
PANEL = f"{PREFIX[1:]}/panel.js"
# A page may share memory between threads only if it is isolated from other sites.
ISOLATED = {"cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp"}
FOLD = (
    '<details class="device-fold" data-beside="{}" data-panel="{}"{}><summary>Draw on this device</summary>'
    "<p>Your own device computes: nobody waits, and nothing is sent.</p>"
    '<div class="device"></div></details>'
)


def folder() -> Path | None:
    """The exported folder, or None if none is named. Raises ValueError with one sentence if it is none."""
    name = os.environ.get(FOLDER, "")
    if not name:
        return None
    if not (Path(name) / "index.json").is_file():
        raise ValueError(
            f"{FOLDER} names {name}, which is no exported folder; "
            f"run `python -m zigdemo.web export zigma-portraits {name}`"
        )
    return Path(name)


def panel() -> str | None:
    """The address of the panel; None without a folder, which may have gone since the start."""
    try:
        return PANEL if folder() else None
    except ValueError:
        return None


def fold_html(beside: str) -> str:
    """The fold, open in a class, in which others wait. beside: what a second picture differs in, see panel.js."""
    return FOLD.format(beside, PANEL, " open" if in_class() else "")


def is_for(path: str) -> bool:
    """Whether a request is for the folder."""
    return path.startswith(f"{PREFIX}/") and panel() is not None


@lru_cache
def _files(directory: Path) -> StaticFiles:
    return StaticFiles(directory=directory, html=True)


async def answer(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """Answer a request for a file of the folder."""

    async def isolated(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in ISOLATED.items())]
        await send(message)

    inner = {**scope, "path": scope["path"][len(PREFIX) :], "root_path": ""}
    try:
        await _files(folder())(inner, receive, isolated)
    except HTTPException as fault:
        await isolated({"type": "http.response.start", "status": fault.status_code, "headers": []})
        await isolated({"type": "http.response.body", "body": b""})
