"""Train a small CLIP on emoji: `python -m zigdemo.training.clip RECIPE OUT`."""

from __future__ import annotations

import sys

from .towers.clip import main

if __name__ == "__main__":
    sys.exit(main())
