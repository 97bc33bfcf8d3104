"""The Pictures tab in a real browser, with a tiny model."""

import pytest
from models import tiny_folder
from PIL import Image
from playwright.sync_api import expect

from zigdemo import media
from zigdemo.diffusion import SAMPLERS
from zigdemo.pipeline import Pipeline, Request

pytestmark = pytest.mark.browser


def number(page, label, value):
    box = page.get_by_label(f"number input for {label}")
    box.fill(str(value))
    box.press("Tab")


def test_it_generates_and_offers_the_files(visit, served):
    page = visit(served)
    number(page, "Steps", 4)
    page.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_selector("text=network calls each")
    assert page.locator("#result img").count() >= 4
    page.get_by_role("button", name="PNG files").click()
    page.wait_for_selector("text=seed0")
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()


def test_stop_stops_and_the_page_stays_usable(visit, served, held):
    page = visit(served)
    number(page, "Steps", 250)
    number(page, "Pictures", 16)
    page.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_selector("text=of 250")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("text=Stopped")
    page.wait_for_timeout(1500)
    expect(page.locator("#progress")).to_contain_text("Stopped", use_inner_text=True)
    number(page, "Steps", 2)
    page.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_selector("text=network calls each")


def test_a_picture_restores_its_settings_and_a_foreign_one_is_one_sentence(visit, served, tmp_path):
    pipe = Pipeline.load(tiny_folder(tmp_path / "tiny").path)
    request = Request("tiny", label="grinning face", count=2, seed=77, steps=9, solver="euler")
    path = media.save_png(pipe(request).images[0], tmp_path / "made.png", request.settings, pipe.provenance())
    page = visit(served)
    page.set_input_files("#restore input[type=file]", str(path))
    page.wait_for_selector("text=Settings restored")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("77")
    expect(page.get_by_label("number input for Steps")).to_have_value("9")
    expect(page.get_by_label("Label", exact=True)).to_have_value("grinning face")


def test_every_solver_runs_and_grey_controls_say_why(visit, served):
    page = visit(served)
    number(page, "Steps", 2)
    number(page, "Pictures", 1)
    page.get_by_role("button", name="More: solver options").click()
    for seed, (name, solver) in enumerate(SAMPLERS.items(), start=10):
        page.get_by_label("Solver", exact=True).click()
        page.get_by_role("option", name=solver.label, exact=True).click()
        page.wait_for_selector(f"#more strong:text-is('{solver.label}')")
        assert page.get_by_label("Noise form").is_disabled() == ("form" not in solver.options), name
        page.get_by_label("Seed", exact=True).fill(str(seed))
        page.get_by_label("Seed", exact=True).press("Tab")
        page.get_by_role("button", name="Draw", exact=True).click()
        page.wait_for_selector(f"text=seed {seed} ·")


def test_a_picture_is_drawn_anew_from_part_of_the_way(visit, served, tmp_path):
    Image.new("RGB", (60, 30), "red").save(tmp_path / "red.png")
    page = visit(served)
    number(page, "Steps", 2)
    page.get_by_role("button", name="More: solver options").click()
    page.set_input_files("#start-picture input[type=file]", str(tmp_path / "red.png"))
    page.wait_for_selector("#start-picture img")
    page.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_selector("text=network calls each")
    assert page.locator("#result img").count() >= 4


def test_it_fits_a_phone(visit, served):
    page = visit(served, width=390)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
