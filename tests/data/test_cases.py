"""Inputs that public issue trackers show to be read wrong, from tests/cases: each is read right, or named."""

from __future__ import annotations

from pathlib import Path

import pytest

from zigdemo.data.look import look
from zigdemo.data.videos import Cut, read_clips, ucf101
from zigdemo.media.opening import picture_formats

CASES = Path(__file__).parents[1] / "cases"


def said(name):
    return {item.file: item.caption or item.label for item in look([CASES / name]).items}


@pytest.mark.parametrize("name, wanted", [
    ("dots", {"Screenshot 2024-01-02 at 10.20.30.png": "a settings page",
              "Screenshot 2024-01-02 at 10.45.11.png": "a photo of a cat"}),
    ("ipynb", {"cats/a.png": "cats", "dogs/b.png": "dogs"}),
    ("utf16", {"a.png": "a cat on a mat"}),
    ("dupnames", {"x/a.png": "caption x", "y/a.png": "caption y"}),
    ("kohya", {"10_sks dog/1.png": "sks dog, on grass", "10_sks dog/2.png": "sks dog running",
               "10_sks dog/3.png": "sks dog"}),
    ("imgfolder_csv", {"train/0001.png": "a golden retriever", "train/0002.png": "a german shepherd"}),
    ("utf8noflag.zip", {"utf8noflag.zip/кошки/a.png": "кошки", "utf8noflag.zip/собаки/b.png": "собаки"}),
    ("gbk.zip", {"gbk.zip/猫/一.png": "猫", "gbk.zip/狗/二.png": "狗"}),
])  # fmt: skip
def test_captions_and_names(name, wanted):
    assert said(name) == wanted


def test_a_name_composed_otherwise_in_the_list_than_on_disk():
    assert list(said("nfd").values()) == ["a coffee"]


def test_every_file_of_mixed_formats_is_read_or_named():
    found = look([CASES / "mixfmt"])
    read, left_out = {item.file for item in found.items}, {one.file for one in found.left_out}
    assert read | left_out == {path.name for path in (CASES / "mixfmt").iterdir()} and not read & left_out
    assert {"svg.png", "photo.heic"} == left_out
    if "HEIF" not in picture_formats():
        assert "pillow-heif" in next(one.reason for one in found.left_out if one.file == "photo.heic")


def test_sixteen_bit_grey_is_no_white():
    assert abs(look([CASES / "gray16.png"]).items[0].mean - 127.5) < 1


@pytest.mark.parametrize("name, size, frames, fps, turned, mean", [
    ("rot90.mp4", (80, 120), 30, 25, True, 92.9), ("clear.mov", (120, 80), 10, 25, False, 164.2),
    ("anamorphic.mp4", (240, 80), 30, 25, False, 92.9), ("dup.gif", (120, 80), 20, 16.667, False, 94.2),
    ("vfr.mkv", (120, 80), 30, 4.172, False, 92.9),
])  # fmt: skip
def test_clips_are_read_as_they_are_shown(name, size, frames, fps, turned, mean):
    (item,) = look([CASES / name]).items
    assert (item.width, item.height) == size and item.frames == frames and item.turned == turned
    assert item.fps == pytest.approx(fps, abs=0.01) and item.mean == pytest.approx(mean, abs=1)
    assert read_clips(CASES / name, Cut(8, 1, 1, 16)).pixels.shape == (1, 8, 16, 16, 3)


@pytest.mark.parametrize("split", [1, 2, 3])
@pytest.mark.parametrize("part", ["train", "test", "all"])
def test_ucf101_in_its_official_spelling(split, part):
    videos, missing = ucf101(CASES / "ucf101", split, part)
    assert {video.label for video in videos} == {"Archery", "HandstandPushups"} and not missing
    assert len(videos) == (4 if part == "all" else 2) and all(video.path.is_file() for video in videos)
