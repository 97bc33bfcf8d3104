"""What holds on every tab: no fault that axe-core finds, nothing too small to hit or read, nothing that jumps."""

import pytest
from pages import show_tab
from playwright.sync_api import expect

from zigdemo.ui.tabs import TABS

pytestmark = pytest.mark.browser

LEAST_PX = 24  # of a target
OTHERS = ".scan-player, .toy-player, .strips, .errors, .cost-plot"  # players and figures set their own sizes of text
SMALL = f"""() => [...document.querySelectorAll(
    "button, input, select, textarea, a[href], summary, [role=tab], [tabindex='0']")].filter(node => {{
  const box = (node.matches("[type=checkbox], [type=radio]") && node.closest("label") || node).getBoundingClientRect();
  const shown = node.checkVisibility({{ visibilityProperty: true }}) && !node.closest(".visually-hidden") && box.width;
  return shown && Math.min(box.width, box.height) < {LEAST_PX} - 0.5;
}}).map(node => node.outerHTML.slice(0, 160))"""
SMALL_TEXT = """(least) => [...document.querySelectorAll("main *")].filter(node => node.checkVisibility()
  && !node.closest("OTHERS") && [...node.childNodes].some(part => part.nodeType === 3 && part.data.trim())
  && parseFloat(getComputedStyle(node).fontSize) < least).map(node => node.outerHTML.slice(0, 160))""".replace(
    "OTHERS", OTHERS
)
HEADINGS = """() => [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")]
  .filter(node => node.checkVisibility()).map(node => Number(node.tagName[1]))"""
SHIFT = """() => new Promise(done => {
  let sum = 0;
  new PerformanceObserver(list => list.getEntries().forEach(each => { sum += each.hadRecentInput ? 0 : each.value; }))
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 1000);
})"""
STILL = """() => document.getAnimations().every(one => one.playState !== "running"
  || one.effect.getTiming().iterations === Infinity)"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def axe():
    """axe(page) -> what it finds of serious or critical faults."""
    sync = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

    def faults(page):
        found = sync.Axe().run(page).response["violations"]
        return [(each["id"], [node["html"][:160] for node in each["nodes"]]) for each in found
                if each["impact"] in ("serious", "critical")]  # fmt: skip

    return faults


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "least_text"), [(1280, 14), (390, 13)])
def test_every_tab_can_be_read_and_used_by_all(visit, served, axe, width, least_text, theme):
    page = visit(f"{served}?__theme={theme}", width)
    page.wait_for_selector(".tabitem button.lg")
    assert page.evaluate(SHIFT) < 0.1
    expect(page.locator("main")).to_have_count(1)
    assert page.evaluate("document.documentElement.lang") == "en"
    for tab in TABS:
        show_tab(page, tab.title)
        page.wait_for_selector(f".tab-heading h2:text-is('{tab.title}')", state="attached")
        page.wait_for_function(STILL)
        assert axe(page) == [], tab.title
        assert page.evaluate(OVERFLOW) <= 0, tab.title
        assert page.evaluate(SMALL) == [], tab.title
        assert page.evaluate(SMALL_TEXT, least_text) == [], tab.title
        levels = page.evaluate(HEADINGS)
        jumps = [after - before for before, after in zip(levels, levels[1:], strict=False)]
        assert levels.count(1) == 1 and max(jumps) <= 1, (tab.title, levels)


def test_the_width_of_a_projector_is_used_and_lines_stay_short(visit, served):
    page = visit(served, 1920, 1080)
    assert page.locator("#places").bounding_box()["width"] > 1600
    assert page.locator("#preview").bounding_box()["width"] > 1000
    show_tab(page, "Fine-tune")
    assert page.locator(".prose p:visible").filter(has_text="About 20 pictures").bounding_box()["width"] < 900


def dropdown(page, name):
    return page.get_by_role("combobox", name=name, exact=True).locator("visible=true")


def is_open(page):
    page.wait_for_timeout(150)  # nothing tells when a list does not open
    return page.locator("[role=combobox][aria-expanded=true]").count() == 1


def test_a_dropdown_opens_when_it_is_asked_to_and_not_when_it_is_passed(visit, served):
    page = visit(served)
    label = dropdown(page, "Label")
    chosen = "grinning face"
    label.click()
    assert is_open(page)
    page.keyboard.press("Escape")
    assert not is_open(page)
    label.click()
    assert is_open(page), "a click on a dropdown that has the focus already"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert not is_open(page) and label.evaluate("one => one === document.activeElement")
    for key in ("Shift", "ArrowLeft", "Home"):
        page.keyboard.press(key)
        assert not is_open(page), key
    for key in ("Enter", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
        assert is_open(page), key
        page.keyboard.press("Escape")
        assert not is_open(page), key
    before = label.input_value()
    page.keyboard.press("Shift+Tab")
    label.click()
    page.keyboard.type(chosen[:4])
    assert is_open(page) and page.get_by_role("option").all_inner_texts()[0].strip().endswith(chosen), "typing searches"
    page.keyboard.press("Enter")
    page.wait_for_timeout(150)
    assert label.input_value() == chosen != before and not is_open(page)
    assert label.evaluate("one => one === document.activeElement"), "the focus stays where the choice was made"
    page.keyboard.press("Tab")
    expect(label).to_have_value(chosen)


def test_passing_the_model_by_tab_changes_nothing(visit, served):
    page = visit(served)
    label = dropdown(page, "Label")
    label.click()
    page.get_by_role("option", name="grinning face", exact=True).click()
    dropdown(page, "Model").focus()
    page.keyboard.press("Tab")
    page.wait_for_timeout(500)
    expect(label).to_have_value("grinning face")


def test_the_focus_is_seen_on_every_control(visit, served):
    page = visit(served)
    page.get_by_role("tab", name="Pictures").focus()
    seen = []
    for _ in range(16):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("""() => {
          const node = document.activeElement;
          const around = [node, node.closest(".tab-like-container"), node.closest(".wrap")].filter(Boolean);
          const outlined = around.some(one => getComputedStyle(one).outlineStyle === "solid"
            && parseFloat(getComputedStyle(one).outlineWidth) >= 2);
          return outlined ? "" : node.outerHTML.slice(0, 160);
        }""")
        )
    assert not any(seen), seen


def test_what_is_hidden_is_not_read_out_and_what_folds_says_so(visit, served):
    page = visit(served)
    show_tab(page, "Samplers")
    page.wait_for_selector(".toy-play")
    hidden = "[...document.querySelectorAll('[data-testid=status-tracker].hide')]"
    assert page.evaluate(f"{hidden}.every(node => getComputedStyle(node).visibility === 'hidden')")
    fold = page.get_by_role("button", name="Which kernels run here")
    expect(fold).to_have_attribute("aria-expanded", "false")
    fold.click()
    page.wait_for_selector("#backends button[aria-expanded=true]")
