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


def show_tab(page, name):
    """Open a tab, which on a narrow page may wait behind the three dots."""
    page.wait_for_timeout(500)  # the tabs that do not fit move into a menu
    tab = page.get_by_role("tab", name=name)
    if not (tab.count() and tab.is_visible()):
        page.locator(".overflow-menu > button").click()
        tab = page.locator(".overflow-dropdown button", has_text=name)
    tab.click()
