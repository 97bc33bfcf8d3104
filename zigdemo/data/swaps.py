"""Prompts with one thing changed: "red hair" to "blue hair", all other words as they were."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .asked import asked_attributes
from .portrait_captions import HAIRSTYLES, PLURAL_HAIRSTYLES, with_article
from .portraits import KINDS

# What is offered first: what shows best when it changes, and changes nothing else.
ORDER = (
    "hairColor", "wears", "clothesColor", "mood", "background", "beard", "hair", "skin", "hat", "clothes", "style",
)  # fmt: skip
NOUNS = {"hairColor": " hair", "clothesColor": " clothes", "background": " background", "skin": " skin"}


@dataclass(frozen=True)
class Swap:
    """A prompt in which one attribute of another has changed. label: what changed, such as "red hair → blue hair"."""

    kind: str
    label: str
    prompt: str


def swaps(prompt: str, most: int = 6) -> list[Swap]:
    """At most one changed prompt for each attribute that a prompt asks for, in ORDER; none for one that asks for none.

    Only such are offered that ask for the same but for the one attribute.
    """
    asked = asked_attributes(prompt)
    found = []
    for kind in ORDER:
        if kind in asked and len(found) < most:
            found += _first(prompt, kind, asked[kind])
    return found


def _first(prompt: str, kind: str, value: str) -> list[Swap]:
    """The first change of one kind that is read as just that."""
    values, asked = KINDS[kind], asked_attributes(prompt)
    start = values.index(value)
    for step in (3, 1, 2, 4, 5):  # the neighbour in the list is often its most alike
        other = values[(start + step) % len(values)]
        if other == value or (kind == "hair" and _hair_class(other) != _hair_class(value)):
            continue
        for match in re.finditer(rf"\b(an? )?{re.escape(_bare(value))}\b", prompt, re.IGNORECASE):
            article = kind not in ("wears", "beard") and match[1]
            changed = prompt[: match.start()] + (with_article(other) if article else other) + prompt[match.end() :]
            if asked_attributes(changed) == {**asked, kind: other}:
                noun = " hair" if kind == "hair" and _hair_class(value) == 0 else NOUNS.get(kind, "")
                return [Swap(kind, f"{_bare(value)}{noun} → {_bare(other)}{noun}", changed)]
    return []


def _hair_class(style: str) -> int:
    """0 for how hair can be ("long"), 1 for a thing ("a bob"), 2 for several ("pigtails"), 3 for no hair."""
    classes = (style in HAIRSTYLES, style in PLURAL_HAIRSTYLES, style == "bald")
    return classes.index(True) + 1 if any(classes) else 0


def _bare(value: str) -> str:
    """A value without its article."""
    return re.sub(r"^an? ", "", value)
