"""Clips as files: what is written is seen again, carries its request, and a file from elsewhere does no harm."""

from __future__ import annotations

import json
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from
from PIL import Image, PngImagePlugin

from zigdemo import media
from zigdemo.media import clips, decoding
from zigdemo.request import Request

pytestmark = pytest.mark.filterwarnings("ignore:.* was made with a model that is not here")
REQUEST = Request("tiny", label="Juggling é", frames=16, seed=7)


def moving(frames=5, height=24, width=32) -> np.ndarray:
    """A coloured bar that moves down over bars of plain colours."""
    clip = np.zeros((frames, height, width, 3), np.uint8)
    for column, colour in enumerate(((230, 20, 20), (20, 200, 30), (30, 40, 220), (240, 220, 40))):
        clip[:, :, column * width // 4 :] = colour
    for number in range(frames):
        clip[number, number : number + 3] = (250, 250, 250)
    return clip


def write(path, clip, **options):
    if path.suffix == ".mp4":
        pytest.importorskip("av")
    return media.save_clip(clip, path, REQUEST.settings, {"torch": "1"}, **options)


@pytest.mark.parametrize("kind", media.CLIP_KINDS)
def test_every_kind_restores_the_request(tmp_path, kind):
    path = write(tmp_path / f"a.{kind}", moving(), index=3, frames_per_second=8)
    assert Request.from_metadata(path) == REQUEST
    found = media.read_metadata(path)
    assert (found["index"], found["provenance"]) == (3, {"torch": "1"})
    assert (found["clip"]["frames"], found["clip"]["frames_per_second"]) == (5, 8)
    assert [file.name for file in tmp_path.iterdir()] == [f"a.{kind}"]


@given(
    frames=integers(1, 7), height=integers(1, 40), width=integers(1, 40), kind=sampled_from(["webp", "png"]),
    seed=integers(0, 99),
)  # fmt: skip
@settings(deadline=None, max_examples=15)
def test_kinds_without_loss_give_every_frame_back(tmp_path_factory, frames, height, width, kind, seed):
    clip = np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    clip[1:3] = clip[:1]  # frames that are equal are still two
    path = write(tmp_path_factory.mktemp("clips") / f"a.{kind}", clip)
    back = media.read_clip(path)
    times = back.shape[1] // height
    assert (
        times == 1 if kind == "png" else min(back.shape[1:3]) >= 256 or max(back.shape[1:3]) > 2048 - max(height, width)
    )
    assert (back[:, ::times, ::times] == clip).all()


@given(frames=integers(1, 6), height=integers(1, 300), width=integers(1, 300))
@settings(deadline=None, max_examples=8)
def test_an_mp4_has_all_frames_and_even_sides(tmp_path_factory, frames, height, width):
    clip = moving(frames, height, width)
    back = media.read_clip(write(tmp_path_factory.mktemp("clips") / "a.mp4", clip))
    times = clips.enlarged(clip).shape[1] // height
    assert back.shape == (frames, *(side * times + side * times % 2 for side in (height, width)), 3)


@pytest.mark.parametrize("kind, levels", [("mp4", 3.0), ("gif", 3.0)])
def test_kinds_with_loss_keep_colours_and_motion(tmp_path, kind, levels):
    clip = moving()
    back = media.read_clip(write(tmp_path / f"a.{kind}", clip)).astype(int)
    assert np.abs(back - clips.enlarged(clip)).mean() < levels


@pytest.mark.parametrize("speed", [8, 7.5, 25, 30])
@pytest.mark.parametrize("kind", ["gif", "webp", "mp4"])
def test_files_play_as_long_as_the_clip(tmp_path, kind, speed):
    path = write(tmp_path / f"a.{kind}", moving(9), frames_per_second=speed)
    if kind == "mp4":
        import av

        with av.open(path) as container:
            video = container.streams.video[0]
            assert (video.frames, video.average_rate) == (9, Fraction(speed))
            assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
            seconds = container.duration / 1e6
    else:
        with Image.open(path) as picture:
            durations = []
            for number in range(picture.n_frames):
                picture.seek(number)
                picture.load()
                durations.append(picture.info["duration"])
            assert picture.info["loop"] == 0
        seconds = sum(durations) / 1000
    assert abs(seconds - 9 / speed) <= 0.006


def test_the_index_of_an_mp4_comes_before_its_pictures(tmp_path):
    data = write(tmp_path / "a.mp4", moving()).read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("shape, shown", [
    ((32, 32), (256, 256)), ((32, 48), (256, 384)), ((100, 300), (300, 900)), ((256, 999), (256, 999)),
    ((1, 300), (6, 1800)), ((1, 5000), (1, 5000)),
])  # fmt: skip
def test_small_clips_are_enlarged_by_whole_pixels(shape, shown):
    assert clips.enlarged(np.zeros((1, *shape, 3), np.uint8)).shape[1:3] == shown


@given(count=integers(1, 30), columns=integers(1, 40))
def test_a_filmstrip_has_every_frame_in_its_place(count, columns):
    clip = np.random.default_rng(count).integers(0, 255, (count, 2, 3, 3), dtype=np.uint8)
    sheet = np.asarray(media.filmstrip(clip, columns))
    columns = min(columns, count)
    assert sheet.shape == (-(-count // columns) * 2, columns * 3, 3)
    for number in range(count):
        top, left = number // columns * 2, number % columns * 3
        assert (sheet[top : top + 2, left : left + 3] == clip[number]).all()
    assert (sheet == 255).all(-1).sum() == (-count % columns) * 6
    assert media.filmstrip(clip).width >= media.filmstrip(clip).height


@pytest.mark.parametrize("clip", [moving().astype(float), moving()[0], moving()[..., :1], moving()[:0],
                                  np.zeros((1, 1, 5000, 3), np.uint8)])  # fmt: skip
def test_what_is_no_clip_is_refused(tmp_path, clip):
    with pytest.raises(ValueError, match="clip must "):
        media.save_clip(clip, tmp_path / "a.gif", REQUEST.settings, {})
    assert not list(tmp_path.iterdir())


def test_an_unknown_kind_and_an_impossible_speed_are_refused(tmp_path):
    with pytest.raises(ValueError, match="choose a name that ends in mp4, gif, webp, png"):
        write(tmp_path / "a.exe", moving())
    with pytest.raises(ValueError, match="frames_per_second must be a number from 0.1 to 100"):
        write(tmp_path / "a.gif", moving(), frames_per_second=0)


def test_without_pyav_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", moving())
    monkeypatch.setitem(sys.modules, "av", None)
    for use in (media.read_clip, media.read_metadata):
        with pytest.raises(ValueError, match="run `pip install av`"):
            use(path)
    assert len(media.read_clip(write(tmp_path / "b.gif", moving()))) == 5
    with pytest.raises(ValueError, match="run `pip install av`"):
        media.save_clip(moving(), tmp_path / "c.mp4", REQUEST.settings, {})


PLAYLIST = b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.webp", "a.avi", "a.png", "a.m3u8"])
@pytest.mark.parametrize(
    "data", [b"", b"junk", PLAYLIST, CONCAT, b"\0\0\0\x18ftypisom" + bytes(50), b"RIFF\0\0\0\0AVI LIST", b"GIF89a"]
)
def test_junk_is_one_sentence_that_names_the_file(tmp_path, name, data):
    pytest.importorskip("av")
    (tmp_path / name).write_bytes(data)
    for use in (media.read_clip, media.read_metadata, Request.from_metadata):
        with pytest.raises(ValueError, match=name) as fault:
            use(tmp_path / name)
        assert "\n" not in str(fault.value)


@pytest.mark.parametrize("kind", media.CLIP_KINDS)
def test_a_file_cut_short_or_damaged_anywhere_is_read_or_refused(tmp_path, kind):
    whole = write(tmp_path / f"a.{kind}", moving(3)).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(15):
        data = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        data[rng.integers(len(data))] ^= 255
        (tmp_path / f"b.{kind}").write_bytes(data)
        for use in (media.read_clip, media.read_metadata):
            try:
                use(tmp_path / f"b.{kind}")
            except ValueError as fault:
                assert f"b.{kind}" in str(fault) and "\n" not in str(fault)


@pytest.mark.parametrize("kind", ["mp4", "gif", "webp"])
def test_bombs_stop_at_the_limits(tmp_path, monkeypatch, kind):
    path = write(tmp_path / f"a.{kind}", moving())
    monkeypatch.setattr(clips, "MOST_FRAMES", 4)
    with pytest.raises(ValueError, match="too many or too large frames"):
        media.read_clip(path)
    monkeypatch.setattr(decoding, "MOST_FRAME_PIXELS", 1000)
    with pytest.raises(ValueError, match="frames of .* x .* pixels"):
        media.read_clip(path)


@pytest.mark.parametrize("about", [
    {"frames": 10**9, "columns": 1}, {"frames": "9", "columns": 3}, {"frames": 9, "columns": 0},
    {"frames": 7, "columns": 5}, {"frames": 1, "columns": [2]},
])  # fmt: skip
def test_a_filmstrip_that_says_nonsense_is_refused(tmp_path, about):
    info = PngImagePlugin.PngInfo()
    info.add_itxt(media.KEY, json.dumps({"request": {"model": "tiny"}, "clip": about}))
    Image.new("RGB", (24, 24)).save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(ValueError, match="a.png"):
        media.read_clip(tmp_path / "a.png")


def test_a_picture_is_no_clip_and_carries_its_request_all_the_same(tmp_path):
    path = media.save_png(Image.new("RGB", (8, 8)), tmp_path / "a.png", REQUEST.settings, {})
    assert Request.from_metadata(path) == REQUEST and "clip" not in media.read_metadata(path)
    with pytest.raises(ValueError, match="a.png is not a readable clip"):
        media.read_clip(path)
