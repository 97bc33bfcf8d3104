"""The film strip keeps what was drawn over a reload, and a click restores its settings."""

import pytest

pytestmark = pytest.mark.browser


def test_it_survives_a_reload_and_restores_settings(visit, served):
    page = visit(served)
    page.get_by_label("Live").uncheck()
    page.get_by_label("Seed", exact=True).fill("41")
    page.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_selector("#strip li")
    assert page.locator("#strip li").count() == 4 and "seed 41" in page.locator("#strip li").first.inner_text()
    page.reload()
    page.wait_for_selector("#strip li")
    assert page.get_by_label("Seed", exact=True).input_value() == "41", "the address has the settings"
    page.locator("#strip li button").nth(1).click()
    seed = page.get_by_label("Seed", exact=True).element_handle()
    page.wait_for_function("box => box.value === '42'", arg=seed)
    page.get_by_role("button", name="Clear", exact=True).click()
    assert page.locator("#strip li").count() == 0
