"""The judge of figures and the scores of models by it: shapes, what is refused, and known answers."""

import json

import numpy as np
import pytest
import torch
from models import tiny_folder
from towers import small_tower

from zigdemo.data import CLASSES, held_out_figures
from zigdemo.evaluation import figures as scoring
from zigdemo.evaluation.__main__ import main
from zigdemo.evaluation.figure_judge import FigureJudge, FigureNetwork, load_figure_judge, to_input
from zigdemo.evaluation.figures import draw_prompts, figure_score, real_clips
from zigdemo.pipeline import Pipeline
from zigdemo.training.towers.figure_judge import write_figure_judge


class SureJudge(FigureJudge):
    """Reads the class that the prompts ask for from clips that are drawn, and the first class from all others."""

    def classes_of(self, features):
        return [asked["label"] for _, asked in held_out_figures(len(features))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    text = small_tower(root / "tower")
    return tiny_folder(root / "tiny", frames=4, text=text, scheme="factorized-st", frame_position=True)


@pytest.fixture(scope="module")
def judge():
    torch.manual_seed(0)
    return FigureJudge(FigureNetwork(), {"ceiling": 0.98})


def test_the_network_is_small_and_reads_clips_of_any_size_and_length(judge):
    assert sum(weight.numel() for weight in judge.network.parameters()) * 2 < 2 * 2**20
    for shape in ((3, 16, 128, 128, 3), (2, 4, 50, 70, 3), (1, 2, 64, 64, 3)):
        clips = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        assert judge.embed(clips).shape == (shape[0], 128)
        assert set(judge.read(clips)) <= set(CLASSES)
    with pytest.raises(ValueError, match="clips must be uint8"):
        judge.read(np.zeros((2, 8, 8, 3), np.uint8))


def test_clips_of_128_px_and_their_halves_are_read_alike():
    clips = real_clips(2, 4, 128)
    halves = clips.reshape(2, 4, 64, 2, 64, 2, 3).mean((3, 5)).round().astype(np.uint8)
    assert torch.allclose(*(to_input(torch.from_numpy(one)) for one in (clips, halves)), atol=1 / 127)


def test_many_prompts_at_a_time_are_what_the_pipeline_draws(folder):
    pipe = Pipeline.load(folder.path)
    prompts = ("rowing", "a man in blue")
    together = draw_prompts(pipe, prompts, (5, 6), steps=2)
    for clip, prompt, seed in zip(together, prompts, (5, 6), strict=True):
        alone = pipe(pipe.request(prompt=prompt, count=1, seed=seed, steps=2)).clips[0]
        assert np.abs(clip.astype(int) - alone).max() <= 1


def test_scores_of_a_model_and_of_one_that_always_obeys(folder, judge, monkeypatch):
    monkeypatch.setattr(scoring, "SEEDS", 2)
    pipe = Pipeline.load(folder.path)
    score, clips = figure_score(pipe, judge, 6, steps=1)
    assert clips.shape == (6, 4, 16, 16, 3) and score.prompts == 6 and 0 <= score.accuracy <= 1
    assert score.motion > 0 and score.between_seeds > 0 and score.frechet > 0 and score.frechet_floor > 0
    assert score.guessing == pytest.approx(1 / 29) and score.ceiling == 0.98
    assert list(score.by_class) == list(CLASSES[:6])
    sure, _ = figure_score(pipe, SureJudge(judge.network), 6, steps=1)
    assert sure.accuracy == 1 and set(sure.by_class.values()) == {1.0} and json.dumps(sure.content())
    with pytest.raises(ValueError, match="2 clips or more"):
        figure_score(pipe, judge, 1)


def test_the_command_prints_a_table_and_refuses_in_a_sentence(folder, judge, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(scoring, "SEEDS", 2)
    about = {"clips": 29, "held_out": 29, "steps": 1, "batch": 2, "ceiling": 0.98, "ceiling_decoded": None}
    write_figure_judge(tmp_path / "judge", judge, {**about, "autoencoder": None, "commit": "x"})
    given = ["--judge", str(tmp_path / "judge"), "--count", "3", "--out", str(tmp_path / "s.json")]
    assert main(["figures", str(folder.path), *given, "--steps", "1", "--names"]) == 0
    printed = capsys.readouterr().out
    assert "class read by figures-judge" in printed and "real clips 0.980" in printed
    assert json.loads((tmp_path / "s.json").read_text())["prompts"] == 3
    pictures = tiny_folder(tmp_path / "pictures")
    assert main(["figures", str(pictures.path), *given]) == 2
    assert "draws no clips by prompt" in capsys.readouterr().err
    assert main(["figures", str(folder.path), "--judge", str(tmp_path / "gone")]) == 2
    assert "training.judge figures" in capsys.readouterr().err


def test_a_judge_survives_its_folder_and_a_damaged_one_is_one_sentence(judge, tmp_path):
    about = {"clips": 29, "held_out": 29, "steps": 1, "batch": 2, "ceiling": 0.98, "ceiling_decoded": 0.97}
    write_figure_judge(tmp_path / "judge", judge, {**about, "autoencoder": "ae", "commit": "x"})
    card = (tmp_path / "judge/README.md").read_text()
    assert "{{" not in card and "0.980" in card and "decoded by `ae`" in card and "video-classification" in card
    again, clips = load_figure_judge(tmp_path / "judge"), real_clips(3, 4, 64)
    assert again.ceiling == 0.98
    assert np.allclose(again.embed(clips), judge.embed(clips), atol=1e-2)
    content = json.loads((tmp_path / "judge/judge.json").read_text())
    for change, word in (({"classes": ["a"]}, "other classes"), ({"about": {"ceiling": 2}}, "from 0 to 1")):
        (tmp_path / "judge/judge.json").write_text(json.dumps({**content, **change}))
        with pytest.raises(ValueError, match=word):
            load_figure_judge(tmp_path / "judge")
    (tmp_path / "judge/judge.json").write_text(json.dumps(content))
    (tmp_path / "judge/judge.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="cannot be used"):
        load_figure_judge(tmp_path / "judge")
