"""Fine-tune a model on a few pictures: `python -m zigdemo.training.finetune MODEL DATA OUT`."""

from __future__ import annotations

import sys

from .finetuning.finetune import main

if __name__ == "__main__":
    sys.exit(main())
