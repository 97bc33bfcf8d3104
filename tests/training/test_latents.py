"""Latents of clips, computed once and read as often as wanted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from autoencoders import small_autoencoder

from zigdemo.training.data import latents
from zigdemo.training.data.clips import CLIPS
from zigdemo.training.data.latents import LatentSet, prepare_latents
from zigdemo.training.data.prepared import write_set
from zigdemo.training.prepare import main

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
    with pytest.raises(FileNotFoundError, match="no prepared latent set.*prepare latents"):
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
    arguments = ["--clips", str(clips[0]), "--out", str(tmp_path / "out")]
    assert main(["latents", *arguments, "--autoencoder", str(tmp_path / "gone")]) == 1
    assert "there is no autoencoder folder" in capsys.readouterr().err
    small_autoencoder(tmp_path / "vae", block_out_channels=(8,) * 4, down_block_types=("DownEncoderBlock2D",) * 4,
                      up_block_types=("UpDecoderBlock2D",) * 4)  # fmt: skip
    assert main(["latents", *arguments, "--autoencoder", str(tmp_path / "vae")]) == 0
    assert capsys.readouterr().out.endswith("out: 5 latents\n")
    assert LatentSet.load(tmp_path / "out")[0].shape == (3, 4, 2, 2)
