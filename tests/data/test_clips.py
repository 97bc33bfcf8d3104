"""Clip sets: windows of them, and the animated emoji they are made from."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import booleans, integers
from PIL import Image

from zigdemo.data import ClipSet, fluent_actions
from zigdemo.data.clips import CLIPS, motion
from zigdemo.data.preparation import main, prepare_fluent_actions
from zigdemo.data.prepared import write_set

REAL_TAR = os.environ.get("ZIGDEMO_ACTIONS_TAR", "")


def numbered(count: int = 3, frames: int = 6, size: int = 8) -> np.ndarray:
    """Clips whose frames say their own number."""
    clips = np.zeros((count, frames, size, size, 3), np.uint8)
    clips += np.arange(frames, dtype=np.uint8)[:, None, None, None]
    return clips


def clip_set(loops: bool, **shape: int) -> ClipSet:
    clips = numbered(**shape)
    return ClipSet(clips, ["a"], np.zeros(len(clips), np.int64), loops=np.full(len(clips), loops))


def write(folder: Path, clips: np.ndarray, **info: object) -> Path:
    samples = [
        {"key": f"{row}", "label": "ab"[row % 2], "name": f"clip {row}", "group": f"{row // 2}", "loops": row == 0}
        for row in range(len(clips))
    ]
    write_set(folder, CLIPS, clips, samples, {"frames_per_second": 8, **info})
    return folder


@given(frames=integers(1, 6), loops=booleans(), seed=integers(0, 2**32))
def test_a_window_is_consecutive_and_goes_round_only_where_the_clip_does(frames, loops, seed):
    seen = clip_set(loops).window(1, frames, np.random.default_rng(seed))[:, 0, 0, 0].astype(int)
    steps = np.diff(seen)
    assert ((steps == 1) | (steps == -5) & loops).all() and seen.max() < 6


@pytest.mark.parametrize("loops, starts", [(True, 6), (False, 3)])
def test_windows_start_everywhere_they_may(loops, starts):
    data, rng = clip_set(loops), np.random.default_rng(0)
    assert len({int(data.window(0, 4, rng)[0, 0, 0, 0]) for _ in range(100)}) == starts


@given(seed=integers(0, 2**32))
def test_the_same_generator_gives_the_same_window(seed):
    clips = np.random.default_rng(0).integers(0, 256, (1, 6, 8, 8, 3), dtype=np.uint8)
    data = ClipSet(clips, ["a"], np.zeros(1, np.int64), loops=np.array([True]))
    first, again = (data.window(0, 4, np.random.default_rng(seed), flip=True, shift_px=2) for _ in range(2))
    assert first.shape == (4, 8, 8, 3) and first.dtype == np.uint8 and (first == again).all()


def test_a_flip_and_a_shift_are_the_same_in_all_frames():
    clips = np.zeros((1, 2, 8, 8, 3), np.uint8)
    clips[:, :, 4, 2] = 255
    data, rng = ClipSet(clips, ["a"], np.zeros(1, np.int64), loops=np.array([False])), np.random.default_rng(0)
    places = set()
    for _ in range(200):
        window = data.window(0, 2, rng, flip=True, shift_px=1)
        assert (window[0] == window[1]).all()
        places.add(tuple(np.argwhere(window[0, :, :, 0])[0]))
    assert places == {(row, column) for row in (3, 4, 5) for column in (1, 2, 3, 4, 5, 6)}


def test_a_shift_repeats_the_edge():
    data = ClipSet(np.full((1, 1, 8, 8, 3), 255, np.uint8), ["a"], np.zeros(1, np.int64), loops=np.array([True]))
    assert (data.window(0, 1, np.random.default_rng(0), shift_px=3) == 255).all()


def test_a_folder_loads_without_copying_and_by_label(tmp_path):
    folder = write(tmp_path / "set", numbered())
    data = ClipSet.load(folder)
    assert isinstance(data.clips, np.memmap) and len(data) == 3 and (data.frames, data.size) == (6, 8)
    assert data.label_names == ["a", "b"] and data.labels.tolist() == [0, 1, 0] and data.frames_per_second == 8.0
    assert data.names == ["clip 0", "clip 1", "clip 2"] and data.groups == ["0", "0", "1"]
    assert data.loops.tolist() == [True, False, False]
    assert ClipSet.load(folder, labels=["a"]).names == ["clip 0", "clip 2"]
    assert ClipSet.load(folder, exclude=["a*"]).label_names == ["b"]
    with pytest.raises(ValueError, match="unknown label 'c'.*choose from a, b"):
        ClipSet.load(folder, labels=["c"])


def test_too_short_clips_are_refused_with_what_to_do(tmp_path):
    folder = write(tmp_path / "set", numbered())
    with pytest.raises(ValueError, match="have 6 frames, fewer than 16; train on 6 frames or prepare longer clips"):
        ClipSet.load(folder, frames=16)
    with pytest.raises(ValueError, match="frames must be 1 to 6.*not 7"):
        ClipSet.load(folder).window(0, 7, np.random.default_rng(0))


@pytest.mark.parametrize("speed", ["fast", None, True, 0, -1, 1e9])
def test_a_missing_or_broken_folder_says_how_to_make_it(tmp_path, speed):
    with pytest.raises(FileNotFoundError, match="not a prepared clip set.*prepare fluent-actions"):
        ClipSet.load(tmp_path)
    with pytest.raises(ValueError, match="clip set .* is broken .*frames_per_second.* again"):
        ClipSet.load(write(tmp_path / "set", numbered(), frames_per_second=speed))


def test_motion_is_the_mean_difference_of_frames_round_the_loop():
    clip = numbered()[0]
    assert motion(clip, loops=False) == 1.0
    assert motion(clip, loops=True) == (5 * 1 + 5) / 6
    assert motion(clip[:1], loops=False) == motion(clip[:1], loops=True) == 0.0


ACTIONS = {
    "1f3c4": ("Surfing", "person surfing", "1f3c4"),
    "1f3c4-1f3fb-200d-2640-fe0f": ("Surfing", "woman surfing", "1f3c4"),
    "1f3cb-fe0f-200d-2642-fe0f": ("LiftingWeights", "man lifting weights", "1f3cb"),
    "1f469-1f3ff-200d-1f9bc": ("MotorizedWheelchair", "woman in motorized wheelchair", "1f9bc"),
    "1f57a-1f3fd": ("Dancing", "man dancing", "1f57a"),
    "1f44b": ("WavingHand", "waving hand", "1f44b"),
    "1f9d1-200d-1f9bd-200d-27a1-fe0f": None,
    "1f600": None,
    "1f469": None,
    ".gitkeep": None,
}


@pytest.mark.parametrize("source", ACTIONS)
def test_code_points_say_the_action(source):
    assert fluent_actions.action(source) == ACTIONS[source]


def test_every_moving_class_is_one_of_the_actions():
    assert set(fluent_actions.MOVING) <= {label for label, _ in fluent_actions.ACTIONS.values()}


def webp(frames: int = 24, size: int = 64, mode: str = "RGBA") -> bytes:
    """An animation whose frames differ, clear in the upper half."""
    pictures = []
    for number in range(frames):
        picture = Image.new(mode, (size, size), (0, 255, 0, 0))
        picture.paste((200 - 5 * (number % 30), 0, 0, 255), (0, size // 2, size, size))
        pictures.append(picture)
    out = io.BytesIO()
    pictures[0].save(out, "WEBP", save_all=True, append_images=pictures[1:], lossless=True, duration=125)
    return out.getvalue()


def pack(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def said(label: str, name: str) -> bytes:
    return json.dumps({"class": label, "name": name}).encode()


def test_a_tar_becomes_clips_on_white_and_what_is_wrong_is_named(tmp_path):
    members = {
        "Surfing/1f3c4.webp": webp(),
        "Surfing/1f3c4.json": said("Surfing", "person surfing"),
        "Running/1f3c3.webp": webp(30),
        "Running/1f3c3.json": said("Running", "person running"),
        "Standing/1f9cd.webp": webp(),
        "Standing/1f9cd.json": said("Standing", "person standing"),
        "Biking/1f6b4.webp": webp(),
        "Biking/1f6b4.json": said("Juggling", "person biking"),
        "Climbing/1f9d7.webp": webp(3),
        "Climbing/1f9d7.json": said("Climbing", "person climbing"),
        "Golfing/1f3cc.webp": b"RIFF",
        "Golfing/1f3cc.json": said("Golfing", "person golfing"),
        "Walking/1f6b6.webp": webp(),
        "Juggling/1f939.json": said("Juggling", "person juggling"),
    }
    made = prepare_fluent_actions(tmp_path / "set", 16, pack(tmp_path / "a.tar", members))
    assert made.count == 2 and list(made.moved) == ["Running", "Surfing"]
    assert sorted(line.partition(".")[0] for line in made.skipped) == [
        "1f3cc", "1f9d7", "Biking/1f6b4", "Juggling/1f939", "Walking/1f6b6",
    ]  # fmt: skip
    data = ClipSet.load(tmp_path / "set", frames=16)
    assert data.clips.shape == (2, 24, 16, 16, 3) and data.loops.all() and data.frames_per_second == 8
    assert (data.clips[:, :, :5] == 255).all() and data.groups == ["1f3c3", "1f3c4"]
    reds = data.clips[0, :, -1, 0, 0].astype(int)
    assert np.abs(reds - [200 - 5 * (number * 30 // 24) for number in range(24)]).max() <= 1
    info = json.loads((tmp_path / "set" / "info.json").read_text())
    assert list(info["motion"]) == ["Running", "Surfing"] and "Microsoft" in info["licence"]


def test_npm_packages_are_read_one_after_another(tmp_path):
    fetched = []

    def npm(arguments, folder):
        fetched.append(arguments[-1])
        part = fetched[-1].removeprefix("@lobehub/fluent-emoji-anim-").removesuffix("@1.0.0")
        key = {"1": "1f3c4", "2": "1f3c3-1f3fb", "3": "1f600", "4": "1f44b"}[part]
        members = {"package/package.json": b"{}", f"package/assets/{key}.webp": webp(25, 256)}
        pack(folder / f"lobehub-fluent-emoji-anim-{part}-1.0.0.tgz", members, "w:gz")

    made = prepare_fluent_actions(tmp_path / "set", 32, labels=["Surfing", "Running"], run=npm)
    assert len(fetched) == 4 and made.count == 2 and not made.skipped
    assert ClipSet.load(tmp_path / "set").label_names == ["Running", "Surfing"]


def test_the_command_line_says_which_classes_move(tmp_path, capsys):
    members = {"1f3c4.webp": webp(), "1f3c4.json": said("Surfing", "person surfing")}
    tar, out = pack(tmp_path / "a.tar", members), tmp_path / "set"
    assert main(["fluent-actions", "--from-tar", str(tar), "--out", str(out), "--size", "8", "--labels", "all"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(" Surfing")
    assert main(["fluent-actions", "--from-tar", str(tar), "--out", str(out), "--labels", "Flying"]) == 1
    assert "unknown label 'Flying' in fluent-actions" in capsys.readouterr().err
    assert main(["fluent-actions", "--from-tar", str(tar), "--out", str(out), "--size", "128"]) == 1
    assert "choose 8 to 64 pixels from a tar file" in capsys.readouterr().err


@pytest.mark.skipif(not Path(REAL_TAR).is_file(), reason="set ZIGDEMO_ACTIONS_TAR to the prepared tar file")
def test_the_real_tar_has_564_clips_whose_classes_are_ours(tmp_path):
    labels = sorted({label for label, _ in fluent_actions.ACTIONS.values()})
    made = prepare_fluent_actions(tmp_path / "set", 32, Path(REAL_TAR), labels)
    assert made.count == 564 and not made.skipped and len(made.moved) == len(labels) == 35
    assert ClipSet.load(tmp_path / "set", labels=fluent_actions.MOVING, frames=24).size == 32
