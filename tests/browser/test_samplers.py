"""The Samplers tab in a real browser."""

import re
from pathlib import Path
from threading import Event
from xml.etree import ElementTree

import pytest
from pages import show_tab
from PIL import Image
from playwright.sync_api import expect

from zigdemo.ui.tabs import samplers

pytestmark = pytest.mark.browser
# Once it plays, Pause is pressed in the same moment: a busy machine could let it play to the end before a click comes.
PAUSED_EARLY = """() => {
    const player = document.querySelector(".toy-player"), pause = player.querySelector("[aria-label=Pause]")
    return pause && player.dataset.time > 0.1 && (pause.click(), true)
}"""


def open_tab(visit, url, width=1280):
    page = visit(url, width)
    show_tab(page, "Samplers")
    page.wait_for_selector(".toy-player[data-time]")
    return page


def time(page):
    return float(page.get_attribute(".toy-player", "data-time"))


def choose(page, label, option):
    box = page.get_by_role("combobox", name=label, exact=True)
    box.click()
    page.get_by_role("option", name=option, exact=True).click()


def test_the_paths_play_by_themselves_and_no_frame_asks_the_server(visit, served):
    page = open_tab(visit, served)
    calls = []
    page.on("request", lambda request: calls.append(request.url) if "/queue/join" in request.url else None)
    page.wait_for_function(PAUSED_EARLY)
    here = time(page)
    page.wait_for_timeout(300)
    assert time(page) == here < 1
    calls.clear()  # the tab asks for its paths when it is opened
    page.locator(".toy-scrub").fill("250")
    assert time(page) == 0.25
    page.focus(".toy-canvas >> nth=0")
    page.keyboard.press("End")
    assert time(page) == 1
    page.keyboard.press("ArrowLeft")
    assert time(page) == 0.98
    page.keyboard.press(" ")
    page.wait_for_function("document.querySelector('.toy-player').dataset.time === '1.000'")
    assert calls == [], "playing called Python"


def test_both_sides_tell_their_calls_and_error_and_a_point_is_followed_in_both(visit, served):
    page = open_tab(visit, served)
    captions = page.locator(".toy-panels figcaption").all_inner_texts()
    assert "ODE: Heun" in captions[0] and "40 network calls" in captions[0] and "as good as true points" in captions[0]
    assert "SDE: Euler-Maruyama" in captions[1] and "20 network calls" in captions[1]
    page.get_by_role("button", name="To the data").click()
    ink = "(c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.reduce((a, b) => a + b, 0)"
    canvas = page.locator(".toy-canvas").nth(1)
    before = canvas.evaluate(ink)
    box = page.locator(".toy-canvas").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.79, box["y"] + box["height"] / 2)
    assert page.get_attribute(".toy-player", "data-chosen") != ""
    assert canvas.evaluate(ink) != before


def test_another_toy_and_solver_are_drawn_and_a_wrong_number_is_one_sentence(visit, served):
    page = open_tab(visit, served)
    choose(page, "Toy", "Pair")
    page.wait_for_selector(".toy-player[data-toy='pair']")
    choose(page, "SDE solver", "DDPM")
    page.wait_for_selector("text=SDE: DDPM")
    assert page.get_by_role("combobox", name="SDE noise over time").count() == 0
    box = page.get_by_label("number input for Number of steps")
    box.fill("0")
    box.press("Enter")
    page.wait_for_selector("text=Steps must be a whole number from 1 to 100, not 0")
    expect(page.locator(".toy-player")).to_have_attribute("data-toy", "pair")
    box.fill("7")
    box.press("Enter")
    page.wait_for_selector("text=7 steps · 14 network calls")
    assert page.get_by_text("must be a whole number").count() == 0


def test_two_strips_are_drawn(visit, served):
    page = open_tab(visit, served)
    page.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_selector("text=Done; both solvers")
    expect(page.locator(".strip")).to_have_count(2)
    expect(page.locator(".strip img")).to_have_count(16)
    strips = page.locator(".strip").all()
    times = [[text.strip() for text in strip.locator("li").all_inner_texts()] for strip in strips]
    assert times[0] == times[1] and times[0][1] == "t = 0.14" and times[0][-1] == "result"
    expect(page.get_by_role("button", name="Draw", exact=True)).to_be_enabled()


def test_a_strip_stops(visit, served, monkeypatch):
    def resting(*settings):
        for strips in quick(*settings):
            yield strips
            while not stopped.wait(0.05):
                yield strips

    quick, stopped = samplers._strips, Event()
    monkeypatch.setattr(samplers, "_strips", resting)  # a tiny model would be done before anyone can press Stop
    page = open_tab(visit, served)
    box = page.get_by_label("number input for Steps").locator("visible=true")
    box.fill("100")
    box.press("Tab")
    choose(page, "First solver", "Runge-Kutta 4")
    page.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_selector("#strip-line :text('of 100')")
    page.locator("#strip-stop").click()
    page.wait_for_selector("#strip-line :text('Stopped')")
    stopped.set()
    page.wait_for_timeout(1500)
    expect(page.locator("#strip-line")).to_contain_text("Stopped", use_inner_text=True)
    expect(page.get_by_role("button", name="Draw", exact=True)).to_be_enabled()


def test_the_score_says_what_a_perfect_sampler_gets(visit, served):
    page = open_tab(visit, served)
    said = page.inner_text(".toy-meaning")
    assert re.search(r"A perfect sampler of 128 points gets 0\.\d\d \(0\.\d\d to 0\.\d\d in 9 of 10 draws\)", said)
    assert "the noise at the start 0." in said


def test_the_toy_is_saved_as_picture_drawing_and_numbers(visit, served):
    page = open_tab(visit, served)
    page.get_by_role("button", name="To the data").click()
    saved = {}
    for kind in ("PNG", "SVG", "CSV"):
        with page.expect_download() as download:
            page.locator(".toy-player").get_by_role("button", name=f"Save {kind}").click()
        assert download.value.suggested_filename == f"ring-heun-euler-maruyama.{kind.lower()}"
        saved[kind] = Path(download.value.path())
    with Image.open(saved["PNG"]) as picture:
        assert picture.width > 1500 and len(picture.convert("RGB").getcolors(10**7)) > 100
    drawing = ElementTree.fromstring(saved["SVG"].read_text())
    assert len(drawing.findall(".//{*}circle")) == 256 and "SDE: Euler-Maruyama" in saved["SVG"].read_text()
    rows = saved["CSV"].read_text().splitlines()
    assert len(rows) == 1 + 2 * 21 * 128 and rows[0] == "kind,solver,network calls,score,step,t,point,x,y"


def test_a_curve_is_brought_out_and_its_value_said(visit, served):
    page = open_tab(visit, served)
    plots = page.locator(".errors .plot")
    plots.first.scroll_into_view_if_needed()
    spot = plots.first.locator("[data-curve=heun] .spot").first
    spot.hover(force=True)
    expect(page.locator(".curve-tip").first).to_contain_text("Heun, 4 calls: ", use_inner_text=True)
    page.locator("tr[data-curve=ddpm]").hover()
    expect(page.locator("svg .on[data-curve=ddpm]")).to_have_count(2)
    expect(page.locator("svg .on[data-curve=heun]")).to_have_count(0)
    for kind in ("PNG", "SVG"):
        with page.expect_download() as download:
            page.locator(".plots figure").first.get_by_role("button", name=f"Save {kind}").click()
        assert download.value.suggested_filename == f"solvers-error.{kind.lower()}"
    text = Path(download.value.path()).read_text()
    assert ElementTree.fromstring(text).get("viewBox") and "var(--c" not in re.sub(
        r'stroke="[^"]*"|fill="[^"]*"', "", text
    )


def test_the_curves_are_there_and_it_fits_a_phone(visit, served):
    page = open_tab(visit, served, width=390)
    expect(page.locator(".errors svg.plot")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
