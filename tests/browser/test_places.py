"""What is chosen in one place stands in every other and in the address, which brings all of it back."""

import pytest
from pages import show_tab
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def seed_of(page):
    return page.get_by_label("Seed", exact=True).locator("visible=true")


def test_a_choice_stands_in_every_place_and_its_address_brings_it_back(visit, served):
    page = visit(served)
    page.get_by_label("Live").uncheck()
    seed_of(page).fill("7")
    page.wait_for_function("location.search.includes('seed=7')")
    for title in ("Influence", "Pictures"):
        show_tab(page, title)
        expect(seed_of(page)).to_have_value("7")
    show_tab(page, "Influence")
    seed_of(page).fill("8")
    page.wait_for_function("location.search.includes('seed=8') && location.search.includes('place=influence')")
    again = visit(page.url)
    again.locator("#influence-draw").locator("visible=true").wait_for()
    expect(seed_of(again)).to_have_value("8")
    page.go_back()
    page.locator("#preview").locator("visible=true").wait_for()


def test_a_place_that_nobody_touched_leaves_the_address_short(visit, served):
    page = visit(served)
    show_tab(page, "Samplers")
    page.wait_for_function("location.search === '?place=samplers'")


def test_maps_follow_the_words_without_a_click(visit, wordy_page):
    page = visit(wordy_page)
    show_tab(page, "Attention")
    box = page.get_by_label("Prompt").locator("visible=true")
    box.fill("a watermelon heart")
    page.wait_for_selector("#attention-progress:has-text('Refined')")
    expect(page.locator("#attention-words label").filter(has_text="watermelon")).to_be_visible()
    before = page.locator("#attention-map img").first.get_attribute("src")
    box.fill("a hedgehog")
    page.wait_for_selector("#attention-words label:has-text('hedgehog')")
    expect(page.locator("#attention-map img").first).not_to_have_attribute("src", before)
