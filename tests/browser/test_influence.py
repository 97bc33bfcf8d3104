"""The Influence tab in a real browser: draw, click a patch, see its maps."""

import pytest
from pages import show_tab
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [1280, 390])
def test_a_click_on_a_patch_shows_what_it_listens_to(visit, served, width):
    page = visit(served, width=width)
    show_tab(page, "Influence")
    page.locator("#influence-draw").click()
    page.wait_for_selector("#influence-maps img")
    before = page.locator("#influence-maps img").first.get_attribute("src")
    picture = page.locator("#influence-picture img")
    box = picture.bounding_box()
    picture.click(position={"x": box["width"] * 0.9, "y": box["height"] * 0.1})
    page.wait_for_selector("text=Row 1, column 4")
    expect(page.locator("#influence-maps img").first).not_to_have_attribute("src", before)
    expect(page.locator("#influence-maps figure")).to_have_count(4)
    expect(page.get_by_label("number input for Column", exact=True)).to_have_value("4")
    layer = page.get_by_label("number input for Layer", exact=True)
    layer.fill("2")
    layer.press("Tab")
    page.wait_for_selector("text=Composed, layers 1 to 2")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_many_clicks_end_with_the_last_and_a_link_brings_it_back(visit, served):
    page = visit(served)
    show_tab(page, "Influence")
    page.locator("#influence-draw").click()
    page.wait_for_selector("text=Row 3, column 3")
    picture = page.locator("#influence-picture img")
    side = picture.bounding_box()["width"]
    for x, y in ((0.1, 0.1), (0.9, 0.9), (0.1, 0.9), (0.4, 0.1)):
        picture.click(position={"x": side * x, "y": side * y})
    page.wait_for_selector("text=Row 1, column 2")
    page.wait_for_selector("#influence-progress >> text=Click a patch of the picture")
    assert page.locator("#influence-line").inner_text().startswith("Row 1, column 2")
    page.get_by_role("button", name="Export PNG").click()
    page.wait_for_selector("#influence-files >> text=svg")
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_function("location.search.includes('place=influence')")
    assert "row=1" in page.url and "column=2" in page.url and "model=tiny" in page.url
    other = visit(page.url)
    other.wait_for_selector("#influence-progress >> text=Settings of the link")
    other.locator("#influence-draw").click()
    other.wait_for_selector("text=Row 1, column 2")


def test_a_click_while_the_marked_picture_is_still_loading_counts(visit, served):
    page = visit(served)
    show_tab(page, "Influence")
    page.locator("#influence-draw").click()
    expect(page.locator("#influence-line")).to_contain_text("Row 3, column 3")
    picture = page.locator("#influence-picture img")
    side = picture.bounding_box()["width"]
    page.route("**/*.png", lambda route: None)
    picture.click(position={"x": side * 0.9, "y": side * 0.9})
    page.wait_for_function("!document.querySelector('#influence-picture img').naturalWidth")
    picture.click(position={"x": side * 0.9, "y": side * 0.1})
    picture.click(position={"x": side * 0.4, "y": side * 0.1})
    page.unroute("**/*.png")  # what is held goes on
    expect(page.locator("#influence-line")).to_contain_text("Row 1, column 2")


def test_stop_ends_a_drawing_and_the_tab_stays_usable(visit, served, held):
    page = visit(served)
    show_tab(page, "Influence")
    page.locator("#influence-draw").click()
    page.wait_for_selector("#influence-progress >> text=of 25")
    expect(page.get_by_label("Model", exact=True).locator("visible=true")).to_be_disabled()
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("#influence-progress >> text=Stopped")
    expect(page.locator("#influence-maps img")).to_have_count(0)
    assert page.locator("#influence-draw").is_enabled()


def test_without_a_text_model_the_attention_tab_says_so(visit, served):
    page = visit(served)
    show_tab(page, "Attention")
    page.wait_for_selector("text=No text model is installed")
