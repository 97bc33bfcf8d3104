"""Serves an exported folder on this machine, with the headers that let a browser use several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ..ui.device import ISOLATED

HEADERS = {**ISOLATED, "cross-origin-resource-policy": "same-origin", "x-content-type-options": "nosniff"}
KEPT_FOREVER = ("/parts/",)  # their names change with their content


class Handler(SimpleHTTPRequestHandler):
    """Files of a folder, without listings of folders."""

    protocol_version = "HTTP/1.1"
    extensions_map = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".css": "text/css",
        ".json": "application/json", ".onnx": "application/octet-stream", ".html": "text/html; charset=utf-8",
    }  # fmt: skip

    def __init__(self, *args, isolated: bool = True, **kwargs) -> None:
        self.isolated = isolated
        super().__init__(*args, **kwargs)

    def end_headers(self) -> None:
        if self.isolated:
            for name, value in HEADERS.items():
                self.send_header(name, value)
        kept = self.path.startswith(KEPT_FOREVER)
        self.send_header("Cache-Control", "public, max-age=31536000, immutable" if kept else "no-cache")
        super().end_headers()

    def list_directory(self, path: str) -> None:
        self.send_error(404)

    def log_message(self, *args: object) -> None:
        pass


def server(folder: Path, host: str = "127.0.0.1", port: int = 7861, isolated: bool = True) -> ThreadingHTTPServer:
    """A server of an exported folder; `serve_forever` runs it, port 0 takes a free one.

    isolated: send HEADERS; without them browsers draw with one thread. Raises ValueError with one sentence if the
    folder is no export or the port is taken.
    """
    if not (folder / "index.json").is_file():
        raise ValueError(f"{folder} is no exported folder; run `python -m zigdemo.web export zigma-portraits {folder}`")
    try:
        return ThreadingHTTPServer((host, port), partial(Handler, directory=str(folder), isolated=isolated))
    except (OSError, OverflowError) as fault:
        raise ValueError(f"{host}:{port} cannot be used ({fault}); give another --port or --host") from None


@contextmanager
def serving(folder: Path, isolated: bool = True) -> Iterator[str]:
    """The address of an exported folder, ending in a slash, while a thread serves it on a free port of this machine."""
    with server(folder, port=0, isolated=isolated) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}/"
        finally:
            running.shutdown()
