"""The colours of the page: contrast, light and dark."""

import re

import pytest

from zigdemo.ui import theme

TEXTS = [("ink", "ground"), ("ink", "ground-raised"), ("ink-soft", "ground"), ("ink-soft", "ground-raised"),
         ("accent", "ground"), ("accent", "ground-raised"), ("on-accent", "accent"), ("on-action", "action"),
         ("on-action", "action-hover"), ("on-quiet", "quiet"), ("on-quiet", "quiet-hover"),
         ("ink", "accent-soft")]  # fmt: skip
EDGES = [("edge", "ground"), ("edge", "ground-raised"), ("accent", "ground")]
BLOCK = {"light": "#ffffff", "dark": "#1f2937"}  # of Gradio's blocks, on which most texts stand


def tokens(mode):
    """The colours of one mode by name."""
    light, dark = re.findall(r"\{([^{}]*color-scheme[^{}]*)\}", (theme.ASSETS / "tokens.css").read_text("utf-8"))
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light if mode == "light" else dark))


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_texts_have_a_contrast_of_4_5_and_edges_of_3(mode):
    colours = tokens(mode)
    for least, pairs in ((4.5, TEXTS), (3, EDGES)):
        for front, ground in pairs:
            assert contrast(colours[front], colours[ground]) >= least, (front, ground)
    assert min(contrast(colours[name], BLOCK[mode]) for name in ("ink", "ink-soft", "accent")) >= 4.5
    assert contrast(colours["edge"], BLOCK[mode]) >= 3
    assert tokens("light").keys() == tokens("dark").keys()


def test_the_tokens_come_first():
    assert theme.STYLES[0] == "tokens.css" and theme.SCRIPTS[0] == "access.js"
