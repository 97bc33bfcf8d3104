"""The tables of languages: complete, with the same gaps to fill, and with every sentence of the page and the lesson."""

import json
import re
from string import Formatter

import pytest

from zigdemo.ui import languages, texts
from zigdemo.ui.lesson import export
from zigdemo.ui.lesson.steps import STEPS
from zigdemo.ui.tabs import PLACES

TABLES = languages.tables()
FIRST = next(iter(TABLES.values()))
GAP = re.compile(r"\{([\d#]*)\}")


def is_known(text):
    """Whether a table has a sentence, or one with gaps that it fills."""
    patterns = (re.escape(key).replace(r"\{\}", "(.+?)").replace(r"\{\#\}", r"[\d.,]+") for key in FIRST if "{" in key)
    return text in FIRST or any(re.fullmatch(pattern, text, re.DOTALL) for pattern in patterns)


def test_there_are_five_languages():
    assert languages.languages() == ["en", "de", "es", "fr", "zh"]


@pytest.mark.parametrize("code", TABLES)
def test_a_table_has_every_sentence_of_the_others(code):
    assert set(TABLES[code]) == set(FIRST)
    assert [key for key, text in TABLES[code].items() if not text.strip()] == []


@pytest.mark.parametrize("code", TABLES)
def test_a_translation_fills_the_gaps_of_its_sentence(code):
    wrong = []
    for key, text in TABLES[code].items():
        gaps, count = GAP.findall(text), len(GAP.findall(key))
        in_order, numbered = [""] * count, [str(place) for place in range(1, count + 1)]
        if gaps != in_order and sorted(gaps) != numbered:
            wrong.append((key, text))
    assert wrong == []


@pytest.mark.parametrize("code", TABLES)
def test_marks_and_code_are_kept(code):
    wrong = [
        (key, text)
        for key, text in TABLES[code].items()
        if re.findall("`.*?`", key) != re.findall("`.*?`", text) or key.count("*") != text.count("*")
    ]
    assert wrong == []


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.stage)
def test_the_lesson_is_translated(step):
    assert [text for text in (step.title, step.text, step.question, step.notes) if text not in FIRST] == []


def test_places_and_tabs_are_translated():
    assert [tab.title for place in PLACES for tab in (place, *place.tabs) if tab.title not in FIRST] == []


SENTENCES = {
    name: value
    for name, value in vars(texts).items()
    if name.isupper() and not name.startswith("_") and isinstance(value, str) and "=>" not in value
}


@pytest.mark.parametrize("name", SENTENCES)
def test_the_texts_of_the_page_are_translated(name):
    text = "".join(one + ("1" if gap is not None else "") for one, gap, *_ in Formatter().parse(SENTENCES[name]))
    for paragraph in text.split("\n", 1) if text.startswith("#") else [text]:
        assert is_known(" ".join(paragraph.lstrip("# ").split())), paragraph


def test_no_text_can_end_the_script_that_holds_the_tables(monkeypatch):
    monkeypatch.setattr(languages, "tables", lambda: {"de": {"Draw": "</script><script>alert(1)</script>"}})
    script = languages.language_script()
    assert "</" not in script
    inside = re.search(r"zigdemoTables = (.*); window\.zigdemoNames", script).group(1)
    assert json.loads(inside.replace("<\\/", "</"))["de"]["Draw"].startswith("</script>")


def test_the_lesson_opens_in_a_language_that_there_is():
    assert 'data-language="fr"' in export.lesson_html("{}", "fr")
    assert 'data-language=""' in export.lesson_html("{}")
    with pytest.raises(ValueError, match="unknown language 'xx'; choose one of en, de, es, fr, zh"):
        export.lesson_html("{}", "xx")
