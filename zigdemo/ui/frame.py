"""What the tabs share while the page is laid out: its places, their tabs, and what opens them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gradio as gr


@dataclass
class Frame:
    """The page under construction. run_state: as `build_run_state` returns it. strip: the film strip of what was drawn,
    laid out below the places. choice: the settings that all places share, as `sharing` has them.

    rows: the row of places, then the row of tabs of every place that has several. opened: the events that open the tab
    being laid out.

    model: the model dropdown of the Pictures tab. follow_model: updates that tab's other controls after an event that
    changes the model. live: its switch of what follows the hand. All are None if no image model is installed.
    """

    page: gr.Blocks
    places: tuple[Place, ...]
    run_state: tuple[gr.BrowserState, gr.Timer]
    strip: gr.HTML
    choice: gr.Textbox
    rows: list[gr.Tabs] = field(default_factory=list)
    opened: list[Any] = field(default_factory=list)
    model: gr.Dropdown | None = None
    follow_model: Callable[[Any], None] | None = None
    live: gr.Checkbox | None = None

    def open_after(self, event: Callable[..., Any], tab: str) -> None:
        """Open a tab, by its id, after an event."""
        event(lambda: self.opening(tab), None, self.rows, queue=False, show_progress="hidden", api_visibility="private")

    def opening(self, tab: str) -> tuple[Any, ...]:
        """Updates of `rows` that open a tab, by its id."""
        place = next(place for place in self.places if tab in [one.id for one in place.tabs])
        inner = [gr.update(selected=tab) if other is place else gr.skip() for other in self.places if other.has_row]
        return gr.update(selected=place.id), *inner


@dataclass(frozen=True)
class Tab:
    """A row of a place's table of tabs. build: lays the tab out; called inside its gr.Tab."""

    id: str
    title: str
    build: Callable[[Frame], None]


@dataclass(frozen=True)
class Place:
    """A part of the page with one or several tabs; a single one is the place itself, and has its id and title."""

    id: str
    title: str
    tabs: tuple[Tab, ...]

    @property
    def has_row(self) -> bool:
        """Whether the place shows a row of tabs."""
        return len(self.tabs) > 1


def lay_out(frame: Frame, first: str | None = None) -> None:
    """Lay out all places and their tabs; call inside the page. first: the id of the place that is open at first."""
    tabs: list[tuple[Tab, gr.Tab, list[Any]]] = []
    with gr.Tabs(selected=first, elem_id="places") as row:
        frame.rows.append(row)
        for place in frame.places:
            with gr.Tab(place.title, id=place.id) as outer:
                if not place.has_row:
                    tabs.append((place.tabs[0], outer, [outer.select]))
                    continue
                with gr.Tabs(elem_classes="inner-tabs") as inner_row:
                    frame.rows.append(inner_row)
                    for tab in place.tabs:
                        with gr.Tab(tab.title, id=tab.id) as inner:
                            tabs.append((tab, inner, [inner.select, outer.select]))
    for tab, room, frame.opened in tabs:  # once all rows are there, as tabs open each other
        with room:
            gr.Markdown(f"## {tab.title}", elem_classes="tab-heading")  # for screen readers
            tab.build(frame)
