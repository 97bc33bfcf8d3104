"""The attributes of a portrait that a prompt asks for."""

from __future__ import annotations

import re

from .portrait_captions import HAIRSTYLES, PLURAL_HAIRSTYLES
from .portraits import BACKGROUNDS, CLOTHES_COLOURS, HAIR_COLOURS, KINDS, SKINS, STYLES, Attributes

# Synonyms of attribute values that do not occur in captions.
ALIASES = {
    "blonde": "blond", "gray": "grey", "ginger": "red", "mustache": "moustache", "tshirt": "t-shirt", "tee": "t-shirt",
    "overalls": "overall", "jumper": "sweater", "pullover": "sweater", "specs": "glasses", "spectacles": "glasses",
    "eyeglasses": "glasses", "shades": "sunglasses", "dreads": "dreadlocks", "checked": "checkered",
    "plaid": "checkered", "backdrop": "background", "cartoon": "toon", "bearded": "beard", "colour": "color",
    "coloured": "colored", "jumpers": "sweater", "clad": "dressed", "clothed": "dressed",
}  # fmt: skip
MOOD_STEMS = {
    "smiling": ("smil", "grin", "happy", "cheerful", "friendly"),
    "laughing": ("laugh",),
    "sad": ("sad", "unhappy", "frown"),
    "surprised": ("surpris", "shock", "astonish"),
    "serious": ("serious", "stern"),
    "in love": ("in love", "hearts"),
    "winking": ("wink",),
    "with the tongue out": ("tongue",),
    "angry": ("angry", "mad", "furious"),
    "sleepy": ("sleep", "tired", "closed eyes", "eyes closed"),
}
GARMENTS = (*KINDS["clothes"], "top", "clothes", "clothing", "outfit", "garment", "garments")
HATS = KINDS["hat"]
NOT = r"(?<!no )(?<!without )(?<!without a )(?<!without an )"


def _any(words: tuple[str, ...]) -> str:
    """A pattern that matches any of the words, longest first, so that "round glasses" is not matched as "glasses"."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_HAIR_LOOKS = tuple(
    style for style in KINDS["hair"] if style not in (*HAIRSTYLES, *PLURAL_HAIRSTYLES, "bald")
)  # adjectives before the word "hair"
_ANY_STYLE = _any((*HAIRSTYLES, *PLURAL_HAIRSTYLES))
_IS = r"(?: is| are| in| of| that is| that are|:)?"
# The patterns of each kind in the order they are tried; matched text is removed from the prompt before the next one, so
# that "on a red background" is not taken for clothes.
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("background", rf"\b(?P<v>{_any(BACKGROUNDS)}) background"),
    ("background", rf"\bbackground{_IS} (?:a )?(?P<v>{_any(BACKGROUNDS)})\b"),
    ("background", rf"\b(?P<v>{_any(BACKGROUNDS)}) behind\b"),
    (
        "background",
        rf"(?<!putting )\b(?:in front of|against|on)(?: a)? (?P<v>{_any(BACKGROUNDS)})\b(?! (?:hair|{_any(GARMENTS)}))",
    ),
    ("skin", rf"\b(?P<v>{_any(SKINS)}) ?-?skin(?:ned)?\b(?: tone)?"),
    ("skin", rf"\bskin(?: tone)?{_IS} (?P<v>{_any(SKINS)})\b"),
    ("hair", r"\b(?:bald(?: head)?|(?:no|without) hair(?: at all)?)\b"),
    (
        "hair",
        rf"\b(?P<c>{_any(HAIR_COLOURS)})?(?: colored)? ?(?P<v>{_any(_HAIR_LOOKS)})"
        rf"(?: (?P<d>{_any(HAIR_COLOURS)}))? hair(?:ed)?\b",
    ),
    ("hair", rf"\b(?:(?P<c>{_any(HAIR_COLOURS)}) )?(?P<v>{_ANY_STYLE})\b"),
    ("hairColor", rf"\b(?P<v>{_any(HAIR_COLOURS)})(?: colored)?[ -]hair(?:ed)?\b"),
    ("hairColor", rf"\bhair{_IS} (?P<v>{_any(HAIR_COLOURS)})\b(?: color)?"),
    ("hat", rf"\b{NOT}(?:(?:{_any(CLOTHES_COLOURS)}) )?(?P<v>{_any(HATS)})\b"),
    ("wears", rf"\b{NOT}(?P<v>round glasses|sunglasses|glasses|eyepatch)\b"),
    ("beard", rf"\b{NOT}(?P<v>light beard|long beard|beard|moustache|goatee)\b"),
    (
        "clothes",
        rf"\b(?:(?P<c>{_any(CLOTHES_COLOURS)}) )?(?<!on )(?P<v>{_any(GARMENTS)})\b"
        rf"(?:{_IS} (?P<d>{_any(CLOTHES_COLOURS)})\b)?",
    ),
    ("clothesColor", rf"\b(?:dressed in|wearing|wears|in|has)(?: a)? (?P<v>{_any(CLOTHES_COLOURS)})\b"),
    ("style", rf"\b(?P<v>{_any(tuple(STYLES))})\b"),
)
_COLOUR_OF = {"hair": "hairColor", "clothes": "clothesColor"}


def _plain(prompt: str) -> str:
    """A prompt in lower case with single spaces, and synonyms replaced by the words of captions."""
    words = re.sub(r"[^\w:-]+", " ", re.sub(r"[,;.!?/]+| - ", " , ", prompt.lower()).replace(" , ", " _ ")).split()
    return " ".join(ALIASES.get(word, word) for word in words)


def asked_attributes(prompt: str) -> Attributes:
    """The attributes, of KINDS, that a prompt asks for; empty if there are none.

    Negated attributes ("no glasses") are ignored.
    """
    text, attributes = re.sub(r"\bgrey(?= hair)|(?<=hair )grey\b", "silver", _plain(prompt)), {}
    for kind, pattern in _PATTERNS:
        if kind in attributes:
            continue
        match = re.search(pattern, text)
        if match is None:
            continue
        parts = match.groupdict()
        value = parts.get("v") or "bald"
        if kind in ("beard", "wears") and value not in KINDS[kind]:
            value = f"{'an' if value == 'eyepatch' else 'a'} {value}"
        if value in KINDS[kind]:
            attributes[kind] = value
        if colour := parts.get("c") or parts.get("d"):
            attributes.setdefault(_COLOUR_OF[kind], colour)
        text = f"{text[: match.start()]} | {text[match.end() :]}"
    for mood, stems in MOOD_STEMS.items():
        if any(re.search(rf"\b{NOT}{stem}", text) for stem in stems):
            attributes["mood"] = mood
            break
    return {kind: attributes[kind] for kind in KINDS if kind in attributes}
