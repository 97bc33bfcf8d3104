"""Gradio's controls without its own checks of what the browser sends.

A handler here refuses a wrong value in one sentence. Gradio's check would answer it with a traceback, and would refuse
a right one too: an event that was on its way while the choices or the limits of a control changed.
"""

from __future__ import annotations

from abc import ABCMeta
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta


def _unchecked(kind: Any) -> Any:
    """A subclass of a component that takes any value; Gradio serves it as the component itself."""
    attributes = {"preprocess": lambda self, payload: payload, "is_template": True, "__doc__": kind.__doc__}
    # Not by `class`, for which Gradio would write a file of types beside this one.
    return ABCMeta.__new__(ComponentMeta, kind.__name__, (kind,), attributes)


Dropdown = _unchecked(gr.Dropdown)
Slider = _unchecked(gr.Slider)
Number = _unchecked(gr.Number)
Radio = _unchecked(gr.Radio)
CheckboxGroup = _unchecked(gr.CheckboxGroup)
