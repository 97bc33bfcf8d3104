"""The *Lesson* place: nine steps that explain scan orders, by touching them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from .. import device, texts
from ..borders import handler
from ..files import new_folder
from ..frame import Frame
from ..lesson.data import lesson_json
from ..lesson.export import lesson_html
from ..runs import QUIET
from ..theme import mount_script

TAB = "lesson"  # the id of the tab
FILE = "zigdemo-lesson.html"


@handler(lambda sentence: gr.skip())
def _export() -> Any:
    """The lesson as one file."""
    path = new_folder() / FILE
    path.write_text(lesson_html(), encoding="utf-8")
    return gr.update(value=str(path), visible=True)


def build_lesson_tab(frame: Frame) -> None:
    """Lay the tab out; call inside its gr.Tab. Its content comes when it is opened, as only some visitors do."""
    lesson = gr.HTML(
        html_template='<div class="lesson"></div>',
        js_on_load=mount_script("lesson", "zigdemoLesson"),
        apply_default_css=False,
        elem_id="lesson",
    )
    with gr.Column(elem_classes="controls", elem_id="lesson-actions"):
        save = gr.Button("Download as one file for a USB stick", size="sm")
        gr.Markdown(texts.LESSON_FILE)
    file = gr.File(show_label=False, interactive=False, visible=False, elem_id="lesson-file")
    gr.on(frame.opened, lambda: lesson_json(device=device.panel()), None, lesson, **QUIET)
    save.click(_export, None, file, **QUIET)
