"""The project's own CLIP: it learns four colours, and its folder is a tower that reads and scores."""

import json

import numpy as np
import pytest
import torch
from towers import SETTINGS

from zigdemo.conditioning import TextSpec
from zigdemo.data import ImageSet
from zigdemo.data.preparation import write_image_set
from zigdemo.evaluation import CLIPScore
from zigdemo.training.towers.clip import CLIPRecipe, augment, lesson_texts, main, token_ids
from zigdemo.training.trainer import recipe as recipes
from zigdemo.training.trainer.recipe import read_settings

COLOURS = {"red": [220, 30, 30], "green": [30, 200, 40], "blue": [40, 60, 220], "yellow": [240, 220, 40]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four plain colours, as in the tests of the trainer."""
    images = np.broadcast_to(np.array(list(COLOURS.values()), np.uint8)[:, None, None], (4, 32, 32, 3)).copy()
    keys = ["colour", "plain", "flat", "bright", "paint", "shade"]
    samples = [{"key": n, "label": n, "group": "colours", "keywords": [f"{n} {k}" for k in keys]} for n in COLOURS]
    folder = tmp_path_factory.mktemp("data") / "colours"
    write_image_set(folder, images, samples, {"dataset": "colours"})
    return folder


def write_recipe(path, folder, **changes):
    settings = {"name": "tiny", "data": str(folder), "model": SETTINGS, "steps": 80, "batch": 4, "lr": 3e-3}
    path.write_text(json.dumps({**settings, "warmup": 5, "log_every": 50, **changes}))  # JSON is YAML too
    return str(path)


def test_it_learns_four_colours_and_its_folder_reads_and_scores(data, tmp_path, capsys):
    assert main([write_recipe(tmp_path / "r.yaml", data), str(tmp_path / "tower")]) == 0
    about = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert about["retrieval"]["names to pictures"] == {"top1": 1.0, "top5": 1.0, "n": 4, "floor": 0.25}
    assert about["retrieval"]["pictures to names"]["top1"] == 1.0
    tower = TextSpec("tower").load(places=[tmp_path])
    pictures = np.asarray(ImageSet.load(data).images)
    assert CLIPScore(tower).naming(pictures, np.arange(4), list(COLOURS)).top1 == 1.0
    assert "not** the CLIP" in (tmp_path / "tower/README.md").read_text().replace("\n", " ")
    with torch.no_grad():
        assert tower.encode(["red"]).isfinite().all()


def test_what_cannot_work_is_one_sentence(data, tmp_path, capsys):
    out = str(tmp_path / "tower")
    for changes, word in [
        ({"data": str(tmp_path / "none")}, "prepare"),
        ({"nonsense": 1}, "nonsense"),
        ({"model": {**SETTINGS, "text_cfg": {"heads": 5}}}, "model_cfg"),
        ({"exclude": ["*"]}, "choose more"),
    ]:
        assert main([write_recipe(tmp_path / "r.yaml", data, **changes), out]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and word in error and error.count("\n") == 1


def test_the_shipped_recipe_loads_and_its_tower_is_under_10_mb():
    from zigdemo.conditioning.text import build_clip

    path = recipes.RECIPES / "towers/emoji-clip.yaml"
    recipe = read_settings(path, CLIPRecipe, [])
    assert 2 * sum(p.numel() for p in build_clip(recipe.model).parameters()) < 9_990_000


def test_augmented_pictures_keep_their_shape_and_stay_in_range():
    pictures = torch.rand(5, 3, 32, 32) * 2 - 1
    recipe = CLIPRecipe(name="x", data="x", model={})
    found = augment(pictures, recipe)
    assert found.shape == pictures.shape and found.abs().max() <= 1.2 and not torch.equal(found, pictures)


def test_ids_are_cut_after_the_longest_text_and_ends_are_where_they_end(data):
    from zigdemo.conditioning import Tokenizer

    ids, ends = token_ids(Tokenizer(16, 1200), ["a", "a b c", ""])
    assert ids.shape == (3, 5) and ends.tolist() == [2, 4, 1]
    assert (ids[torch.arange(3), ends] == 1199).all()


def test_the_teacher_is_asked_names_keywords_words_and_mixtures(data):
    texts = lesson_texts(ImageSet.load(data), 9000, np.random.default_rng(0))
    assert len(texts) == 9000 and {"red", "red paint", "house"} <= set(texts)
    assert any(text.endswith(" red") and " with " not in text for text in texts[8100:])
