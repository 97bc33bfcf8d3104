"""The Cost tab in a real browser: it counts as Python does, is dragged and hovered, and its address brings it back."""

import json
import random

import pytest
from pages import show_tab
from playwright.sync_api import expect

from zigdemo.explain.terms import BLOCKS, crossing

pytestmark = pytest.mark.browser
BLOCK = "([data, name, sizes, mixing]) => window.zigdemoCost.blockValue(data[name], sizes, mixing)"
CROSSING = "([data, one, two, sizes, mixing]) => window.zigdemoCost.crossing(data[one], data[two], sizes, mixing)"


def test_the_script_counts_as_python_does(visit, served):
    page, dice = visit(served), random.Random(0)
    from zigdemo.ui.costs import cost_json

    data = json.loads(cost_json())["blocks"]
    for _ in range(50):
        sizes = {"M": dice.randint(1, 2**18), "D": dice.randint(16, 2048), "N": dice.randint(1, 64)}
        mixing = dice.random() < 0.5
        for name, block in BLOCKS.items():
            assert page.evaluate(BLOCK, [data, name, sizes, mixing]) == pytest.approx(block.value(sizes, mixing))
        one, two = dice.sample(list(BLOCKS), 2)
        there = page.evaluate(CROSSING, [data, one, two, sizes, mixing])
        assert there == (pytest.approx(here) if (here := crossing(one, two, sizes, mixing)) else None)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_size_is_dragged_a_term_is_pointed_at_and_the_address_brings_it_back(visit, served, width):
    page = visit(served, width)
    show_tab(page, "Cost")
    says = page.locator(".cost-says")
    before = says.inner_text()
    plot = page.locator(".cost-plot").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 120)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 1.5, box["y"] + 120, steps=4)
    page.mouse.up()
    expect(says).not_to_have_text(before, use_inner_text=True)
    page.wait_for_function("location.search.includes('tokens=')")
    page.locator(".cost-row.of-dit .bar").focus()
    page.wait_for_selector(".cost-term:has-text('2M²D'):has-text('grows with the square')")
    page.get_by_role("button", name="Memory", exact=True).click()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    shown = says.inner_text()
    again = visit(page.url, width)
    again.locator(".cost-says").filter(has_text=shown).wait_for()


def test_this_machine_is_measured_beside_the_others(visit, served, monkeypatch):
    from zigdemo.ui.tabs import cost

    monkeypatch.setattr(cost, "TOKENS", (256, 1024))
    monkeypatch.setattr(cost, "SECONDS", 0.001)
    page = visit(served)
    show_tab(page, "Cost")
    page.get_by_role("button", name="Measure here").click()
    page.wait_for_selector("#cost-progress:has-text('Measured')")
    expect(page.locator(".cost figcaption")).to_contain_text("measured here")
    expect(page.locator(".cost .curve.thin")).to_have_count(4)


def test_whole_networks_are_shown_beside_operators(visit, served):
    page = visit(served)
    show_tab(page, "Cost")
    page.get_by_role("button", name="Whole network", exact=True).click()
    assert page.locator(".cost-legend").inner_text().split() == ["ZigMa", "DiT", "DiG", "DiffuSSM"]
    expect(page.locator(".cost-measured h3")).to_contain_text("whole network", use_inner_text=True)
    page.get_by_role("button", name="Memory", exact=True).click()
    page.wait_for_selector(".cost figcaption >> text=Not measured.")


def test_the_largest_networks_are_shown_as_measured_on_a_gpu(visit, served):
    page = visit(served)
    show_tab(page, "Cost")
    page.get_by_role("button", name="On a GPU", exact=True).click()
    expect(page.locator(".cost-measured h3")).to_contain_text("on a GPU")
    assert page.locator(".cost-legend").inner_text().split() == ["ZigMa", "DiT", "DiG", "DiffuSSM"]
    expect(page.locator(".cost figcaption")).to_contain_text("in bfloat16")
    page.get_by_role("button", name="Training", exact=True).click()
    page.wait_for_selector(".cost figcaption >> text=Not measured.")
