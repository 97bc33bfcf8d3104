"""Clips out of real video files, in the official layout of UCF101 and in folders."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from waiting import PATIENCE

from zigdemo.data import ClipSet
from zigdemo.data.look import look
from zigdemo.data.preparation import main
from zigdemo.data.videos import Cut, Video, class_folders, read_clips, ucf101, write_clips

av = pytest.importorskip("av", reason="PyAV is not installed")
CODECS = {
    "mpeg4": ("v_Biking_g01_c01.avi", "yuv420p"),
    "mjpeg": ("v_Biking_g01_c02.avi", "yuvj420p"),
    "ffv1": ("v_Basketball_g08_c01.avi", "yuv444p"),
    "libx264": ("v_Basketball_g09_c03.avi", "yuv420p"),
}
CUT = Cut(frames=4, skip=2, most=2, size=16)


def write_video(path: Path, codec: str, pixel_format: str, frames: int = 18, rate: int = 25) -> Path:
    """A video of 48 x 32 px whose frame n is grey of level 10 n in the middle 32 columns and black beside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 48, 32, pixel_format
        for number in range(frames):
            pixels = np.zeros((32, 48, 3), np.uint8)
            pixels[:, 8:40] = 10 * number
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """UCF101 in small: four codecs, one file of junk, one cut short in its head, one that is not there."""
    root = tmp_path_factory.mktemp("ucf")
    for codec, (name, pixel_format) in CODECS.items():
        write_video(root / name.split("_")[1] / name, codec, pixel_format)
    (root / "Biking" / "v_Biking_g02_c01.avi").write_bytes(b"no video at all")
    (root / "Biking" / "v_Biking_g02_c02.avi").write_bytes(
        (root / "Biking" / "v_Biking_g01_c01.avi").read_bytes()[:300]
    )
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Basketball\r\n2 Biking\r\n")
    (lists / "trainlist01.txt").write_text(
        "Basketball/v_Basketball_g08_c01.avi 1\nBasketball/v_Basketball_g09_c03.avi 1\n"
        "Biking/v_Biking_g01_c01.avi 2\nBiking/v_Biking_g02_c01.avi 2\nBiking/v_Biking_g02_c02.avi 2\n"
    )
    (lists / "testlist01.txt").write_text("Biking/v_Biking_g01_c02.avi\nBiking/v_Biking_g03_c01.avi\n\n")
    return root


def prepare(root: Path, out: Path, *options: str) -> int:
    small = ["--frames", "4", "--skip", "2", "--size", "16"]
    return main(["ucf101", "--root", str(root), "--out", str(out), *small, *options])


def test_the_parts_of_a_split_are_the_official_ones(root):
    (train, _), (test, missing) = (ucf101(root, 1, part) for part in ("train", "test"))
    assert [video.path.name for video in train[:2]] == ["v_Basketball_g08_c01.avi", "v_Basketball_g09_c03.avi"]
    assert [(video.label, video.group) for video in test] == [("Biking", "Biking_g01")]
    assert missing == ["Biking/v_Biking_g03_c01.avi"]
    assert ucf101(root, 1, "all")[0] == train + test and not {v.path for v in train} & {v.path for v in test}


def test_videos_of_every_codec_become_clips_and_broken_ones_are_named(root, tmp_path, capfd):
    assert prepare(root, tmp_path / "train") == 0
    said = capfd.readouterr()
    assert [line.split()[1] for line in said.err.splitlines() if line.startswith("skipped")] == [
        "Biking/v_Biking_g02_c01.avi", "Biking/v_Biking_g02_c02.avi",
    ]  # fmt: skip
    assert "Traceback" not in said.err and said.out.endswith("6 clips of 16 px\n")
    data = ClipSet.load(tmp_path / "train", frames=4)
    assert data.label_names == ["Basketball", "Biking"] and data.groups[::2] == [
        "Basketball_g08", "Basketball_g09", "Biking_g01",
    ]  # fmt: skip
    assert data.clips.shape == (6, 4, 16, 16, 3) and isinstance(data.clips, np.memmap) and not data.loops.any()
    assert data.frames_per_second == 12.5
    assert prepare(root, tmp_path / "test", "--part", "test") == 0
    assert "Biking/v_Biking_g03_c01.avi (in the lists, but not here)" in capfd.readouterr().err
    assert len(ClipSet.load(tmp_path / "test")) == 2


@pytest.mark.parametrize("codec", CODECS)
def test_clips_are_the_middle_of_every_second_frame_in_order(root, codec):
    name = CODECS[codec][0]
    made = read_clips(root / name.split("_")[1] / name, CUT)
    levels = made.pixels.mean(axis=(2, 3, 4))
    assert np.abs(levels - [[0, 20, 40, 60], [80, 100, 120, 140]]).max() < 12
    assert made.frames_per_second == 12.5 and np.abs(np.array(made.motions) - 20).max() < 4


@pytest.mark.parametrize("name, codec, pixel_format", [
    ("a.mp4", "libx264", "yuv420p"), ("a.mov", "mpeg4", "yuv420p"), ("a.webm", "libvpx", "yuv420p"),
    ("a.mkv", "ffv1", "yuv444p"),
])  # fmt: skip
def test_other_containers_are_read_too(tmp_path, name, codec, pixel_format):
    made = read_clips(write_video(tmp_path / name, codec, pixel_format, frames=4), Cut(4, 1, 1, 16))
    assert np.abs(made.pixels.mean(axis=(0, 2, 3, 4)) - [0, 10, 20, 30]).max() < 8


def test_a_folder_a_class_with_animations_too(tmp_path, capfd):
    grey = [Image.new("RGB", (20, 30), (10 * number,) * 3) for number in range(5)]
    for name in ("Up/a.gif", "Down/b.webp"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        grey[0].save(tmp_path / "in" / name, save_all=True, append_images=grey[1:], duration=100)
    grey[0].save(tmp_path / "in" / "Up" / "still.gif")
    (tmp_path / "in" / "notes.txt").write_text("hello")
    arguments = ["--root", str(tmp_path / "in"), "--out", str(tmp_path / "set"), "--frames", "5", "--size", "8"]
    assert main(["clips", *arguments]) == 0
    assert "skipped Up/still.gif (1 frames where 5 are needed; choose fewer --frames" in capfd.readouterr().err
    data = ClipSet.load(tmp_path / "set")
    assert data.label_names == ["Down", "Up"] and data.frames_per_second == 10 and data.clips.shape == (2, 5, 8, 8, 3)
    info = json.loads((tmp_path / "set" / "info.json").read_text())
    assert (info["dataset"], info["count"], info["motion"]["Up"]) == ("clips", 2, 10.0)


class Ending:
    """A path that ends the process that unpacks it, as a decoder may that falls over a hostile file."""

    name = "bad.avi"

    def __reduce__(self):
        return os._exit, (1,)


def test_a_video_that_ends_its_process_is_named_and_the_others_are_kept(root, tmp_path):
    good = [Video(root / "Biking" / CODECS[codec][0], "Biking", "g") for codec in ("mpeg4", "mjpeg")]
    videos = [good[0], Video(Ending(), "Biking", "g"), good[1]]
    count, skipped, _ = write_clips(tmp_path / "set", videos, CUT, {}, workers=1)
    assert count == 4 and len(ClipSet.load(tmp_path / "set")) == 4
    assert skipped == ["Biking/bad.avi (bad.avi crashes the process that decodes it; give another clip)"]


def test_an_unreadable_set_leaves_nothing_behind(root, tmp_path):
    broken = [Video(root / "Biking" / "v_Biking_g02_c01.avi", "Biking", "g")]
    with pytest.raises(ValueError, match="none of the 1 videos can be used; the first is Biking/v_Biking_g02_c01.avi"):
        write_clips(tmp_path / "set", broken, CUT, {}, workers=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "line", ["../../etc/passwd 1", "Biking/v_Swimming_g01_c01.avi 2", "Diving/v_Diving_g01_c01.avi 3"]
)
def test_lists_that_name_something_else_are_refused(tmp_path, line):
    (tmp_path / "ucfTrainTestlist").mkdir()
    (tmp_path / "ucfTrainTestlist" / "classInd.txt").write_text("1 Biking\n")
    (tmp_path / "ucfTrainTestlist" / "trainlist02.txt").write_text(line)
    with pytest.raises(ValueError, match="names no video of its classes"):
        ucf101(tmp_path, 2)


def test_wrong_choices_are_one_sentence(root, tmp_path, capsys):
    for options, message in (
        (["--split", "4"], "choose train, test or all of split 1, 2 or 3"),
        (["--split", "2"], "there is no readable .*trainlist02.txt; unpack UCF101"),
        (["--labels", "Swimming"], "unknown label 'Swimming' in .*classInd.txt; choose from Basketball, Biking"),
        (["--most", "0"], "most must be a whole number from 1 to 1000, not 0"),
    ):
        assert prepare(root, tmp_path / "set", *options) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1
        assert re.search(message, error), error
    with pytest.raises(ValueError, match="no folder in .* has videos; make one folder per class"):
        class_folders(tmp_path)


def test_clips_are_found_as_look_shows_them(tmp_path):
    clip = write_video(tmp_path / "a.mkv", "ffv1", "yuv444p", frames=4).read_bytes()
    names = ("10_sky dive/a.mkv", "deep/er/still water/b.mkv", "plain/c", ".hidden/d.mkv", "one_01.mkv", "plain/e.txt")
    for name in names:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip)
    (tmp_path / "in/plain/e.txt").write_text("nothing here")
    (tmp_path / "in/one_01.txt").write_text("a kite")
    videos, left_out = class_folders(tmp_path / "in")
    assert sorted(video.label for video in videos) == ["a kite", "plain", "sky dive", "still water"]
    assert sorted(line.split(":")[0] for line in left_out) == [".hidden/d.mkv", "plain/e.txt"]
    shown = {item.caption or item.label for item in look([tmp_path / "in"]).items}
    assert shown == {video.label for video in videos}


def test_preparing_imports_no_decoder():
    code = "import sys, zigdemo.data.videos; print({'av', 'PIL', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.strip() == "set()", done.stderr
