"""Models that draw in the browser: `python -m zigdemo.web export MODEL... FOLDER`, `... serve FOLDER [--port 7861]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .folder import download_bytes, export
from .server import server
from .storage import STORAGES


def main(arguments: list[str] | None = None) -> int:
    """Export or serve; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m zigdemo.web", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("export", help="write a folder that any web server can serve")
    made.add_argument("models", nargs="+", metavar="MODEL", help="id or folder, such as zigma-portraits")
    made.add_argument("out", type=Path, metavar="FOLDER")
    made.add_argument(
        "--storage", choices=STORAGES, default=STORAGES[0], help="of the weights; int8 halves them, at a small loss"
    )
    made.add_argument("--runtime", type=Path, metavar="FILE", help="the packed onnxruntime-web, instead of npm")
    shown = commands.add_parser("serve", help="serve such a folder, with the headers that threads need")
    shown.add_argument("folder", type=Path, metavar="FOLDER")
    shown.add_argument("--host", default="127.0.0.1")
    shown.add_argument("--port", type=int, default=7861)
    shown.add_argument("--one-thread", action="store_true", help="without those headers, as most web servers do")
    chosen = parser.parse_args(arguments)
    try:
        return _export(chosen) if chosen.command == "export" else _serve(chosen)
    except (ValueError, OSError) as fault:
        print(f"{fault}.", file=sys.stderr)
        return 2


def _export(chosen: argparse.Namespace) -> int:
    index = export(chosen.models, chosen.out, storage=chosen.storage, package=chosen.runtime, watch=print)
    for name in index["models"]:
        for backend in index["runtime"]:
            print(f"{name}: {download_bytes(index, name, backend) / 1e6:.1f} MB to download with {backend}")
    whole = sum(path.stat().st_size for path in chosen.out.rglob("*") if path.is_file())
    print(f"{chosen.out}: {whole / 1e6:.1f} MB; see it with `python -m zigdemo.web serve {chosen.out}`")
    return 0


def _serve(chosen: argparse.Namespace) -> int:
    with server(chosen.folder, chosen.host, chosen.port, not chosen.one_thread) as running:
        host, port = running.server_address[:2]
        print(f"http://{host}:{port} (Ctrl+C ends it)", flush=True)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
