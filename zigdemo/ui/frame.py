"""What the tabs share while the page is laid out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr


@dataclass
class Frame:
    """The page under construction. tab: the one being laid out. run_state: as `build_run_state` returns it.
    strip: the film strip of what was drawn, laid out below the tabs.

    model: the model dropdown of the Generate tab. follow_model: updates that tab's other controls after an event that
    changes the model. Both are None if no image model is installed.
    """

    page: gr.Blocks
    tabs: gr.Tabs
    run_state: tuple[gr.BrowserState, gr.Timer]
    strip: gr.HTML
    tab: gr.Tab | None = None
    model: gr.Dropdown | None = None
    follow_model: Callable[[Any], None] | None = None


@dataclass(frozen=True)
class Tab:
    """A row of the table of tabs. build: lays the tab out; called inside its gr.Tab."""

    id: str
    title: str
    build: Callable[[Frame], None]
