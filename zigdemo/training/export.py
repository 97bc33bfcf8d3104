"""Export a run as a model folder: `python -m zigdemo.training.export RUN OUT`."""

from __future__ import annotations

import sys

from .publishing.export import main

if __name__ == "__main__":
    sys.exit(main())
