"""An exported folder in a real browser: it draws what the pipeline draws, here, and says what it does."""

import numpy as np
import pytest
from pages import serving as page_serving
from playwright.sync_api import expect

pytest.importorskip("onnx", reason="onnx is not installed")

from zigdemo import lesson, zoo  # noqa: E402
from zigdemo.pipeline import Pipeline  # noqa: E402
from zigdemo.web import export, serving  # noqa: E402
from zigdemo.web.runtime import runtime_files  # noqa: E402

pytestmark = pytest.mark.browser
MODEL, PROMPT = "zigma-portraits", "a smiling person with long red hair and glasses"
OTHERS = ["dit-portraits", "dig-portraits", "diffussm-portraits"]
PIXELS = """(node) => { const { width, height } = node, context = node.getContext("2d");
  return { width, height, data: [...context.getImageData(0, 0, width, height).data] }; }"""
SMALL = """() => [...document.querySelectorAll("button, input, select, textarea")].filter((node) => {
  const box = node.getBoundingClientRect();
  return box.width && Math.min(box.width, box.height) < 23.5;
}).map((node) => node.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    try:
        runtime_files()
    except ValueError as fault:
        pytest.skip(str(fault))
    out = tmp_path_factory.mktemp("web")
    export([MODEL], out)
    return out


@pytest.fixture(scope="module")
def exported(folder):
    with serving(folder) as url:
        yield f"{url}?device=wasm"


def draw(page):
    button = page.locator(".device").get_by_role("button", name="Draw", exact=True)
    button.click()
    expect(button).to_be_enabled(timeout=60_000)  # "Done." may still be of the drawing before
    expect(page.locator(".device-says")).to_have_text("Done.")


def shown(page, place):
    """The picture of a figure, (H, W, 3)."""
    pixels = page.locator(".device figure.done canvas").nth(place).evaluate(PIXELS)
    return np.array(pixels["data"], np.uint8).reshape(pixels["height"], pixels["width"], 4)[..., :3].astype(int)


@pytest.mark.parametrize("solver", ["euler", "heun", "ddim"])
def test_one_seed_under_two_scans_is_drawn_as_by_the_pipeline(visit, exported, solver):
    scans = "scan=zigzag-8&beside=scan&scan2=sweep"
    page = visit(f"{exported}&prompt={PROMPT}&seed=4294967295&solver={solver}&steps=4&{scans}")
    draw(page)
    pictures = [shown(page, place) for place in (0, 1)]
    pipe = Pipeline.load(MODEL, "cpu")
    for picture, scan in zip(pictures, ("zigzag-8", "sweep"), strict=True):
        request = pipe.request(prompt=PROMPT, seed=2**32 - 1, count=1, solver=solver, steps=4, scan=scan)
        gap = np.abs(picture - np.asarray(pipe(request).images[0]).astype(int))
        assert gap.max() <= 4 and gap.mean() < 0.1, scan
    assert np.abs(pictures[0] - pictures[1]).mean() > 3, "the scan makes no difference"
    expect(page.locator("figcaption", has_text="decoder")).to_have_count(2)


@pytest.fixture(scope="module")
def others(tmp_path_factory, folder):
    out = tmp_path_factory.mktemp("others")
    export(OTHERS, out)
    with serving(out) as url:
        yield f"{url}?device=wasm"


@pytest.mark.parametrize("model", OTHERS)
def test_every_backbone_draws_as_the_pipeline(visit, others, model):
    page = visit(f"{others}&model={model}&prompt={PROMPT}&seed=5&steps=4")
    draw(page)
    pipe = Pipeline.load(model, "cpu")
    expected = np.asarray(pipe(pipe.request(prompt=PROMPT, seed=5, count=1, steps=4)).images[0]).astype(int)
    gap = np.abs(shown(page, 0) - expected)
    assert gap.max() <= 4 and gap.mean() < 0.1
    assert page.get_by_label("Scan scheme", exact=True).is_hidden()


def test_what_came_once_is_kept_and_the_address_brings_the_settings_back(browser, exported):
    context = browser.new_context()
    fetched, page = [], context.new_page()
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(exported)
    expect(page.locator(".device-needs")).to_contain_text("The first drawing fetches")
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    page.get_by_label("Seed", exact=True).fill("12")
    page.get_by_label("Scan scheme", exact=True).select_option("hilbert-8")
    draw(page)
    expect(page.locator(".device-needs")).to_contain_text("are kept by this browser")
    first = shown(page, 0)
    assert len([url for url in fetched if "/parts/" in url]) == 5
    fetched.clear()
    page.reload()
    expect(page.get_by_label("Scan scheme", exact=True)).to_have_value("hilbert-8")
    draw(page)
    assert (shown(page, 0) == first).all()
    assert [url for url in fetched if "/parts/" in url or url.endswith(".wasm")] == []
    context.set_offline(True)
    page.get_by_label("Seed", exact=True).fill("13")
    draw(page)
    assert not (shown(page, 0) == first).all()
    context.close()


def test_stop_stops_and_the_next_drawing_works(visit, exported):
    page = visit(f"{exported}&steps=50")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator(".device-says")).to_contain_text("of 50", timeout=60_000)
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".device-says")).to_have_text("Stopped.")
    expect(page.locator(".device figure")).to_have_count(0)
    page.get_by_label("Steps", exact=True).fill("2")
    draw(page)
    expect(page.locator(".device figure.done")).to_have_count(1)


@pytest.mark.parametrize(
    ("label", "value", "sentence"),
    [
        ("Prompt", " ", "Write a prompt first."),
        ("Seed", "-1", "The seed must be a whole number from 0 to 4294967295."),
        ("Seed", "1.5", "The seed must be a whole number from 0 to 4294967295."),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(visit, exported, label, value, sentence):
    page = visit(exported)
    page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator(".device-says")).to_have_text(sentence)
    expect(page.locator(".device figure")).to_have_count(0)


def test_without_the_headers_one_thread_draws(visit, folder):
    with serving(folder, isolated=False) as url:
        page = visit(f"{url}?device=wasm&steps=2")
        expect(page.locator(".device-needs")).to_contain_text("with one thread")
        draw(page)


def test_a_file_that_is_gone_is_one_sentence(browser, exported):
    page = browser.new_page()
    page.route("**/parts/*.onnx", lambda route: route.fulfill(status=404))
    page.goto(exported)
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator(".device-says")).to_contain_text("is not there (404); export the folder again.", timeout=60_000)
    page.close()


def test_a_device_that_cannot_says_why(browser, exported):
    page = browser.new_page()
    page.add_init_script("delete window.WebAssembly")
    page.goto(exported)
    expect(page.get_by_role("alert")).to_have_text(
        "This browser cannot draw: it has no WebAssembly; try a current Chrome, Edge, Firefox or Safari."
    )
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_can_be_read_and_used_by_all(visit, exported, theme, width):
    sync = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = visit(f"{exported}&steps=1&beside=guidance", width)
    page.emulate_media(color_scheme=theme)
    draw(page)
    violations = sync.Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in violations
            if one["impact"] in ("serious", "critical")] == []  # fmt: skip
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert page.evaluate(SMALL) == []


def test_nothing_stays_english(visit, exported):
    page = visit(f"{exported}&lang=de&steps=2&beside=prompt")
    page.wait_for_function("document.documentElement.lang === 'de'")
    page.get_by_role("button", name="Zeichnen", exact=True).click()
    expect(page.locator(".device-says")).to_have_text("Fertig.", timeout=60_000)
    for kind in ("scan", "guidance", "none"):
        page.locator("select").filter(has=page.locator("option[value=guidance]")).select_option(kind)
    assert page.evaluate("[...window.zigdemoLanguage.missing]") == []


def test_stop_ends_a_download(browser, exported):
    page = browser.new_page()
    asked = []
    page.route("**/parts/*.onnx", lambda route: asked.append(route))  # never answered
    page.goto(exported)
    page.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_event("request", lambda request: ".onnx" in request.url)
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".device-says")).to_have_text("Stopped.")
    page.unroute("**/parts/*.onnx")
    draw(page)
    page.close()


@pytest.mark.parametrize(("step", "beside"), [(5, "scan"), (8, "guidance"), (9, "prompt")])
def test_three_steps_of_the_lesson_let_the_reader_draw(visit, lesson_folder, step, beside):
    with serving(lesson_folder) as url:
        page = visit(f"{url}?device=wasm#{step}")
        page.locator("summary", has_text="Draw it yourself").click()
        expect(page.get_by_label("Beside it, with the same seed")).to_have_value(beside)
        page.get_by_label("Steps", exact=True).fill("2")
        draw(page)
        expect(page.locator(".device figure.done")).to_have_count(2)
        assert (shown(page, 0) != shown(page, 1)).any()


@pytest.fixture(scope="module")
def lesson_folder(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("lesson") / "lesson"
    assert lesson.main(["export", str(out), "--draw", MODEL]) == 0
    return out


def test_the_page_offers_it_with_its_own_settings(visit, folder, monkeypatch):
    monkeypatch.setenv("ZIGDEMO_WEB", str(folder))
    with page_serving(zoo.WEIGHTS) as url:
        page = visit(f"{url}?place=pictures&model={MODEL}&prompt={PROMPT}&seed=7&steps=2&device=wasm")
        page.locator("#device summary").click()
        expect(page.locator("#device").get_by_label("Seed", exact=True)).to_have_value("7")
        expect(page.locator("#device").get_by_label("Prompt", exact=True)).to_have_value(PROMPT)
        draw(page)
        expect(page.locator("#device figure.done")).to_have_count(1)


def test_where_the_graphics_card_fails_the_processor_draws(browser, exported):
    page = browser.new_page()
    page.route("**/*.asyncify.wasm", lambda route: route.fulfill(body=b"no module", content_type="application/wasm"))
    page.goto(exported.replace("device=wasm", "device=webgpu&steps=2"))
    expect(page.locator(".device-needs")).to_contain_text("The graphics card computes.")
    draw(page)
    expect(page.locator(".device-needs")).to_contain_text("The processor computes")
    expect(page.locator(".device figure.done")).to_have_count(1)
    page.close()
