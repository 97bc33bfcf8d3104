"""What `zigdemo.data look` says of inputs that people really have: read right, or left out with the reason."""

from __future__ import annotations

import io
import json
import tarfile
import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageCms

from zigdemo.data.__main__ import main
from zigdemo.data.look import look
from zigdemo.data.names import decode_text, likeliest_encoding
from zigdemo.data.sources import Limits

RED, GREY = (220, 30, 30), (128, 128, 128)


def png(colour=RED, size=(8, 6), kind="PNG", mode="RGB", **options) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, kind, **options)
    return out.getvalue()


def lay(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def zipped(path, files, encoding=None):
    """A zip of some files; with an encoding, names are written in it without the flag of UTF-8."""
    places = {name: name if encoding is None else f"{number:04d}".ljust(len(name.encode(encoding)), "~")
              for number, name in enumerate(files)}  # fmt: skip
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(places[name], content)
    if encoding is not None:
        packed = path.read_bytes()
        for name, place in places.items():
            packed = packed.replace(place.encode(), name.encode(encoding))
        path.write_bytes(packed)
    return path


def tarred(path, files):
    with tarfile.open(
        path, f"w:{path.suffix[1:] if path.suffix in ('.gz', '.xz') else 'gz' * (path.suffix == '.tgz')}"
    ) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def texts(found):
    """Caption, else label, of every item by its file."""
    return {item.file: item.caption or item.label for item in found.items}


def reasons(found):
    return {one.file: one.reason for one in found.left_out}


# Pictures


@pytest.mark.parametrize("name, kind", [
    ("a.jfif", "JPEG"), ("a.jpe", "JPEG"), ("a.tif", "TIFF"), ("a.apng", "PNG"), ("a.ppm", "PPM"), ("a.tga", "TGA"),
    ("a.bmp", "BMP"), ("a.webp", "WEBP"), ("a.avif", "AVIF"), ("a.jp2", "JPEG2000"), ("a.ico", "ICO"), ("a.gif", "GIF"),
    ("a.png", "JPEG"), ("a", "PNG"), ("a.dat", "PNG"),
])  # fmt: skip
def test_pictures_of_every_format_are_read_whatever_their_name(tmp_path, name, kind):
    (item,) = look([lay(tmp_path, {name: png(GREY, (16, 16), kind)})]).items
    assert item.file == name and (item.width, item.height) == (16, 16) and abs(item.mean - 128) < 3
    assert not item.turned and item.frames is None and item.fps is None


@pytest.mark.parametrize("values, mode, mean", [
    (np.full((4, 4), 32768, np.uint16), None, 127.5), (np.full((4, 4), 65535, np.uint16), None, 255),
    (np.linspace(0, 4095, 16).reshape(4, 4).astype(np.uint16), None, 127.5),
    (np.full((4, 4), 0.5, np.float32), "F", 127.5), (np.full((4, 4), 200.0, np.float32), "F", 200),
    (np.array([[np.nan, 1.0], [0.0, 1.0]], np.float32), "F", 127.5),
    (np.array([[0, 100_000], [100_000, 0]], np.int32), "I", 127.5),
])  # fmt: skip
def test_deep_and_floating_point_greys_are_scaled(tmp_path, values, mode, mean):
    Image.fromarray(values, mode).save(tmp_path / "a.tiff")
    found = look([tmp_path / "a.tiff"])
    assert abs(found.items[0].mean - mean) < 1.5 and "scaled to 8 bits" in found.notes[0]


@pytest.mark.parametrize("mode, colour, mean", [
    ("CMYK", (0, 0, 0, 0), 255), ("LA", (0, 0), 255), ("RGBA", (0, 0, 0, 0), 255), ("RGBA", (0, 0, 0, 255), 0),
    ("1", 1, 255), ("P", 0, 0), ("L", 77, 77), ("LAB", (255, 128, 128), 255), ("YCbCr", (128, 128, 128), 128),
])  # fmt: skip
def test_other_modes_become_rgb_on_white(tmp_path, mode, colour, mean):
    Image.new(mode, (5, 5), colour).save(tmp_path / "a.tiff" if mode not in ("YCbCr",) else tmp_path / "a.jpg")
    assert abs(look([tmp_path / "a.tiff" if mode != "YCbCr" else tmp_path / "a.jpg"]).items[0].mean - mean) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_are_turned_upright(tmp_path, orientation, kind):
    exif = Image.Exif()
    exif[0x112] = orientation
    (item,) = look([lay(tmp_path, {"a.x": png(GREY, (10, 4), kind, exif=exif)})]).items
    assert item.turned == (orientation > 1)
    assert (item.width, item.height) == ((4, 10) if orientation > 4 else (10, 4))


def test_a_wide_colour_profile_is_converted_and_srgb_is_left_alone(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xyz = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    plain = look([lay(tmp_path / "a", {"a.png": png(icc_profile=srgb), "b.png": png()})])
    assert plain.items[0].mean == plain.items[1].mean and not plain.notes
    broken = look([lay(tmp_path / "b", {"a.png": png(icc_profile=xyz), "b.png": png(icc_profile=b"x" * 300)})])
    assert len(broken.items) == 2


def test_an_animation_is_read_by_its_first_frame_with_the_mean_rate(tmp_path):
    frames = [Image.new("RGB", (6, 6), (40 * i, 0, 0)) for i in range(4)]
    for name, kind in (("a.gif", "GIF"), ("a.webp", "WEBP"), ("a.png", "PNG"), ("a.avif", "AVIF")):
        frames[0].save(tmp_path / name, kind, save_all=True, append_images=frames[1:], duration=[440, 40, 40, 40])
    found = look([tmp_path])
    assert [(item.frames, round(item.fps, 1)) for item in found.items] == [(4, 7.1)] * 4
    assert all(item.mean < 8 for item in found.items) and len(found.notes) == 4


def test_drawings_pages_pointers_and_empty_files_are_named(tmp_path):
    found = reasons(look([lay(tmp_path, {
        "svg.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "page.pdf": b"%PDF-1.4", "ps.eps": b"%!PS-Adobe-3.0",
        "lfs.jpg": b"version https://git-lfs.github.com/spec/v1\n", "empty.png": b"", "text.png": b"hello",
        "cut.png": png()[:20], "ok.png": png(), "archive.rar": b"Rar!\x1a\x07\x00", "notes.md": b"# hi",
    })]))  # fmt: skip
    for name, word in {
        "svg.png": "SVG", "page.pdf": "PDF", "ps.eps": "PostScript", "lfs.jpg": "git lfs pull", "empty.png": "empty",
        "text.png": "no picture", "cut.png": "broken", "archive.rar": "no picture", "notes.md": "no picture",
    }.items():  # fmt: skip
        assert word in found[name], (name, found[name])


# Captions


@pytest.mark.parametrize("files, wanted", [
    ({"a.b.png": png(), "a.b.txt": "one", "a.c.png": png(GREY), "a.c.txt": "two"},
     {"a.b.png": "one", "a.c.png": "two"}),
    ({"at 10.20.30.jpg": png(), "at 10.45.11.jpg": png(), "at 10.45.11.txt": "x"},
     {"at 10.20.30.jpg": "at 10.20", "at 10.45.11.jpg": "x"}),
    ({"1.png": png(), "1.caption": "said"}, {"1.png": "said"}),
    ({"1.png": png(), "1.png.txt": "said"}, {"1.png": "said"}),
    ({"1.png": png(), "1.txt": "text", "1.caption": "caption"}, {"1.png": "text"}),
    ({"000.img.png": png(), "000.txt": "of the sample"}, {"000.img.png": "of the sample"}),
    ({"k.png": png(), "k.json": '{"caption": "one", "url": "http://x"}'}, {"k.png": "one"}),
    ({"m.png": png(), "metadata.csv": "file_name,text\nm.png,said"}, {"m.png": "said"}),
    ({"m.png": png(), "metadata.csv": '\ufefffile_name;text\r\nm.png;"said; so"\r\n'}, {"m.png": "said; so"}),
    ({"m.png": png(), "captions.txt": "image,caption\nm.png,said"}, {"m.png": "said"}),
    ({"m.png": png(), "t.tsv": "filename\tprompt\nm.png\tsaid"}, {"m.png": "said"}),
    ({"in/m.png": png(), "metadata.jsonl": '{"file_name": "in\\\\m.png", "text": "said"}'}, {"in/m.png": "said"}),
    ({"in/m.png": png(), "in/metadata.jsonl": '{"file_name": "./M.PNG", "text": "said"}'}, {"in/m.png": "said"}),
    ({"m.png": png(), "captions.json": '{"m.png": "said"}'}, {"m.png": "said"}),
    ({"m.png": png(), "captions.json": '{"m": {"caption": "said"}}'}, {"m.png": "said"}),
    ({"m.png": png(), "captions.json": '[{"file_name": "m.png", "caption": "said"}]'}, {"m.png": "said"}),
    ({"m.png": png(), "coco.json": json.dumps({
        "images": [{"id": 7, "file_name": "m.png"}], "annotations": [{"image_id": 7, "caption": "said"}]})},
     {"m.png": "said"}),
    ({"10_sks dog/3.png": png()}, {"10_sks dog/3.png": "sks dog"}),
    ({"1_a_b/x.png": png(), "1_a_b/x.txt": "said"}, {"1_a_b/x.png": "said"}),
    ({"2024/x.png": png()}, {"2024/x.png": "2024"}),
    ({"x/a.png": png(), "x/a.txt": "of x", "y/a.png": png(), "y/a.txt": "of y"},
     {"x/a.png": "of x", "y/a.png": "of y"}),
    ({"a.png": png(), "a.cls": "cat"}, {"a.png": "cat"}),
])  # fmt: skip
def test_captions_are_found_and_pairs_stay_pairs(tmp_path, files, wanted):
    assert texts(look([lay(tmp_path, files)])) == wanted
    assert {name.removeprefix("all.zip/"): text for name, text in texts(
        look([zipped(tmp_path / "all.zip", files)])).items()} == wanted  # fmt: skip


@pytest.mark.parametrize("content, wanted, note", [
    ("a cat".encode("utf-16"), "a cat", None), ("a cat".encode("utf-16-be"), "a cat", None),
    ("\ufeffein Fuß".encode("utf-8"), "ein Fuß", None), ("\ufeffein Fuß".encode("utf-16-le"), "ein Fuß", None),
    ("a cat".encode("utf-32"), "a cat", None), ("café – noir".encode("cp1252"), "café – noir", "Windows-1252"),
    ("собака".encode("cp1251"), "собака", "Windows-1251"), ("狗和猫".encode("gbk"), "狗和猫", "GBK"),
    ("ネコとイヌ".encode("cp932"), "ネコとイヌ", "Shift-JIS"), (b"a\r\ncat", "a\r\ncat", None),
])  # fmt: skip
def test_texts_are_read_in_the_encoding_they_were_written_in(tmp_path, content, wanted, note):
    assert decode_text(content) == (wanted, note)
    found = look([lay(tmp_path, {"a.png": png(), "a.txt": content})])
    assert found.items[0].caption == wanted.splitlines()[0]
    assert any(note in line for line in found.notes) if note else not found.notes


def test_names_are_compared_in_one_form(tmp_path):
    name = unicodedata.normalize("NFD", "café.png")
    lay(tmp_path, {name: png(), "metadata.jsonl": '{"file_name": "café.png", "text": "a coffee"}'})
    assert list(texts(look([tmp_path])).values()) == ["a coffee"]


def test_captions_that_fit_nothing_are_counted_and_named(tmp_path):
    found = look([lay(tmp_path, {
        "a.png": png(), "gone.txt": "a ghost", "empty.caption": "", "list.csv": "file_name,text\na.png,one\nb.png,two",
        "other.json": '{"x.png": "y"}', "readme.txt": "read me",
    })])  # fmt: skip
    assert texts(found) == {"a.png": "one"}
    assert set(reasons(found)) == {"gone.txt", "empty.caption", "other.json", "readme.txt"}
    assert found.notes == ["1 caption of list.csv fits no file here, such as 'b.png'"]


# Archives


@pytest.mark.parametrize("name, encoding", [
    ("кошки/рыжий кот.png", "utf-8"), ("кошки/кот.png", "cp866"), ("狗和猫/照片.png", "gbk"),
    ("犬/写真.png", "cp932"), ("ねこ/いち.png", "cp932"), ("Köln/straße.png", "cp437"), ("café/été.png", "cp437"),
])  # fmt: skip
def test_names_of_a_zip_without_the_flag_are_readable(tmp_path, name, encoding):
    found = look([zipped(tmp_path / "x.zip", {name: png()}, encoding)])
    assert [(item.file, item.label) for item in found.items] == [(f"x.zip/{name}", name.split("/")[0])]
    assert likeliest_encoding([name.encode(encoding)], [encoding]) in ("utf-8", encoding)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.xz"])
def test_archives_of_every_kind_beside_pictures_and_others(tmp_path, name):
    packed = zipped if name.endswith("zip") else tarred
    packed(tmp_path / name, {"dog/1.png": png(), "dog/1.txt": b"a dog", "__MACOSX/dog/._1.png": b"x", "in.zip": b"PK"})
    lay(tmp_path, {"cat/2.png": png(GREY)})
    found = look([tmp_path])
    assert texts(found) == {f"{name}/dog/1.png": "a dog", "cat/2.png": "cat"}
    assert set(reasons(found)) == {f"{name}/__MACOSX/dog/._1.png", f"{name}/in.zip"}


def test_several_paths_and_back_slashes(tmp_path):
    first = zipped(tmp_path / "1.zip", {"dogs\\a.png": png(), "dogs\\a.txt": b"one"})
    second = tarred(tmp_path / "2.tar.gz", {"a.png": png(GREY), "a.txt": b"two"})
    lay(tmp_path / "up", {"0/b.png": png(), "0/b.txt": "three", "1/b.png": png(GREY), "1/b.txt": "four"})
    uploads = [tmp_path / "up" / name for name in ("0/b.png", "0/b.txt", "1/b.png", "1/b.txt")]
    found = look([first, second, *uploads])
    assert [item.caption for item in found.items] == ["one", "two", "three", "four"]
    assert found.items[0].file == "1.zip/dogs/a.png" and not found.left_out


@pytest.mark.parametrize("name", [
    ".ipynb_checkpoints/a.png", "__MACOSX/a.png", "@eaDir/a.png", "._a.png", "Thumbs.db", "desktop.ini", ".git/a.png",
    "x/.hidden/a.png", ".DS_Store",
])  # fmt: skip
def test_what_systems_leave_behind_is_no_data(tmp_path, name):
    found = look([lay(tmp_path, {name: png(), "ok/b.png": png()})])
    assert [item.file for item in found.items] == ["ok/b.png"] and "no data" in reasons(found)[name]


def test_a_broken_archive_among_others_is_named_and_one_alone_is_a_sentence(tmp_path, capsys):
    lay(tmp_path, {"bad.zip": b"PK\x03\x04 no zip", "cut.tar.gz": b"\x1f\x8b no", "a.png": png()})
    found = look([tmp_path])
    assert [item.file for item in found.items] == ["a.png"]
    assert all("pack it again" in reason for reason in reasons(found).values()) and len(found.left_out) == 2
    assert main(["look", str(tmp_path / "bad.zip")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "bad.zip" in error and str(tmp_path) not in error


def test_limits_are_kept(tmp_path):
    zipped(tmp_path / "x.zip", {"a.png": png(size=(300, 300)), "b.png": png()})
    found = look([tmp_path / "x.zip"], Limits(pixels=1000))
    assert [item.file for item in found.items] == ["x.zip/b.png"] and "pixels" in found.left_out[0].reason


# The command


def test_json_has_every_key_and_nothing_usable_ends_with_2(tmp_path, capsys):
    lay(tmp_path / "set", {"dog/a.png": png(), "notes.md": "x"})
    assert main(["look", str(tmp_path / "set"), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["items"] == [{
        "file": "dog/a.png", "label": "dog", "caption": None, "width": 8, "height": 6, "mean": round(280 / 3, 2),
        "frames": None, "fps": None, "turned": False,
    }]  # fmt: skip
    assert content["left_out"][0]["file"] == "notes.md" and content["notes"] == []
    for path in (tmp_path / "set/notes.md", tmp_path / "nowhere"):
        assert main(["look", str(path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_people_read_every_item_and_every_reason(tmp_path, capsys):
    lay(tmp_path, {"dog/a.png": png(), "notes.md": "x"})
    assert main(["look", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "dog/a.png: 'dog', 8 x 6" in said and "left out: notes.md" in said


def test_of_several_pages_the_first_is_read_with_a_note(tmp_path):
    pages = [Image.new("L", (4, 4), 50 * i) for i in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    found = look([tmp_path])
    assert found.items[0].mean == 0 and found.items[0].frames is None
    assert found.notes == ["a.tif: only the first of 3 pages"]
