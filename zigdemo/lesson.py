"""The lesson as one file: `python -m zigdemo.lesson export FILE [--prompt TEXT] [--seed NUMBER] [--language CODE]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .files import write_whole
from .ui.languages import languages
from .ui.lesson.data import lesson_json, own_results
from .ui.lesson.export import lesson_html


def main(arguments: list[str] | None = None) -> int:
    """Write the file; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m zigdemo.lesson", description=__doc__)
    parser.add_argument("command", choices=["export"])
    parser.add_argument("file", type=Path, help="the HTML file to write")
    parser.add_argument("--prompt", help="draw this portrait, and show it in the first and the last step")
    parser.add_argument("--seed", type=int, default=0, help="of the portrait")
    parser.add_argument("--language", choices=languages(), help="what it opens in; by default the reader's own")
    chosen = parser.parse_args(arguments)
    try:
        own = own_results(chosen.prompt, chosen.seed) if chosen.prompt is not None else {}
        write_whole(chosen.file, lesson_html(lesson_json(exported=True, **own), chosen.language))
    except (ValueError, OSError) as fault:
        print(f"The lesson was not written: {fault}.", file=sys.stderr)
        return 2
    print(f"{chosen.file}: {chosen.file.stat().st_size / 1e6:.1f} MB; it opens in any browser, with no network.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
