"""Builds the page and launches it: `python app.py`, also the entry of the Space."""

from __future__ import annotations

import os
import threading

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr  # noqa: E402 - gradio reads the variable when it is imported

from zigdemo.ops import backends  # noqa: E402
from zigdemo.ops.heap import keep_freed_memory  # noqa: E402
from zigdemo.ui.attention import build_attention_tab  # noqa: E402
from zigdemo.ui.files import pictures_folder  # noqa: E402
from zigdemo.ui.finetune import CSS as FINETUNE_CSS  # noqa: E402
from zigdemo.ui.finetune import build_finetune_tab, build_followed  # noqa: E402
from zigdemo.ui.footer import build_footer  # noqa: E402
from zigdemo.ui.generate import build_generate_tab  # noqa: E402
from zigdemo.ui.influence import build_influence_tab  # noqa: E402
from zigdemo.ui.maps import CSS as MAPS_CSS  # noqa: E402
from zigdemo.ui.models import CSS as MODELS_CSS  # noqa: E402
from zigdemo.ui.models import build_models_tab  # noqa: E402
from zigdemo.ui.players import CSS as PLAYERS_CSS  # noqa: E402
from zigdemo.ui.samplers import build_samplers_tab  # noqa: E402
from zigdemo.ui.scan_paths import build_scan_paths_tab  # noqa: E402
from zigdemo.ui.stack import CSS as STACK_CSS  # noqa: E402
from zigdemo.ui.swaps import CSS as SWAPS_CSS  # noqa: E402
from zigdemo.ui.texts import CSS as GENERATE_CSS  # noqa: E402
from zigdemo.ui.texts import GENERATE_TAB  # noqa: E402
from zigdemo.ui.theme import build_theme, head_html, page_css  # noqa: E402
from zigdemo.ui.video import TAB as VIDEO_TAB  # noqa: E402
from zigdemo.ui.video import build_video_tab  # noqa: E402
from zigdemo.ui.words import CSS as WORDS_CSS  # noqa: E402

TAB_CSS = (GENERATE_CSS, MODELS_CSS, MAPS_CSS, PLAYERS_CSS, STACK_CSS, FINETUNE_CSS, SWAPS_CSS, WORDS_CSS)
INTRO = """# zigdemo
Draw with state-space diffusion models, and see in which order they read an image."""


def build_app() -> gr.Blocks:
    """The page, not launched yet."""
    with gr.Blocks(title="zigdemo", analytics_enabled=False, delete_cache=(3600, 24 * 3600)) as page:
        gr.Markdown(INTRO, elem_id="title")
        followed = build_followed()
        with gr.Tabs() as tabs:
            with gr.Tab("Generate", id=GENERATE_TAB):
                generate = build_generate_tab(page)
            with gr.Tab("Video", id=VIDEO_TAB):
                build_video_tab(page, tabs)
            with gr.Tab("Scan paths"):
                build_scan_paths_tab()
            with gr.Tab("Samplers") as samplers:
                build_samplers_tab(samplers)
            with gr.Tab("Attention"):
                build_attention_tab()
            with gr.Tab("Influence"):
                build_influence_tab()
            if generate:
                with gr.Tab("Fine-tune"):
                    build_finetune_tab(page, tabs, followed, *generate)
            with gr.Tab("Models"):
                build_models_tab()
        build_footer()
    return page


def launch(page: gr.Blocks, **changes: object) -> tuple:
    """Serve the page; the kernels compile in the background meanwhile."""
    keep_freed_memory()
    threading.Thread(target=backends.warm_up, daemon=True, name="warm-up").start()
    on_space = "SPACE_ID" in os.environ
    settings = {
        "server_name": os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0" if on_space else "127.0.0.1"),
        "server_port": int(os.environ.get("PORT", os.environ.get("GRADIO_SERVER_PORT", 7860))),
        "theme": build_theme(),
        "css": page_css() + "".join(TAB_CSS),
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
