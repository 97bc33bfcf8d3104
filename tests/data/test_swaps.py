"""One thing of a prompt changed, and nothing else."""

import numpy as np
import pytest

from zigdemo.data import asked_attributes, draw_attributes, portrait_caption, swaps


def test_each_swap_changes_what_it_says_alone():
    prompt = "a flat portrait of a smiling person with long red hair and glasses, wearing a blue hoodie"
    found = swaps(prompt, most=11)
    assert [swap.kind for swap in found] == ["hairColor", "wears", "clothesColor", "mood", "hair", "clothes", "style"]
    assert found[0].label == "red hair → green hair" and "long green hair" in found[0].prompt
    before = asked_attributes(prompt)
    for swap in found:
        after = asked_attributes(swap.prompt)
        assert {kind for kind in after if after[kind] != before[kind]} == {swap.kind}
    assert len(swaps(prompt, most=3)) == 3


@pytest.mark.parametrize(
    ("prompt", "changed"),
    [
        ("a blue hoodie", "an orange hoodie"),
        ("an orange dress", "a black dress"),
        ("with an eyepatch", "with sunglasses"),
        ("someone with glasses", "someone with an eyepatch"),
        ("a moustache", "a beard"),
        ("Red hair", "green hair"),
        ("a green bob", "a green afro"),
        ("sad", "in love"),
    ],
)
def test_articles_and_capitals(prompt, changed):
    assert changed in [swap.prompt for swap in swaps(prompt)]


def test_a_prompt_that_asks_for_nothing_has_none():
    assert swaps("") == swaps("a cat on the moon") == []


def test_most_captions_of_training_can_be_changed():
    rng = np.random.default_rng(0)
    captions = [portrait_caption(draw_attributes(rng), rng) for _ in range(200)]
    assert np.mean([bool(swaps(caption)) for caption in captions if asked_attributes(caption)]) > 0.9
