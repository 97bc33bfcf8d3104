"""`python -m zigdemo.zoo import FILE`: convert an official checkpoint to a model folder."""

from __future__ import annotations

import argparse
import json
import re
import sys

from ..backbones.official import LAYOUTS
from .hub import SOURCES
from .official import import_checkpoint


def _setting(text: str) -> tuple[str, object]:
    key, _, value = text.partition("=")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _by_options(sentence: str) -> str:
    """A sentence that names arguments of Python, naming the options of this command instead."""
    sentence = re.sub(r"settings=\{'(\w+)': \.\.\.\}", r"--set \1=...", sentence)
    return re.sub(r"\b(family|name)=", r"--\1", sentence)


def main(arguments: list[str] | None = None) -> int:
    """Import a checkpoint; an error prints one sentence and returns exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m zigdemo.zoo")
    command = parser.add_subparsers(required=True).add_parser("import", help="convert a checkpoint to a model folder")
    command.add_argument("file", help=f"a .pt, .pth or .safetensors file, or one of {', '.join(SOURCES)}")
    command.add_argument("--name", help="of the model; the file's name by default")
    command.add_argument("--family", choices=list(LAYOUTS), help="if the file does not say it")
    command.add_argument(
        "--set", action="append", default=[], type=_setting, metavar="KEY=VALUE",
        help="an official constructor's argument that the file does not say, such as img_dim=128",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        folder = import_checkpoint(options.file, options.name, family=options.family, settings=dict(options.set))
    except (ValueError, OSError) as fault:
        print(f"error: {_by_options(str(fault))}", file=sys.stderr)
        return 2
    print(f"{folder.id}: {folder.family}, {folder.model.parameters:,} weights, in {folder.path}")
    for note in folder.about["notes"]:
        print(f"note: {note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
