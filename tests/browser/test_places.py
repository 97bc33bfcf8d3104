"""What is chosen in one place stands in every other and in the address, which brings all of it back."""

import pytest
from pages import show_tab
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def seed_of(page):
    return page.get_by_label("Seed", exact=True).locator("visible=true").element_handle()


def has(page, box, value):
    page.wait_for_function("([box, value]) => box.value === value", arg=[box, value])


def test_a_choice_stands_in_every_place_and_its_address_brings_it_back(visit, served):
    page = visit(served)
    page.get_by_label("Live").uncheck()
    seed_of(page).fill("7")
    page.wait_for_function("location.search.includes('seed=7')")
    for title in ("Influence", "Pictures"):
        show_tab(page, title)
        has(page, seed_of(page), "7")
    show_tab(page, "Influence")
    seed_of(page).fill("8")
    page.wait_for_function("location.search.includes('seed=8') && location.search.includes('place=influence')")
    again = visit(page.url)
    again.locator("#influence-draw").locator("visible=true").wait_for()
    has(again, seed_of(again), "8")
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
    assert page.locator("#attention-map img").first.get_attribute("src") != before
