"""The Clips tab in a real browser, with a tiny model of clips."""

import pytest
from pages import show_tab
from playwright.sync_api import expect

from zigdemo.media import read_clip
from zigdemo.request import Request

pytestmark = pytest.mark.browser
PLAYING = """async () => {
    const video = document.querySelector("#clip-stage video")
    const at = video.currentTime
    await new Promise((done) => video.addEventListener("timeupdate", () => video.currentTime !== at && done()))
    return {size: [video.videoWidth, video.videoHeight], seconds: video.duration, muted: video.muted,
            loop: video.loop, paused: video.paused}
}"""


@pytest.fixture
def tab(visit, served):
    """tab(width) opens the page on the Clips tab; the page and the part of it that the tab is."""
    pytest.importorskip("av")

    def open_tab(width: int = 1280):
        page = visit(served, width=width)
        show_tab(page, "Clips")
        page.wait_for_selector("#video")
        return page, page.locator("#video")

    return open_tab


def number(view, label, value):
    box = view.get_by_label(f"number input for {label}")
    box.fill(str(value))
    box.press("Tab")


def draw(page, view):
    view.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_selector("#clip-progress >> text=network calls each")


def test_clips_play_and_a_downloaded_one_restores_its_settings(tab, tmp_path):
    page, view = tab()
    number(view, "Steps", 3)
    number(view, "Clips", 2)
    view.get_by_label("Seed", exact=True).fill("5")
    draw(page, view)
    page.wait_for_function("document.querySelector('#clip-stage video')?.readyState >= 2")
    played = page.evaluate(PLAYING)
    assert played.pop("seconds") == pytest.approx(3 / 8, abs=0.01)
    assert played == {"size": [256, 256], "muted": True, "loop": True, "paused": False}
    expect(page.locator("#clip-stage video")).to_have_count(2)
    assert page.locator("#clip-stage .frames").first.locator("li").all_inner_texts() == ["1", "2", "3"]
    paths = {}
    for kind, name in (("mp4", "MP4"), ("gif", "GIF"), ("webp", "WebP"), ("png", "PNG filmstrip")):
        with page.expect_download() as download:
            page.locator("#clip-stage").get_by_role("link", name=name).last.click()
        paths[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(paths[kind])
        assert paths[kind].suffix == f".{kind}"
        wanted = Request("tiny-clips", label="red heart", steps=3, count=2, seed=5, scan="factorized-st")
        assert Request.from_metadata(paths[kind]) == wanted and len(read_clip(paths[kind])) == 3
    number(view, "Steps", 7)
    draw(page, view)
    expect(view.get_by_role("button", name="Earlier in this visit")).to_be_visible()
    page.set_input_files("#clip-restore input[type=file]", str(paths["mp4"]))
    page.wait_for_selector("text=Settings restored")
    expect(view.get_by_label("number input for Steps")).to_have_value("3")


def test_stop_stops_midway_and_the_preview_stays(tab, held):
    page, view = tab()
    number(view, "Steps", 250)
    number(view, "Clips", 4)
    view.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_selector("#clip-stage .frames")
    expect(page.locator("#clip-stage figure > img")).to_have_count(4)
    page.wait_for_selector("#clip-progress >> text=of 250")
    view.get_by_role("button", name="Stop").click()
    page.wait_for_selector("#clip-progress >> text=Stopped")
    page.wait_for_timeout(500)
    expect(page.locator("#clip-progress")).to_contain_text("Stopped", use_inner_text=True)
    expect(page.locator("#clip-stage video")).to_have_count(0)
    number(view, "Steps", 2)
    draw(page, view)


def test_a_link_opens_the_tab_with_its_settings(visit, served):
    page = visit(f"{served}?model=tiny-clips&label=hedgehog&scan=sweep3d&steps=9&count=2&seed=77&guidance=1.5")
    page.wait_for_selector("#video")
    view = page.locator("#video")
    page.wait_for_function("document.querySelector('#video [aria-label=Label]').value === 'hedgehog'")
    expect(view.get_by_label("Seed", exact=True)).to_have_value("77")
    expect(view.get_by_label("Scan scheme")).to_have_value("sweep3d · not trained with this scan")
    expect(page.locator("#clip-scan")).to_contain_text("whole clip", use_inner_text=True)
    view.get_by_label("Seed", exact=True).fill("78")
    view.get_by_label("Seed", exact=True).press("Tab")
    view.get_by_role("button", name="Copy link").click()
    page.wait_for_function("location.search.includes('seed=78') && location.search.includes('model=tiny-clips')")


def test_it_fits_a_phone(tab):
    page, _ = tab(width=390)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
