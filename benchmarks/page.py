"""How quickly the page answers in headless Chromium: first and live pictures, matrices, and what people come for.

`python -m benchmarks.page` starts the page with the shipped models, on this machine, beside the browser.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

PORT = 7869
URL = f"http://127.0.0.1:{PORT}/"
RESULT = Path(__file__).parent / "results/page.json"
CHANGES = 20  # of the seed, for the live picture
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def served(port: int = PORT, log: Any = None, **environment: str) -> subprocess.Popen:
    """The page in a process of its own, once it answers. log: a file for what it says, by default the terminal."""
    process = subprocess.Popen(
        [sys.executable, "app.py"], env={**os.environ, "PORT": str(port), **environment}, stdout=log, stderr=log
    )
    for _ in range(240):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
            return process
        except OSError:
            time.sleep(0.5)
    process.kill()
    raise SystemExit("the page did not start")


def first_paint(browser: Any) -> float:
    """Seconds from the address to the first four pictures, in a browser that has nothing of the page."""
    page = browser.new_page()
    started = time.monotonic()
    page.goto(URL)
    page.wait_for_function(
        "() => [...document.querySelectorAll('#result img')].filter(i => i.naturalWidth).length >= 4"
    )
    seconds = time.monotonic() - started
    page.close()
    return seconds


def live(browser: Any) -> list[float]:
    """Seconds from every change of the seed to the live picture that shows it."""
    page = browser.new_page()
    page.goto(URL)
    box = page.get_by_label("Seed", exact=True)
    box.fill("1000")
    page.wait_for_selector("#progress:has-text('Refined')")
    seconds = []
    for seed in range(CHANGES):
        before = page.locator("#preview img").first.get_attribute("src")
        started = time.monotonic()
        box.fill(str(seed))
        page.wait_for_function("old => document.querySelector('#preview img')?.src !== old", arg=before, polling=10)
        seconds.append(time.monotonic() - started)
        page.wait_for_selector("#progress:has-text('Refined')")
    page.close()
    return seconds


def matrix(browser: Any, quality: str) -> float:
    """Seconds from the click to the last of 4 x 4 portraits, words by seeds."""
    page = browser.new_page()
    page.goto(f"{URL}?place=compare")
    page.get_by_role("button", name="Words × seeds").wait_for()
    seed = "100" if quality == "full" else "200"
    page.get_by_role("button", name="Words × seeds").click()
    page.wait_for_selector("#compare-progress:has-text('drawn in')", timeout=120_000)
    page.get_by_text("What all pictures share").click()
    if quality != "full":
        page.get_by_label("Quick: 4 Euler steps").check()
    page.get_by_label("Seed", exact=True).locator("visible=true").fill(seed)
    for _ in range(4):  # other seeds than those that are drawn already
        page.locator("#compare-columns .token-remove:visible").first.click()
    values = page.locator("#compare-columns input").first
    for place in range(4):
        values.fill(str(int(seed) + place))
        values.press("Enter")
    started = time.monotonic()
    page.get_by_role("button", name="Draw", exact=True).locator("visible=true").click()
    page.wait_for_selector("#compare-progress:not(:has-text('drawn in'))")  # that of the run before is gone
    page.wait_for_selector("#compare-progress:has-text('16 pictures, 16 of them drawn')", timeout=120_000)
    seconds = time.monotonic() - started
    page.close()
    return seconds


DONE = "#compare-progress:has-text('drawn in')"
TASKS: dict[str, tuple[list[str], str]] = {  # what is clicked, and what is then to be seen
    "first picture": ([], "#result img"),
    "a picture of one's own": ([".tabitem button:text-is('Draw'):visible"], "#progress:has-text('pictures in')"),
    "the same seed with another scan": (["tab:Compare", "button:text-is('Same noise, other scans')"], DONE),
    "backbones at one seed": (["tab:Compare", "button:text-is('Backbones side by side')"], DONE),
    "zigzag beside sweep": (["tab:Compare"], "#compare .compare-cell[data-state=done] img"),
    "ODE beside SDE": (["tab:Compare", "button:text-is('ODE beside SDE')"], DONE),
    "which word does what": (["tab:Look inside", "tab:Attention"], "#attention-picture .lit img"),
    "a figure of the scan": (["tab:Look inside", "#scan-player button:text-is('Save SVG')"], ""),
}


def task(browser: Any, clicks: list[str], seen: str) -> float:
    """Seconds from the first click, or from the address, until what is asked for is seen."""
    page = browser.new_page()
    started = time.monotonic()
    page.goto(URL)
    if clicks:
        page.locator("#result img").first.wait_for()
        started = time.monotonic()
    for click in clicks:
        kind, _, name = click.partition(":")
        place = page.get_by_role("tab", name=name, exact=True) if kind == "tab" else page.locator(click).first
        if kind != "tab":
            place.evaluate("(node) => node.scrollIntoView({ block: 'center' })")  # not below the row of places
        if click is clicks[-1] and not seen:
            with page.expect_download():
                place.click()
        else:
            place.click()
    if seen:
        page.locator(seen).first.wait_for(timeout=120_000)
    seconds = time.monotonic() - started
    page.close()
    return seconds


def main() -> None:
    """Measure, print and write the result."""
    from playwright.sync_api import sync_playwright

    process = served()
    try:
        with sync_playwright() as run:
            browser = run.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            seconds = sorted(live(browser))
            result = {
                "first_paint": round(first_paint(browser), 2),
                "live": {
                    "changes": CHANGES,
                    "median": round(statistics.median(seconds), 3),
                    "p95": round(seconds[int(0.95 * (len(seconds) - 1))], 3),
                },
                "matrix_4x4": {quality: round(matrix(browser, quality), 1) for quality in ("full", "quick")},
                "tasks": {
                    name: {"clicks": len(clicks), "seconds": round(task(browser, clicks, seen), 1)}
                    for name, (clicks, seen) in TASKS.items()
                },
                "cpus": os.cpu_count(),
            }
    finally:
        process.terminate()
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
