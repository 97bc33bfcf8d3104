"""Captions: varied, made of what is known, and never of what is kept for the evaluation."""

import re

import numpy as np
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, sampled_from, text

from zigdemo.data.emoji_captions import (
    ENDINGS,
    GROUP_WORDS,
    HELD_OUT_TEMPLATES,
    KINDS,
    OPENINGS,
    TEMPLATES,
    held_out_caption,
    held_out_phrasings,
    split_keywords,
    synonym_caption,
    training_caption,
    usable_keywords,
)

KEYWORDS = ["hedgehog", "animal", "nature", "spiny", "small", "forest", "night", "needles", "cute", "garden", "^^"]


@settings(deadline=None)
@given(
    name=text(alphabet="abcdef -", min_size=1, max_size=12),
    keywords=lists(text(alphabet="abcdef_ :", max_size=8), max_size=8),
    group=sampled_from([*GROUP_WORDS, "colours"]),
    seed=integers(0, 2**32 - 1),
)
def test_any_name_and_keywords_make_a_caption(name, keywords, group, seed):
    caption = training_caption(name, group, keywords, np.random.default_rng(seed))
    assert caption and "{" not in caption
    assert caption == training_caption(name, group, keywords, np.random.default_rng(seed))


def test_captions_vary_and_hold_the_name_or_its_keywords():
    rng = np.random.default_rng(0)
    known, held = split_keywords("hedgehog", KEYWORDS)
    said = {training_caption("hedgehog", "Animals & Nature", KEYWORDS, rng) for _ in range(300)}
    assert len(said) > 40 and "hedgehog" in said and "a picture of a hedgehog" in said
    assert all("hedgehog" in caption or any(key in caption for key in known) for caption in said)
    assert held and not any(re.search(rf"\b{key}\b", caption) for caption in said for key in held)


def test_some_captions_stand_in_a_sentence_of_words_that_no_held_out_template_has():
    said = [training_caption("hedgehog", "Animals & Nature", [], np.random.default_rng(i)) for i in range(400)]
    assert 0.2 < np.mean([caption.startswith(tuple(OPENINGS)) for caption in said]) < 0.4
    around = set(" ".join((*OPENINGS, *KINDS, *ENDINGS)).split())
    kept = {word for template in HELD_OUT_TEMPLATES for word in re.sub(r"{\w+}", "", template).split()}
    assert around & kept <= {"a", "me", "for", "my", "on"}


def test_an_article_fits_its_name():
    said = {training_caption("owl", "Animals & Nature", [], np.random.default_rng(i)) for i in range(60)}
    assert "an owl" in said and not any(re.search(r"\ba owl", caption) for caption in said)


def test_keywords_are_words_that_say_more_than_the_name():
    assert usable_keywords("red heart", ["red_heart", "love", "Love", "^^", "stars\xa0heart", "<3"]) == [
        "love",
        "stars heart",
    ]


def test_what_is_kept_away_shares_no_template_and_no_synonym_with_training():
    assert not set(TEMPLATES) & set(HELD_OUT_TEMPLATES)
    known, held = split_keywords("hedgehog", KEYWORDS)
    assert set(known) | set(held) == set(usable_keywords("hedgehog", KEYWORDS)) and not set(known) & set(held)
    rng = np.random.default_rng(1)
    for _ in range(50):
        assert "hedgehog" in held_out_caption("hedgehog", "Animals & Nature", KEYWORDS, rng)
        said = synonym_caption("hedgehog", "Animals & Nature", KEYWORDS, rng)
        assert any(key in said for key in held) and "hedgehog" not in said
    assert synonym_caption("x", "Objects", [], rng) is None


def test_held_out_phrasings_are_the_same_every_time_and_by_turns_name_and_synonym():
    names = [f"thing {i}" for i in range(40)]
    keywords = [[f"key{i}{j}" for j in "abcdefgh"] for i in range(40)]
    texts, rows = held_out_phrasings(names, ["Objects"] * 40, keywords, 20, seed=1)
    again, _ = held_out_phrasings(names, ["Objects"] * 40, keywords, 20, seed=1)
    assert texts == again and len(texts) == len(set(rows)) == 20
    assert all((names[row] in said) == (i % 2 == 0) for i, (said, row) in enumerate(zip(texts, rows, strict=True)))
