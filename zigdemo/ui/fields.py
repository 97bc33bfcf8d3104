"""Gradio's controls without its own checks of what the browser sends.

A handler here refuses a wrong value in one sentence. Gradio's check would answer it with a traceback, and would refuse
a right one too: an event that was on its way while the choices or the limits of a control changed.
"""

from __future__ import annotations

import secrets
from abc import ABCMeta
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import PIL.Image
from gradio.component_meta import ComponentMeta


def _unchecked(kind: Any, read: Callable[[Any], Any] = lambda payload: payload, **methods: Any) -> Any:
    """A subclass of a component that takes any value; Gradio serves it as the component itself.

    read: what a handler is given for what the browser sent. methods: others that replace those of the component.
    """
    attributes = {"preprocess": lambda self, payload: read(payload), "is_template": True, "__doc__": kind.__doc__}
    attributes |= methods
    # Not by `class`, for which Gradio would write a file of types beside this one.
    return ABCMeta.__new__(ComponentMeta, kind.__name__, (kind,), attributes)


def _paths(payload: Any) -> Any:
    """The path of an uploaded file, or those of several; Gradio has made sure that they were uploaded."""
    if payload is None:
        return None
    several = getattr(payload, "root", None)
    return payload.path if several is None else [file.path for file in several]


def _shown(image: Any, value: Any) -> Any:
    """A picture to be shown, as a file of its own: Gradio writes equal ones over each other, even while one is read."""
    if isinstance(value, PIL.Image.Image):
        folder = Path(image.GRADIO_CACHE, secrets.token_hex(16))
        folder.mkdir(mode=0o700, parents=True)
        picture, value = value, folder / f"image.{image.format}"
        picture.save(value)
    return gr.Image.postprocess(image, value)


Dropdown = _unchecked(gr.Dropdown)
Slider = _unchecked(gr.Slider)
Number = _unchecked(gr.Number)
Radio = _unchecked(gr.Radio)
CheckboxGroup = _unchecked(gr.CheckboxGroup)
File = _unchecked(gr.File, _paths)
Image = _unchecked(gr.Image, _paths, postprocess=_shown)  # unread: Gradio would decode whatever it is, at any size


# The browser needs about 1.5 ms for every input of an event, during which it neither sends nor paints anything.
_LATER = """async () => {
  await new Promise((done) => setTimeout(done, %d));
  return (window.zigdemoLater = (window.zigdemoLater || 0) + 1);
}"""


def later(event: Any, milliseconds: int) -> Any:
    """An event that follows another one (`button.click`, `run.then`) once the browser has done what is more urgent."""
    number = Number(0, visible="hidden")
    event(
        None, None, number, js=_LATER % milliseconds, show_progress="hidden", api_visibility="private",
        trigger_mode="multiple",
    )  # fmt: skip
    return number.change
