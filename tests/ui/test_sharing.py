"""The settings that all places share."""

import json

import pytest

from zigdemo.ui import sharing

MODEL = {"model": "a", "count": 4, "solver": "heun"}


@pytest.mark.parametrize(
    "text", ["", None, 3, "[1]", "{", "[" * 10_000, '{"model": 5}', '{"model": null}', "x" * 10**6]
)
def test_a_choice_that_is_none_is_empty(text):
    assert sharing.read_choice(text) == {}


def test_a_choice_keeps_single_values_alone():
    choice = {"model": "a", "steps": 8, "scan": None, "words": ["a"], "more": {"b": 1}}
    assert sharing.read_choice(json.dumps(choice)) == {"model": "a", "steps": 8, "scan": None}


def followed(choice, own, show=lambda query, own: (query,)):
    return sharing._followed(choice, own, "pictures", show)


def test_a_tab_that_shows_the_choice_already_stays_as_it_is():
    assert followed({}, MODEL) is None and followed({"model": "a", "prompt": "red"}, MODEL) is None


def test_another_seed_keeps_what_is_not_chosen_and_another_model_only_how_many():
    (query,) = followed({"model": "a", "count": 2}, MODEL)
    assert query == {"place": "pictures", "model": "a", "count": 2, "solver": "heun"}
    (query,) = followed({"model": "b", "seed": 3}, MODEL)
    assert query == {"place": "pictures", "model": "b", "seed": 3, "count": 4}


def test_a_choice_that_a_tab_cannot_show_changes_nothing():
    def refuse(query, own):
        raise ValueError("no")

    assert followed({"model": "b"}, MODEL, refuse) is None
