"""The shipped portraits as a visitor meets them: drawn first, one thing changed by a click, words that light up."""

import re

import pytest
from pages import serving, show_tab
from playwright.sync_api import expect

from zigdemo import zoo

pytestmark = pytest.mark.browser


@pytest.fixture
def url():
    with serving(zoo.WEIGHTS) as address:
        yield address


@pytest.mark.parametrize("width", [1280, 390])
def test_the_first_picture_is_a_portrait_and_one_click_changes_one_thing(visit, url, width):
    page = visit(url, width)
    expect(page.get_by_label("Model").locator("visible=true")).to_have_value(re.compile("^zigma-portraits"))
    page.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_selector("#result img")
    page.locator("#swaps button", has_text="red hair").click()
    page.wait_for_selector("#change img")
    assert page.locator("#change img").count() % 3 == 0
    assert "red hair" not in page.locator("#swaps button").first.inner_text()
    heading = page.locator("#swaps p").bounding_box()
    assert heading["height"] < 40, "the heading of the swaps is squeezed into a column"
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_the_word_under_the_pointer_lights_up_its_region(visit, url):
    page = visit(url)
    show_tab(page, "Attention")
    word = page.locator(".lit span", has_text="hoodie").first
    word.wait_for()
    place = word.get_attribute("class").removeprefix("word-")
    veil = page.locator(f".lit .veil-{place}")
    assert float(veil.evaluate("one => getComputedStyle(one).opacity")) < 0.1
    word.hover()
    page.wait_for_function(f"() => getComputedStyle(document.querySelector('.lit .veil-{place}')).opacity > 0.4")
