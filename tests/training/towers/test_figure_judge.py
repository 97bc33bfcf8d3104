"""The judge of figures learns from clips that it draws, some of them given back by an autoencoder."""

import numpy as np
import pytest
import torch
from autoencoders import small_autoencoder

from zigdemo.data import CLASSES
from zigdemo.evaluation.figure_judge import SIDE_PX, load_figure_judge
from zigdemo.training import judge as command
from zigdemo.training.towers import figure_judge as judging
from zigdemo.training.towers.figure_judge import Clips, draw_clips, make_figure_judge, roughened, train

CPU = torch.device("cpu")


def test_clips_are_kept_as_drawn_and_as_given_back(tmp_path, monkeypatch):
    pytest.importorskip("diffusers", reason="diffusers is not installed")
    monkeypatch.setattr("zigdemo.data.figures.pool.PIECE", 2)
    space = small_autoencoder(tmp_path / "ae", "tiny").load()
    clips = draw_clips(6, 0, space, CPU, 3, workers=1)
    assert clips.pixels.shape == (8, 16, 3, SIDE_PX, SIDE_PX) and clips.pixels.dtype == torch.uint8
    assert clips.decoded == 2 and clips.labels.tolist() == [*range(6), 0, 1]
    assert not torch.equal(clips.pixels[0], clips.pixels[6])


def test_roughened_clips_differ_each_time_and_keep_their_shape():
    clips = torch.rand(3, 4, 3, SIDE_PX, SIDE_PX) * 2 - 1
    torch.manual_seed(0)
    one, other = roughened(clips), roughened(clips)
    assert one.shape == clips.shape and one.isfinite().all() and not torch.equal(one, other)


def test_it_learns_to_tell_clips_apart_by_steps_or_by_seconds(monkeypatch):
    monkeypatch.setattr(judging, "roughened", lambda clips: clips)
    pixels = torch.zeros(8, 4, 3, SIDE_PX, SIDE_PX, dtype=torch.uint8)
    pixels[4:, :, 0] = 255
    clips = Clips(pixels, torch.tensor([3] * 4 + [7] * 4), 4)
    network, steps = train(clips, 25, None, 8, 3e-3)
    assert steps == 25 and judging.accuracies(network, clips) == (1.0, 1.0)
    _, steps = train(clips, None, 1.0, 8, 3e-3)
    assert steps >= 1


def test_a_judge_is_made_with_its_card_and_a_wrong_name_is_one_sentence(tmp_path, capsys):
    about = make_figure_judge(tmp_path / "judge", 29, 2, None, 4, 1e-3, None, workers=1, per_class=1)
    assert about["steps"] == 2 and 0 <= about["ceiling"] <= 1 and about["ceiling_decoded"] is None
    judge = load_figure_judge(tmp_path / "judge")
    assert judge.ceiling == about["ceiling"] and (tmp_path / "judge/README.md").is_file()
    assert set(judge.read(np.zeros((1, 16, 128, 128, 3), np.uint8))) <= set(CLASSES)
    assert command.main(["faces"]) == 2 and "portraits or figures" in capsys.readouterr().err
    assert command.main(["figures", str(tmp_path / "x"), "--autoencoder", str(tmp_path), "--clips", "29"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
