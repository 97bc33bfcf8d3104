"""Latents of clips, computed once and read as often as wanted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from autoencoders import small_autoencoder

from zigdemo.data import latents
from zigdemo.data.clips import CLIPS
from zigdemo.data.latents import LatentSet, prepare_latents
from zigdemo.data.preparation import main, write_image_set
from zigdemo.data.prepared import write_set
from zigdemo.pipeline import Pipeline, Request
from zigdemo.training.finetuning.finetune import Tuning, finetune, pictures_for, tunable
from zigdemo.training.publishing.export import export
from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import Recipe

pytest.importorskip("diffusers", reason="diffusers is not installed")


@pytest.fixture
def clips(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 16, 16, 3), dtype=np.uint8)
    samples = [{"key": str(row), "label": "ab"[row % 2], "group": "", "loops": True} for row in range(5)]
    write_set(tmp_path / "clips", CLIPS, pixels, samples, {"dataset": "noise", "frames_per_second": 8})
    return tmp_path / "clips", pixels


def test_each_row_is_what_the_autoencoder_says_of_its_frames(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(latents, "SHARD_CLIPS", 2)
    folder, pixels = clips
    spec = small_autoencoder(tmp_path / "vae")
    assert prepare_latents(tmp_path / "out", folder, spec) == 5
    assert len(list((tmp_path / "out").glob("latents-*.npy"))) == 3
    data, space = LatentSet.load(tmp_path / "out"), spec.load()
    assert len(data) == 5 and data.label_names == ["a", "b"] and data.labels.tolist() == [0, 1, 0, 1, 0]
    assert data.spec == spec and data.sha256 == space.sha256
    for row in range(5):
        wanted = space.encode(torch.from_numpy(pixels[row]).permute(0, 3, 1, 2) / 127.5 - 1)
        assert data[row].dtype == np.float16 and data[row].shape == (3, 4, 8, 8)
        assert (data[row] == wanted.half().numpy()).all()
    with pytest.raises(IndexError, match="row must be 0 to 4, not 5"):
        data[5]


def test_broken_and_missing_folders_say_how_to_make_them(clips, tmp_path, capsys):
    with pytest.raises(FileNotFoundError, match="not a prepared latent set.*prepare latents"):
        LatentSet.load(tmp_path)
    folder, _ = clips
    prepare_latents(tmp_path / "out", folder, small_autoencoder(tmp_path / "vae"))
    np.save(tmp_path / "out" / "latents-00001.npy", np.zeros((1, 3, 4, 8, 8), np.float16))
    with pytest.raises(ValueError, match="broken .6 latents but 5 samples"):
        LatentSet.load(tmp_path / "out")
    np.save(tmp_path / "out" / "latents-00001.npy", np.zeros((1, 2)))
    with pytest.raises(ValueError, match="broken .*float16"):
        LatentSet.load(tmp_path / "out")
    (tmp_path / "out" / "info.json").write_text("[]")
    with pytest.raises(ValueError, match="broken .*unreadable"):
        LatentSet.load(tmp_path / "out")


def test_the_command_line_names_what_is_wrong(clips, tmp_path, capsys):
    arguments = ["--data", str(clips[0]), "--out", str(tmp_path / "out")]
    assert main(["latents", *arguments, "--autoencoder", str(tmp_path / "gone")]) == 1
    assert "there is no autoencoder folder" in capsys.readouterr().err
    small_autoencoder(tmp_path / "vae", block_out_channels=(8,) * 4, down_block_types=("DownEncoderBlock2D",) * 4,
                      up_block_types=("UpDecoderBlock2D",) * 4)  # fmt: skip
    assert main(["latents", *arguments, "--autoencoder", str(tmp_path / "vae")]) == 0
    assert capsys.readouterr().out.endswith("out: 5 latents\n")
    assert LatentSet.load(tmp_path / "out")[0].shape == (3, 4, 2, 2)


@pytest.fixture
def pictures(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    samples = [{"key": str(row), "label": "ab"[row % 2], "group": "noise", "keywords": ["k"]} for row in range(6)]
    write_image_set(tmp_path / "pictures", pixels, samples, {"dataset": "noise", "size": 16})
    return tmp_path / "pictures", pixels


def recipe(data, run, **changes):
    model = {"family": "dit", "size": [8, 8], "patch": 2, "width": 16, "depth": 1, "heads": 2}
    plain = Recipe(name="latents", data=str(data), run=str(run), model=model, prediction="velocity", steps=2, batch=4)
    return replace(plain, **{"sample_every": 2, "save_every": 2, "log_every": 1, **changes})


def losses(run):
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_latents_on_disk_and_encoded_on_the_way_train_alike(pictures, tmp_path):
    spec = small_autoencoder(tmp_path / "vae")
    prepare_latents(tmp_path / "latents", pictures[0], spec)
    data = LatentSet.load(tmp_path / "latents", labels=["b"])
    assert len(data) == 3 and data.frames == 0 and data.size == 8 and data.keywords == [["k"]] * 3
    Training(recipe(tmp_path / "latents", tmp_path / "disk")).run()
    Training(recipe(pictures[0], tmp_path / "way", latents=spec.content())).run()
    assert losses(tmp_path / "way") == pytest.approx(losses(tmp_path / "disk"), rel=1e-2)  # float16 on disk
    assert list((tmp_path / "disk/samples").glob("*.png"))
    for run in ("disk", "way"):
        made = export(tmp_path / run, tmp_path / f"model-{run}", origin="yours")
        assert made.latents == spec and made.model.in_channels == spec.channels
        assert Pipeline(made)(Request(str(made.path), label="a", steps=1)).images[0].size == (16, 16)
    assert "trained on `pictures`, in the latents of the" in (tmp_path / "model-way/README.md").read_text()


def test_clips_of_latents_are_cut_into_windows(clips, tmp_path):
    spec = small_autoencoder(tmp_path / "vae")
    prepare_latents(tmp_path / "latents", clips[0], spec)
    data = LatentSet.load(tmp_path / "latents", frames=2)
    windows = data.draw(np.array([0, 3]), 2, [1, 2])
    assert windows.shape == (2, 2, 4, 8, 8) and windows.dtype == np.float32
    turned = [np.stack([data[3][i % 3] for i in (start, start + 1)]) for start in range(3)]
    assert any(np.array_equal(windows[1], one) for one in turned)  # the clip loops
    model = {"family": "zigma", "size": [8, 8], "frames": 2, "patch": 4, "width": 16, "depth": 2, "state_size": 2,
             "scheme": "factorized-st"}  # fmt: skip
    run = Training(recipe(tmp_path / "latents", tmp_path / "run", model=model)).run()
    assert len(losses(run)) == 2 and list((run / "samples").glob("*.png"))


def test_what_does_not_go_together_is_said(pictures, clips, tmp_path):
    spec = small_autoencoder(tmp_path / "vae")
    prepare_latents(tmp_path / "latents", pictures[0], spec)
    for changes, said in (
        ({"flip": True}, "has no mirrored latents; prepare them with --mirror"),
        ({"shift_px": 1}, "already contains latents; leave out latents and shift_px"),
        ({"latents": spec.content()}, "already contains latents"),
        ({"model": {"family": "dit", "size": [4, 4], "patch": 2, "width": 16, "depth": 1, "heads": 2}}, "has size 8"),
    ):
        with pytest.raises(ValueError, match=said):
            Training(recipe(tmp_path / "latents", tmp_path / "run", **changes))
    with pytest.raises(ValueError, match="contains latents of pictures; set model.frames to 0"):
        LatentSet.load(tmp_path / "latents", frames=2)
    with pytest.raises(ValueError, match="model.in_channels must be 4"):
        model = {**recipe("", "").model, "in_channels": 3}
        Training(recipe(pictures[0], tmp_path / "run", latents=spec.content(), model=model))
    small_autoencoder(tmp_path / "vae", layers_per_block=2)
    with pytest.raises(ValueError, match="made by other weights"):
        Training(recipe(tmp_path / "latents", tmp_path / "run"))


def test_a_model_of_latents_is_fine_tuned(pictures, tmp_path):
    spec = small_autoencoder(tmp_path / "vae")
    Training(recipe(pictures[0], tmp_path / "run", latents=spec.content())).run()
    export(tmp_path / "run", tmp_path / "model", origin="yours")
    folder = tunable(tmp_path / "model")
    new = pictures_for(folder, pictures[0])
    tuned = finetune(folder.path, new, tmp_path / "tuned", Tuning(steps=1, batch=2, rehearse=2), run=tmp_path / "again")
    assert tuned.latents == spec and tuned.labels == ("a", "b")
