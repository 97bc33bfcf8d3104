"""Command line of the trainer: `python -m zigdemo.training RECIPE [--set key=value ...] [--resume]`."""

from __future__ import annotations

import argparse
import sys

from .trainer.loop import Training
from .trainer.recipe import load_recipe


def main(arguments: list[str] | None = None) -> int:
    """Train from a recipe; an input error is one sentence and exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m zigdemo.training", description=main.__doc__)
    parser.add_argument("recipe", help="a YAML file, see zigdemo/training/recipes")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting")
    parser.add_argument("--resume", action="store_true", help="resume from the newest checkpoint of the run folder")
    options = parser.parse_args(arguments)
    try:
        training = Training(load_recipe(options.recipe, options.set), resume=options.resume)
        folder = training.run()
    except (ValueError, FloatingPointError, MemoryError, OSError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    if training.finished:
        training.accelerator.print(f"done: {folder}")
    training.accelerator.state.destroy_process_group()  # one that just left could abort the others
    return 0 if training.finished else 130


if __name__ == "__main__":
    sys.exit(main())
