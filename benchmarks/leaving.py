"""Seconds until the processor is idle after a run of the page was stopped, or its tab closed, in headless Chromium.

`python -m benchmarks.leaving` starts the page with the shipped models, on this machine.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from .page import FLAGS, served
from .soak import PORT, URL, until_idle

RESULT = Path(__file__).parent / "results/leaving.json"
PLACES = {  # addresses of long runs, and the button that starts them
    "pictures": ("place=pictures&model=zigma-portraits&solver=heun&steps=250&count=16", "Draw"),
    "clips": ("place=clips&model=zigma-actions&solver=heun&steps=250&count=4", "Draw"),
    "compare": ("place=compare", "Draw"),
    "attention": ("place=attention&model=zigma-portraits&steps=250", "Draw"),
    "influence": ("place=influence&model=zigma-portraits&steps=250", "Draw"),
    "strips": ("place=samplers&model=zigma-portraits&steps=250", "Draw"),
}
MOST_SECONDS = 2.0


def left(browser: Any, server: psutil.Process, query: str, button: str, by_stop: bool) -> float:
    """Seconds until the server is idle; -1.0 if it was not at work before."""
    page = browser.new_page()
    page.goto(f"{URL}/?{query}")
    page.get_by_label("Live", exact=True).first.wait_for(state="attached")
    start = page.get_by_role("button", name=button, exact=True).locator("visible=true").first
    start.wait_for()
    time.sleep(4)  # until what the page loads is there
    start.click()
    time.sleep(2.5)
    busy = server.cpu_percent(0.5) > 30
    if by_stop:
        page.get_by_role("button", name="Stop", exact=True).locator("visible=true").first.click()
    else:
        page.close()
    seconds = until_idle(server) if busy else -1.0
    if by_stop:
        page.close()
    return round(seconds, 2)


def main() -> None:
    """Measure, and keep the result."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryFile("w+") as log, sync_playwright() as playwright:
        process = served(PORT, log)
        server = psutil.Process(process.pid)
        try:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            time.sleep(15)  # while the kernels are compiled
            result = {
                place: {"stop": left(browser, server, *how, True), "close": left(browser, server, *how, False)}
                for place, how in PLACES.items()
            }
            browser.close()
        finally:
            process.terminate()
            process.wait()
    print(json.dumps(result, indent=1))
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if not all(0 <= seconds <= MOST_SECONDS for one in result.values() for seconds in one.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
