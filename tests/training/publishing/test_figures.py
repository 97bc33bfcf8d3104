"""Models of drawn people by prompt: clips with captions, trained with and without a tower, and their export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from autoencoders import small_autoencoder
from towers import small_tower

from zigdemo import zoo
from zigdemo.data.figures.files import prepare_figures
from zigdemo.data.latents import prepare_latents
from zigdemo.pipeline import Pipeline, Request
from zigdemo.training.publishing import figures as figure_export
from zigdemo.training.publishing.export import export
from zigdemo.training.towers.figure_judge import make_figure_judge
from zigdemo.training.trainer.checkpoints import read_checkpoint
from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import Recipe, load_recipe
from zigdemo.training.trainer.samples import conditions

pytest.importorskip("diffusers", reason="diffusers is not installed")

MODEL = {"family": "zigma", "size": [8, 8], "patch": 4, "width": 32, "depth": 3, "state_size": 4, "text_width": 24}
MODEL |= {"frames": 4, "scheme": "factorized-sst", "position": "shared", "frame_position": True, "text_heads": 2}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Figures of 16 px, their latents, an autoencoder "ae" and a tower "tower"."""
    root = tmp_path_factory.mktemp("figures")
    prepare_figures(root / "set", 8, side=16, labels=("JumpingJack", "Rowing"))
    small_tower(root / "weights/tower")
    spec = small_autoencoder(root / "weights/ae")
    prepare_latents(root / "latents", root / "set", replace(spec, source="ae"), (root / "weights",))
    return root


@pytest.fixture
def weights(place, monkeypatch) -> Path:
    monkeypatch.setattr(zoo, "WEIGHTS", place / "weights")
    monkeypatch.setattr(figure_export, "EXAMPLES", ("a man in blue", "hula hoop"))
    return place / "weights"


def recipe(place: Path, run: Path, **changes) -> Recipe:
    settings = {"steps": 4, "batch": 4, "lr": 3e-3, "log_every": 2, "save_every": 4, "sample_every": 4, "held_out": 2}
    settings |= {"ema_halflife": 5, "precision": "fp32", "text": {"tower": str(place / "weights/tower")}}
    settings |= {"data": str(place / "latents"), "run": str(run), "model": MODEL}
    return Recipe(name="tiny", **{**settings, **changes})


@pytest.mark.parametrize("data, size", [("latents", 8), ("set", 16)])
def test_clips_are_trained_by_captions_made_anew(place, tmp_path, weights, data, size):
    run = Training(recipe(place, tmp_path / "run", data=str(place / data), model=MODEL | {"size": [size, size]}))
    captions = []
    encode = run.tower.encode
    run.tower.encode = lambda texts: captions.extend(texts) or encode(texts)
    for step in range(20):
        clean, cond, t, noise = run.batches(step)
    assert clean.shape == noise.shape and clean.shape[:2] == (4, 4) and cond.shape == (4, 16, 24)
    assert len(set(captions)) > 50 and 0 < captions.count("") < 20
    assert any("shirt" in caption for caption in captions)


def test_a_run_has_samples_by_caption_and_goes_on_from_where_it_was(place, tmp_path, weights):
    run = Training(recipe(place, tmp_path / "run"))
    run.run()
    assert (tmp_path / "run/samples/0000004.png").is_file()
    cond, null = conditions(run.data, np.array([0, 3]), run.tower)
    again, _ = conditions(run.data, np.array([0, 3]), run.tower)
    assert torch.equal(cond, again) and cond.shape == null.shape == (2, 16, 24) and not torch.equal(cond[0], cond[1])


def test_groups_of_clips_are_refused(place, tmp_path):
    with pytest.raises(ValueError, match="clips have no groups"):
        recipe(place, tmp_path / "run", groups=["a"])


def test_an_exported_model_draws_clips_by_prompt_with_the_tower_that_learned_along(place, tmp_path, weights):
    Training(recipe(place, tmp_path / "run", tower_lr=1e-2, tower_context=20)).run()
    replace(load_recipe(tmp_path / "run/recipe.yaml"), text={"tower": "tower"}).save(tmp_path / "run/recipe.yaml")
    out = tmp_path / "elsewhere/mine"
    folder = export(tmp_path / "run", out, origin="yours", defaults={"solver": "euler", "steps": 2}, note="A test.")
    assert folder.about["data"] == "figures" and "jumping jack" in folder.about["examples"]
    assert folder.text.tower == "mine-text" and folder.labels is None
    card = (out / "README.md").read_text()
    assert "{{" not in card and "A test." in card and "16 clips on" in card and "text-to-video" in card
    assert (out / "grid.webp").is_file() and (out / "ae").is_dir()
    assert (tmp_path / "elsewhere/mine-text").is_dir() and not (out / "tower").exists()
    learned = read_checkpoint(tmp_path / "run")["tower"]["average"]["token_embedding.weight"]
    pipe = Pipeline.load(out)
    assert torch.allclose(pipe.text.clip_model.token_embedding.weight, learned, atol=1e-3)
    assert "jumping" in pipe.text.learned
    clips = pipe(Request("mine", prompt="JumpingJack", count=2, steps=1)).clips
    assert [(clip.shape, clip.dtype) for clip in clips] == [((4, 16, 16, 3), np.uint8)] * 2


def test_a_model_with_the_tower_as_it_was_takes_that_along(place, tmp_path, weights):
    Training(recipe(place, tmp_path / "run")).run()
    replace(load_recipe(tmp_path / "run/recipe.yaml"), text={"tower": "tower"}).save(tmp_path / "run/recipe.yaml")
    folder = export(tmp_path / "run", tmp_path / "out/mine", origin="yours", defaults={"steps": 1}, count=0)
    assert folder.text.tower == "tower" and (folder.path / "tower").is_dir()
    assert Pipeline.load(folder.path)(Request("mine", prompt="rowing", count=1, steps=1)).clips


def test_an_export_is_scored_where_there_is_a_judge_and_keeps_the_better_one(place, tmp_path, weights, monkeypatch):
    Training(recipe(place, tmp_path / "run")).run()
    replace(load_recipe(tmp_path / "run/recipe.yaml"), text={"tower": "tower"}).save(tmp_path / "run/recipe.yaml")
    make_figure_judge(tmp_path / "weights/figures-judge", 29, 1, None, 2, 1e-3, None, workers=1, per_class=1)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    for part in ("ae", "tower"):
        (tmp_path / "weights" / part).symlink_to(place / "weights" / part)
    arguments = {"origin": "yours", "defaults": {"steps": 1}, "count": 2}
    folder = export(tmp_path / "run", tmp_path / "weights/mine", **arguments)
    assert folder.about["figures"]["prompts"] == 2
    assert "guessing 0.034" in (folder.path / "README.md").read_text()
    with pytest.raises(ValueError, match="the better one stays"):
        export(tmp_path / "run", tmp_path / "weights/mine", **arguments)
    with pytest.raises(ValueError, match="is not scored; --force"):
        export(tmp_path / "run", tmp_path / "weights/mine", **{**arguments, "count": 0})
    export(tmp_path / "run", tmp_path / "weights/mine", **arguments, force=True)
