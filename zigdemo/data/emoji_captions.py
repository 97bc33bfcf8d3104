"""Captions of emoji: names, keywords and groups in templates, some of which are held out for evaluation."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np

# {name}: the emoji's name; {article}: the name with "a" or "an"; {key}, {other}: two of its keywords; {group}: a word
# for its group. Templates that need more keywords than an emoji has are not used for it.
TEMPLATES = (
    "{name}",
    "{name}",
    "{article}",
    "a picture of {article}",
    "an emoji of {article}",
    "a 3d {name}",
    "{name}, {group}",
    "{name}, {key}",
    "{key}, {name}",
    "{name}, {key}, {other}",
    "{group}: {name}, {key}",
    "a picture of {name}, {key}, {other}",
    "{key} {other} {group}",
)
# Parts of sentences around a caption, so that a model learns to find the name in any sentence; apart from function
# words they share no words with HELD_OUT_TEMPLATES.
OPENINGS = (
    "make", "create", "paint", "give me", "i want", "i would like", "can you make", "could you sketch", "here is",
    "this is", "look at", "imagine", "think of", "let me see", "we need", "find me", "generate", "design",
    "i am looking for", "there should be",
)  # fmt: skip
KINDS = (
    "", "", "", "a photo of", "a drawing of", "a sticker of", "an image of", "a sketch of", "a badge with",
    "a logo with", "a cute", "a shiny", "a simple", "a small", "a big", "a colourful", "one nice", "a toy",
    "the best", "a new",
)  # fmt: skip
ENDINGS = (
    "", "", "", "for a friend", "for my website", "in the middle", "with soft light", "on a plain page", "today",
    "as a gift", "in high quality", "in bright colours", "without any text", "for the party", "with clear edges", "now",
)  # fmt: skip
SENTENCES = 0.3  # share of the captions that are put into a sentence
HELD_OUT_TEMPLATES = (
    "show me {article}",
    "please draw {article} for my message",
    "a glossy icon that shows {article}",
    "{name} on a white background",
)
HELD_OUT_SYNONYMS = ("{key} or {other}", "something with {key} and {other}", "{key} {other}", "the {group} with {key}")
GROUP_WORDS = {
    "Smileys & Emotion": "face",
    "People & Body": "person",
    "Animals & Nature": "nature",
    "Food & Drink": "food",
    "Travel & Places": "place",
    "Activities": "activity",
    "Objects": "object",
    "Symbols": "symbol",
}
HELD_OUT_SHARE = 5  # one keyword in this many is held out


def usable_keywords(name: str, keywords: Sequence[str]) -> list[str]:
    """The keywords that are words and differ from the name, in order, without repeats."""
    plain = (re.sub(r"[\s_]+", " ", keyword).strip().lower() for keyword in keywords)
    words = (key for key in plain if re.fullmatch(r"[a-z0-9][a-z0-9 '’-]*", key) and key != name.lower())
    return list(dict.fromkeys(words))


def split_keywords(name: str, keywords: Sequence[str]) -> tuple[list[str], list[str]]:
    """Keywords for training and held-out ones, by a stable hash of name and keyword."""
    known, held_out = [], []
    for key in usable_keywords(name, keywords):
        (known if zlib.crc32(f"{name}/{key}".encode()) % HELD_OUT_SHARE else held_out).append(key)
    return known, held_out


def _fill(template: str, name: str, group: str, keys: Sequence[str]) -> str:
    article = f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
    words = {"name": name, "article": article, "group": GROUP_WORDS.get(group, group.lower())}
    return template.format(**words, **dict(zip(("key", "other"), keys, strict=False)))


def _random_caption(
    templates: Sequence[str], name: str, group: str, keys: Sequence[str], rng: np.random.Generator
) -> str:
    keys = [keys[i] for i in rng.permutation(len(keys))[:2]]
    missing = [f"{{{field}}}" for field in ("key", "other")[len(keys) :]]
    fitting = [template for template in templates if not any(field in template for field in missing)]
    return _fill(fitting[rng.integers(len(fitting))], name, group, keys)


def training_caption(name: str, group: str, keywords: Sequence[str], rng: np.random.Generator) -> str:
    """A random training caption, sometimes in a sentence.

    keywords: all of the emoji's; the held-out ones are never used.
    """
    known, held_out = split_keywords(name, keywords)
    caption = _random_caption(TEMPLATES, name, group, known, rng)
    opening, kind, ending = (words[rng.integers(len(words))] for words in (OPENINGS, KINDS, ENDINGS))
    around = set(f"{opening} {kind} {ending}".split())
    if rng.random() >= SENTENCES or any(around & set(key.split()) for key in held_out):
        return caption
    return " ".join(part for part in (opening, kind, caption, ending) if part)


def held_out_caption(name: str, group: str, keywords: Sequence[str], rng: np.random.Generator) -> str:
    """A caption in a phrasing that training never uses: the name in a held-out template."""
    return _random_caption(HELD_OUT_TEMPLATES, name, group, [], rng)


def synonym_caption(name: str, group: str, keywords: Sequence[str], rng: np.random.Generator) -> str | None:
    """A caption without the name, from a held-out keyword and another one; None for an emoji without both."""
    known, held_out = split_keywords(name, keywords)
    if not held_out or len(known) + len(held_out) < 2:
        return None
    key = held_out[rng.integers(len(held_out))]
    others = [word for word in (*known, *held_out) if word != key]
    return _fill(HELD_OUT_SYNONYMS[rng.integers(len(HELD_OUT_SYNONYMS))], name, group, [key, rng.choice(others)])


def held_out_phrasings(
    names: Sequence[str], groups: Sequence[str], keywords: Sequence[Sequence[str]], count: int, seed: int
) -> tuple[list[str], np.ndarray]:
    """`count` texts that training never uses, and the row of the emoji that each means.

    Alternately the name in a held-out template, and a held-out keyword without the name. Deterministic in the seed.
    """
    rng = np.random.default_rng(seed)
    texts: list[str] = []
    rows: list[int] = []
    for row in rng.permutation(len(names)):
        if len(texts) == count:
            break
        phrase = synonym_caption if len(texts) % 2 else held_out_caption
        text = phrase(names[row], groups[row], keywords[row], rng)
        if text is not None:
            texts.append(text)
            rows.append(int(row))
    return texts, np.array(rows)
