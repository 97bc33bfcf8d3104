"""Captions of portraits: varied, true to the attributes, and with phrasings kept away from training."""

from __future__ import annotations

import re
from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis.strategies import integers

from zigdemo.data import asked_attributes, draw_attributes, held_out_prompts, portrait_caption
from zigdemo.data import portrait_captions as captions
from zigdemo.data.portraits import KINDS


def test_no_phrase_of_training_is_kept_away_and_the_other_way_round():
    for kind in captions.HELD_OUT:
        assert not set(captions.PHRASES[kind]) & set(captions.HELD_OUT[kind]), kind
    for mood in KINDS["mood"]:
        assert not set(captions.MOODS[mood]) & set(captions.HELD_OUT_MOODS[mood]), mood
    heads = (*captions.HELD_OUT_HEADS, *captions.HELD_OUT_PLAIN_HEADS)
    assert not set(heads) & {*captions.HEADS, *captions.PLAIN_HEADS}
    assert set(captions.PHRASES) == set(captions.HELD_OUT)
    leads = [phrase for options in captions.HELD_OUT.values() for phrase in options]
    assert not {f"{lead} {thing}" for lead in captions.LEADS for thing in ("{x}", "{v}")} & set(leads)


def test_the_same_portrait_is_described_otherwise_nearly_every_time():
    rng = np.random.default_rng(0)
    drawn = draw_attributes(rng)
    assert len({portrait_caption(drawn, rng) for _ in range(200)}) > 150
    lengths = [len(portrait_caption(drawn, rng).split()) for _ in range(200)]
    assert min(lengths) <= 4 and max(lengths) >= 20


@given(integers(0, 2**32 - 1))
def test_a_caption_says_nothing_that_is_not_there(seed):
    rng = np.random.default_rng(seed)
    drawn = draw_attributes(rng)
    words = set(portrait_caption(drawn, rng).replace(",", " ").replace(";", " ").split())
    own = set(chain.from_iterable(value.replace("-", " ").split() + value.split() for value in drawn.values()))
    own |= {"grey", "gray"} if "silver" in own else set()
    colours = {*KINDS["hairColor"], *KINDS["clothesColor"], *KINDS["background"], *KINDS["skin"]}
    assert not (words & colours) - own


def test_every_word_of_a_caption_is_among_those_of_training():
    rng, known = np.random.default_rng(0), set(captions.training_words())
    for _ in range(500):
        words = set(re.findall(r"[a-z]+", portrait_caption(draw_attributes(rng), rng)))
        assert words - known <= {"a", "an"}
    assert not {"clad", "moon", "cat"} & known


def test_held_out_prompts_ask_for_three_to_five_attributes_of_all_kinds_and_are_read_back():
    prompts = held_out_prompts(512)
    assert all(3 <= len(asked) <= 5 for _, asked in prompts)
    assert {kind for _, asked in prompts for kind in asked} == set(KINDS)
    assert [asked_attributes(prompt) for prompt, _ in prompts] == [asked for _, asked in prompts]
    assert prompts == held_out_prompts(512) != held_out_prompts(512, seed=1)
