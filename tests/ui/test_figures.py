"""Figures are laid out once, and drawn as PNG and as SVG with real text."""

import io
from xml.etree import ElementTree

import pytest
from PIL import Image

from zigdemo.ui.figures import Figure, Panel, Row, png, svg

SVG = "{http://www.w3.org/2000/svg}"
MAP = Image.new("RGB", (40, 20), "red")


@pytest.fixture
def figure():
    panels = [Panel(f"map {i}", "a sentence " * 20, MAP, (0.0, 0.5), "itself 3") for i in range(3)]
    return Figure("A <title> & \x00more", "settings", [Row("A row", panels, 2), Row("", [Panel("none", "why not")], 1)])


def test_every_word_is_text_and_every_map_a_picture(figure):
    tree = ElementTree.fromstring(svg(figure))
    words = [one.text for one in tree.iter(f"{SVG}text")]
    assert words[0] == "A <title> & more" and {"map 2", "itself 3", "0.5", "A row", "none", "why not"} <= set(words)
    assert len(list(tree.iter(f"{SVG}image"))) == 3


def test_nothing_overlaps_or_leaves_the_page(figure):
    tree = ElementTree.fromstring(svg(figure))
    height = float(tree.get("height"))
    boxes = [[float(one.get(name)) for name in ("x", "y", "width", "height")] for one in tree.iter(f"{SVG}image")]
    assert all(x >= 0 and x + width <= 960 and y + tall <= height for x, y, width, tall in boxes)
    assert boxes[0][1] == boxes[1][1] and boxes[2][1] > boxes[0][1] + boxes[0][3]
    assert all(0 < float(one.get("y")) <= height for one in tree.iter(f"{SVG}text"))
    lines = [one.text for one in tree.iter(f"{SVG}text") if str(one.text).startswith("a sentence")]
    assert all(len(line) < 90 for line in lines)


def test_the_png_is_the_same_page_twice_as_large(figure):
    tree = ElementTree.fromstring(svg(figure))
    with Image.open(io.BytesIO(png(figure))) as image:
        assert image.size == (2 * 960, 2 * int(tree.get("height")))
        x, y, width, tall = (float(next(tree.iter(f"{SVG}image")).get(name)) for name in ("x", "y", "width", "height"))
        assert image.getpixel((round(2 * (x + width / 2)), round(2 * (y + tall / 2)))) == (255, 0, 0)
