"""The page in other languages, in a real browser: nothing stays English, and a menu switches it where it stands."""

import pytest
from playwright.sync_api import expect

from zigdemo import zoo
from zigdemo.ui.lesson.export import lesson_html
from zigdemo.ui.lesson.steps import STEPS
from zigdemo.ui.tabs import PLACES, TABS

pytestmark = pytest.mark.browser
SHIPPED = zoo.WEIGHTS
MISSING = "[...window.zigdemoLanguage.missing]"
OPEN = """(tab) => {
  const url = new URL(location.href);
  url.searchParams.set("place", tab);
  history.pushState(null, "", url);
  dispatchEvent(new PopStateEvent("popstate"));
}"""
UNFOLD = """() => document.querySelectorAll("details:not([open]) > summary, .label-wrap:not(.open)")
  .forEach((fold) => fold.checkVisibility() && fold.click())"""
SETTLED = """() => new Promise((done) => { let quiet = setTimeout(done, 600);
  new MutationObserver(() => { clearTimeout(quiet); quiet = setTimeout(done, 600); })
    .observe(document.body, { subtree: true, childList: true, characterData: true }); setTimeout(done, 5000); })"""


def test_no_place_keeps_a_sentence_in_english(visit, served):
    page = visit(f"{served}?lang=de")  # every table has the same sentences
    page.wait_for_function("document.documentElement.lang === 'de'")
    for tab in TABS:
        page.evaluate(OPEN, tab.id)
        page.locator(f'[role="tab"][data-tab-id="{tab.id}"][aria-selected="true"]').wait_for()
        page.evaluate(SETTLED)
        page.evaluate(UNFOLD)
        page.evaluate(SETTLED)
    assert page.evaluate(MISSING) == []


def test_a_drawing_speaks_the_language_too(visit, served):
    page = visit(f"{served}?lang=de")
    page.locator("#places").get_by_role("tab", name="Zeichnen", exact=True).click()
    page.get_by_role("button", name="Zeichnen", exact=True).locator("visible=true").click()
    page.wait_for_selector("#progress >> text=Bilder in")
    assert page.evaluate(MISSING) == []


SHOWN = """() => [document.title, ...document.querySelectorAll("#places, #title, .page-tools")].map((node) =>
  node.innerText ?? node).concat([...document.querySelectorAll("[title], [aria-label], [placeholder]")].map((node) =>
  ["title", "aria-label", "placeholder"].map((name) => node.getAttribute(name)).join("|"))).join("\\n")"""


def test_all_that_a_switch_changes_is_put_back_by_the_next(visit, served):
    page = visit(served)
    for tab in ("compare", "scan-paths", "cost"):
        page.evaluate(OPEN, tab)
        page.locator(f'[role="tab"][data-tab-id="{tab}"][aria-selected="true"]').wait_for()
        page.evaluate(SETTLED)
        before = page.evaluate(SHOWN)
        for code in ("fr", "de", "en"):
            page.locator(".page-tools .language-menu").select_option(code)
            page.evaluate(SETTLED)
            assert (page.evaluate(SHOWN) == before) == (code == "en")
        assert page.title() == "zigdemo"


TRANSLATE = "(text) => window.zigdemoLanguage.translate(text)"


def test_a_gap_for_a_number_takes_no_words(visit, served):
    page = visit(f"{served}?lang=de")
    page.wait_for_function("document.documentElement.lang === 'de'")
    for text in ("face with tears of joy", "prayer beads", "a statue of 3 liberties", "constructor"):
        assert page.evaluate(TRANSLATE, text) == text
    assert page.evaluate(TRANSLATE, "3 of 1,024") == "3 von 1,024"
    assert page.evaluate(TRANSLATE, "13 network calls") == "13 Netzaufrufe"
    page.evaluate("document.getElementById('title').append('A sentence of nobody')")
    page.wait_for_function("window.zigdemoLanguage.missing.has('A sentence of nobody')")
    other = visit(f"{served}?lang=constructor")
    other.wait_for_function("document.documentElement.lang === 'en'")


def test_the_menu_switches_the_page_where_it_stands_and_back(visit, served):
    page = visit(served)
    place = PLACES[0].title
    menu = page.locator(".page-tools .language-menu")
    page.get_by_role("tab", name=place, exact=True).wait_for()
    before = page.locator("#title").inner_text()
    menu.select_option("fr")
    page.wait_for_function("document.documentElement.lang === 'fr'")
    assert page.get_by_role("tab", name=place, exact=True).count() == 0
    expect(page.locator("#title")).not_to_have_text(before, use_inner_text=True)
    page.reload()
    page.wait_for_function("document.documentElement.lang === 'fr'")  # remembered
    show = page.locator(".page-tools .language-menu")
    show.select_option("en")
    page.get_by_role("tab", name=place, exact=True).wait_for()
    expect(page.locator("#title")).to_have_text(before, use_inner_text=True)


def test_the_address_names_the_language_and_follows_the_menu(visit, served):
    page = visit(f"{served}?lang=es&place=compare")
    page.wait_for_function("document.documentElement.lang === 'es'")
    page.locator(".page-tools .language-menu").select_option("zh")
    page.wait_for_function("location.search.includes('lang=zh') && document.documentElement.lang === 'zh'")
    other = visit(f"{served}?lang=xx")
    other.wait_for_function("document.documentElement.lang === 'en'")


def test_the_browsers_language_is_taken(browser, served):
    context = browser.new_context(locale="de-AT")
    page = context.new_page()
    page.goto(served)
    page.wait_for_function("document.documentElement.lang === 'de'")
    context.close()


def test_buttons_are_found_by_keys_in_every_language(visit, served):
    page = visit(f"{served}?lang=fr")
    page.wait_for_function("document.documentElement.lang === 'fr'")
    page.evaluate(OPEN, "pictures")
    page.locator('[data-tab-id="pictures"][aria-selected="true"]').wait_for()
    page.locator("#title").click()
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#progress >> text=backend")


def test_a_file_opens_in_its_language_and_switches_without_a_server(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", SHIPPED)
    (tmp_path / "lesson.html").write_text(lesson_html(language="de"), encoding="utf-8")
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((tmp_path / "lesson.html").as_uri())
    page.wait_for_function("document.documentElement.lang === 'de'")
    for place, _ in enumerate(STEPS):
        assert STEPS[place].title not in page.locator(".lesson h3").first.inner_text()
        page.evaluate(SETTLED)
        assert page.evaluate(MISSING) == []
        page.keyboard.press("PageDown")
    page.locator(".language-menu").select_option("en")
    expect(page.locator(".lesson h3").first).to_contain_text(STEPS[-1].title, use_inner_text=True)
    context.close()
