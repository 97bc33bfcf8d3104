"""Anybody's pictures: read from anywhere, labelled by what is there, and whatever is wrong is a sentence."""

import io
import json
import stat
import struct
import sys
import tarfile
import types
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import binary, integers
from PIL import Image

from zigdemo.data import ImageSet
from zigdemo.data.folders import Limits, read_pictures, square
from zigdemo.data.preparation import main

RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)


def png(colour=RED, size=(20, 20), kind="PNG", **options) -> bytes:
    out = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(out, kind, **options)
    return out.getvalue()


def huge_png(side=30_000) -> bytes:
    """A whole and valid picture of side x side white pixels in one bit each, about 100 kB."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = b"\0" + b"\xff" * (-(-side // 8))
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def lay(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path, files):
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


PACKED = {"folder": lay, "zip": zipped, "tar": tarred}
SETS = {
    "sub-folders": ({"red_cat/1.png": png(), "dog/1.png": png(BLUE)}, ["dog", "red cat"]),
    "file names": ({"red_boat_01.png": png(), "red_boat_02.jpg": png(GREEN, kind="JPEG")}, ["red boat", "red boat"]),
    "texts": ({"a.png": png(), "a.txt": b"\n  a red   thing \nmore"}, ["a red thing"]),
    "byte order mark": ({"a.png": png(), "a.txt": "\ufeffein Fuß".encode()}, ["ein Fuß"]),
    "json": ({"k1.png": png(), "k1.json": b'{"caption": "one"}', "k2.webp": png(BLUE, kind="WEBP"), "k2.cls": b"7"},
             ["one", "7"]),
    "jsonl": ({"in/a.png": png(), "in/metadata.jsonl": b'{"file_name": "a.png", "text": "said"}\nno json\n[1]\n{}'},
              ["said"]),
    "broken texts": ({"a.png": png(), "a.txt": b" \n", "metadata.jsonl": b"\xff\xfe{"}, ["a"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("packed", PACKED)
def test_labels_come_from_what_is_there_the_same_from_a_folder_a_zip_and_a_shard(tmp_path, packed, kind):
    files, labels = SETS[kind]
    source = PACKED[packed](tmp_path / f"set.{packed}", files)
    found = read_pictures(source, 8)
    assert sorted(found.labels) == sorted(labels) and found.images.shape == (len(labels), 8, 8, 3)
    assert not found.skipped


def test_several_shards_are_one_set_and_one_label_can_be_given_to_all(tmp_path):
    tarred(tmp_path / "0.tar", {"a.png": png()})
    tarred(tmp_path / "1.tar", {"b.png": png(BLUE)})
    assert read_pictures(tmp_path, 8).labels == ["a", "b"]
    assert read_pictures(tmp_path, 8, label="ours").image_set().label_names == ["ours"]


def test_pictures_are_cut_to_the_middle_on_white_and_upright():
    wide = Image.new("RGB", (30, 10), RED)
    wide.paste(BLUE, (10, 0, 20, 10))
    out = io.BytesIO()
    wide.save(out, "PNG")
    assert (square(out.getvalue(), 10) == BLUE).all()
    assert (square(png((0, 0, 0, 0)), 8) == 255).all()
    turned = Image.new("RGB", (10, 10), RED)
    turned.paste(BLUE, (0, 0, 10, 5))
    exif = Image.Exif()
    exif[0x112] = 3  # upside down
    out = io.BytesIO()
    turned.save(out, "PNG", exif=exif)
    assert (square(out.getvalue(), 10)[-1] == BLUE).all()


def test_what_is_no_picture_is_named_and_nothing_else_is_lost(tmp_path):
    cut = png(size=(200, 200), kind="JPEG")
    folder = lay(tmp_path / "mixed", {
        "good/1.png": png(), "good/text.png": b"I am text", "good/empty.png": b"", "good/cut.jpg": cut[: len(cut) // 2],
        "good/huge.png": huge_png(), "good/again.png": png(), "good/.hidden.png": png(BLUE), "good/notes.docx": b"x",
    })  # fmt: skip
    (folder / "good/link.png").symlink_to("/etc/passwd")
    found = read_pictures(folder, 8)
    assert found.labels == ["good"] and found.notes[0] == "1 picture with 1 label"
    reasons = dict(line.split(": ", 1) for line in found.skipped)
    assert reasons["good/text.png"] == reasons["good/empty.png"] == "not a picture, despite its name"
    assert "pixels" in reasons["good/huge.png"] and "broken picture" in reasons["good/cut.jpg"]
    assert reasons["good/link.png"].startswith("a link") and len(reasons) == 6
    assert {reasons["good/again.png"], "the same as good/1.png"} == {"the same as good/1.png"} or (
        found.skipped and "the same as good/again.png" in found.skipped[-1]
    )
    assert any("memorised" in note for note in found.notes)


@pytest.mark.parametrize("name", ["../up.png", "a/../../up.png", "/etc/x.png", "C:\\x.png", "..\\x.png"])
@pytest.mark.parametrize("packed", ["zip", "tar"])
def test_paths_that_lead_out_are_left_out(tmp_path, packed, name):
    source = PACKED[packed](tmp_path / f"set.{packed}", {name: png(), "good.png": png(BLUE)})
    found = read_pictures(source, 8)
    assert found.labels == ["good"] and found.skipped == [f"{name}: its path leads out of the folder"]


def test_links_and_devices_in_archives_are_left_out(tmp_path):
    info = tarfile.TarInfo("link.png")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.addfile(info)
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    for name in ("x.tar", "x.zip"):
        with pytest.raises(ValueError, match="no picture that can be used .*link.png: a link"):
            read_pictures(tmp_path / name, 8)


def test_a_zip_bomb_stops_at_the_limits(tmp_path):
    bomb = {f"{i}.png": bytes(3_000_000) for i in range(20)}
    path = zipped(tmp_path / "bomb.zip", bomb | {"good.png": png()})
    assert path.stat().st_size < 100_000
    found = read_pictures(path, 8, limits=Limits(file_bytes=2_000_000))
    assert found.labels == ["good"] and len(found.skipped) == 20 and "more than 1.9" in found.skipped[0]
    with pytest.raises(ValueError, match="unpacks to more than .* GB"):
        read_pictures(path, 8, limits=Limits(total_bytes=10_000_000))
    with pytest.raises(ValueError, match="more than 5 files"):
        read_pictures(path, 8, limits=Limits(files=5))


def test_a_member_that_lies_about_its_size_stops_at_the_limit(tmp_path):
    path = zipped(tmp_path / "liar.zip", {"a.png": bytes(3_000_000)})
    data = path.read_bytes().replace(struct.pack("<I", 3_000_000), struct.pack("<I", 100))
    path.write_bytes(data)
    with pytest.raises(ValueError, match="no picture that can be used"):
        read_pictures(path, 8, limits=Limits(file_bytes=1000))


@pytest.mark.parametrize(("files", "word"), [({}, "no picture"), ({"a.txt": b"x"}, "no picture"),
                                             ({"a.png": b"text"}, "despite its name")])  # fmt: skip
def test_nothing_usable_is_one_sentence(tmp_path, files, word, capsys):
    (tmp_path / "empty").mkdir()
    lay(tmp_path / "empty", files)
    with pytest.raises(ValueError, match=word):
        read_pictures(tmp_path / "empty", 8)
    out = str(tmp_path / "out")
    assert main(["folder", "--root", str(tmp_path / "empty"), "--out", out]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(ValueError, match="there is no folder"):
        read_pictures(tmp_path / "none", 8)


def test_duplicate_captions_become_one_label_and_are_told(tmp_path):
    files = {"a.png": png(), "a.txt": b"same", "b.png": png(BLUE), "b.txt": b"same", "c.png": png(GREEN)}
    found = read_pictures(lay(tmp_path / "set", files), 8)
    assert found.image_set().label_names == ["same", "c"] and found.image_set().labels.tolist() == [0, 0, 1]
    assert "1 label with several pictures, such as 'same'" in found.notes


@given(noise=binary(min_size=1, max_size=30), place=integers(0, 4000), packed=integers(0, 1))
@settings(deadline=None, max_examples=40)
def test_a_damaged_archive_is_read_or_refused_in_one_sentence(tmp_path_factory, noise, place, packed):
    folder = tmp_path_factory.mktemp("damaged")
    path = (zipped, tarred)[packed](folder / "x", {"a.png": png(), "b.txt": b"word", "b.png": png(BLUE)})
    data = bytearray(path.read_bytes())
    place %= len(data)
    data[place : place + len(noise)] = noise
    path.write_bytes(data)
    try:
        assert read_pictures(path, 8).images.dtype == np.uint8
    except ValueError as fault:
        assert "\n" not in str(fault)


def test_a_prepared_folder_is_an_image_set(tmp_path, capsys):
    source = lay(tmp_path / "mine", {"cat/1.png": png(), "dog/1.png": png(BLUE), "dog/x.png": b"?"})
    assert main(["folder", "--root", str(source), "--out", str(tmp_path / "set"), "--size", "16"]) == 0
    said = capsys.readouterr()
    assert "2 images of 16 px" in said.out and "skipped dog/x.png: not a picture" in said.err
    assert ImageSet.load(tmp_path / "set").label_names == ["cat", "dog"]
    with pytest.raises(SystemExit):
        main(["folder", "--out", str(tmp_path / "set")])


def test_a_hugging_face_data_set_is_read_and_its_absence_is_a_sentence(monkeypatch):
    class Kind:
        def __init__(self, names=()):
            self.names = names

        def int2str(self, number):
            return self.names[number]

    fake = types.ModuleType("datasets")
    fake.Image, fake.ClassLabel = type("Image", (Kind,), {}), type("ClassLabel", (Kind,), {})

    class Rows(list):
        features = {"picture": fake.Image(), "label": fake.ClassLabel(["cat", "dog"])}

    fake.load_dataset = lambda name, split: Rows([{"picture": Image.new("RGB", (9, 9), RED), "label": 1}])
    monkeypatch.setitem(sys.modules, "datasets", fake)
    assert read_pictures("hf:owner/name", 8).labels == ["dog"]
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match="pip install datasets"):
        read_pictures("hf:owner/name", 8)


def test_json_lines_may_name_files_of_other_folders(tmp_path):
    line = json.dumps({"file_name": "deep/a.png", "caption": "far away"}).encode()
    assert read_pictures(lay(tmp_path, {"m.jsonl": line, "deep/a.png": png()}), 8).labels == ["far away"]
