"""Train the attribute judge of portraits: `python -m zigdemo.training.judge DATA OUT`."""

from __future__ import annotations

import sys

from .towers.judge import main

if __name__ == "__main__":
    sys.exit(main())
