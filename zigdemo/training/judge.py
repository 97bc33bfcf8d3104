"""Train a judge: `python -m zigdemo.training.judge portraits DATA OUT`, or `figures OUT`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .towers import figure_judge, judge

JUDGES = {"portraits": judge.main, "figures": figure_judge.main}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the judge that is named first; an error is one sentence and exit status 2."""
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or [""]
    if name not in JUDGES:
        print(f"error: name a judge to train: {' or '.join(JUDGES)}, then its options or --help", file=sys.stderr)
        return 2
    return JUDGES[name](rest)


if __name__ == "__main__":
    sys.exit(main())
