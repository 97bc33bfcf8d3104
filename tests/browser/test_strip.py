"""The film strip keeps what was drawn over a reload, and a click restores its settings."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_it_survives_a_reload_and_restores_settings(visit, served):
    page = visit(served)
    page.get_by_label("Live").uncheck()
    page.get_by_label("Seed", exact=True).fill("41")
    page.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_selector("#strip li")
    expect(page.locator("#strip li")).to_have_count(4)
    expect(page.locator("#strip li").first).to_contain_text("seed 41", use_inner_text=True)
    page.reload()
    page.wait_for_selector("#strip li")
    seed = page.get_by_label("Seed", exact=True)
    expect(seed).to_have_value("41")  # the address has the settings
    page.locator("#strip li button").nth(1).click()
    expect(seed).to_have_value("42")
    for place in (0, 3):
        page.locator("#strip li input").nth(place).check()
    page.get_by_role("button", name="Compare the two").click()
    page.wait_for_selector("#compare-progress:has-text('2 pictures')")
    assert [page.locator(".compare thead th").nth(place).inner_text() for place in (1, 2)] == ["41", "44"]
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save all").click()
    assert saved.value.path().read_text(encoding="utf-8").count("seed=4") == 4
    page.locator("#strip").get_by_role("button", name="Clear").click()
    expect(page.locator("#strip li")).to_have_count(0)
