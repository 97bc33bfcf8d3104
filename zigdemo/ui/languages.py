"""The languages of the page and the exported lesson: one table each in assets/languages, read by assets/language.js."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from ..backbones import FAMILIES
from ..diffusion import SAMPLERS
from ..scans import SCHEMES

TABLES = Path(__file__).resolve().parents[2] / "assets/languages"
NAMES = (
    "zigdemo", "ZigMa", "DiT", "DiG", "DiffuSSM", "SiT", "cpu", "fft", "fla", "triton", "MP4", "MS COCO", "DDIM eta",
)  # fmt: skip
ENGLISH = "en"  # the language of the code: its sentences are the keys of every table


@lru_cache
def tables() -> dict[str, dict[str, str]]:
    """By code of the language, its sentences by the English ones, with {} for what differs from time to time."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(TABLES.glob("*.json"))}


def languages() -> list[str]:
    """The codes of all languages, English first."""
    return [ENGLISH, *tables()]


def language_script() -> str:
    """What assets/language.js reads: the tables, and the names that are the same in every language."""
    solvers = {solver.label for solver in SAMPLERS.values()}
    names = sorted({*SCHEMES, *SAMPLERS, *solvers, *FAMILIES, *NAMES})
    return f"window.zigdemoTables = {_embedded(tables())}; window.zigdemoNames = {_embedded(names)};"


def _embedded(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
