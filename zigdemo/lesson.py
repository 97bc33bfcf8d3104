"""The lesson as one file: `python -m zigdemo.lesson export FILE [--prompt TEXT] [--seed NUMBER] [--language CODE]`.

With `--draw MODEL ...` it is a folder in which the reader draws too, on their own device.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .files import write_whole
from .ui.languages import languages
from .ui.lesson.data import lesson_json, own_results
from .ui.lesson.export import lesson_html
from .web import export

PANEL, DRAWING_PAGE = "./panel.js", "draw.html"  # of the folder, as `web.export` writes it


def main(arguments: list[str] | None = None) -> int:
    """Write the file; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m zigdemo.lesson", description=__doc__)
    parser.add_argument("command", choices=["export"])
    parser.add_argument("file", type=Path, help="the HTML file to write, or with --draw the folder")
    parser.add_argument("--prompt", help="draw this portrait, and show it in the first and the last step")
    parser.add_argument("--seed", type=int, default=0, help="of the portrait")
    parser.add_argument("--language", choices=languages(), help="what it opens in; by default the reader's own")
    parser.add_argument("--draw", nargs="+", metavar="MODEL", help="let the reader draw with these")
    chosen = parser.parse_args(arguments)
    try:
        own = own_results(chosen.prompt, chosen.seed) if chosen.prompt is not None else {}
        if chosen.draw:
            export(chosen.draw, chosen.file, page=DRAWING_PAGE)
            own["device"] = PANEL
        file = chosen.file / "index.html" if chosen.draw else chosen.file
        write_whole(file, lesson_html(lesson_json(exported=True, **own), chosen.language))
    except (ValueError, OSError) as fault:
        print(f"The lesson was not written: {fault}.", file=sys.stderr)
        return 2
    if chosen.draw:
        print(f"{chosen.file}: see it with `python -m zigdemo.web serve {chosen.file}`, or put it on any web server.")
    else:
        print(f"{chosen.file}: {chosen.file.stat().st_size / 1e6:.1f} MB; it opens in any browser, with no network.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
