"""Prepare a data set: `python -m zigdemo.training.prepare DATASET`."""

from __future__ import annotations

import sys

from ..data.preparation import main

if __name__ == "__main__":
    sys.exit(main())
