"""A live picture follows the hand; keys draw, stop and present; an address leaves parts of the page out."""

import pytest
from pages import show_tab
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_a_picture_follows_the_seed_without_a_click_and_is_refined(visit, served):
    page = visit(served)
    page.get_by_label("Seed", exact=True).fill("7")
    page.wait_for_selector("#preview img")
    page.wait_for_selector("#progress:has-text('Refined')")
    first = page.locator("#preview img").get_attribute("src")
    page.get_by_label("Seed", exact=True).fill("8")
    page.wait_for_function("first => document.querySelector('#preview img').src !== first", arg=first)
    page.wait_for_selector("#progress:has-text('Refined')")  # the line changed with the picture before
    page.get_by_label("Live").uncheck()
    before = page.locator("#preview img").get_attribute("src")
    page.get_by_label("Seed", exact=True).fill("9")
    page.wait_for_timeout(1500)
    assert page.locator("#preview img").get_attribute("src") == before


def test_what_was_changed_just_before_a_run_is_not_drawn_over_it(visit, served):
    page = visit(served)
    for seed in (21, 22, 23):
        page.get_by_label("Seed", exact=True).fill(str(seed))
        page.get_by_role("button", name="Draw", exact=True).click()
        page.wait_for_selector(f"text=seed {seed} ·")
    page.wait_for_timeout(1500)
    expect(page.locator("#progress")).to_contain_text("seed 23 ·")
    expect(page.locator("#result")).to_be_visible()


def test_keys_draw_and_show_their_sheet_but_not_in_a_text(visit, served):
    page = visit(served)
    page.get_by_label("Seed", exact=True).focus()
    page.keyboard.press("?")
    expect(page.locator("dialog.keys-sheet[open]")).to_have_count(0)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=network calls each")
    page.locator("#title").click()
    page.keyboard.press("?")
    expect(page.locator("dialog.keys-sheet[open]")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    expect(page.get_by_label("Seed", exact=True)).to_be_hidden()
    page.keyboard.press("p")
    expect(page.get_by_label("Seed", exact=True)).to_be_visible()


def test_an_address_leaves_parts_out(visit, served):
    page = visit(f"{served}?embed=1&hide=controls&place=compare")
    page.locator("#compare").locator("visible=true").wait_for()
    expect(page.locator("#title")).to_be_hidden()
    expect(page.locator("#footer")).to_be_hidden()
    expect(page.get_by_label("Rows", exact=True)).to_be_hidden()


def test_present_leaves_every_place_usable(visit, served):
    page = visit(served)
    show_tab(page, "Scan paths")
    page.keyboard.press("p")
    page.locator("#scan-player canvas").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
