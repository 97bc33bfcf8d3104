"""The page of a folder of models, and steps that browser tests share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def serving(weights: Path) -> Iterator[str]:
    """The address of the whole page, on the models in `weights` instead of the shipped ones."""
    from zigdemo import zoo

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "WEIGHTS", weights)
        import app

        page = app.build_app()
        _, url, _ = app.launch(page, server_port=None, prevent_thread_lock=True, quiet=True)
        try:
            yield url
        finally:
            page.close()


def page_of(build):
    """The page that has one tab alone; build: lays it out."""
    import gradio as gr

    from zigdemo.ui.frame import Frame, Place, Tab, lay_out
    from zigdemo.ui.sharing import make_choice

    tab = Tab("alone", "Alone", build)
    with gr.Blocks(analytics_enabled=False) as page:
        lay_out(Frame(page, (Place(tab.id, tab.title, (tab,)),), None, gr.HTML(), make_choice()))
    return page


def show_tab(page, title):
    """Open a tab by its title, in its place."""
    from zigdemo.ui.tabs import PLACES

    place = next(place for place in PLACES if title in [tab.title for tab in place.tabs])
    for name in (place.title, title) if place.has_row else (place.title,):
        page.get_by_role("tab", name=name, exact=True).click()
