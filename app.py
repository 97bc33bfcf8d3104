"""Builds the page and launches it: `python app.py`, also the entry of the Space."""

from __future__ import annotations

import os
import threading

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

from zigdemo.ops import backends
from zigdemo.ops.heap import keep_freed_memory
from zigdemo.ui.files import pictures_folder
from zigdemo.ui.footer import build_footer
from zigdemo.ui.frame import Frame
from zigdemo.ui.strip import make_strip, show_strip
from zigdemo.ui.tabs import TABS
from zigdemo.ui.tabs.finetune import build_run_state
from zigdemo.ui.theme import build_theme, head_html, page_css

INTRO = """# zigdemo
Draw with state-space diffusion models, and see the order in which they read an image."""


def build_app() -> gr.Blocks:
    """The page, not yet launched."""
    with gr.Blocks(title="zigdemo", analytics_enabled=False, delete_cache=(3600, 24 * 3600)) as page:
        gr.Markdown(INTRO, elem_id="title")
        run_state = build_run_state()
        strip = make_strip()
        with gr.Tabs() as tabs:
            frame = Frame(page, tabs, run_state, strip)
            for tab in TABS:
                with gr.Tab(tab.title, id=tab.id) as frame.tab:
                    tab.build(frame)
        show_strip(strip)
        build_footer()
    return page


def launch(page: gr.Blocks, **changes: object) -> tuple:
    """Serve the page, and compile the kernels in the background meanwhile."""
    keep_freed_memory()
    threading.Thread(target=backends.warm_up, daemon=True, name="warm-up").start()
    on_space = "SPACE_ID" in os.environ
    settings = {
        "server_name": os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0" if on_space else "127.0.0.1"),
        "server_port": int(os.environ.get("PORT", os.environ.get("GRADIO_SERVER_PORT", 7860))),
        "theme": build_theme(),
        "css": page_css(),
        "head": head_html(),
        "footer_links": [],
        "ssr_mode": False,
        "show_error": True,
        "max_file_size": "64mb",
        "allowed_paths": [str(pictures_folder())],
    }
    return page.queue(default_concurrency_limit=4).launch(**{**settings, **changes})


if __name__ == "__main__":
    launch(build_app())
