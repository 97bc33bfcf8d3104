"""Random captions of portraits from their attributes, with varying order, wording and omissions.

Phrasings are data: PHRASES for training, HELD_OUT for evaluation of obedience. Both describe the same attributes in
different words and order; no phrase is in both (a test compares them).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from .portraits import KINDS, Attributes, draw_attributes, visible

WHO = (
    "person", "somebody", "someone", "face", "figure", "character", "man", "woman", "human", "guy", "girl", "boy",
)  # fmt: skip
NO_ARTICLE = ("somebody", "someone")
# Hairstyles that are singular nouns ("a bob") or plural ones ("pigtails"); all others are adjectives ("long hair").
HAIRSTYLES = ("bob", "bun", "afro", "mohawk", "undercut", "buzz cut")
PLURAL_HAIRSTYLES = ("dreadlocks", "pigtails", "shaved sides")
NO_STYLE_SHARE = 0.55  # captions with hairstyle and hair colour that omit one of them
FULL_SHARE = 0.3  # captions that mention every attribute
LEAST_SAID, MOST_SAID = 0.15, 0.85  # share of the attributes that the others mention

# {x} is a noun phrase: "long red hair", "a blue hoodie", "glasses", "a beard"; {v} a plain value: "dark", "white".
PHRASES: dict[str, tuple[str, ...]] = {
    "hair": (
        "{x}", "{x}", "with {x}", "with {x}", "has {x}", "having {x}", "who has {x}", "showing {x}", "wearing {x}",
        "there is {x}", "one sees {x}",
    ),
    "hairColor": (
        "{v} hair", "{v} hair", "with {v} hair", "has {v} hair", "{v}-haired", "{v} haired", "hair in {v}",
        "the hair is {v}", "hair: {v}", "{v} colored hair", "who has {v} hair", "the hair which is {v}",
        "shown with {v} hair", "you can see {v} hair", "hair of a {v} color", "hair in a {v} tone",
    ),
    "bald": (
        "bald", "bald", "with a bald head", "no hair", "bald head", "without hair", "is bald",
        "who is bald", "with a head that is bald", "not one hair", "completely without hair", "whose head has no hair",
    ),
    "hat": (
        "{x}", "with {x}", "wearing {x}", "wears {x}", "{x} on the head", "in {x}", "sporting {x}", "who has got {x}",
        "you can see {x}", "who wears {x}", "with {x} on", "putting on {x}", "on top is {x}",
    ),
    "wears": (
        "{v}", "with {v}", "wearing {v}", "has {v}", "in {v}", "wears {v}", "sporting {v}", "who has got {v}",
        "who wears {v}", "you can see {v}", "with {v} on", "{v} on the face",
    ),
    "beard": (
        "{v}", "with {v}", "has {v}", "wearing {v}", "having {v}", "who has {v}", "you can see {v}", "who wears {v}",
        "with {v} on the face", "showing {v}", "there is {v}",
    ),
    "clothes": (
        "{x}", "wearing {x}", "in {x}", "with {x}", "dressed in {x}", "wears {x}", "has {x}", "shown with {x}",
        "who wears {x}", "sporting {x}", "you can see {x}", "who is in {x}", "with {x} on", "who has got {x}",
    ),
    "clothesColor": (
        "dressed in {v}", "wearing {v}", "in {v}", "{v} clothes", "{v} top", "in a {v} top", "with {v} clothing",
        "a {v} outfit", "the clothes are {v}", "clothes in {v}", "wearing a {v} outfit", "{v} clothing",
        "clothed in a {v} top", "whose top is {v}", "with a top that is {v}", "shown in {v} clothing",
        "clothing that is {v}", "who wears {v}", "who has a {v} top on", "putting on a {v} top",
    ),
    "skin": (
        "{v} skin", "with {v} skin", "{v} skinned", "{v}-skinned", "skin {v}", "has {v} skin", "the skin is {v}",
        "with a {v} skin tone", "who has {v} skin", "skin tone: {v}", "whose skin tone is {v}", "the skin which is {v}",
    ),
    "background": (
        "{v} background", "on a {v} background", "in front of {v}", "background {v}", "{v} behind", "on {v}",
        "with a {v} background", "against {v}", "background: {v}", "in front of a {v} background",
        "whose background is {v}", "a background that is {v}", "shown on {v}", "{v} in the background",
        "shown on a {v} background", "it is {v} behind", "a background of {v}", "and a {v} background",
    ),
}  # fmt: skip
MOODS: dict[str, tuple[str, ...]] = {
    "smiling": (
        "smiling", "smiling", "with a smile", "happy", "a smiling face", "smiles", "cheerful", "looks happy",
        "who smiles", "feeling happy", "who is happy",
    ),
    "laughing": (
        "laughing", "laughing", "with a big laugh", "a laughing face", "laughs", "having a laugh", "who laughs",
        "laughing loud", "giving a laugh",
    ),
    "sad": (
        "sad", "sad", "looking sad", "a sad face", "unhappy", "looks sad", "is sad", "who looks sad", "being sad",
        "who is unhappy",
    ),
    "surprised": (
        "surprised", "surprised", "looking surprised", "a surprised face", "shocked", "looks surprised",
        "who looks surprised", "being surprised", "feeling shocked",
    ),
    "serious": (
        "serious", "serious", "looking serious", "a serious face", "looks serious", "who looks serious",
        "feeling serious",
    ),
    "in love": (
        "in love", "with hearts in the eyes", "hearts in the eyes", "in love", "is in love", "being in love",
        "who has hearts in the eyes", "a face in love",
    ),
    "winking": (
        "winking", "winking", "with a wink", "winks", "a winking face", "gives a wink", "who winks", "giving a wink",
        "who gives you a wink",
    ),
    "with the tongue out": (
        "with the tongue out", "sticking out the tongue", "shows the tongue", "tongue out", "whose tongue is out",
        "who sticks the tongue out", "putting out the tongue", "with the tongue sticking out",
    ),
    "angry": (
        "angry", "angry", "looking angry", "an angry face", "mad", "looks angry", "is angry", "who looks angry",
        "being angry", "who is mad",
    ),
    "sleepy": (
        "sleepy", "sleepy", "with closed eyes", "sleeping", "tired", "looks sleepy", "who looks sleepy",
        "being sleepy", "with two closed eyes",
    ),
}  # fmt: skip
HEADS = (
    "a {s} portrait", "{s} portrait", "a {s} portrait of {w}", "{s} {who}", "{s} style", "in {s} style",
    "{who}, {s} style", "a {s} avatar", "a {s} picture", "{s}", "a {s} drawing", "a {s} picture of {w}", "{s} face",
    "portrait, {s}", "a {s} {who}",
    "{s} illustration", "a {s} illustration of {w}", "{s} art", "{w} as {s} art", "a {s} profile", "{w} drawn in {s}",
)  # fmt: skip
PLAIN_HEADS = (
    "portrait", "a portrait", "{w}", "{w}", "an avatar", "", "", "a drawing", "{who}", "a portrait of {w}",
    "a picture of {w}", "an illustration", "a profile picture", "an image of {w}", "{w}, nicely drawn",
    "art showing {w}", "a profile of {w}",
)  # fmt: skip
OPENINGS = ("draw", "make", "i want", "please draw", "show me", "give me", "create", "here is", "paint", "we see")
SEPARATORS = (", ", ", ", ",", " and ", " ", "; ", " also ", ", plus ", ", and also ", ". ")
TOGETHER = (
    "{head}, {body}", "{head} {body}", "{head}: {body}", "{body}, {head}", "{body} {head}", "{head}. {body}",
    "{head} who {verb} {body}", "{body} - {head}",
)  # fmt: skip
ABSENT: dict[str, tuple[str, ...]] = {
    "wears": ("no glasses", "without glasses"),
    "beard": ("no beard", "without a beard", "clean shaven"),
    "hat": ("no hat", "without a hat"),
}
# Words that introduce what a person has or wears, and fillers, so that a model learns to ignore both.
LEADS = (
    "rocking", "displaying", "flaunting", "presenting", "bearing", "carrying", "owning", "donning", "featuring",
    "adorned with", "complete with", "equipped with", "decorated with", "known for", "including", "together with",
    "along with", "who likes", "who shows", "that has", "which has", "proud of", "dressed up with", "seen with",
)  # fmt: skip
LEAD_SHARE = 0.08
FILLERS = (
    "really", "very", "quite", "of course", "please", "today", "nicely", "truly", "simply", "here", "indeed", "maybe",
    "certainly", "too", "as well", "then", "just", "once more", "for me", "if possible", "as you see", "right now",
    "also", "moreover", "finally", "at the same time", "in this one", "clearly",
)  # fmt: skip
FILLER_SHARE = 0.05
ABSENT_SHARE = 0.06  # share of captions that state the absence of such a kind
OPENING_SHARE = 0.15
# Synonyms that replace the usual word in a share SYNONYM_SHARE of the training captions.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "blond": ("blonde",),
    "silver": ("grey", "gray"),
    "red hair": ("ginger hair",),
    "moustache": ("mustache",),
    "glasses": ("spectacles", "eyeglasses"),
    "sunglasses": ("shades",),
    "t-shirt": ("tshirt", "tee"),
    "overall": ("overalls",),
    "sweater": ("jumper", "pullover"),
    "checkered": ("checked", "plaid"),
    "dreadlocks": ("dreads",),
    "toon": ("cartoon",),
    "grey background": ("gray background",),
}
SYNONYM_SHARE = 0.15
ADJECTIVES = ("smiling", "laughing", "sad", "surprised", "serious", "winking", "angry", "sleepy")  # of MOODS
ADJECTIVE_SHARE = 0.3  # captions with such a mood before the person: "a sad woman"
GARMENTS = ("{k}", "{k}", "{k}", "top", "outfit")  # names of the clothes; the last two omit the kind

HELD_OUT: dict[str, tuple[str, ...]] = {
    "hair": ("sporting {x}", "who has got {x}", "shown with {x}", "you can see {x}"),
    "hairColor": ("hair that is {v}", "whose hair is {v}", "hair of {v} colour", "sporting {v} hair"),
    "bald": ("whose head is bald", "completely bald", "with no hair at all"),
    "hat": ("who has {x} on", "{x} on top", "shown with {x}"),
    "wears": ("who has {v} on", "shown with {v}", "putting on {v}"),
    "beard": ("sporting {v}", "who has got {v}", "shown with {v}"),
    "clothes": ("who has {x} on", "clothed in {x}", "putting on {x}", "shown in {x}"),
    "clothesColor": ("clothed in {v}", "with clothes that are {v}", "whose clothing is {v}", "shown in a {v} outfit"),
    "skin": ("whose skin is {v}", "skin that is {v}", "of {v} skin tone"),
    "background": ("the background is {v}", "against a {v} background", "a background in {v}", "and {v} behind it"),
}
HELD_OUT_MOODS: dict[str, tuple[str, ...]] = {
    "smiling": ("who is smiling", "with a smiling face", "with a smile on the face"),
    "laughing": ("who is laughing", "with a laughing face", "laughing out loud"),
    "sad": ("who is sad", "with a sad face", "feeling sad"),
    "surprised": ("who is surprised", "with a surprised face", "feeling surprised"),
    "serious": ("who is serious", "with a serious face", "being serious"),
    "in love": ("who is in love", "feeling in love", "with two hearts in the eyes"),
    "winking": ("who is winking", "with a winking face", "giving you a wink"),
    "with the tongue out": ("who has the tongue out", "with a tongue sticking out", "putting the tongue out"),
    "angry": ("who is angry", "with an angry face", "feeling angry"),
    "sleepy": ("who is sleepy", "with a sleepy face", "feeling sleepy"),
}
HELD_OUT_HEADS = (
    "{w} drawn in {s} style", "an illustration in {s} style", "{s} art of {w}", "a {s} profile picture",
)  # fmt: skip
HELD_OUT_PLAIN_HEADS = (
    "an illustration of {w}", "a profile picture of {w}", "an image showing {w}", "{w} drawn nicely",
)  # fmt: skip
HELD_OUT_SEPARATORS = (", ", ", ", ", also ", " plus ")
HELD_OUT_TOGETHER = ("{head}, {body}", "{head} {body}", "{head} - {body}")


def with_article(noun: str) -> str:
    """A noun with "a" or "an"."""
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def portrait_caption(attributes: Attributes, rng: np.random.Generator) -> str:
    """A random training caption that mentions all attributes or some of them."""

    def one(options: Sequence[str]) -> str:
        return options[rng.integers(len(options))]

    share = 1.0 if rng.random() < FULL_SHARE else rng.uniform(LEAST_SAID, MOST_SAID)
    subset = {kind: value for kind, value in attributes.items() if rng.random() < share}
    if "hair" in subset and "hairColor" in subset and rng.random() < NO_STYLE_SHARE:
        subset.pop("hair" if rng.random() < 0.7 else "hairColor")
    who = one(WHO)
    if subset.get("mood") in ADJECTIVES and rng.random() < ADJECTIVE_SHARE:
        who = f"{subset.pop('mood')} {'person' if who in NO_ARTICLE else who}"
    phrases = {
        kind: (f"{one(LEADS)} {thing}",) if rng.random() < LEAD_SHARE else PHRASES[kind]
        for kind, thing in (("hair", "{x}"), ("hat", "{x}"), ("wears", "{v}"), ("beard", "{v}"), ("clothes", "{x}"))
    }
    parts = _parts(subset, one, PHRASES | phrases, MOODS, rng, GARMENTS)
    for kind, options in ABSENT.items():
        if kind not in attributes and rng.random() < ABSENT_SHARE:
            parts.append(one(options))
    parts = [parts[i] for i in rng.permutation(len(parts))]
    parts = [f"{one(FILLERS)} {part}" if rng.random() < FILLER_SHARE else part for part in parts]
    heads = HEADS if "style" in subset else PLAIN_HEADS
    if " " in who:
        heads = [head for head in heads if "{w" in head]
    head = _head(subset.get("style"), one(heads), who)
    separator = one(SEPARATORS)
    if separator == " and " and len(parts) > 2:
        body = ", ".join(parts[:-1]) + f" and {parts[-1]}"
    else:
        body = separator.join(parts)
    together = one(TOGETHER).format(head=head, body=body, verb=one(("has", "wears", "is")))
    caption = together if head and body else head or body or "a portrait"
    for word, others in SYNONYMS.items():
        if word in caption and rng.random() < SYNONYM_SHARE:
            caption = re.sub(rf"\b{word}\b", one(others), caption)
    return f"{one(OPENINGS)} {caption}" if rng.random() < OPENING_SHARE else caption


def training_words() -> list[str]:
    """All words that may occur in training captions, in alphabetical order."""
    tables = (PHRASES, MOODS, ABSENT, SYNONYMS, KINDS)
    phrases = [phrase for table in tables for options in table.values() for phrase in options]
    phrases += [
        *WHO,
        *HEADS,
        *PLAIN_HEADS,
        *OPENINGS,
        *TOGETHER,
        *SEPARATORS,
        *GARMENTS,
        *LEADS,
        *FILLERS,
        "wears",
        "hair",
    ]
    return sorted(set(re.findall(r"[a-z]+", re.sub(r"\{.*?\}", " ", " ".join(phrases)))))


def held_out_caption(attributes: Attributes, rng: np.random.Generator) -> str:
    """A prompt for exactly these attributes, in phrasings that training never uses."""

    def one(options: Sequence[str]) -> str:
        return options[rng.integers(len(options))]

    parts = _parts(attributes, one, HELD_OUT, HELD_OUT_MOODS, rng)
    parts = [parts[i] for i in rng.permutation(len(parts))]
    head = _head(
        attributes.get("style"), one(HELD_OUT_HEADS if "style" in attributes else HELD_OUT_PLAIN_HEADS), one(WHO[:7])
    )
    return one(HELD_OUT_TOGETHER).format(head=head, body=one(HELD_OUT_SEPARATORS).join(parts)) if parts else head


def held_out_prompts(count: int, seed: int = 0) -> list[tuple[str, Attributes]]:
    """Prompts in phrasings that no model is trained on, each with the 3 to 5 attributes that it asks for.

    Rare kinds (hats, glasses, beards) are as frequent as in portraits. Deterministic in the seed.
    """
    rng = np.random.default_rng(seed)
    prompts = []
    for _ in range(count):
        portrait = visible(draw_attributes(rng))
        kinds = rng.permutation(sorted(portrait))[: rng.integers(3, 6)]
        attributes = {kind: portrait[kind] for kind in KINDS if kind in kinds}
        prompts.append((held_out_caption(attributes, rng), attributes))
    return prompts


def _head(style: str | None, template: str, who: str) -> str:
    return template.format(s=style, who=who, w=who if who in NO_ARTICLE else with_article(who))


def _parts(
    attributes: Attributes,
    one: Callable[[Sequence[str]], str],
    phrases: dict[str, tuple[str, ...]],
    moods: dict[str, tuple[str, ...]],
    rng: np.random.Generator,
    garments: Sequence[str] = ("{k}",),
) -> list[str]:
    """A phrase for each attribute except the style; hair and clothes include their colours.

    garments: names for clothes with a colour; {k} is their kind.
    """
    parts = []
    hair, colour = attributes.get("hair"), attributes.get("hairColor")
    if hair == "bald":
        parts.append(one(phrases["bald"]))
    elif hair:
        parts.append(one(phrases["hair"]).format(x=_hair(hair, colour, rng)))
    elif colour:
        parts.append(one(phrases["hairColor"]).format(v=colour))
    if "hat" in attributes:
        colour = attributes.get("hatColor", "") if rng.random() < 0.5 else ""
        parts.append(one(phrases["hat"]).format(x=with_article(f"{colour} {attributes['hat']}".strip())))
    if "clothes" in attributes:
        garment = attributes["clothes"]
        if "clothesColor" in attributes:
            garment = one(garments).format(k=garment)
        thing = f"{attributes.get('clothesColor', '')} {garment}".strip()
        parts.append(one(phrases["clothes"]).format(x=with_article(thing)))
    elif "clothesColor" in attributes:
        parts.append(one(phrases["clothesColor"]).format(v=attributes["clothesColor"]))
    if "mood" in attributes:
        parts.append(one(moods[attributes["mood"]]))
    parts += [
        one(phrases[kind]).format(v=attributes[kind])
        for kind in ("wears", "beard", "skin", "background")
        if kind in attributes
    ]
    return parts


def _hair(style: str, colour: str | None, rng: np.random.Generator) -> str:
    """A hairstyle as a noun phrase: "long red hair", "a red bob", "pigtails"."""
    if style in HAIRSTYLES:
        return with_article(f"{colour or ''} {style}".strip())
    if style in PLURAL_HAIRSTYLES:
        return f"{colour or ''} {style}".strip()
    words = [style, colour] if colour and rng.random() < 0.5 else [colour, style]
    return " ".join(word for word in (*words, "hair") if word)
