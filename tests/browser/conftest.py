"""Headless Chromium on a page served here, with a record of every request and error."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from models import tiny_folder
from pages import serving
from towers import small_tower
from waiting import PATIENCE

LOCAL = re.compile(r"^(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|^(data|blob|about):")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
EXPECT_SECONDS = 60.0  # a loaded machine may take this long to show what an answer brought


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    playwright.expect.set_options(timeout=EXPECT_SECONDS * 1000)
    with playwright.sync_playwright() as run:
        chromium = run.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def held(monkeypatch):
    """Runs of the page rest at their second preview until they are asked to stop: a tiny model would be done before."""
    from zigdemo.ui import runs

    steps = runs.steps_of

    def resting(run, *given, **more):
        for number, step in enumerate(steps(run, *given, **more)):
            yield step
            if number == 1 and step.result is None:
                run.stop.wait(PATIENCE)

    monkeypatch.setattr(runs, "steps_of", resting)


# What Gradio says of answers that were still on their way when a page was left for another address.
LEFT = ("AbortError: signal is aborted", "Unexpected error Connection errored out")


def is_fault(message) -> bool:
    """Whether a message of the browser's console is an error of the page."""
    return message.type == "error" and not message.text.startswith(LEFT)


@pytest.fixture
def visit(browser):
    """visit(url, width) opens a page; at the end of the test no request has left the machine and no error came."""
    pages, outside, errors = [], [], []

    def open_page(url: str, width: int = 1280, height: int = 900):
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE / 3 * 1000)
        page.on("request", lambda request: None if LOCAL.match(request.url) else outside.append(request.url))
        page.on("console", lambda message: errors.append(message.text) if is_fault(message) else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.locator("button").locator("visible=true").first.wait_for()
        pages.append(page)
        return page

    yield open_page
    seen = list(errors)  # a page that is closed in the middle of an answer says so too
    for page in pages:
        page.close()
    assert outside == [], "a request left this machine"
    assert seen == [], "the browser's console has errors"


@pytest.fixture(scope="module")
def wordy_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page with a tiny model that is drawn by words."""
    root = tmp_path_factory.mktemp("weights")
    tiny_folder(root / "tiny-text", text=small_tower(root / "tower"))
    with serving(root) as url:
        yield url
