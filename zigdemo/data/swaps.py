"""Prompts with one attribute changed, such as "red hair" to "blue hair", and all other words unchanged."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .asked import asked_attributes
from .portrait_captions import HAIRSTYLES, PLURAL_HAIRSTYLES, with_article
from .portraits import KINDS

# The order of suggestions: first the attributes whose change is most visible and affects nothing else.
ORDER = (
    "hairColor", "wears", "clothesColor", "mood", "background", "beard", "hair", "skin", "hat", "clothes", "style",
)  # fmt: skip
NOUNS = {"hairColor": " hair", "clothesColor": " clothes", "background": " background", "skin": " skin"}


@dataclass(frozen=True)
class Swap:
    """A prompt with one attribute changed. label: the change, such as "red hair → blue hair"."""

    kind: str
    label: str
    prompt: str


def swaps(prompt: str, most: int = 6) -> list[Swap]:
    """At most one changed prompt for each attribute that a prompt asks for, in ORDER.

    A changed prompt asks for the same attributes except for the one.
    """
    attributes = asked_attributes(prompt)
    suggestions = []
    for kind in ORDER:
        if kind in attributes and len(suggestions) < most:
            suggestions += _first_swap(prompt, kind, attributes[kind])
    return suggestions


def _first_swap(prompt: str, kind: str, value: str) -> list[Swap]:
    """The first change of one kind that changes no other attribute; empty if there is none."""
    values, attributes = KINDS[kind], asked_attributes(prompt)
    start = values.index(value)
    for step in (3, 1, 2, 4, 5):  # the next value in the list is often the most similar
        other = values[(start + step) % len(values)]
        if other == value or (kind == "hair" and _hair_class(other) != _hair_class(value)):
            continue
        for match in re.finditer(rf"\b(an? )?{re.escape(_bare(value))}\b", prompt, re.IGNORECASE):
            article = kind not in ("wears", "beard") and match[1]
            changed = prompt[: match.start()] + (with_article(other) if article else other) + prompt[match.end() :]
            if asked_attributes(changed) == {**attributes, kind: other}:
                noun = " hair" if kind == "hair" and _hair_class(value) == 0 else NOUNS.get(kind, "")
                return [Swap(kind, f"{_bare(value)}{noun} → {_bare(other)}{noun}", changed)]
    return []


def _hair_class(style: str) -> int:
    """0 for an adjective ("long"), 1 for a singular noun ("a bob"), 2 for a plural ("pigtails"), 3 for no hair."""
    classes = (style in HAIRSTYLES, style in PLURAL_HAIRSTYLES, style == "bald")
    return classes.index(True) + 1 if any(classes) else 0


def _bare(value: str) -> str:
    """A value without its article."""
    return re.sub(r"^an? ", "", value)
