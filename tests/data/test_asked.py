"""What a prompt asks for, in the words people use."""

from __future__ import annotations

import numpy as np
import pytest

from zigdemo.data import asked_attributes, draw_attributes, portrait_caption
from zigdemo.data.asked import MOOD_STEMS
from zigdemo.data.portraits import KINDS


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("", {}),
        ("a cat on the moon", {}),
        ("red hair", {"hairColor": "red"}),
        (
            "A smiling woman with long red hair and glasses, wearing a blue hoodie",
            {"mood": "smiling", "hair": "long", "hairColor": "red", "wears": "glasses", "clothes": "hoodie",
             "clothesColor": "blue"},
        ),
        ("a bald man, no glasses, without a beard", {"hair": "bald"}),
        ("Blonde bob; sunglasses; dark skin", {"skin": "dark", "hair": "bob", "hairColor": "blond",
                                               "wears": "sunglasses"}),
        ("gray hair, gray background", {"background": "grey", "hairColor": "silver"}),
        ("man in blue on a blue background", {"background": "blue", "clothesColor": "blue"}),
        ("someone with a mustache in a plaid shirt", {"beard": "a moustache", "clothes": "checkered shirt"}),
        ("a red beanie", {"hat": "beanie"}),
        ("a white t-shirt on white", {"background": "white", "clothes": "t-shirt", "clothesColor": "white"}),
        ("cartoon, angry, ponytail", {"style": "toon", "mood": "angry"}),
    ],
)  # fmt: skip
def test_the_words_of_a_prompt_are_read(prompt, asked):
    assert asked_attributes(prompt) == asked


def test_what_is_said_of_one_thing_is_not_read_of_another():
    assert asked_attributes("black hair, a green hat, a pink dress, blue background, brown skin") == {
        "skin": "brown", "background": "blue", "hairColor": "black", "hat": "hat", "clothes": "dress",
        "clothesColor": "pink",
    }  # fmt: skip


def test_captions_of_training_are_read_as_what_their_portrait_shows():
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(1000):
        drawn = draw_attributes(rng)
        wrong += any(drawn.get(kind) != v for kind, v in asked_attributes(portrait_caption(drawn, rng)).items())
    assert wrong <= 3  # run-on captions without a comma can be read in two ways


def test_every_mood_has_its_words():
    assert set(MOOD_STEMS) == set(KINDS["mood"])
