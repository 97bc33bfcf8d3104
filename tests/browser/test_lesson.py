"""The lesson in a real browser: by keys alone, by touch alone, and from a file with no server."""

import pytest
from pages import show_tab
from playwright.sync_api import expect

from zigdemo import zoo
from zigdemo.scans import receptive_mask, scan_scheme
from zigdemo.ui.lesson.data import orders
from zigdemo.ui.lesson.export import lesson_html
from zigdemo.ui.lesson.steps import STEPS

pytestmark = pytest.mark.browser
SHIPPED = zoo.WEIGHTS
REACHED = """([orders, token, layers]) => [...window.zigdemoScanMeasures.reached(
    orders.map(order => ({ order, span: order.length, length: order.length })), false, token, layers)]"""


def test_the_steps_are_walked_by_keys_and_the_address_brings_one_back(visit, served):
    page = visit(served)
    show_tab(page, "Lesson")
    page.wait_for_selector(".lesson h3")
    for number, step in enumerate(STEPS, 1):
        page.wait_for_selector(f".lesson h3:has-text('{number}. ')")
        expect(page.locator(".lesson h3").first).to_contain_text(step.title, use_inner_text=True)
        page.keyboard.press("PageDown")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("location.search.includes('lesson=8')")
    expect(page.locator(".lesson-notes")).to_be_hidden()
    page.keyboard.press("n")
    expect(page.locator(".lesson-notes")).to_be_visible()
    again = visit(page.url)
    again.wait_for_selector(".lesson h3:has-text('8. ')")
    again.get_by_role("button", name="Open this live").click()
    again.locator("#toy-player").locator("visible=true").wait_for()


def test_a_step_opens_live_with_its_settings_and_what_the_address_hides(browser, served):
    page = browser.new_page()  # not `visit`, as a page that is left at once complains of that
    page.goto(f"{served}?place=lesson&lesson=7&hide=header")
    page.wait_for_selector(".lesson h3:has-text('7. ')")
    expect(page.locator(".lesson .language-menu")).to_be_visible()  # as the header, which has it, is hidden
    page.locator(".lesson-clock").click()
    page.get_by_role("button", name="Open this live").click()
    page.wait_for_function("location.search.includes('tokens=4096')")
    page.locator(".cost-says").filter(has_text="At 4,096 tokens").wait_for()
    assert "hide=header" in page.url
    assert "lesson=" not in page.url
    expect(page.locator("#title")).to_be_hidden()
    page.go_back()
    page.wait_for_selector(".lesson-clock.running")
    page.close()


@pytest.fixture
def exported(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", SHIPPED)  # other tests serve other models
    (tmp_path / "lesson.html").write_text(lesson_html(), encoding="utf-8")
    return (tmp_path / "lesson.html").as_uri()


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1280, 800), (390, 844)])
def test_a_file_without_a_server_is_touched_step_by_step(browser, exported, width, height):
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True, offline=True)
    page, asked, errors = context.new_page(), [], []
    page.set_default_timeout(30_000)
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(exported)

    def following(title):
        page.get_by_role("button", name="Next").tap()
        page.wait_for_selector(f".lesson h3:has-text('{title}')")

    def overflow():
        return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    page.get_by_role("button", name="row 1, column 1").tap()
    page.get_by_role("button", name="row 2, column 1").tap()
    expect(page.locator(".lesson-says")).to_contain_text(
        "1 patch from the one before in the picture, 8 beads", use_inner_text=True
    )
    following("2. ")
    page.get_by_role("button", name="row 1, column 1").tap()
    page.get_by_role("button", name="row 1, column 4").tap()
    expect(page.locator(".lesson-says")).to_contain_text("1 jump, the longest over 3 patches", use_inner_text=True)
    following("3. ")
    page.get_by_role("button", name="Play both").tap()
    page.wait_for_selector(".lesson-says:has-text('the zigzag')")
    following("4. ")
    page.get_by_role("button", name="row 1, column 1").first.tap()
    page.get_by_label("Layers").fill("3")
    assert [one.split()[1] for one in page.locator(".lesson-pair figcaption").all_inner_texts()] == ["1", "1", "64"]
    following("5. ")
    page.get_by_role("button", name="It is destroyed").tap()
    expect(page.locator(".lesson-matrix img:visible")).to_have_count(16)
    following("6. ")
    expect(page.locator(".lesson-claim")).to_have_count(7)
    expect(page.locator(".lesson-claims")).to_contain_text("not decided here", use_inner_text=True)
    assert overflow() <= 0
    following("7. ")
    page.get_by_role("button", name="Reveal").tap()
    expect(page.locator(".lesson-says")).to_contain_text("four times the state", use_inner_text=True)
    assert overflow() <= 0
    following("8. ")
    page.wait_for_selector(".toy-play")
    following("9. ")
    page.wait_for_selector(".lit img")
    context.close()
    outside = [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    assert outside == [] and errors == []


def test_a_print_of_the_file_is_a_handout_of_all_steps(browser, exported):
    page = browser.new_page()
    page.goto(exported)
    page.wait_for_selector(".lesson h3")
    expect(page.locator(".lesson-handout")).to_be_hidden()
    page.emulate_media(media="print")
    text = page.locator(".lesson-handout").inner_text()
    assert all(step.title in text and step.notes in text for step in STEPS)
    expect(page.locator(".lesson-room")).to_be_hidden()
    assert len(page.pdf()) > 10_000
    page.close()


def test_the_reach_shown_is_that_of_python(visit, served):
    page = visit(served)
    for name, paths in orders().items():
        for token in (0, 20, 63):
            for layers in (1, 2, 5):
                mask = receptive_mask(scan_scheme(name), layers, (8, 8), token).ravel().astype(int).tolist()
                assert page.evaluate(REACHED, [paths, token, layers]) == mask


def test_the_file_has_no_serious_fault_for_screen_readers(browser, exported):
    sync = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = browser.new_page()
    page.goto(exported)
    for _ in STEPS:
        found = sync.Axe().run(page).response["violations"]
        assert [
            (one["id"], one["nodes"][0]["html"][:120]) for one in found if one["impact"] in ("serious", "critical")
        ] == []
        page.keyboard.press("PageDown")
    page.close()
