"""The Influence tab in a real browser: draw, click a patch, see its maps."""

import pytest
from pages import show_tab

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
    assert page.locator("#influence-maps img").first.get_attribute("src") != before
    assert page.locator("#influence-maps figure").count() == 4
    assert page.get_by_label("number input for Column").input_value() == "4"
    layer = page.get_by_label("number input for Layer")
    layer.fill("2")
    layer.press("Tab")
    page.wait_for_selector("text=Composed, layers 1 to 2")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_without_a_text_model_the_attention_tab_says_so(visit, served):
    page = visit(served)
    show_tab(page, "Attention")
    page.wait_for_selector("text=No text model is installed")
