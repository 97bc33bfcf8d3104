"""Recipes are data, and a wrong one is one sentence."""

from dataclasses import replace

import pytest

from zigdemo.backbones import FAMILIES
from zigdemo.latents import AutoencoderSpec
from zigdemo.training.trainer import recipe as recipes
from zigdemo.training.trainer.recipe import Recipe, load_recipe, model_config

RECIPES = recipes.RECIPES
LATENTS = AutoencoderSpec("tiny", "pictures-f8", channels=8)  # of the portraits
SHIPPED = sorted(RECIPES.glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_recipe_loads_survives_its_file_and_makes_a_model_under_16_mb(path, tmp_path, monkeypatch):
    recipe = load_recipe(path)
    recipe.save(tmp_path / "again.yaml")
    assert load_recipe(tmp_path / "again.yaml") == recipe
    labels = 20 if recipe.model.get("frames") else 1562
    monkeypatch.setattr(recipes, "autoencoder_spec", lambda recipe: LATENTS if recipe.text else None)
    assert model_config(recipe, labels).parameters * 2 < 16 * 2**20


EMOJI = ("zigma-emoji", "zigma-emoji-bidirectional", *(f"{family}-emoji" for family in FAMILIES if family != "zigma"))


@pytest.mark.parametrize("labels", [450, 1562])
def test_emoji_recipes_differ_in_the_backbone_alone_at_the_same_number_of_weights(labels):
    zigma, *others = (load_recipe(RECIPES / f"{name}.yaml") for name in EMOJI)
    count = model_config(zigma, labels).parameters
    for other in others:
        assert replace(other, name=zigma.name, run=zigma.run, model=zigma.model) == zigma
        assert model_config(other, labels).grid == model_config(zigma, labels).grid
        assert model_config(other, labels).parameters == pytest.approx(count, rel=0.05)


def test_text_recipes_differ_in_the_backbone_and_in_where_they_start_alone():
    zigma, dit = (load_recipe(RECIPES / f"{name}-emoji-text.yaml") for name in ("zigma", "dit"))
    same = {"name": zigma.name, "run": zigma.run, "model": zigma.model, "start_from": zigma.start_from}
    assert replace(dit, **same) == zigma
    assert model_config(dit, 1562).parameters == pytest.approx(model_config(zigma, 1562).parameters, rel=0.05)
    assert model_config(zigma, 1562).labels == 0


def test_changes_reach_inside_and_are_yaml():
    recipe = load_recipe(SHIPPED[0], ["model.width=96", "lr=5e-4", "lr=0.0005", "groups=[Food & Drink]", "init=null"])
    assert recipe.model["width"] == 96 and recipe.lr == 0.0005 and recipe.groups == ["Food & Drink"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("steps=0", "steps"),
        ("lr=fast", "lr"),
        ("lr=.nan", "lr"),
        ("clip=-1", "clip"),
        ("checkpointing=maybe", "checkpointing"),
        ("nonsense=1", "nonsense"),
        ("steps", "key=value"),
        ("model.family=gan", "family"),
        ("prediction=magic", "prediction"),
        ("name.inner=1", "is not a mapping of settings"),
        ("precision=int1", "precision"),
        ("model.text_width=8", "text names the tower"),
        ("text={tower: emoji-clip}", "text names the tower"),
        ("text=emoji-clip", "text must have tower"),
    ],
)
def test_a_wrong_setting_is_named(change, word):
    with pytest.raises(ValueError, match=word) as fault:
        load_recipe(SHIPPED[0], [change])
    assert "\n" not in str(fault.value)


def test_a_file_that_is_no_recipe_is_refused(tmp_path):
    for text in ("[1, 2]", "a: [", "steps: 3", "!!python/object/apply:os.system ['true']"):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(ValueError):
            load_recipe(tmp_path / "bad.yaml")
    with pytest.raises(ValueError, match="zigma-emoji"):
        load_recipe(tmp_path / "none.yaml")


def test_an_unknown_model_setting_is_named():
    with pytest.raises(ValueError, match=r"model\.widht"):
        model_config(Recipe("a", "b", "c", {"family": "zigma", "widht": 3}), 3)
