"""The lowest version of every requirement, as constraints for pip: `python tests/lowest.py > FILE`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"


def lowest(text: str) -> list[str]:
    """`name==version` for every line `name>=version` of a requirements file, whatever else the line says.

    Raises ValueError for a line that names no lowest version.
    """
    found = []
    for line in filter(None, (line.partition("#")[0].strip() for line in text.splitlines())):
        match = re.match(r"([\w.-]+)\s*>=\s*([\w.]+)", line)
        if match is None:
            raise ValueError(f"{line!r} names no lowest version; write name>=version")
        found.append("==".join(match.groups()))
    return found


if __name__ == "__main__":
    sys.stdout.write("\n".join(lowest(REQUIREMENTS.read_text(encoding="utf-8"))) + "\n")
