"""Portraits in files: a zip read with distrust, and Node.js asked to draw them."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from zigdemo.data import ImageSet, draw_attributes
from zigdemo.data.portrait_files import ATTRIBUTES_FILE, PIXELS_FILE, PortraitZip, draw_portraits
from zigdemo.data.preparation import main, prepare_portraits

PLAIN = {"style": "toon", "skin": "tan", "background": "white", "mood": "sad"}


def picture(colour=(200, 10, 10), size=(128, 128), form="WEBP", mode="RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, form, **({"lossless": True} if form == "WEBP" else {}))
    return out.getvalue()


def packed(path, members, attributes=(PLAIN,)):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        if attributes is not None:
            archive.writestr(ATTRIBUTES_FILE, "".join(json.dumps(one) + "\n" for one in attributes))
    return path


def test_pictures_attributes_and_masks_are_read(tmp_path):
    mask = picture(255, form="PNG", mode="L")
    file = packed(tmp_path / "p.zip", {"00000.webp": picture(), "00000.hair.png": mask})
    portraits = PortraitZip(file)
    assert len(portraits) == 1 and portraits.attributes == [PLAIN]
    assert (portraits.picture(0) == (200, 10, 10)).all()
    assert portraits.mask(0, "hair").all() and portraits.mask(0, "beard") is None


@pytest.mark.parametrize(
    ("members", "attributes", "fault"),
    [
        ({}, None, "has no attributes.jsonl"),
        ({}, (), "has no portraits"),
        ({}, ({"style": "oil"},), "line 1 of attributes.jsonl: 'style' is 'oil'"),
        ({}, (PLAIN,), "it has no 00000.webp"),
        ({"00000.webp": b"no picture"}, (PLAIN,), "cannot identify"),
        ({"00000.webp": picture(size=(64, 128))}, (PLAIN,), "64 x 128 px, not 128 x 128"),
        ({"00000.webp": picture(form="PNG")}, (PLAIN,), "cannot identify"),
        ({"00000.webp": b"\0" * (2**20 + 1)}, (PLAIN,), "larger than 1 MB"),
    ],
)
def test_what_is_no_zip_of_portraits_is_one_sentence(tmp_path, members, attributes, fault):
    file = packed(tmp_path / "p.zip", members, attributes)
    with pytest.raises(ValueError, match=fault) as caught:
        list(PortraitZip(file).pictures())
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)
    assert main(["portraits", "--from-zip", str(file), "--out", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_missing_or_no_zip_says_so(tmp_path):
    with pytest.raises(ValueError, match="there is no file"):
        PortraitZip(tmp_path / "gone.zip")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(ValueError, match="is not a zip of portraits"):
        PortraitZip(tmp_path / "text.zip")


def test_a_prepared_set_keeps_what_every_portrait_shows(tmp_path):
    rng = np.random.default_rng(0)
    attributes = [draw_attributes(rng) for _ in range(3)]
    file = packed(tmp_path / "p.zip", {f"{i:05}.webp": picture((i, 0, 0)) for i in range(3)}, attributes)
    assert prepare_portraits(tmp_path / "set", file).count == 3
    data = ImageSet.load(tmp_path / "set")
    assert data.attributes == attributes and data.images[:, 0, 0, 0].tolist() == [0, 1, 2] and data.size == 128
    assert "CC BY 4.0" in json.loads((tmp_path / "set" / "info.json").read_text())["licence"]


def test_node_is_given_the_attributes_and_its_pixels_are_read(tmp_path):
    rng, commands = np.random.default_rng(0), []
    attributes = [draw_attributes(rng) for _ in range(2)]

    def run(command, folder):
        commands.append(command[0])
        if command[0] == "npm":
            assert "--ignore-scripts" in command
        else:
            assert [json.loads(line) for line in (folder / ATTRIBUTES_FILE).read_text().splitlines()] == attributes
            (folder / PIXELS_FILE).write_bytes(b"\1" * 49152 + b"\2" * 49152)

    drawn = list(draw_portraits(attributes, run))
    assert commands == ["npm", "node"] and [one.max() for one in drawn] == [1, 2] and drawn[0].shape == (128, 128, 3)


def test_pixels_that_are_not_whole_are_refused():
    with pytest.raises(RuntimeError, match="did not render all portraits"):
        next(draw_portraits([PLAIN], lambda command, folder: (folder / PIXELS_FILE).write_bytes(b"\1")))
