"""Captions of emoji: names, keywords and groups in templates, some of which are kept away for evaluation."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np

# {name}: the emoji's name; {article}: the name after "a" or "an"; {key}, {other}: two of its keywords; {group}: a word
# for its group. A template that needs more keywords than there are is left out for that emoji.
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
# Sentences are put together of these around a caption, so that a model learns to hear the name in any sentence; none
# of the words of HELD_OUT_TEMPLATES but the small ones is among them.
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
SENTENCES = 0.3  # share of the captions that stand in a sentence
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
HELD_OUT_SHARE = 5  # one keyword in so many is kept away from training


def usable_keywords(name: str, keywords: Sequence[str]) -> list[str]:
    """The keywords that are words and not the name again, in their order, each once."""
    plain = (re.sub(r"[\s_]+", " ", keyword).strip().lower() for keyword in keywords)
    kept = (key for key in plain if re.fullmatch(r"[a-z0-9][a-z0-9 '’-]*", key) and key != name.lower())
    return list(dict.fromkeys(kept))


def split_keywords(name: str, keywords: Sequence[str]) -> tuple[list[str], list[str]]:
    """Keywords for training and those kept away from it, by a hash of name and keyword that never changes."""
    known, held = [], []
    for key in usable_keywords(name, keywords):
        (known if zlib.crc32(f"{name}/{key}".encode()) % HELD_OUT_SHARE else held).append(key)
    return known, held


def _filled(template: str, name: str, group: str, keys: Sequence[str]) -> str:
    article = f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
    words = {"name": name, "article": article, "group": GROUP_WORDS.get(group, group.lower())}
    return template.format(**words, **dict(zip(("key", "other"), keys, strict=False)))


def _draw(templates: Sequence[str], name: str, group: str, keys: Sequence[str], rng: np.random.Generator) -> str:
    keys = [keys[i] for i in rng.permutation(len(keys))[:2]]
    missing = [f"{{{field}}}" for field in ("key", "other")[len(keys) :]]
    fitting = [template for template in templates if not any(field in template for field in missing)]
    return _filled(fitting[rng.integers(len(fitting))], name, group, keys)


def training_caption(name: str, group: str, keywords: Sequence[str], rng: np.random.Generator) -> str:
    """A caption for training, another one each time, at times in a sentence. keywords: all of the emoji; the held out
    ones are never used.
    """
    known, held = split_keywords(name, keywords)
    caption = _draw(TEMPLATES, name, group, known, rng)
    opening, kind, ending = (words[rng.integers(len(words))] for words in (OPENINGS, KINDS, ENDINGS))
    around = set(f"{opening} {kind} {ending}".split())
    if rng.random() >= SENTENCES or any(around & set(key.split()) for key in held):
        return caption
    return " ".join(part for part in (opening, kind, caption, ending) if part)


def held_out_caption(name: str, group: str, keywords: Sequence[str], rng: np.random.Generator) -> str:
    """A caption in a phrasing that training never has: a kept away template around the name."""
    return _draw(HELD_OUT_TEMPLATES, name, group, [], rng)


def synonym_caption(name: str, group: str, keywords: Sequence[str], rng: np.random.Generator) -> str | None:
    """A caption without the name, from a kept away keyword and one more; None for an emoji without either."""
    known, held = split_keywords(name, keywords)
    if not held or len(known) + len(held) < 2:
        return None
    key = held[rng.integers(len(held))]
    others = [word for word in (*known, *held) if word != key]
    return _filled(HELD_OUT_SYNONYMS[rng.integers(len(HELD_OUT_SYNONYMS))], name, group, [key, rng.choice(others)])


def held_out_phrasings(
    names: Sequence[str], groups: Sequence[str], keywords: Sequence[Sequence[str]], count: int, seed: int
) -> tuple[list[str], np.ndarray]:
    """`count` texts that training never has, and the emoji that each means: by turns a kept away template around the
    name, and a kept away synonym without it. Deterministic in the seed.
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
