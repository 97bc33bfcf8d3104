"""Fine-tuning: new labels beside old ones, a model folder at once, and a run that can wait, stop and go on."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from models import LABELS, tiny_folder
from PIL import Image
from towers import small_tower
from waiting import PATIENCE

from benchmarks.finetune import new_pictures
from zigdemo.data import ImageSet
from zigdemo.pipeline import Pipeline, Request
from zigdemo.training.finetuning.finetune import (
    REHEARSED,
    Control,
    Tuning,
    default_steps,
    estimate,
    finetune,
    main,
)
from zigdemo.training.publishing.export import export
from zigdemo.training.trainer.lora import METHODS, TABLE

QUICK = {"steps": 4, "batch": 4, "rank": 2, "rehearse": 2}


@pytest.fixture
def model(tmp_path):
    return tiny_folder(tmp_path / "tiny")


@pytest.fixture
def pictures():
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    return ImageSet(images, ["robot", LABELS[1]], np.array([0, 0, 0, 0, 1]), ["new"] * 5, [[]] * 5)


@pytest.mark.parametrize("method", METHODS)
def test_the_result_is_a_model_with_the_new_label_beside_the_old_ones(model, pictures, tmp_path, method):
    made = finetune(model.path, pictures, tmp_path / "made", Tuning(method, **QUICK), run=tmp_path / "run")
    assert made.labels == (*LABELS, "robot") and made.origin == "yours" and made.about["new_labels"] == ["robot"]
    state, old = made.state(), model.state()
    assert state.keys() == old.keys()
    if method != "full":
        assert torch.equal(state[TABLE][[0, 1, 2, 4]], old[TABLE])
    assert not torch.equal(state[TABLE][3], old[TABLE][3])
    assert len(Pipeline.load(made.path)(Request("made", label="robot", count=1, steps=2)).images) == 1
    assert "fine-tuned on 5 pictures. New labels: robot" in (made.path / "README.md").read_text()


def test_the_run_can_be_exported_like_any_other(model, pictures, tmp_path):
    made = finetune(model.path, pictures, tmp_path / "made", Tuning(**QUICK), run=tmp_path / "run")
    state = export(tmp_path / "run", tmp_path / "again", origin="yours", count=2).state()
    assert all(torch.equal(value, state[key]) for key, value in made.state().items())


def test_rehearsed_labels_have_their_share_of_what_is_trained_on(model, pictures, tmp_path):
    finetune(model.path, pictures, tmp_path / "made", Tuning(**QUICK), run=tmp_path / "run")
    data = ImageSet.load(tmp_path / "run/data")
    assert data.groups == ["new"] * 5 + ["rehearsed"] * 2
    assert set(data.label_names[label] for label in data.labels[5:]) < set(LABELS)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_the_old_has_its_share_of_what_is_trained_on(model, pictures, tmp_path, share):
    def look(training):
        old = np.array([training.data.groups[row] == REHEARSED for row in training.rows])
        shares.append(old.mean())

    shares = []
    finetune(
        model.path, pictures, tmp_path / "made", Tuning(**QUICK, rehearse_share=share), run=tmp_path / "run", watch=look
    )
    assert shares[0] == pytest.approx(share, abs=0.1)


def test_a_stopped_run_leaves_a_model_and_goes_on_to_the_same_weights(model, pictures, tmp_path):
    whole = finetune(model.path, pictures, tmp_path / "whole", Tuning(**QUICK), run=tmp_path / "a")
    control = Control()
    control.then = lambda training: control.stop() if training.step == 2 else None
    part = finetune(model.path, pictures, tmp_path / "part", Tuning(**QUICK), run=tmp_path / "b", watch=control)
    assert part.about["steps"] == 2
    with pytest.raises(ValueError, match="use --resume"):
        finetune(model.path, pictures, tmp_path / "part", Tuning(**QUICK), run=tmp_path / "b")
    part = finetune(model.path, pictures, tmp_path / "part", Tuning(**QUICK), run=tmp_path / "b", resume=True)
    assert part.about["steps"] == 4
    assert all(torch.equal(value, part.state()[key]) for key, value in whole.state().items())


def test_a_paused_run_waits_shows_its_loss_and_goes_on(model, pictures, tmp_path):
    steps, paused = [], threading.Event()

    def look(training):
        steps.append((training.step, training.loss))
        if training.step == 2:
            control.pause()
            paused.set()

    control = Control(look)
    keys = {"run": tmp_path / "run", "watch": control}
    worker = threading.Thread(
        target=finetune, args=(model.path, pictures, tmp_path / "made", Tuning(**QUICK)), kwargs=keys, daemon=True
    )
    worker.start()
    assert paused.wait(PATIENCE)
    worker.join(0.2)
    assert worker.is_alive() and len(steps) == 2
    control.resume()
    worker.join(PATIENCE)
    assert not worker.is_alive() and [step for step, _ in steps] == [1, 2, 3, 4]
    assert all(np.isfinite(loss) for _, loss in steps)


def test_the_estimate_is_measured_and_leaves_nothing_behind(model, pictures, tmp_path):
    expected = estimate(model.path, pictures, Tuning(**{**QUICK, "steps": 1000}))
    assert expected.steps == 1000 and expected.seconds > 0 and expected.memory_bytes > 10**7
    assert "1000 steps: about" in str(expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny"]


def test_the_command_line_takes_a_folder_of_pictures(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine/robot").mkdir(parents=True)
    for number, image in enumerate(new_pictures(2, seed=0, size=24).images):
        Image.fromarray(image).save(f"mine/robot/{number}.png")
    options = ["--steps", "2", "--batch", "2", "--rehearse", "2"]
    assert main([str(model.path), "mine", "made", *options]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["new_labels"] == ["robot"]
    assert main([str(model.path), "mine", "made", *options]) == 2
    assert main(["no-model", "mine", "other"]) == 2
    assert main([str(model.path), "nowhere", "other"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3 and all(line.startswith("error: ") for line in errors)
    assert main([str(model.path), "mine", "other", "--estimate", *options]) == 0


def test_more_pictures_get_more_steps_but_fewer_each():
    counts = (10, 20, 100, 1000, 10_000)
    steps = [default_steps(count) for count in counts]
    assert steps == sorted(steps) and steps[1] == 300
    each = [step / count for step, count in zip(steps, counts, strict=True)]
    assert each == sorted(each, reverse=True) and each[-1] * Tuning.batch > 15


def test_a_model_of_texts_learns_captions_and_rehearses_prompts(pictures, tmp_path):
    tower = small_tower(tmp_path / "tower")
    model = tiny_folder(tmp_path / "words", text=tower)
    tuning = Tuning(**QUICK, prompts=("red heart", "a hedgehog", "grinning face"))
    made = finetune(model.path, pictures, tmp_path / "made", tuning, run=tmp_path / "run")
    assert made.labels is None and made.text.tower == "tower"
    assert ImageSet.load(tmp_path / "run/data").groups.count("rehearsed") == 2
    assert Pipeline.load(made.path)(Request("made", prompt="a robot", count=1, steps=2)).images


def test_a_wrong_setting_is_named():
    for settings, word in (({"method": "magic"}, "method"), ({"rehearse_share": 1.0}, "rehearse_share")):
        with pytest.raises(ValueError, match=word):
            Tuning(**settings)
