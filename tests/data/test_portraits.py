"""Portraits: what they can show, at random, and what a file may say of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers

from zigdemo.data import KIND_NAMES, KINDS, draw_attributes, visible
from zigdemo.data.portraits import STYLES, check_attributes


def test_there_are_eleven_kinds_each_with_a_name():
    assert len(KINDS) == 11 and KINDS.keys() == KIND_NAMES.keys()


@given(integers(0, 2**32 - 1))
def test_every_drawn_portrait_has_what_its_style_has_and_nothing_else(seed):
    drawn = draw_attributes(np.random.default_rng(seed))
    style = STYLES[drawn["style"]]
    assert check_attributes(drawn) == drawn
    assert drawn["mood"] in style.moods and drawn["clothes"] in style.clothes
    assert ("hat" in drawn) != ("hair" in drawn)
    assert drawn.get("hat", style.hats[:1]) in (*style.hats, style.hats[:1])
    assert drawn.get("hair", style.hair[0]) in (*style.hair, *style.rear_hair)
    assert ("hairColor" in drawn) == ("hair" in drawn and drawn["hair"] != "bald")
    assert ("hatColor" in drawn) == ("hat" in drawn and style.hat_colours)
    assert drawn.get("hatColor", drawn["clothesColor"]) == drawn["clothesColor"]


def test_parts_are_independent_and_as_often_as_said():
    rng = np.random.default_rng(0)
    drawn = [draw_attributes(rng) for _ in range(6000)]
    styles = Counter(one["style"] for one in drawn)
    assert all(abs(count / 6000 - 1 / 3) < 0.03 for count in styles.values())
    assert abs(np.mean([one["background"] == "white" for one in drawn]) - 2 / 9) < 0.02
    assert abs(np.mean(["beard" in one for one in drawn]) - 0.28) < 0.02
    flat = [one for one in drawn if one["style"] == "flat"]
    assert abs(np.mean(["hat" in one for one in flat]) - 0.2) < 0.03
    both = np.mean(["wears" in one and "beard" in one for one in flat])
    assert abs(both - 0.4 * 0.28) < 0.03


def test_a_mood_that_lies_in_the_eyes_alone_is_hidden_by_glasses():
    def shown(**attributes):
        return "mood" in visible({"skin": "tan", "background": "white", **attributes})

    assert not shown(style="simple", wears="glasses", mood="sleepy")
    assert not shown(style="flat", wears="sunglasses", mood="in love")
    assert shown(style="flat", wears="glasses", mood="in love") and shown(style="simple", mood="sleepy")
    assert shown(style="simple", wears="sunglasses", mood="sad") and shown(style="toon", mood="smiling")
    assert visible({"style": "flat", "hatColor": "red"}) == {"style": "flat"}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "not an object"),
        ([], "not an object"),
        ({"style": "flat"}, "no background"),
        ({"style": "oil", "skin": "tan", "background": "white", "mood": "sad"}, "'style' is 'oil'"),
        ({"style": "flat", "skin": "tan", "background": "white", "mood": "sad", "wings": "two"}, "'wings'"),
        ({"style": "flat", "skin": ["tan"], "background": "white", "mood": "sad"}, "'skin'"),
    ],
)
def test_what_no_portrait_has_is_refused(content, fault):
    with pytest.raises(ValueError, match=fault):
        check_attributes(content)
