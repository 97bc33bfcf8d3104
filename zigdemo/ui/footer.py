"""The footer: which backend runs and why, threads, versions."""

from __future__ import annotations

import gradio as gr
import torch

from .. import __version__
from ..ops import backends


def footer_text() -> str:
    """Markdown that says what this machine does."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    lines = []
    for status in backends.report(device):
        if status.chosen:
            lines.append(f"**{status.operator.replace('_', ' ')}**: {status.backend}, {status.reason}")
        elif not status.available:
            lines.append(f"{status.backend} does not run here: {status.reason}")
    versions = f"zigdemo {__version__} · torch {torch.__version__} · gradio {gr.__version__}"
    return " · ".join(lines) + f"\n\n{device}, {torch.get_num_threads()} threads · {versions}"


def build_footer() -> None:
    """The footer under all tabs."""
    gr.Markdown(footer_text(), elem_id="footer")
