"""Captions of drawn people: varied, true to the attributes, and with phrasings kept away from training."""

import json
import re

import numpy as np
import pytest

from zigdemo.data import ClipSet, figure_caption, held_out_figures
from zigdemo.data.captions import image_caption
from zigdemo.data.figures import CLASSES, MOTIONS, captions, draw_figure
from zigdemo.data.figures.captions import FIGURE_KINDS, check_figure, does, names_of
from zigdemo.data.figures.files import prepare_figures
from zigdemo.data.figures.looks import COLOURS, HAIRS, SCENES, SKINS


def drawn(seed: int, label: str = "JumpingJack") -> dict[str, str]:
    return draw_figure(np.random.default_rng(seed), label).attributes


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def test_no_phrase_of_training_is_kept_away_and_the_other_way_round():
    for usual, kept in ((captions.ACTIONS, captions.HELD_OUT_ACTIONS), (captions.PHRASES, captions.HELD_OUT)):
        assert usual.keys() == kept.keys()
        for kind in usual:
            assert not set(usual[kind]) & set(kept[kind]), kind
    kept_forms = {*captions.HELD_OUT_WHOLES, *captions.HELD_OUT_ALONE}
    assert not kept_forms & {*captions.WHOLES, *captions.ALONE, *captions.WITHOUT_ACTION}
    assert set(captions.ACTIONS) == set(CLASSES) and set(SCENES) <= set(captions.PHRASES)


def test_the_first_action_of_a_class_is_what_the_set_says_of_it_and_an_action_belongs_to_one_class():
    assert all(does(captions.ACTIONS[label][0]) == MOTIONS[label].words for label in CLASSES)
    actions = [one for table in (captions.ACTIONS, captions.HELD_OUT_ACTIONS) for row in table.values() for one in row]
    assert len(set(actions)) == len(actions)


def test_held_out_prompts_use_words_of_training_and_ask_for_every_class_and_kind():
    prompts, known = held_out_figures(290), set(captions.training_words())
    assert prompts == held_out_figures(290) != held_out_figures(290, seed=1)
    assert [asked["label"] for _, asked in prompts[:29]] == list(CLASSES)
    assert {kind for _, asked in prompts for kind in asked} == set(FIGURE_KINDS)
    assert not set().union(*(words_of(prompt) for prompt, _ in prompts)) - known
    assert not any("{" in prompt or "  " in prompt for prompt, _ in prompts)


def test_captions_vary_are_true_and_short_enough():
    rng, known = np.random.default_rng(0), set(captions.training_words())
    colours = {*COLOURS, *HAIRS, *SKINS}
    one = drawn(0)
    assert len({figure_caption(one, rng) for _ in range(200)}) > 120
    for seed in range(300):
        attributes = drawn(seed, CLASSES[seed % len(CLASSES)])
        caption = figure_caption(attributes, rng)
        words, own = words_of(caption), set(attributes.values())
        own |= {"white"} if attributes["scene"] == "plain" else set()
        own |= {"green"} if attributes["scene"] == "field" else set()
        assert words <= known, words - known
        assert not (words & colours) - own, caption
        assert len(caption.split()) <= 40 and "{" not in caption and "  " not in caption
        assert not re.search(r"\ban? (?:an?|the) |\ba [aeiou]", caption), caption


def test_the_official_name_of_a_class_is_a_prompt_of_its_own():
    assert names_of("JumpingJack") == ("JumpingJack", "jumping jack")
    rng, attributes = np.random.default_rng(1), drawn(2)
    said = [figure_caption(attributes, rng) for _ in range(2000)]
    assert {"JumpingJack", "jumping jack"} <= set(said)


def test_clips_carry_their_attributes_which_are_checked_when_they_are_read(tmp_path):
    prepare_figures(tmp_path / "set", len(CLASSES), side=16)
    made = ClipSet.load(tmp_path / "set")
    assert [one["label"] for one in made.attributes] == [made.label_names[label] for label in made.labels]
    assert all(check_figure(one) == one for one in made.attributes)
    rng = np.random.default_rng(0)
    assert len({image_caption(made, 3, rng) for _ in range(20)}) > 10
    samples = [json.loads(line) for line in (tmp_path / "set/samples.jsonl").read_text().splitlines()]
    samples[0]["attributes"]["shirt"] = "ultraviolet"
    samples[1]["attributes"] = {"label": ["x"]}
    (tmp_path / "set/samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    read = ClipSet.load(tmp_path / "set")
    assert read.attributes[:2] == [{}, {}] and read.attributes[2] == made.attributes[2]
    assert image_caption(read, 0, rng) == read.label_names[read.labels[0]]


@pytest.mark.parametrize(
    "change, sentence",
    [({"scene": "moon"}, "moon"), ({"hat": "cap"}, "'hat' is 'cap'"), ({"hairStyle": "bald"}, "bald has none")],
)
def test_attributes_that_nobody_has_are_one_sentence(change, sentence):
    attributes = next(one for seed in range(9) if "hairColor" in (one := drawn(seed)))
    with pytest.raises(ValueError, match=sentence):
        check_figure(attributes | change)
    with pytest.raises(ValueError, match="no skin"):
        check_figure({kind: value for kind, value in attributes.items() if kind != "skin"})
    with pytest.raises(ValueError, match="not an object"):
        check_figure(None)
