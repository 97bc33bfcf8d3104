"""Training: it learns, a resumed run is the uninterrupted one, and what it writes can be used."""

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from towers import small_tower

from zigdemo import zoo
from zigdemo.backbones import build
from zigdemo.data import ImageSet
from zigdemo.data.clips import CLIPS
from zigdemo.data.preparation import write_image_set
from zigdemo.data.prepared import write_set
from zigdemo.pipeline import Pipeline, Request
from zigdemo.training.__main__ import main
from zigdemo.training.publishing.export import export
from zigdemo.training.trainer.checkpoints import read_checkpoint
from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import Recipe, model_config
from zigdemo.training.trainer.rules import ramp, take_what_fits

MODEL = {"family": "zigma", "size": [16, 16], "patch": 4, "width": 32, "depth": 2, "state_size": 4}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four plain colours, one label each."""
    colours = np.array([[220, 30, 30], [30, 200, 40], [40, 60, 220], [240, 220, 40]], np.uint8)
    images = np.broadcast_to(colours[:, None, None], (4, 16, 16, 3)).copy()
    names = ["red", "green", "blue", "yellow"]
    samples = [{"key": name, "label": name, "group": "colours", "keywords": [], "emoji": ""} for name in names]
    folder = tmp_path_factory.mktemp("data") / "colours"
    write_image_set(folder, images, samples, {"dataset": "colours"})
    return str(folder)


def recipe(data, run, **changes):
    settings = {"steps": 12, "batch": 8, "lr": 3e-3, "prediction": "clean", "log_every": 2, "save_every": 4}
    settings |= {"sample_every": 6, "ema_halflife": 5, "precision": "fp32", "time_mean": -0.8, "time_spread": 1.0}
    return Recipe(name="tiny", data=data, run=str(run), model=MODEL, **{**settings, **changes})


LEARNING = {"steps": 300, "batch": 16, "lr": 1e-2, "cooldown": 50, "ema_halflife": 20, "log_every": 300}


def same(a, b):
    pairs = [(a["model"], b["model"]), *zip(a["emas"], b["emas"], strict=True)]
    return all(torch.equal(one[key], other[key]) for one, other in pairs for key in one)


def test_a_resumed_run_ends_in_the_same_weights(data, tmp_path):
    Training(recipe(data, tmp_path / "whole")).run()
    Training(recipe(data, tmp_path / "split", steps=4)).run()
    Training(recipe(data, tmp_path / "split"), resume=True).run()
    assert same(read_checkpoint(tmp_path / "whole"), read_checkpoint(tmp_path / "split"))
    lines = [json.loads(line) for line in (tmp_path / "whole/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10, 12]
    assert (tmp_path / "whole/samples/0000006.png").is_file()
    assert not list((tmp_path / "whole").glob("*.part"))


def test_another_seed_is_another_run(data, tmp_path):
    Training(recipe(data, tmp_path / "a", steps=2)).run()
    Training(recipe(data, tmp_path / "b", steps=2, seed=1)).run()
    assert not same(read_checkpoint(tmp_path / "a"), read_checkpoint(tmp_path / "b"))


def test_it_learns_four_colours_and_the_export_draws_them_by_name(data, tmp_path):
    Training(recipe(data, tmp_path / "run", **LEARNING)).run()
    folder = export(tmp_path / "run", tmp_path / "colours", origin="yours")
    assert folder.about["retrieval_top1"] == 1.0 and folder.about["images_seen"] == 4800
    assert (folder.path / "grid.png").is_file() and "colours" in (folder.path / "README.md").read_text()
    pipe = Pipeline.load(folder.path)
    image = pipe(Request("colours", label="blue", count=1, steps=10)).images[0]
    red, green, blue = np.asarray(image).reshape(-1, 3).mean(0)
    assert blue > red + 60 and blue > green + 60

    before = (folder.path / "model.safetensors").read_bytes()
    Training(recipe(data, tmp_path / "worse", steps=2)).run()
    with pytest.raises(ValueError, match="the better one stays"):
        export(tmp_path / "worse", tmp_path / "colours", origin="yours")
    assert (folder.path / "model.safetensors").read_bytes() == before

    more = recipe(data, tmp_path / "more", steps=1, lr=1e-9, init=str(folder.path), labels=["blue", "red"])
    started = Training(more).ema.state_dict()["y_embedder.embedding_table.weight"]
    table = pipe.network.state_dict()["y_embedder.embedding_table.weight"]
    assert torch.equal(started, table[[folder.labels.index("red"), folder.labels.index("blue"), 4]])


@contextmanager
def as_shipped(data, dataset):
    """Let a data set be taken for one that the shipped models learned, whose cards say more."""
    file = Path(data) / "info.json"
    before = file.read_text()
    file.write_text(json.dumps({**json.loads(before), "dataset": dataset}))
    yield
    file.write_text(before)


def test_clips_train_and_their_export_has_scores_beside_floors(tmp_path):
    clips = np.zeros((4, 6, 16, 16, 3), np.uint8)
    for turn in range(6):
        clips[:2, turn, :, 2 * turn : 2 * turn + 4] = [220, 30, 30]
        clips[2:, turn, 2 * turn : 2 * turn + 4] = [30, 200, 40]
    names = ["right", "right", "down", "down"]
    samples = [{"key": str(i), "label": name, "group": name, "loops": True} for i, name in enumerate(names)]
    write_set(tmp_path / "data", CLIPS, clips, samples, {"dataset": "bars", "frames_per_second": 8})
    model = {**MODEL, "frames": 4, "scheme": "factorized-st", "position": "shared", "frame_position": True}
    made = replace(recipe(str(tmp_path / "data"), tmp_path / "run", steps=4, shift_px=1, flip=True), model=model)
    Training(made).run()
    assert (tmp_path / "run/samples/0000004.png").is_file()
    folder = export(tmp_path / "run", tmp_path / "bars", origin="yours", count=4)
    assert folder.labels == ("right", "down")
    found = {each["name"]: each for each in folder.about["scores"]}
    assert found["nearest real clip is of its class"]["floor"] == 0.5
    assert found["mean frame difference"]["floor"] > 0
    card = (tmp_path / "bars/README.md").read_text()
    assert "mean frame difference" in card and "neither FID nor FVD" in card and "emoji" not in card
    assert (tmp_path / "bars/grid.png").is_file()
    with pytest.raises(ValueError, match="the better one stays"):
        export(tmp_path / "run", tmp_path / "bars", origin="yours", count=4)
    with as_shipped(tmp_path / "data", "fluent-actions"):
        export(tmp_path / "run", tmp_path / "bars", origin="yours", count=4, force=True)
    card = (tmp_path / "bars/README.md").read_text()
    assert "clips of 4 frames" in card and "neither FID nor FVD" in card


def test_a_dit_trains_and_its_export_has_a_card_without_a_scan(data, tmp_path):
    model = {"family": "dit", "size": [16, 16], "patch": 4, "width": 32, "depth": 1, "heads": 2}
    Training(replace(recipe(data, tmp_path / "run", steps=2, checkpointing=True), model=model)).run()
    folder = export(tmp_path / "run", tmp_path / "out", origin="yours")
    card = (folder.path / "README.md").read_text()
    assert folder.schemes == () and "2 heads, adaln-zero" in card and "scan" not in card and "emoji" not in card
    with as_shipped(data, "fluent-emoji"):
        folder = export(tmp_path / "run", tmp_path / "shipped", origin="yours")
    card = (folder.path / "README.md").read_text()
    assert "Fluent Emoji" in card and "2 heads, adaln-zero" in card and "scan" not in card


@pytest.fixture
def words(tmp_path, monkeypatch):
    """Settings of a model of texts, on a small tower that stands among the weights."""
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    small_tower(tmp_path / "weights/emoji-clip")
    return {"text": {"tower": "emoji-clip"}, "model": {**MODEL, "text_width": 24, "text_heads": 2}}


def test_a_model_of_texts_learns_four_colours_and_draws_them_by_prompt(data, tmp_path, words):
    learning = {**LEARNING, "steps": 200}
    Training(replace(recipe(data, tmp_path / "run", **learning), **words)).run()
    folder = export(tmp_path / "run", tmp_path / "weights/colours", origin="yours", count=4)
    found = folder.about["text_retrieval"]
    assert folder.text.tower == "emoji-clip" and folder.labels is None
    assert {"top1", "top5", "ceiling_top1", "floor", "n", "templates", "synonyms"} <= set(found)
    card = (folder.path / "README.md").read_text()
    assert "held-out phrasings" in card and "guessing gives 0.25" in card
    with as_shipped(data, "fluent-emoji"):
        export(tmp_path / "run", tmp_path / "weights/shipped", origin="yours", count=4)
    card = (tmp_path / "weights/shipped/README.md").read_text()
    assert "New combinations" in card and (tmp_path / "weights/shipped/compositions.png").is_file()
    pipe = Pipeline.load(folder.path)
    image = pipe(Request("colours", prompt="blue", count=1, steps=10)).images[0]
    red, green, blue = np.asarray(image).reshape(-1, 3).mean(0)
    assert blue > red + 40 and blue > green + 40


def test_resuming_with_other_data_is_refused_and_says_what_differs(data, tmp_path):
    one = recipe(data, tmp_path / "run", steps=2)
    data = Path(data)
    Training(one).run()
    images = ImageSet.load(data)
    samples = [json.loads(line) for line in (data / "samples.jsonl").read_text().splitlines()]
    for change, word in (
        (
            lambda: write_image_set(data, images.images, [{**s, "keywords": ["new"]} for s in samples], {}),
            "the labels or captions",
        ),
        (lambda: write_image_set(data, 255 - images.images, samples, {}), "the pixels"),
    ):
        change()
        with pytest.raises(ValueError, match=f"other data than .*{word}.* differ; resume it with the data it had"):
            Training(replace(one, steps=4), resume=True)


def test_a_resumed_run_of_texts_ends_in_the_same_weights(data, tmp_path, words):
    for name, steps in (("whole", 6), ("split", 4)):
        Training(replace(recipe(data, tmp_path / name, steps=steps), **words)).run()
    Training(replace(recipe(data, tmp_path / "split", steps=6), **words), resume=True).run()
    assert same(read_checkpoint(tmp_path / "whole"), read_checkpoint(tmp_path / "split"))


def test_captions_are_dropped_as_often_as_the_recipe_says(data, tmp_path, words):
    heard = []
    for dropout in (0.0, 0.5):
        model = {**words["model"], "label_dropout": dropout}
        training = Training(replace(recipe(data, tmp_path / f"{dropout}", batch=64), **{**words, "model": model}))
        encode = training.tower.encode
        training.tower.encode = lambda said, encode=encode: heard.append(list(said)) or encode(said)
        training.batches(0)
    assert "" not in heard[0] and 20 <= heard[1].count("") <= 44


def test_what_fits_is_taken_from_other_weights_and_nothing_else(data, tmp_path, words):
    Training(recipe(data, tmp_path / "run", steps=2)).run()
    folder = export(tmp_path / "run", tmp_path / "labels", origin="yours", count=2)
    fresh = replace(recipe(data, tmp_path / "text", start_from=str(folder.path)), **words)
    started, old = Training(fresh).ema.state_dict(), folder.state()
    assert torch.equal(started["blocks.1.mixer.in_proj.weight"], old["blocks.1.mixer.in_proj.weight"].float())
    assert "blocks.0.msa.to_q.weight" in started and started["y_embedder.weight"].shape == (32, 24)
    wide = replace(fresh, model={**fresh.model, "width": 48, "patch": 8, "state_size": 8, "refine": 0})
    with pytest.raises(ValueError, match="no tensor of .* fits"):
        take_what_fits(build(model_config(wide, 4)), zoo.read_folder(folder.path).path)
    with pytest.raises(ValueError, match="two ways to start"):
        replace(fresh, init=str(folder.path))


def test_the_learning_rate_rises_holds_and_falls():
    shares = [ramp(step, 100, 10, 20) for step in range(100)]
    assert shares[0] == 0.1 and shares[9] == shares[50] == 1.0 and shares[99] == 0.05
    assert all(0 < share <= 1 for share in shares)


def test_what_cannot_work_is_one_sentence(data, tmp_path, capsys):
    for changes, word in [
        ({"data": str(tmp_path / "none")}, "prepare"),
        ({"init": str(tmp_path)}, "config.json"),
        ({"labels": ["mauve"]}, "mauve"),
    ]:
        recipe(data, tmp_path / "run").save(tmp_path / "recipe.yaml")
        arguments = [str(tmp_path / "recipe.yaml")]
        for key, value in changes.items():
            arguments += ["--set", f"{key}={value}"]
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and word in error and error.count("\n") == 1
    assert main([str(tmp_path / "recipe.yaml"), "--resume"]) == 2
    assert "no checkpoint" in capsys.readouterr().err
    wide = recipe(data, tmp_path / "run", lr=1e30, steps=20)
    with pytest.raises(FloatingPointError, match="lower lr"):
        Training(wide).run()


def test_the_training_room_imports_no_page_and_no_autoencoder():
    code = (
        "import sys, zigdemo.training.finetune, zigdemo.training.prepare;"
        "print([m for m in ('gradio', 'diffusers', 'open_clip', 'av', 'peft', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
