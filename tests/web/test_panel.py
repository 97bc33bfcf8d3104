"""The sentences of the panel, the page and the worker are in every table of languages."""

import re
from pathlib import Path

from zigdemo.ui.languages import tables

ASSETS = Path(__file__).parents[2] / "assets"
TABLE = next(iter(tables().values()))
NAMED = {"Euler", "Heun", "DDIM"}  # the same in every language
# Texts that the scripts put on the page: arguments of the functions that make controls, and what is said.
SAID = re.compile(
    r"""(?:control|range|button)\("([^"]+)"|says\.textContent = "([^"]+)"|Error\("([A-Z][^"]+)"\)|"""
    r"""return "([A-Z][^"]+)"|element\("span", \{\}, "([^"]+)"\)"""
)


def test_every_sentence_is_translated():
    texts = [text for name in ("panel.js", "device.js", "files.js") for groups in
             SAID.findall((ASSETS / "web" / name).read_text(encoding="utf-8")) for text in groups if text]  # fmt: skip
    page = (ASSETS / "web/index.html").read_text(encoding="utf-8")
    texts += re.findall(r"<(?:h1|p|title)[^>]*>([^<]+)<", page)
    assert len(texts) > 25
    assert [text for text in texts if text not in TABLE and text not in NAMED] == []
