"""Portraits composed of known parts: the parts, and how they are chosen at random.

A portrait is described by its attributes, a dict from kinds in KINDS to values; kinds that it lacks (no beard, no hat)
are left out. All parts are chosen independently, so no combination of a style's values is favoured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Attributes = dict[str, str]

HAIR_COLOURS = ("black", "brown", "blond", "red", "silver", "blue", "green", "pink", "purple")
CLOTHES_COLOURS = ("black", "white", "red", "blue", "green", "yellow", "orange", "purple", "pink")
SKINS = ("light", "tan", "brown", "dark")
BACKGROUNDS = ("white", "blue", "green", "yellow", "pink", "purple", "orange", "grey")
BEARD_SHARE, GLASSES_SHARE, REAR_HAIR_SHARE = 0.28, 0.4, 0.4
WHITE_SHARE = 2 / 9  # of the backgrounds; the others share the rest


@dataclass(frozen=True)
class Style:
    """The values of one drawing style.

    hat_share: share of portraits with a hat instead of hair. rear_hair: hair behind the head, in REAR_HAIR_SHARE of the
    portraits instead of `hair`. hat_colours: whether hats have a colour, that of the clothes.
    """

    hair: tuple[str, ...]
    moods: tuple[str, ...]
    clothes: tuple[str, ...]
    beards: tuple[str, ...]
    wears: tuple[str, ...] = ()
    hats: tuple[str, ...] = ()
    hat_share: float = 0.0
    hat_colours: bool = False
    rear_hair: tuple[str, ...] = ()


STYLES = {
    "flat": Style(
        hair=(
            "bald", "short", "short curly", "long", "bob", "bun", "curly", "afro", "dreadlocks", "shaved sides",
            "wavy", "spiky",
        ),
        moods=(
            "smiling", "laughing", "sad", "surprised", "serious", "in love", "winking", "with the tongue out",
        ),
        clothes=("hoodie", "t-shirt", "jacket", "sweater", "overall"),
        beards=("a beard", "a light beard", "a moustache"),
        wears=("glasses", "round glasses", "sunglasses", "an eyepatch"),
        hats=("hat", "hijab", "turban", "winter hat"),
        hat_share=0.2,
        hat_colours=True,
    ),
    "toon": Style(
        hair=("combed", "undercut", "spiky", "bun"),
        moods=("smiling", "laughing", "sad", "surprised", "angry", "winking"),
        clothes=("t-shirt", "jacket", "shirt", "dress", "turtleneck"),
        beards=("a beard", "a long beard", "a moustache"),
        rear_hair=("long", "wavy"),
    ),
    "simple": Style(
        hair=(
            "bald", "long", "short", "curly", "bob", "buzz cut", "mohawk", "bun", "pigtails", "extra long",
        ),
        moods=("smiling", "laughing", "sad", "surprised", "winking", "sleepy"),
        clothes=("sweater", "shirt", "t-shirt", "checkered shirt"),
        beards=("a beard", "a goatee", "a moustache"),
        wears=("glasses", "sunglasses"),
        hats=("cap", "beanie"),
        hat_share=0.18,
    ),
}  # fmt: skip


def _all(part: str) -> tuple[str, ...]:
    """All values of a part over all styles, without repeats."""
    return tuple(dict.fromkeys(value for style in STYLES.values() for value in getattr(style, part)))


# The eleven kinds of attributes that prompts can ask for and the judge reads, with their values.
KINDS: dict[str, tuple[str, ...]] = {
    "style": tuple(STYLES),
    "skin": SKINS,
    "background": BACKGROUNDS,
    "mood": _all("moods"),
    "hair": tuple(dict.fromkeys((*_all("hair"), *_all("rear_hair")))),
    "hairColor": HAIR_COLOURS,
    "hat": _all("hats"),
    "wears": _all("wears"),
    "beard": _all("beards"),
    "clothes": _all("clothes"),
    "clothesColor": CLOTHES_COLOURS,
}
# Names of the kinds for people, on cards and on the page.
KIND_NAMES = {
    "style": "style",
    "skin": "skin",
    "background": "background",
    "mood": "mood",
    "hair": "hair",
    "hairColor": "hair colour",
    "hat": "hat",
    "wears": "glasses",
    "beard": "beard",
    "clothes": "clothes",
    "clothesColor": "clothes colour",
}


def draw_attributes(rng: np.random.Generator) -> Attributes:
    """Random attributes of one portrait, of KINDS and "hatColor"."""

    def one(values: Sequence[str]) -> str:
        return values[rng.integers(len(values))]

    name = one(tuple(STYLES))
    style = STYLES[name]
    colour = one(CLOTHES_COLOURS)
    background = "white" if rng.random() < WHITE_SHARE else one(BACKGROUNDS[1:])
    attributes = {"style": name, "skin": one(SKINS), "background": background, "mood": one(style.moods)}
    if rng.random() < style.hat_share:
        attributes["hat"] = one(style.hats)
        if style.hat_colours:
            attributes["hatColor"] = colour
    else:
        rear = style.rear_hair and rng.random() < REAR_HAIR_SHARE
        attributes["hair"] = one(style.rear_hair if rear else style.hair)
        if attributes["hair"] != "bald":
            attributes["hairColor"] = one(HAIR_COLOURS)
    attributes |= {"clothes": one(style.clothes), "clothesColor": colour}
    if style.wears and rng.random() < GLASSES_SHARE:
        attributes["wears"] = one(style.wears)
    if rng.random() < BEARD_SHARE:
        attributes["beard"] = one(style.beards)
    return attributes


# Moods that share a mouth and differ only in the eyes: they cannot be told apart behind these glasses.
_HIDDEN_BY = {"simple": KINDS["wears"], "flat": ("sunglasses",)}
_SAME_MOUTH = {"simple": ("smiling", "sleepy"), "flat": ("smiling", "laughing", "in love")}


def mood_is_hidden(attributes: Attributes) -> bool:
    """Whether the glasses of a portrait make its mood ambiguous."""
    style = attributes.get("style", "")
    hides = attributes.get("wears") in _HIDDEN_BY.get(style, ())
    return hides and attributes.get("mood") in _SAME_MOUTH.get(style, ())


def visible(attributes: Attributes) -> Attributes:
    """The attributes, of KINDS, that are visible in the picture."""
    hidden = mood_is_hidden(attributes)
    return {kind: value for kind, value in attributes.items() if kind in KINDS and not (hidden and kind == "mood")}


def check_attributes(content: object) -> Attributes:
    """Attributes read from a file, checked. Raises ValueError for unknown kinds or values and missing kinds."""
    if not isinstance(content, dict):
        raise ValueError("the attributes are not an object")
    known = {**KINDS, "hatColor": CLOTHES_COLOURS}
    for kind, value in content.items():
        if kind not in known or value not in known[kind]:
            raise ValueError(f"{str(kind)[:40]!r} is {str(value)[:40]!r}, which no portrait has")
    if missing := {"style", "skin", "background", "mood"} - set(content):
        raise ValueError(f"no {sorted(missing)[0]}")
    return dict(content)
