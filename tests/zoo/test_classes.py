"""Official models number their classes; the page shows the names of ImageNet beside the numbers, where known."""

from dataclasses import replace

import pytest
from models import tiny_folder

from zigdemo.backbones.official import OfficialConfig
from zigdemo.zoo import classes
from zigdemo.zoo.classes import imagenet_names, label_choices


@pytest.fixture
def folder(tmp_path):
    """A folder that says it is the official DiT of ImageNet; its weights are not read here."""
    config = OfficialConfig("DiT", {"num_classes": 1000, "num_heads": 2, "hidden_size": 24, "depth": 2})
    labels = tuple(f"class {i}" for i in range(1000))
    return replace(tiny_folder(tmp_path / "tiny"), model=config, labels=labels)


def test_the_classes_of_imagenet_have_their_names_and_keep_their_labels(folder):
    pytest.importorskip("torchvision")
    choices = label_choices(folder)
    assert choices[207] == ("golden retriever · class 207", "class 207") and len(choices) == 1000
    assert tuple(label for _, label in choices) == folder.labels


def test_without_torchvision_the_numbers_stay(folder, monkeypatch):
    monkeypatch.setattr(classes, "find_spec", lambda name: None)
    imagenet_names.cache_clear()
    assert label_choices(folder)[207] == ("class 207", "class 207")
    imagenet_names.cache_clear()


def test_other_labels_are_their_own_text(folder, tmp_path):
    assert label_choices(tiny_folder(tmp_path / "own"))[1] == ("hedgehog", "hedgehog")
    few = replace(folder, labels=folder.labels[:3])
    assert label_choices(few)[0] == ("class 0", "class 0")
    named = replace(folder, labels=tuple(f"thing {i}" for i in range(1000)))
    assert label_choices(named)[0] == ("thing 0", "thing 0")
    assert label_choices(replace(folder, labels=None)) == []
