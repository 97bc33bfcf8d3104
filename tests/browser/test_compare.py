"""The Compare tab in a real browser: one click draws a matrix, pictures are compared, the address brings all back."""

import json
from urllib.parse import parse_qs, urlparse

import pytest
from models import tiny_folder
from pages import serving, show_tab
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Two tiny models that differ in the scan they were trained with."""
    root = tmp_path_factory.mktemp("twins")
    tiny_folder(root / "tiny", scheme="zigzag-8")
    tiny_folder(root / "tiny-sweep", scheme="sweep")
    with serving(root) as url:
        yield url


@pytest.mark.parametrize("width", [1280, 390])
def test_one_click_draws_a_matrix_and_pictures_are_compared(visit, twins, width):
    page = visit(twins, width)
    show_tab(page, "Compare")
    expect(page.locator("#compare-price")).to_contain_text("4 pictures", use_inner_text=True)
    page.get_by_role("button", name="Trained with × read with").click()
    page.wait_for_selector("#compare-progress:has-text('drawn in')")
    cells = page.locator(".compare-cell[data-state=done]")
    assert cells.count() == 4
    cells.nth(0).click()
    cells.nth(3).hover()
    expect(page.locator(".compare-stage")).to_contain_text(
        "Pinned: Trained with zigzag-8, Read with zigzag-8", use_inner_text=True
    )
    expect(page.locator(".compare-stage")).to_contain_text("Trained with sweep, Read with sweep", use_inner_text=True)
    page.get_by_role("button", name="Difference").click()
    page.wait_for_selector(".compare-stage canvas")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_keys_move_pin_and_blink(visit, twins):
    page = visit(twins)
    show_tab(page, "Compare")
    page.get_by_role("button", name="Trained with × read with").click()
    page.wait_for_selector("#compare-progress:has-text('drawn in')")
    page.locator(".compare-cell").nth(0).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith(
        "Trained with sweep, Read with sweep"
    )
    page.keyboard.press("b")
    captions = set()
    for _ in range(20):
        captions.add(page.locator(".compare-stage figure:not([hidden]) figcaption").first.inner_text().split("\n")[0])
        page.wait_for_timeout(150)
    assert len(captions) == 2


def test_the_address_brings_the_place_and_the_matrix_back(visit, twins):
    page = visit(twins)
    show_tab(page, "Compare")
    page.get_by_role("button", name="Trained with × read with").click()
    page.wait_for_selector("#compare-progress:has-text('drawn in')")
    query = parse_qs(urlparse(page.url).query)
    assert query["place"] == ["compare"] and json.loads(query["matrix"][0])["rows"][0] == "trained"
    again = visit(page.url)
    again.locator("#compare").locator("visible=true").wait_for()
    again.get_by_role("button", name="Draw", exact=True).locator("visible=true").click()
    again.wait_for_selector("#compare-progress:has-text('4 pictures, 0 of them drawn')")


def test_back_and_forward_go_through_the_places(visit, twins):
    page = visit(twins)
    show_tab(page, "Compare")
    page.wait_for_url("**place=compare*")
    show_tab(page, "Cards")
    page.wait_for_url("**place=cards*")
    page.go_back()
    page.locator("#compare").locator("visible=true").wait_for()
    page.go_back()
    page.locator("#preview").locator("visible=true").wait_for()
    page.go_forward()
    page.locator("#compare").locator("visible=true").wait_for()
