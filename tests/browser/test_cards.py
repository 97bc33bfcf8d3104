"""The Models tab in a real browser: search and filters, samples enlarged, drawing with a card, the import form."""

import re

import pytest
from models import tiny_folder
from pages import serving, show_tab
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A page with more models than are surveyed at a glance."""
    root = tmp_path_factory.mktemp("weights")
    for place in range(6):
        folder = tiny_folder(root / f"tiny-{place}", family=("zigma", "dit")[place % 2])
    Image.new("RGB", (80, 60), "green").save(folder.path / "grid.png")
    tiny_folder(root / "tiny-clips", frames=3, scheme="factorized-st")
    with serving(root) as url:
        yield url


def test_models_are_searched_and_filtered_without_the_server(visit, many):
    page = visit(many)
    show_tab(page, "Cards")
    page.wait_for_selector("text=7 models")
    page.locator(".finder select[name=backbone]").select_option("DiT")
    page.wait_for_selector("text=3 of 7 models")
    expect(page.locator(".models article:visible")).to_have_count(3)
    page.locator(".finder input").fill("tiny-1 labels")
    page.wait_for_selector("text=1 of 7 models")
    page.locator(".finder select[name=draws]").select_option("clips by label")
    page.wait_for_selector("text=No model fits")


def test_samples_are_enlarged_and_a_card_draws(visit, many):
    page = visit(many, width=390)
    show_tab(page, "Cards")
    page.get_by_role("button", name="Enlarge the samples of tiny-5").click()
    page.wait_for_selector("dialog img")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    page.locator("[data-draw=tiny-3]").click()
    page.wait_for_selector("text=Press Draw; the pictures")
    expect(page.get_by_label("Model", exact=True).first).to_have_value(re.compile("^tiny-3"))
    page.get_by_label("Scan scheme").first.wait_for(state="hidden")  # a DiT has none: all controls followed


def test_a_card_of_clips_opens_the_video_tab(visit, many):
    page = visit(many)
    show_tab(page, "Cards")
    page.locator('article:has-text("tiny-clips") a.draw').click()
    page.wait_for_selector("text=Press Draw; the clips")


def test_what_cannot_be_imported_is_one_sentence(visit, many):
    page = visit(many)
    show_tab(page, "Cards")
    page.get_by_role("button", name="Add a model").click()
    page.locator("#add-what").locator("input, textarea").fill("nonsense")
    page.get_by_role("button", name="Import").click()
    page.wait_for_selector("#add-progress >> text=is no file or folder here")
    expect(page.get_by_role("button", name="Import")).to_be_enabled()
