"""Models of portraits: mirrored latents, a tower that learns along, the judge, and an export scored as people draw."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from autoencoders import small_autoencoder
from towers import small_tower

from zigdemo import zoo
from zigdemo.conditioning import hidden_states
from zigdemo.data import ImageSet, draw_attributes
from zigdemo.data.latents import LatentSet, prepare_latents
from zigdemo.data.portraits import KINDS
from zigdemo.data.preparation import write_image_set
from zigdemo.evaluation import obedience
from zigdemo.evaluation.judge import JUDGE, Judge, JudgeNetwork, classes, load_judge
from zigdemo.evaluation.obedience import guessing
from zigdemo.pipeline import Pipeline, Request
from zigdemo.training.publishing import portraits as portrait_export
from zigdemo.training.publishing.export import export
from zigdemo.training.towers import judge as judging
from zigdemo.training.trainer.checkpoints import read_checkpoint
from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import Recipe

pytest.importorskip("diffusers", reason="diffusers is not installed")

MODEL = {"family": "zigma", "size": [8, 8], "patch": 2, "width": 32, "depth": 2, "state_size": 4, "text_width": 24}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Portraits of noise, their latents with mirror images, an autoencoder "ae" and a tower "tower"."""
    root = tmp_path_factory.mktemp("portraits")
    rng = np.random.default_rng(0)
    attributes = [draw_attributes(rng) for _ in range(6)]
    images = rng.integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    samples = [{"key": str(i), "label": a["style"], "group": "portrait", "attributes": a} for i, a in
               enumerate(attributes)]  # fmt: skip
    write_image_set(root / "set", images, samples, {"dataset": "portraits"})
    small_tower(root / "weights/tower")
    spec = small_autoencoder(root / "weights/ae")
    prepare_latents(root / "latents", root / "set", replace(spec, source="ae"), (root / "weights",), mirror=True)
    return root


def recipe(place: Path, run: Path, **changes) -> Recipe:
    settings = {"steps": 6, "batch": 4, "lr": 3e-3, "log_every": 2, "save_every": 2, "sample_every": 6, "flip": True}
    settings |= {"ema_halflife": 5, "precision": "fp32", "text": {"tower": str(place / "weights/tower")}}
    settings |= {"data": str(place / "latents"), "run": str(run), "model": MODEL}
    return Recipe(name="tiny", **{**settings, **changes})


@pytest.fixture
def weights(place, monkeypatch) -> Path:
    monkeypatch.setattr(zoo, "WEIGHTS", place / "weights")
    monkeypatch.setattr(portrait_export, "GRID_SEEDS", 2)
    monkeypatch.setattr(obedience, "SEEDS", 2)
    return place / "weights"


def test_flip_takes_latents_of_mirrored_pictures(place, weights):
    data, images = LatentSet.load(place / "latents"), ImageSet.load(place / "set").images
    space = data.spec.load(places=(weights,))
    drawn = data.draw(np.zeros(16, int), 0, range(16), flip=True)
    kinds = []
    for picture in (images[0], images[0][:, ::-1]):
        wanted = space.encode(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 127.5 - 1).half().float()[0]
        kinds.append([bool((one == wanted.numpy()).all()) for one in drawn])
    assert [a != b for a, b in zip(*kinds, strict=True)] == [True] * 16 and 2 < sum(kinds[1]) < 14
    assert (data.draw(np.zeros(16, int), 0, range(16)) == drawn[kinds[0].index(True)]).all()
    with pytest.raises(ValueError, match="--mirror"):
        replace(data, mirrored=[]).draw(np.zeros(1, int), 0, [0], flip=True)


def test_a_tower_with_a_rate_learns_and_one_without_stays(place, tmp_path, weights):
    run = Training(recipe(place, tmp_path / "a", tower_lr=1e-3))
    before = {key: value.clone() for key, value in run.tower.clip_model.state_dict().items()}
    run.run()
    moved = {key for key, value in run.tower.clip_model.state_dict().items() if not torch.equal(value, before[key])}
    assert "token_embedding.weight" in moved and not any(key.startswith("visual.") for key in moved)
    average = run.sampled_tower.clip_model.state_dict()["token_embedding.weight"]
    assert not torch.equal(average, before["token_embedding.weight"])
    fixed = Training(recipe(place, tmp_path / "b"))
    fixed.run()
    assert all(torch.equal(value, before[key]) for key, value in fixed.tower.clip_model.state_dict().items())
    assert "tower" not in read_checkpoint(tmp_path / "b")


def test_a_resumed_run_ends_with_the_same_tower(place, tmp_path, weights):
    Training(recipe(place, tmp_path / "whole", tower_lr=1e-3)).run()
    Training(recipe(place, tmp_path / "split", tower_lr=1e-3, steps=4)).run()
    Training(recipe(place, tmp_path / "split", tower_lr=1e-3), resume=True).run()
    one, other = (read_checkpoint(tmp_path / name) for name in ("whole", "split"))
    for part in ("learned", "average"):
        assert all(torch.equal(value, other["tower"][part][key]) for key, value in one["tower"][part].items())
    assert all(torch.equal(value, other["model"][key]) for key, value in one["model"].items())
    with pytest.raises(ValueError, match="trained with tower_lr"):
        Training(recipe(place, tmp_path / "split"), resume=True)


def test_a_lengthened_tower_reads_short_texts_as_before_and_longer_ones_whole(place, tmp_path, weights):
    before = Training(recipe(place, tmp_path / "a", tower_lr=1e-3)).tower
    after = Training(recipe(place, tmp_path / "b", tower_lr=1e-3, tower_context=20)).tower
    assert (before.context, after.context) == (16, 20)
    length = before.prompt("red hair").length
    one, other = before.features("red hair"), after.features("red hair")
    assert torch.allclose(one[:, :length], other[:, :length], atol=1e-6) and other.shape[1] == 20
    longer = "a red a red a red a red a red a red a red a red"
    assert before.prompt(longer).cut and not after.prompt(longer).cut
    with pytest.raises(ValueError, match="less than the 16"):
        Training(recipe(place, tmp_path / "c", tower_lr=1e-3, tower_context=8))


def test_a_rate_of_a_tower_needs_a_tower():
    with pytest.raises(ValueError, match="tower_lr"):
        Recipe(name="x", data="x", run="x", model={"family": "zigma"}, tower_lr=1e-3)


def test_captions_of_portraits_come_from_their_attributes(place, tmp_path, weights):
    run = Training(recipe(place, tmp_path / "run"))
    captions = []
    run.tower.encode = lambda texts: captions.extend(texts) or torch.zeros(len(texts), 16, 24)
    for step in range(30):
        run.batches(step)
    words = " ".join(captions)
    assert "hair" in words and "background" in words and len(set(captions)) > 60
    assert 0.02 < captions.count("") / len(captions) < 0.25


class SureJudge(Judge):
    """Says of every picture what the first prompts ask for."""

    def __init__(self) -> None:
        self.ceiling = dict.fromkeys(KINDS, 0.75)

    def read(self, pictures):
        return [{"style": "flat", "mood": "sad"}] * len(pictures)


def test_an_export_has_score_card_grid_and_its_own_tower(place, tmp_path, weights, monkeypatch):
    monkeypatch.setattr(portrait_export, "load_judge", lambda: SureJudge())
    Training(recipe(place, tmp_path / "run", tower_lr=1e-2, tower_context=80)).run()
    out = tmp_path / "elsewhere/mine"
    run = yaml_with(tmp_path / "run", text={"tower": "tower"})
    defaults = {"solver": "euler", "steps": 2}
    folder = export(run, out, origin="yours", count=4, defaults=defaults)
    assert folder.defaults == defaults and folder.about["obedience"]["prompts"] and folder.about["pictures"] == 6
    assert folder.about["data"] == "portraits" and folder.about["examples"]
    assert folder.about["word_map"] == "attention" and folder.about["obedience"]["ceiling"] == 0.75
    assert (out / "grid.webp").is_file() and folder.about["history"][-1].startswith("24 portraits on")
    card = (out / "README.md").read_text()
    assert "CC BY 4.0" in card and "euler, 2 steps" in card and "portraits-judge" in card and "{{" not in card
    assert "portraits it finds 0.750" in card.replace("\n", " ")
    learned = read_checkpoint(tmp_path / "run")["tower"]["average"]["token_embedding.weight"]
    pipe = Pipeline.load(out)  # the tower and the autoencoder came along
    assert torch.allclose(pipe.text.clip_model.token_embedding.weight, learned, atol=1e-3)
    assert pipe(Request("mine", prompt="red hair", count=1, steps=1)).images[0].size == (16, 16)
    with pytest.raises(ValueError, match="the better one stays"):
        export(run, out, origin="yours", count=4)


def yaml_with(run: Path, **changes) -> Path:
    """A run whose recipe names its parts as a shipped one does."""
    from zigdemo.training.trainer.recipe import load_recipe

    replace(load_recipe(run / "recipe.yaml"), **changes).save(run / "recipe.yaml")
    return run


def test_a_model_draws_the_same_from_any_folder(place, tmp_path, weights, monkeypatch):
    monkeypatch.setattr(portrait_export, "load_judge", lambda: SureJudge())
    Training(recipe(place, tmp_path / "run", steps=2)).run()
    run = yaml_with(tmp_path / "run", text={"tower": "tower"})
    export(run, weights / "tiny", origin="yours", count=1)
    drawn = []
    for folder in (tmp_path, Path("/")):
        monkeypatch.chdir(folder)
        drawn.append(np.asarray(Pipeline.load("tiny")(Request("tiny", prompt="sad", count=1, steps=1)).images[0]))
    assert (drawn[0] == drawn[1]).all()
    decoy = tmp_path / "decoy"
    small_autoencoder(decoy / "ae", scaling_factor=3.0)  # never looked up where the program happens to run
    monkeypatch.chdir(decoy)
    again = np.asarray(Pipeline.load("tiny")(Request("tiny", prompt="sad", count=1, steps=1)).images[0])
    assert (again == drawn[0]).all()


def test_the_judge_reads_what_it_was_taught_and_says_what_it_is_sure_of(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    attributes = [draw_attributes(rng) for _ in range(32)]
    grey = {value: 80 * i for i, value in enumerate(KINDS["skin"])}
    images = np.stack([np.full((128, 128, 3), grey[one["skin"]], np.uint8) for one in attributes])
    samples = [{"key": str(i), "label": "x", "group": "portrait", "attributes": a} for i, a in enumerate(attributes)]
    write_image_set(tmp_path / "set", images, samples, {"dataset": "portraits"})
    monkeypatch.setattr(judging, "roughened", lambda pictures, rng: pictures)
    assert judging.main([str(tmp_path / "set"), str(tmp_path / JUDGE), "--steps", "90", "--batch", "16"]) == 0
    judge = load_judge(tmp_path / JUDGE)
    assert [one["skin"] for one in judge.read(images[:8])] == [one["skin"] for one in attributes[:8]]
    found = judge.obedience(images[:2], [{"skin": attributes[0]["skin"]}, {"skin": "none of these"}])
    assert found.share == 0.5 and found.by_kind() == {"skin": 0.5}
    content = json.loads((tmp_path / JUDGE / "judge.json").read_text())
    assert judge.ceiling == content["about"]["ceiling"] and judge.ceiling["skin"] == 1
    content["about"]["ceiling"] = {"skin": "1"}
    (tmp_path / JUDGE / "judge.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="from 0 to 1"):
        load_judge(tmp_path / JUDGE)
    (tmp_path / JUDGE / "judge.json").write_text(json.dumps({"kinds": {}}))
    with pytest.raises(ValueError, match="other attributes"):
        load_judge(tmp_path / JUDGE)
    with pytest.raises(ValueError, match="make one with"):
        load_judge(tmp_path / "gone")


def test_pictures_of_any_size_are_judged_and_absent_kinds_are_left_out():
    network = JudgeNetwork()
    with torch.no_grad():
        network.heads.weight.zero_()
        network.heads.bias.zero_()
    read = Judge(network).read(np.zeros((3, 50, 70, 3), np.uint8))
    assert read == [{kind: KINDS[kind][0] for kind in KINDS if classes(kind)[0] is not None}] * 3


def test_the_ceiling_is_that_of_the_kinds_asked_for():
    judge = Judge(JudgeNetwork(), {"skin": 1.0, "mood": 0.9})
    assert judge.ceiling_of({"skin": 3, "mood": 1, "hair": 0}) == pytest.approx(0.975)
    assert judge.ceiling_of({"hair": 1}) is None and judge.ceiling_of({}) is None


def test_the_shipped_judge_says_what_it_finds_in_real_portraits():
    assert 0.9 < load_judge().ceiling_of(dict.fromkeys(KINDS, 1)) <= 1


def test_guessing_is_what_portraits_at_random_show():
    assert guessing([{"skin": "tan"}]) == pytest.approx(0.25, abs=0.05)
    assert guessing([{"skin": "tan"}, {"background": "white"}]) == pytest.approx((0.25 + 2 / 9) / 2, abs=0.05)


def test_hidden_states_of_the_average_are_those_that_are_sampled(place, tmp_path, weights):
    run = Training(recipe(place, tmp_path / "run", tower_lr=1e-2))
    for _ in range(3):
        run.update()
        run.step += 1
    ids = torch.tensor([run.tower.prompt("red hair").ids])
    assert torch.equal(run.sampled_tower.features("red hair"), hidden_states(run.sampled_tower.clip_model, ids))
    assert not torch.allclose(run.sampled_tower.features("red hair"), hidden_states(run.tower.clip_model, ids))
