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
    """Open a tab; on a narrow page their row scrolls."""
    page.get_by_role("tab", name=name).click()
