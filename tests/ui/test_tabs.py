"""The table of tabs is the page."""

from pathlib import Path

import gradio as gr

import app
from zigdemo.explain import heat
from zigdemo.ui import tabs, theme
from zigdemo.ui.frame import Frame
from zigdemo.ui.words import MOST_WORDS


def test_every_file_of_a_tab_is_a_row_and_every_row_a_tab_of_the_page():
    files = {path.stem for path in Path(tabs.__file__).parent.glob("*.py")} - {"__init__"}
    assert len(tabs.TABS) == len(files) and len({tab.id for tab in tabs.TABS}) == len(files)
    page = app.build_app()
    rows = [[tab.label for tab in block.children] for block in page.blocks.values() if isinstance(block, gr.Tabs)]
    inner = [[tab.title for tab in place.tabs] for place in tabs.PLACES if place.has_row]
    assert rows == [[place.title for place in tabs.PLACES], *inner]


def test_a_tab_is_opened_in_its_place():
    frame = Frame(None, tabs.PLACES, None, None, None)
    for place in tabs.PLACES:
        for tab in place.tabs:
            outer, *inner = frame.opening(tab.id)
            selected = [one["selected"] for one in inner if "selected" in one]
            assert outer["selected"] == place.id and selected == ([tab.id] if place.has_row else [])


def test_every_style_sheet_is_served_and_asks_for_nothing_from_outside():
    sheets = {path.name for path in theme.ASSETS.glob("*.css")}
    assert sheets == set(theme.STYLES)
    css = theme.page_css()
    assert "http" not in css.replace("http://www.w3.org", "") and "@import" not in css


def test_the_colours_of_maps_are_those_of_the_figures_and_every_word_has_its_rule():
    css = theme.page_css()
    assert ", ".join(heat.RAMP) in css
    assert all(f".word-{place}:is" in css and f".veil-{place}" in css for place in range(MOST_WORDS))


def test_no_event_of_the_page_lets_the_browser_go_over_all_controls_for_a_progress_that_is_hidden():
    page = app.build_app()
    assert all(event.show_progress_on == [] for event in page.fns.values() if event.show_progress == "hidden")
    shown = [
        event for event in page.fns.values() if event.show_progress != "hidden" and event.outputs and event.targets
    ]
    assert not [event for event in shown if event.api_visibility == "private"]
