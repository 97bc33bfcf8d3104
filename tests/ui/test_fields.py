"""Controls take what the browser sends, also once an event has changed them, and are served as Gradio's own."""

from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

from zigdemo.ui import fields


@pytest.mark.parametrize(
    ("kind", "settings", "value"),
    [("Dropdown", {"choices": ["a"]}, "gone"), ("Radio", {"choices": ["a"]}, "gone"),
     ("CheckboxGroup", {"choices": ["a"]}, ["gone"]), ("Slider", {"minimum": 1, "maximum": 2}, None),
     ("Number", {"minimum": 1}, 0)],
)  # fmt: skip
def test_a_value_that_gradio_refuses_reaches_the_handler(kind, settings, value):
    field = getattr(fields, kind)(**settings)
    again = field.__class__(**settings)  # as Gradio makes it anew for a visitor after an update
    for one in (field, again):
        assert one.preprocess(value) == value and one.get_block_name() == kind.lower()
    assert isinstance(field, getattr(gr, kind)) and list(field.EVENTS) == list(getattr(gr, kind).EVENTS)


def test_no_file_of_types_is_written_beside_the_page():
    assert not list(Path(fields.__file__).parent.rglob("*.pyi"))


def test_a_picture_that_is_shown_twice_is_not_written_over_while_it_is_read():
    picture, shown = Image.new("RGB", (8, 8), "red"), fields.Image(format="png")
    first, second = (shown.postprocess(picture).path for _ in range(2))
    assert first != second and Image.open(second).getpixel((3, 3)) == (255, 0, 0)
    assert Path(first).parent.stat().st_mode & 0o77 == 0, "who has the name may read it, and nobody else"
