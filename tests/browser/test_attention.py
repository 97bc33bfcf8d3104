"""The Attention tab in a real browser, with a tiny model that is drawn by words."""

import pytest
from pages import show_tab

pytestmark = pytest.mark.browser


def test_words_layers_and_steps_are_clicked_through(visit, wordy_page):
    page = visit(wordy_page)
    show_tab(page, "Attention")
    page.locator("#attention-draw").click()
    page.wait_for_selector("#attention-map figure >> text=heart")
    page.locator("#attention-words").get_by_text("red", exact=True).click()
    page.wait_for_selector("text=red + heart")
    page.wait_for_selector("text=change of the prediction")
    page.locator("#attention-kind").get_by_text("Attention to the word").click()
    page.wait_for_selector("text=layers 1 to 2")
    box = page.get_by_label("number input for To layer")
    box.fill("1")
    box.press("Tab")
    page.wait_for_selector("text=layer 1 · steps 1 to 25")
    page.get_by_role("button", name="Play the steps").click()
    page.wait_for_selector(r"text=/layer 1 · step \d+ ·/")
    page.wait_for_selector("text=layer 1 · steps 1 to 25")
    page.get_by_role("button", name="Export PNG").click()
    page.wait_for_selector("#attention-files >> text=svg")
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_function("location.search.includes('place=attention')")
    other = visit(page.url)
    other.wait_for_selector("#attention-progress >> text=Settings of the link")
    other.locator("#attention-draw").click()
    other.wait_for_selector("text=layer 1 · steps 1 to 25")
    other.wait_for_selector("text=red + heart")
