"""The look of the page, light and dark, with local fonts only; the scripts of its players."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr

from .languages import language_script

ASSETS = Path(__file__).resolve().parent.parent.parent / "assets"

STYLES = (
    "tokens.css", "page.css", "language.css", "controls.css", "generate.css", "swaps.css", "words.css", "players.css",
    "stack.css", "scan_player.css", "samplers.css", "maps.css", "finetune.css", "models.css", "compare.css", "cost.css",
    "lesson.css", "keys.css", "strip.css",
)  # fmt: skip
SCRIPTS = (
    "access.js", "parts.js", "language.js", "gif.js", "scan_view.js", "scan_measures.js", "scan_player.js",
    "trajectories.js", "curves.js", "compare.js", "cost.js", "cells.js",
    "lesson_stages.js", "lesson.js", "address.js", "keys.js", "strip.js",
    "models.js", "live.js", "clicks.js", "device.js",
)  # fmt: skip


class SystemFont(gr.themes.Font):
    """A font named by a CSS keyword: browsers accept `system-ui` only without the quotes that Gradio adds."""

    def __str__(self) -> str:
        return super().__str__() if " " in self.name else self.name


def build_theme() -> gr.themes.Base:
    """The theme: system fonts, one calm accent colour."""
    sans = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    return gr.themes.Default(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.gray,
        font=[SystemFont(name) for name in sans],
        font_mono=[SystemFont(name) for name in mono],
    )


def page_css() -> str:
    """All style sheets of the page and its players."""
    return "".join((ASSETS / name).read_text(encoding="utf-8") for name in STYLES)


def head_html(place_of_tab: dict[str, str] | None = None) -> str:
    """The scripts of the page and its players, embedded in the page so that nothing is fetched.

    place_of_tab: the id of the place of every tab, by its id.
    """
    places = f"window.zigdemoPlaceOf = {json.dumps(place_of_tab or {})};"
    data = places + language_script()
    return f"<script>{data}{''.join((ASSETS / name).read_text(encoding='utf-8') for name in SCRIPTS)}</script>"


def mount_script(root: str, player: str) -> str:
    """For gr.HTML: pass its value, JSON or nothing yet, to a player from the page's head, now and on every change.

    root: class of the element in the HTML template; player: the player's name in `window`.
    """
    # gr.HTML provides `element`, `props` and `watch`.
    return """
const show = (tries) => {
  const root = element.querySelector(".%s");
  if (root && window.%s) {
    window.%s.mount(root, props.value ? JSON.parse(props.value) : null);
  } else if (tries > 0) {
    setTimeout(() => show(tries - 1), 50);
  } else if (root) {
    root.textContent = "The player's script did not load; reload the page.";
  }
};
show(200);
watch("value", () => show(200));
""" % (root, player, player)  # noqa: UP031 - the script is full of braces
