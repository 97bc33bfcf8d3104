"""Look at data: `python -m zigdemo.data look PATH... [--json]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .look import look


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status: 2 where nothing can be learned from."""
    parser = argparse.ArgumentParser("python -m zigdemo.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    looking = commands.add_parser("look", help="what would be learned from files, and what not, each with its reason")
    looking.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="picture, clip, folder, archive, data set")
    looking.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        found = look(options.paths)
    except ValueError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    print(json.dumps(found.content(), ensure_ascii=False, indent=1) if options.json else "\n".join(found.lines()))
    if not found.items:
        names = ", ".join(str(path) for path in options.paths[:3])
        first = f"; the first of {len(found.left_out)} left out is {found.left_out[0]}" if found.left_out else ""
        print(f"error: nothing in {names} can be learned from{first}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
