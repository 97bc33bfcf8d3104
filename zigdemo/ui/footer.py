"""The footer: which backend runs and why, threads, versions."""

from __future__ import annotations

import gradio as gr
import torch

from .. import __version__
from ..devices import choose_device
from ..ops import backends


def _device() -> str:
    device = choose_device().type
    return "mps" if device == "cpu" and torch.backends.mps.is_available() else device


def _plain(operator: str) -> str:
    return operator.replace("_", " ")


def footer_text() -> str:
    """Two lines of Markdown: the backend of every operator on this machine; device, threads and versions."""
    device = _device()
    statuses = [status for status in backends.report(device) if status.chosen]
    kernels = " · ".join(f"**{_plain(status.operator)}**: {status.backend}" for status in statuses)
    versions = f"zigdemo {__version__} · torch {torch.__version__} · gradio {gr.__version__}"
    return f"{kernels}\n\n{device}, {torch.get_num_threads()} threads · {versions}"


def backend_table() -> str:
    """Markdown table of all backends: whether each can run here, which was chosen, and why."""
    rows = ["| operator | backend | here | why |", "|---|---|---|---|"]
    for status in backends.report(_device()):
        state = "**runs**" if status.chosen else "available" if status.available else "no"
        rows.append(f"| {_plain(status.operator)} | {status.backend} | {state} | {status.reason.replace('|', '/')} |")
    return "\n".join(rows)


def build_footer() -> None:
    """Lay out the footer below all tabs."""
    gr.Markdown(footer_text(), elem_id="footer")
    with gr.Accordion("Which kernels run here, and why", open=False, elem_id="backends"):
        gr.Markdown(backend_table())
