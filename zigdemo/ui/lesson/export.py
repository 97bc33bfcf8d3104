"""The lesson as one HTML file that needs no server and no network."""

from __future__ import annotations

from ...checks import choice
from ..languages import language_script, languages
from ..theme import ASSETS
from .data import lesson_json

STYLES = ("tokens.css", "language.css", "players.css", "samplers.css", "words.css", "cost.css", "lesson.css")
SCRIPTS = (
    "parts.js", "language.js", "scan_view.js", "scan_measures.js", "trajectories.js", "cost.js", "cells.js",
    "lesson_stages.js", "lesson.js",
)  # fmt: skip
MOST_BYTES = 6_000_000  # of the file
# What Gradio's own style sheet gives the page.
PAGE = """
:root { --block-radius: 8px; --body-background-fill: var(--ground); --background-fill-primary: var(--ground);
  --background-fill-secondary: var(--ground-raised); }
body { max-width: 1500px; margin: 0 auto; padding: 20px clamp(12px, 3vw, 40px); color: var(--ink);
  background: var(--ground); font: 16px/1.4 system-ui, sans-serif; }
@media (min-width: 1800px) { body { zoom: 1.25; } }
.lesson-handout { display: none; }
@media print { .lesson-steps, .lesson-room { display: none !important; }
  .lesson-handout { display: block; } .lesson-handout article { break-inside: avoid; margin-bottom: 18px; } }
"""
DARK = """const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark", dark.matches);
dark.addEventListener("change", follow);
follow();"""
START = """zigdemoParts.whenReady(() => {
  const lesson = document.getElementById("lesson");
  zigdemoLesson.mount(lesson, JSON.parse(document.getElementById("lesson-data").textContent));
  zigdemoLanguage.start(lesson.dataset.language);
});"""


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def lesson_html(content: str | None = None, language: str | None = None) -> str:
    """The file. content: as `lesson_json` returns it, by default with the shipped results. language: the code of the
    one that it opens in; by default the reader's, and English where there is no table for that.

    Raises ValueError with one sentence for another language.
    """
    if language is not None:
        choice("language", language, languages())
    data = (content or lesson_json(exported=True)).replace("</", "<\\/")  # no text of it can end the element
    styles, scripts = "".join(map(_asset, STYLES)), "".join(map(_asset, SCRIPTS))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<title>How a network reads a picture</title>\n<link rel="icon" href="data:,">\n'
        f"<style>{styles}{PAGE}</style>\n</head>\n"
        "<body>\n<main>\n<h1>How a network reads a picture</h1>\n"
        f'<div id="lesson" class="lesson" data-language="{language or ""}"></div>\n</main>\n'
        f'<script type="application/json" id="lesson-data">{data}</script>\n'
        f"<script>{language_script()}{DARK}{scripts}{START}</script>\n</body>\n</html>\n"
    )
