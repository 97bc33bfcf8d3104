"""Drawn people: the same from the same seed, all of them different, in the picture, moving, and in UCF101's layout."""

import math
from unittest.mock import ANY

import numpy as np
import pytest
from autoencoders import small_autoencoder

from zigdemo.data import ClipSet
from zigdemo.data.clips import motion
from zigdemo.data.figures import CLASSES, FRAMES, MOTIONS, SIDE_PX, draw_figure, figures, files, pool
from zigdemo.data.figures.body import Build, Pose, joints, reach
from zigdemo.data.figures.files import prepare_figure_latents, prepare_figures, write_layout
from zigdemo.data.figures.looks import COLOURS, NEAR, SCENES, apart
from zigdemo.data.latents import LatentSet, prepare_latents
from zigdemo.data.preparation import main
from zigdemo.data.videos import Cut, ucf101, write_clips

# Of UCF101, as its list of classes spells them.
OFFICIAL = {
    "Archery", "BasketballDunk", "BenchPress", "Biking", "BodyWeightSquats", "Bowling", "BoxingSpeedBag",
    "CleanAndJerk", "Diving", "GolfSwing", "HandstandPushups", "HandstandWalking", "HighJump", "HulaHoop",
    "JavelinThrow", "JumpRope", "JumpingJack", "Lunges", "PullUps", "Punch", "PushUps", "Rowing", "SkateBoarding",
    "SoccerJuggling", "Swing", "TennisSwing", "TrampolineJumping", "WalkingWithDog", "WallPushups",
}  # fmt: skip


def far(a, b):
    return math.dist(a, b)


def test_the_classes_are_ucf101_s_and_at_least_two_dozen():
    assert set(CLASSES) <= OFFICIAL and len(CLASSES) >= 24


def test_a_clip_depends_on_the_seed_and_its_number_alone():
    some, more = figures(40, 3), figures(60, 3)
    assert some == more[:40] and figures(40, 4) != some
    assert np.array_equal(some[7].frames(), more[7].frames())


@pytest.mark.parametrize("label", CLASSES)
def test_a_clip_moves_and_another_one_of_its_class_looks_different(label):
    one, other = (draw_figure(np.random.default_rng(seed), label).frames() for seed in (1, 2))
    assert one.shape == (FRAMES, SIDE_PX, SIDE_PX, 3) and one.dtype == np.uint8
    assert motion(one, loops=False) > 0.15
    assert np.abs(one.astype(int) - other).mean() > 5


@pytest.mark.parametrize("label", CLASSES)
def test_limbs_keep_their_length_whatever_they_reach_for_and_nobody_is_out_of_the_picture(label):
    for seed in range(6):
        figure = draw_figure(np.random.default_rng(seed), label)
        build = figure.look.build
        seen = 0
        for number in range(20):
            body = joints(MOTIONS[label].shot(number / 20, figure.style).pose, build)
            for side in (0, 1):
                assert far(body.shoulders[side], body.elbows[side]) == pytest.approx(build.upper_arm, abs=1e-3)
                assert far(body.elbows[side], body.hands[side]) == pytest.approx(build.forearm, abs=1e-3)
                assert far(body.hips[side], body.knees[side]) == pytest.approx(build.thigh, abs=1e-3)
                assert far(body.knees[side], body.feet[side]) == pytest.approx(build.shin, abs=1e-3)
            centre, half = figure.camera.centre, figure.camera.span / 2
            seen += all(abs(body.hip[axis] - centre[axis]) < half for axis in (0, 1))
        assert seen >= 16  # a diver is under water in the end


def test_a_limb_reaches_its_target_or_stretches_towards_it():
    joint, end = reach((0.0, 0.0), (0.2, -0.2), 0.2, 0.2, 1.0)
    assert end == pytest.approx((0.2, -0.2)) and far((0, 0), joint) == pytest.approx(0.2)
    _, far_end = reach((0.0, 0.0), (3.0, 0.0), 0.2, 0.2, 1.0)
    assert far_end == pytest.approx((0.4, 0.0), abs=1e-4)
    bent = [reach((0.0, 0.0), (0.3, 0.0), 0.2, 0.2, bend)[0][1] for bend in (1.0, -1.0)]
    assert bent[0] > 0 > bent[1]


@pytest.mark.parametrize("label", ["Lunges", "Diving", "HulaHoop"])
def test_clothes_can_be_told_from_the_ground(label):
    for seed in range(30):
        look = draw_figure(np.random.default_rng(seed), label).look
        scene = SCENES[look.scene]
        assert all(apart(COLOURS[name], ground) > NEAR for name in (look.shirt, look.trousers, look.thing)
                   for ground in (scene.wall, scene.floor))  # fmt: skip


def test_seen_from_the_front_left_and_right_mirror_each_other():
    body = joints(Pose(arms=((1.0, 1.2),) * 2, legs=((0.2, 0.2),) * 2, is_front=True), Build())
    for pair in (body.shoulders, body.elbows, body.hands, body.hips, body.knees, body.feet):
        assert pair[0][0] == pytest.approx(-pair[1][0]) and pair[0][1] == pytest.approx(pair[1][1])


def test_an_unknown_class_is_one_sentence():
    with pytest.raises(ValueError, match="no figure does 'Flying'; choose one of Archery"):
        draw_figure(np.random.default_rng(0), "Flying")


def test_a_prepared_set_has_captions_and_every_class(tmp_path):
    count, moved = prepare_figures(tmp_path / "set", 2 * len(CLASSES), seed=5, side=32)
    made = ClipSet.load(tmp_path / "set", frames=FRAMES)
    assert len(made) == count == 2 * len(CLASSES) and set(made.label_names) == set(CLASSES) == set(moved)
    assert made.size == 32 and made.frames == FRAMES and made.frames_per_second == 8
    assert all(name.startswith("a ") and " person in a" in name for name in made.names)
    assert len(set(made.groups)) == count
    assert np.array_equal(made.clips[3], figures(count, 5)[3].frames(side=32))


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(pool, "PIECE", 3)


def test_any_number_of_processes_draws_the_same_set(tmp_path, small_pieces):
    for workers in (1, 2):
        assert prepare_figures(tmp_path / str(workers), 31, 2, 16, workers=workers) == (31, ANY)
    for name in ("clips.npy", "samples.jsonl", "info.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_latents_without_the_clips_are_those_of_the_clips(tmp_path, small_pieces, monkeypatch):
    pytest.importorskip("diffusers", reason="diffusers is not installed")
    monkeypatch.setattr(files, "SHARD_CLIPS", 10)
    spec = small_autoencoder(tmp_path / "vae")
    prepare_figures(tmp_path / "set", 31, 2, 16)
    prepare_latents(tmp_path / "two", tmp_path / "set", spec)
    for workers in (1, 2):
        count, moved = prepare_figure_latents(tmp_path / f"one{workers}", spec, 31, 2, 16, workers=workers)
        one, two = (LatentSet.load(tmp_path / name, frames=FRAMES) for name in (f"one{workers}", "two"))
        assert count == 31 and set(moved) == set(CLASSES) and [len(shard) for shard in one.shards] == [10, 10, 10, 1]
        assert all((one[row] == two[row]).all() for row in range(31)) and one.attributes == two.attributes
        for name in ("samples.jsonl", "info.json"):
            assert (tmp_path / f"one{workers}" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        assert not list((tmp_path / f"one{workers}").glob("drawn*"))


def test_the_layout_of_ucf101_is_written_and_read_by_its_own_reader(tmp_path):
    pytest.importorskip("av")
    labels = ("Biking", "PushUps")
    count = 2 * 4 * 7
    assert write_layout(tmp_path / "ucf", count, side=64, labels=labels) == count
    (train, none), (test, _) = (ucf101(tmp_path / "ucf", 1, part) for part in ("train", "test"))
    assert none == [] and (len(train), len(test)) == (2 * 4 * 5, 2 * 4 * 2)
    assert {video.label for video in train} == set(labels)
    assert not {video.group for video in train} & {video.group for video in test}
    made, skipped, _ = write_clips(tmp_path / "set", train, Cut(FRAMES, 1, 1, 32), {"dataset": "ucf101"}, workers=1)
    assert made == len(train) and skipped == []
    first = ClipSet.load(tmp_path / "set")
    wanted = next(one for one in figures(count, 0, labels) if one.label == "Biking")
    assert first.clips.shape[1:] == (FRAMES, 32, 32, 3) and wanted.label in first.label_names


@pytest.mark.parametrize(
    "options, sentence",
    [
        (["--count", "3"], "fewer than the 29 classes"), (["--labels", "Flying"], "unknown label 'Flying'"),
        (["--size", "3"], "size 3 is not supported"),
    ],
)  # fmt: skip
def test_the_command_refuses_in_a_sentence(tmp_path, capsys, options, sentence):
    assert main(["figures", "--out", str(tmp_path / "x"), *options]) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1 and not (tmp_path / "x").exists()


def test_the_command_writes_a_set_and_a_layout_but_not_over_something_else(tmp_path, capsys):
    small = ["--count", "2", "--labels", "Lunges,Punch", "--size", "16"]
    assert main(["figures", "--out", str(tmp_path / "set"), *small]) == 0
    assert "2 clips of 16 px" in capsys.readouterr().out
    assert main(["figures", "--layout", str(tmp_path / "ucf"), *small]) == 0
    assert main(["figures", "--layout", str(tmp_path / "ucf"), *small]) == 1
    assert "choose an empty or a new folder" in capsys.readouterr().err
