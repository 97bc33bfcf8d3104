"""What may and may not be inside a picture."""

import json
import struct
import warnings
import zlib

import pytest
from PIL import Image, PngImagePlugin

from zigdemo import media, zoo
from zigdemo.pipeline import Request


def png(path, text=None, size=(4, 4)):
    info = PngImagePlugin.PngInfo()
    if text is not None:
        info.add_itxt(media.KEY, text)
    Image.new("RGB", size).save(path, pnginfo=info)
    return path


def good(**changes):
    return {"request": {"model": "tiny", **changes}}


HOSTILE = {
    "no settings": None,
    "not JSON": "{",
    "a list": "[1]",
    "no request": "{}",
    "deep nesting": "[" * 50_000,
    "unknown setting": json.dumps(good(run="rm -rf /")),
    "code for a number": json.dumps(good(steps="__import__('os')")),
    "huge number": json.dumps(good(steps=10**30)),
    "NaN": '{"request": {"model": "tiny", "guidance": NaN}}',
    "too long": json.dumps(good(label="x" * 100_000)),
    "missing model": '{"request": {}}',
    "nested options": json.dumps(good(solver_options={"a": {"b": 1}})),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_settings_are_one_sentence(tmp_path, name):
    with pytest.raises(ValueError) as fault:
        Request.from_metadata(png(tmp_path / "bad.png", HOSTILE[name]))
    assert "\n" not in str(fault.value) and "bad.png" in str(fault.value) and len(str(fault.value)) < 400


def test_a_truncated_a_foreign_and_a_missing_file_are_one_sentence(tmp_path):
    whole = png(tmp_path / "a.png", "{}", (64, 64)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("hello")
    Image.new("RGB", (4, 4)).save(tmp_path / "jpeg.png", format="JPEG")
    for name in ("cut.png", "text.png", "jpeg.png", "gone.png"):
        with pytest.raises(ValueError, match=name):
            media.read_metadata(tmp_path / name)


def test_a_picture_that_unpacks_to_gigabytes_is_refused(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(ValueError, match="bomb.png"):
        media.read_metadata(tmp_path / "bomb.png")


def test_a_text_chunk_that_unpacks_to_gigabytes_is_refused(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_itxt(media.KEY, " " * 50_000_000, zip=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "bomb.png", pnginfo=info)
    with pytest.raises(ValueError, match="bomb.png"):
        media.read_metadata(tmp_path / "bomb.png")


def test_file_names_are_plain(tmp_path):
    name = media.file_name(Request("m/../x", label="piñata: 50% \\ *?").settings, 2)
    assert name.endswith("seed2.png") and not set(name) & set('/\\:*?% "')
    assert len(media.file_name(Request("m", label="x" * 900).settings, 0)) <= 104


FOREIGN = {
    "long": ({"model": "a" * 600}, "is not here"), "path": ({"model": "../weights/zigma-emoji"}, "is not here"),
    "absolute": ({"model": "/etc"}, "is not here"), "null": ({"model": "a\0b"}, "is not here"),
    "missing": ({"seed": 1}, "name no model"), "number": ({"model": 7}, "name no model"),
    "empty": ({"model": ""}, "model"),
    "steps": ({"model": "m", "steps": "many"}, "steps must be a whole number"),
    "unknown": ({"model": "m", "evil": 1}, "does not know: evil"),
    "huge": ({"model": "m", "seed": 10**400}, "seed must be"),
    "nested": ({"model": "m", "solver_options": {"start": [[1]]}}, "start must be"),
}  # fmt: skip


@pytest.mark.parametrize("case", FOREIGN)
def test_settings_of_any_file_give_one_sentence_and_no_path_is_probed(tmp_path, case, monkeypatch):
    settings, words = FOREIGN[case]
    info = PngImagePlugin.PngInfo()
    info.add_itxt("zigdemo", json.dumps({"request": settings}))
    Image.new("RGB", (2, 2)).save(tmp_path / "theirs.png", pnginfo=info)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            Request.from_metadata(tmp_path / "theirs.png")
            sentence = str(caught[0].message)
        except ValueError as fault:
            sentence = str(fault)
    assert words in sentence and "theirs.png" in sentence and str(tmp_path) not in sentence and len(sentence) < 400
