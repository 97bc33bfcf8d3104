"""The scan player in a real browser."""

import pytest

pytestmark = pytest.mark.browser


def open_tab(visit, url, width=1280):
    page = visit(url, width)
    page.get_by_role("tab", name="Scan paths").click()
    page.wait_for_selector(".scan-player[data-position]")
    return page


def position(page):
    return int(page.get_attribute(".scan-player", "data-position"))


def cell(page):
    return int(page.get_attribute(".scan-player", "data-cell"))


def test_it_shows_zigzag_8_at_once_as_eight_panels(visit, served):
    page = open_tab(visit, served)
    assert page.locator(".scan-panel").count() == 8
    assert position(page) == 63 and cell(page) == 56
    assert "100.0 %" in page.inner_text(".scan-measures")
    page.locator(".scan-panel").nth(1).click()
    assert cell(page) == 7, "the second path goes down the columns and ends at the top right"


def test_play_step_scrub_and_keys_move_along_the_path(visit, served):
    page = open_tab(visit, served)
    page.get_by_role("button", name="To the start").click()
    assert (position(page), cell(page)) == (0, 0)
    for _ in range(8):
        page.get_by_role("button", name="One step forward").click()
    assert (position(page), cell(page)) == (8, 15), "the snake turns at the end of the first row"
    page.focus(".scan-main")
    page.keyboard.press("ArrowLeft")
    assert position(page) == 7
    page.locator(".scan-scrub").fill("30")
    assert position(page) == 30
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("Number(document.querySelector('.scan-player').dataset.position) > 34")
    page.get_by_role("button", name="Pause").click()
    here = position(page)
    page.wait_for_timeout(300)
    assert position(page) == here


def test_hover_tells_when_a_cell_is_read(visit, served):
    page = open_tab(visit, served)
    box = page.locator(".scan-main").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.99, box["y"] + box["height"] * 3 / 16)
    assert "step 9 of 64 reads row 1, column 7" in page.inner_text(".scan-status")


def test_another_scheme_or_grid_is_drawn_and_a_wrong_one_is_one_sentence(visit, served):
    page = open_tab(visit, served)
    box = page.get_by_role("combobox", name="Scan scheme")
    box.fill("random-3")
    box.press("Enter")
    page.wait_for_function("document.querySelectorAll('.scan-panel').length === 3")
    box.fill("spiral")
    box.press("Enter")
    page.wait_for_selector("text=unknown scan scheme")
    assert page.locator(".scan-panel").count() == 3


def test_it_fits_a_phone(visit, served):
    page = open_tab(visit, served, width=390)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
