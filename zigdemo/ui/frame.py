"""What the tabs share while the page is laid out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr


@dataclass
class Frame:
    """The page under construction. tab: the one being laid out. followed: of `build_followed`.

    model, follow_model: the dropdown of models of the first tab, and what lets its other controls follow it after an
    event that changes it; None where there is no model of pictures.
    """

    page: gr.Blocks
    tabs: gr.Tabs
    followed: tuple[gr.BrowserState, gr.Timer]
    tab: gr.Tab | None = None
    model: gr.Dropdown | None = None
    follow_model: Callable[[Any], None] | None = None


@dataclass(frozen=True)
class Tab:
    """A row of the table of tabs. build: lays it out; called inside its gr.Tab."""

    id: str
    title: str
    build: Callable[[Frame], None]
