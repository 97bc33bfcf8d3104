"""Builds the page and launches it: `python app.py`, also the entry of the Space."""

from __future__ import annotations

import os
import signal
import sys
import threading

from zigdemo.files import remove_temporary_folders, temporary_folder
from zigdemo.ui.address import address_or_exit, go_round_proxies, in_class, read_arguments, refuse

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
if __name__ == "__main__":  # first, as Gradio reads the port when it is imported, and as importing it takes seconds
    read_arguments()
    ADDRESS = address_or_exit()
    go_round_proxies(ADDRESS[0])
    # Its own folder for uploads and the pictures it serves: Gradio's is shared by all its programs on a machine, and
    # the first that ends deletes what the others still show.
    os.environ.setdefault("GRADIO_TEMP_DIR", str(temporary_folder("zigdemo-served-")))

import gradio as gr
import httpx
from starlette.middleware import Middleware

from zigdemo.ops import backends
from zigdemo.ops.heap import keep_freed_memory
from zigdemo.ops.threads import release_team
from zigdemo.ui import classroom, device
from zigdemo.ui.borders import Page, guard
from zigdemo.ui.bounds import bounds
from zigdemo.ui.door import Door
from zigdemo.ui.files import pictures_folder
from zigdemo.ui.footer import build_footer
from zigdemo.ui.frame import Frame, lay_out
from zigdemo.ui.live import open_live
from zigdemo.ui.sessions import keep_little
from zigdemo.ui.sharing import make_choice
from zigdemo.ui.strip import make_strip
from zigdemo.ui.tabs import FIRST, PLACES
from zigdemo.ui.tabs.finetune import build_run_state
from zigdemo.ui.theme import build_theme, head_html, page_css

INTRO = """# zigdemo
Draw with state-space diffusion models, and see the order in which they read an image."""
MOST_JOINED = 256  # events in Gradio's queue; runs wait in our own
QUEUE_SECONDS = 0.02  # between two looks of Gradio's queue, whose own 0.001 s take a tenth of a core
OTHERS = 8  # events at a time that do not wait for the turn, by function
NO_ANSWER = "this machine cannot reach the page that it serves; see whether a firewall blocks connections to 127.0.0.1"


def build_app() -> gr.Blocks:
    """The page, not yet launched."""
    with Page(title="zigdemo", analytics_enabled=False, delete_cache=(3600, 24 * 3600)) as page:
        gr.Markdown(INTRO, elem_id="title")
        open_live(page)
        run_state = build_run_state()
        strip = make_strip()
        lay_out(Frame(page, PLACES, run_state, strip, make_choice()), FIRST)
        strip.render()
        build_footer()
    guard(page)
    return page


def launch(page: gr.Blocks, **changes: object) -> tuple:
    """Serve the page, and compile the kernels in the background once it is served.

    changes: other arguments of Gradio's `launch`; with prevent_thread_lock the page is served when this returns, else
    it has been. Compiling earlier takes the time in which the server has to answer Gradio's own check.
    """
    keep_freed_memory()
    settings = {
        "theme": build_theme(),
        "css": page_css(),
        "head": head_html({tab.id: place.id for place in PLACES for tab in place.tabs}),
        "footer_links": [],
        "ssr_mode": False,
        "show_error": True,
        "max_file_size": "64mb",
        "max_threads": MOST_JOINED,
        "state_session_capacity": bounds().sessions,
        "run_history": False,
        "app_kwargs": {"middleware": [Middleware(Door)]},
        "allowed_paths": [str(pictures_folder())],
        "_frontend": False,  # no second check that the page answers, which a busy machine fails: it waits only 3 s
        **changes,
    }
    at_a_prompt = bool(getattr(sys, "ps1", sys.flags.interactive))
    blocking = not settings.pop("prevent_thread_lock", at_a_prompt)
    queue = page.queue(default_concurrency_limit=OTHERS, max_size=MOST_JOINED, api_open=False)
    queue._queue.sleep_when_free = queue._queue.progress_update_sleep_when_free = QUEUE_SECONDS
    served = queue.launch(**settings, prevent_thread_lock=True)
    keep_little(page)
    release_team()  # of this thread, which computes no more
    threading.Thread(target=backends.warm_up, daemon=True, name="warm-up").start()
    if blocking:
        page.block_thread()
    return served


def end(*_: object) -> None:
    """End at once, also in the middle of a run, and leave no temporary folders."""
    remove_temporary_folders()
    os._exit(0)


def main(name: str, port: int) -> None:
    """Serve the page until it is stopped. SystemExit with status 2, and a sentence on stderr, if that is impossible."""
    try:
        bounds()
        device.folder()
    except ValueError as fault:
        refuse(str(fault))
    if in_class():
        pin = classroom.begin_class()
        print(f"Class: show http://127.0.0.1:{port}{classroom.TEACHER} to your pupils (PIN {pin}).", flush=True)
    page = build_app()
    try:
        launch(page, server_name=name, server_port=port)
    except OSError:
        refuse(f"port {port} was taken meanwhile; stop what uses it, or take another: PORT={port + 1} python app.py")
    except Exception as fault:
        if not isinstance(fault, httpx.HTTPError) and "localhost is accessible" not in str(fault):
            raise
        refuse(NO_ANSWER)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    main(*ADDRESS)
