"""The emoji image set: the same from any source, whole or not there, and safe from hostile archives."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import binary, integers, sampled_from
from PIL import Image
from waiting import PATIENCE

from zigdemo.data import ImageSet, fluent_emoji, programs
from zigdemo.data import preparation as prepare
from zigdemo.data.preparation import main, prepare_fluent_emoji

REAL_TAR = os.environ.get("ZIGDEMO_EMOJI_TAR", "")
RED, CLEAR_GREEN = (255, 0, 0, 255), (0, 255, 0, 0)


def webp(colour=RED, size=(128, 128)) -> bytes:
    out = io.BytesIO()
    Image.new("RGBA", size, colour).save(out, "WEBP", lossless=True, exact=True)
    return out.getvalue()


def text(name="grinning face", group="Smileys & Emotion", emoji="😀", keywords=("smile",)) -> bytes:
    return json.dumps({"emoji": emoji, "name": name, "group": group, "keywords": list(keywords)}).encode()


def pack(path: Path, members, mode="w") -> Path:
    """A tar file of (name, contents) pairs and of ready tarfile.TarInfo members."""
    with tarfile.open(path, mode) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return path


def pair(key: str, picture: bytes, description: bytes) -> list[tuple[str, bytes]]:
    return [(f"{key}.webp", picture), (f"{key}.json", description)]


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def small_tar(tmp_path) -> Path:
    members = [
        *pair("1f34e", webp(), text("red apple", "Food & Drink", "🍎", ("fruit", "mac"))),
        *pair("0023", webp((0, 0, 255, 255)), text("keycap #", "Symbols", "#️⃣")),
        *pair("23", webp((9, 9, 9, 255)), text("keycap #", "Symbols", "#️⃣")),
        *reversed(pair("1f600", webp(CLEAR_GREEN), text())),
    ]
    return pack(tmp_path / "small.tar", members)


def test_a_prepared_folder_loads_in_the_order_of_the_archive(small_tar, tmp_path):
    made = prepare_fluent_emoji(tmp_path / "set", size=16, from_tar=small_tar)
    loaded = ImageSet.load(tmp_path / "set")
    assert loaded.label_names == ["red apple", "keycap #", "grinning face"]
    assert loaded.labels.tolist() == [0, 1, 2] and loaded.labels.dtype == np.int64
    assert loaded.images.shape == (3, 16, 16, 3) and loaded.images.dtype == np.uint8
    assert isinstance(loaded.images, np.memmap) and loaded.size == 16 and len(loaded) == made.count == 3


def test_the_first_of_a_repeated_name_is_kept(small_tar, tmp_path):
    made = prepare_fluent_emoji(tmp_path / "set", size=16, from_tar=small_tar)
    assert made.repeated == ["23.webp (keycap #)"]
    assert (ImageSet.load(tmp_path / "set", labels=["keycap #"]).images == (0, 0, 255)).all()


def test_a_clear_picture_is_white_whatever_its_hidden_colour(small_tar, tmp_path):
    prepare_fluent_emoji(tmp_path / "set", size=16, from_tar=small_tar)
    assert (ImageSet.load(tmp_path / "set", labels=["grinning face"]).images == 255).all()


def test_hidden_colours_do_not_bleed_into_edges():
    picture = Image.new("RGBA", (64, 64), CLEAR_GREEN)
    picture.paste(RED, (0, 0, 29, 64))
    red, green, blue = np.moveaxis(fluent_emoji.padded(picture, 16).astype(int), -1, 0)
    assert (abs(green - blue) <= 1).all() and (red >= 253).all()


@given(width=integers(1, 40), height=integers(1, 40), size=integers(8, 40))
@settings(deadline=None, max_examples=25)
def test_any_shape_becomes_a_centred_square(width, height, size):
    pixels = fluent_emoji.padded(Image.new("RGBA", (width, height), RED), size)
    assert pixels.shape == (size, size, 3) and pixels.dtype == np.uint8
    if (max(width, height) - min(width, height)) % 2 == 0:
        assert abs(pixels.astype(int) - pixels[::-1, ::-1]).max() <= 2


def test_samples_and_info_say_what_is_in_the_set(small_tar, tmp_path):
    prepare_fluent_emoji(tmp_path / "set", size=16, from_tar=small_tar)
    first = json.loads((tmp_path / "set" / "samples.jsonl").read_text(encoding="utf-8").split("\n")[0])
    info = json.loads((tmp_path / "set" / "info.json").read_text(encoding="utf-8"))
    assert list(first) == ["key", "label", "group", "keywords", "emoji"]
    assert list(first.values()) == ["1f34e", "red apple", "Food & Drink", ["fruit", "mac"], "🍎"]
    assert (info["dataset"], info["size"], info["count"]) == ("fluent-emoji", 16, 3)
    assert "Microsoft" in info["licence"] and {"package": "emojilib", "version": "4.0.3"} in info["sources"]
    assert info["images_sha256"] == hashlib.sha256((tmp_path / "set" / "images.npy").read_bytes()).hexdigest()


def test_preparing_twice_gives_the_same_bytes(small_tar, tmp_path):
    contents = []
    for _ in range(2):
        prepare_fluent_emoji(tmp_path / "set", size=16, from_tar=small_tar)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()})
    assert contents[0] == contents[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "small.tar"]


def test_groups_and_labels_choose_and_renumber(small_tar, tmp_path):
    prepare_fluent_emoji(tmp_path / "set", size=16, from_tar=small_tar)
    chosen = ImageSet.load(tmp_path / "set", groups=["Symbols", "Smileys & Emotion"])
    assert chosen.label_names == ["keycap #", "grinning face"] and chosen.labels.tolist() == [0, 1]
    with pytest.raises(ValueError, match="unknown group 'Food'.*choose from Food & Drink, Symbols"):
        ImageSet.load(tmp_path / "set", groups=["Food"])
    with pytest.raises(ValueError, match="unknown label 'apple'"):
        ImageSet.load(tmp_path / "set", labels=["apple"])
    with pytest.raises(ValueError, match="choose more"):
        ImageSet.load(tmp_path / "set", groups=["Symbols"], labels=["red apple"])


def test_unusable_samples_are_skipped_and_named(tmp_path):
    members = [
        *pair("good", webp(), text()),
        *pair("broken", webp()[:30], text("broken")),
        *pair("png", b"\x89PNG\r\n\x1a\n", text("png")),
        *pair("huge", webp(size=(1025, 1)), text("huge")),
        *pair("words", webp(), b'{"emoji": 1}'),
        *pair("deep", webp(), b"[" * 100_000),
        *pair("half", webp(), text("half \ud800")),
        ("alone.webp", webp()),
        ("lonely.json", text("lonely")),
    ]
    path = pack(tmp_path / "some.tar", members)
    made = prepare_fluent_emoji(tmp_path / "set", size=16, from_tar=path)
    assert made.count == 1
    keys = sorted(reason.split(".")[0] for reason in made.skipped)
    assert keys == ["alone", "broken", "deep", "half", "huge", "lonely", "png", "words"]


LEAVING = [(name, b"") for name in ("/etc/x.webp", "../x.webp", "a/../../x.webp", "C:x.webp", "..\\x.webp")]
LINKS = [special("x.webp", tarfile.SYMTYPE, "/etc/passwd"), special("x.webp", tarfile.LNKTYPE, "1f600.webp")]
DEVICES = [special("x.webp", kind) for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)]


@pytest.mark.parametrize("member", [*LEAVING, *LINKS, *DEVICES])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_hostile_members_are_refused_and_nothing_is_written(tmp_path, member, mode):
    path = pack(tmp_path / "hostile.tar", [*pair("1f600", webp(), text()), member], mode)
    with pytest.raises(fluent_emoji.ArchiveError, match="member .* use an unchanged copy"):
        prepare_fluent_emoji(tmp_path / "set", from_tar=path)
    assert [path.name for path in tmp_path.iterdir()] == ["hostile.tar"]


LIMITS = {"MAX_MEMBER_BYTES": 1000, "MAX_TOTAL_BYTES": 100_000, "MAX_MEMBERS": 5}


@pytest.mark.parametrize("limit, value", LIMITS.items())
def test_bombs_stop_at_the_limits(tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(fluent_emoji, limit, value)
    path = pack(tmp_path / "bomb.tar", [(f"{i}.json", bytes(2000)) for i in range(200)], "w:gz")
    assert path.stat().st_size < 10_000
    with pytest.raises(fluent_emoji.ArchiveError, match="larger than|unpacks to more than|more than 5"):
        list(fluent_emoji.read_archive(path))


def test_a_bomb_in_a_header_stops_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(fluent_emoji, "MAX_TOTAL_BYTES", 100_000)
    info = tarfile.TarInfo("x")
    info.pax_headers = {"comment": "a" * 1_000_000}
    with tarfile.open(tmp_path / "bomb.tar", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    with pytest.raises(fluent_emoji.ArchiveError, match="unpacks to more than"):
        list(fluent_emoji.read_archive(tmp_path / "bomb.tar"))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_archive_cut_short_anywhere_is_an_error(tmp_path, mode):
    members = [("a.json", b"x" * 600), ("b.json", b"y" * 512)]
    whole = pack(tmp_path / "whole.tar", members, mode).read_bytes()
    cut = tmp_path / "cut.tar"
    # Uncompressed: two headers and three blocks of contents, then only empty blocks.
    for length in range(0, 5 * 512, 64) if mode == "w" else range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(fluent_emoji.ArchiveError, match="again$"):
            list(fluent_emoji.read_archive(cut))


@given(noise=binary(min_size=1, max_size=24), place=integers(0, 2047), zipped=sampled_from(["w", "w:gz"]))
@settings(deadline=None, max_examples=100)
def test_a_damaged_archive_is_read_or_refused_never_worse(tmp_path_factory, noise, place, zipped):
    folder = tmp_path_factory.mktemp("damaged")
    path = pack(folder / "x.tar", pair("a", webp(), text()), zipped)
    data = bytearray(path.read_bytes())
    place %= len(data)
    data[place : place + len(noise)] = noise
    path.write_bytes(data)
    try:
        prepare_fluent_emoji(folder / "set", from_tar=path)
    except ValueError as error:
        assert "\n" not in str(error)


class FakeNpm:
    """Packs tiny packages of the same layout where npm would put the real ones."""

    def __init__(self, pictures, names, keywords):
        self.calls = []
        assets = [(f"package/assets/{key}.webp", picture) for key, picture in pictures.items()]
        self.packed = {
            "lobehub-fluent-emoji-3d-1.1.0.tgz": assets,
            "unicode-emoji-json-0.9.0.tgz": [("package/data-by-emoji.json", json.dumps(names).encode())],
            "emojilib-4.0.3.tgz": [("package/dist/emoji-en-US.json", json.dumps(keywords).encode())],
        }

    def __call__(self, arguments, folder):
        self.calls.append(list(arguments))
        for name, members in self.packed.items():
            pack(folder / name, [("package/package.json", b"{}"), *members], "w:gz")


def named(name, group):
    return {"name": name, "group": group}


@pytest.fixture
def npm() -> FakeNpm:
    pictures = {
        "0023-fe0f-20e3": webp(size=(256, 264)),
        "1f1e8-1f1ed": webp(),
        "1f3f4-e0067_e0062": webp(),
        "1f44b": webp(size=(256, 256)),
        "1f44b-1f3fb": webp(),
        "1f441-200d-1f5e8": webp(size=(256, 256)),
        "bad": webp(),
        "1f600": b"no picture",
    }
    names = {
        "#️⃣": named("keycap #", "Symbols"),
        "🇨🇭": named("flag Switzerland", "Flags"),
        "👋": named("waving hand", "People & Body"),
        "👁️‍🗨️": named("eye in speech bubble", "Smileys & Emotion"),
        "😀": named("grinning face", "Smileys & Emotion"),
    }
    return FakeNpm(pictures, names, {"👋": ["hello"], "👁️‍🗨️": ["info"]})


def test_npm_packages_lose_flags_and_skin_tones_and_gain_names(npm):
    samples, skipped = fluent_emoji.read_npm(npm)
    assert [(one.key, one.emoji, one.name, one.keywords) for one in samples] == [
        ("0023-fe0f-20e3", "#️⃣", "keycap #", ()),
        ("1f44b", "👋", "waving hand", ("hello",)),
        ("1f441-200d-1f5e8", "👁️‍🗨️", "eye in speech bubble", ("info",)),
    ]
    assert skipped == ["1f600.webp (unreadable picture)"]
    assert {fluent_emoji.open_picture(one.webp).size for one in samples} == {(128, 128)}
    wanted = {"@lobehub/fluent-emoji-3d@1.1.0", "unicode-emoji-json@0.9.0", "emojilib@4.0.3"}
    assert wanted < set(npm.calls[0]) and npm.calls[0][0] == "pack" and "--ignore-scripts" in npm.calls[0]


def test_sizes_beyond_the_prepared_pictures_come_from_the_originals(npm, tmp_path):
    prepare_fluent_emoji(tmp_path / "set", size=256, groups=["People & Body"], run=npm)
    assert ImageSet.load(tmp_path / "set").images.shape == (1, 256, 256, 3)


@pytest.mark.parametrize("broken", [[], [("package/data-by-emoji.json", b"[1]")]])
def test_a_package_without_its_table_is_an_error(npm, broken):
    npm.packed["unicode-emoji-json-0.9.0.tgz"] = broken
    with pytest.raises(fluent_emoji.ArchiveError, match="no readable package/data-by-emoji.json"):
        fluent_emoji.read_npm(npm)


def test_without_npm_the_error_says_what_to_do(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(programs.shutil, "which", lambda program: None)
    assert main(["fluent-emoji", "--out", str(tmp_path / "set")]) == 1
    assert "install Node.js or pass --from-tar FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    "outcome, message",
    [
        (subprocess.CompletedProcess([], 1, b"", b"npm error code ENOTFOUND\nmore"), "code ENOTFOUND"),
        (subprocess.CompletedProcess([], 7, b"", b""), "exit status 7"),
        (subprocess.TimeoutExpired("npm", 300), "no answer in 300 seconds"),
        (PermissionError("not allowed"), "not allowed"),
    ],
)
def test_a_failing_npm_is_one_sentence(monkeypatch, tmp_path, outcome, message):
    def run(command, **options):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(programs.shutil, "which", lambda program: "/usr/bin/npm")
    monkeypatch.setattr(programs.subprocess, "run", run)
    with pytest.raises(RuntimeError, match=f"{message}.*pass --from-tar FILE") as error:
        fluent_emoji.run_npm(["pack"], tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_no_image_set_is_never_replaced(small_tar, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="choose another --out"):
        prepare_fluent_emoji(tmp_path / "mine", from_tar=small_tar)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_failed_write_leaves_the_old_set(small_tar, tmp_path, monkeypatch):
    prepare_fluent_emoji(tmp_path / "set", size=16, from_tar=small_tar)
    rename = Path.rename

    def refuse_the_new(path, target):
        if path.name == "new":
            raise OSError("disk full")
        return rename(path, target)

    monkeypatch.setattr(prepare.Path, "rename", refuse_the_new)
    with pytest.raises(OSError, match="disk full"):
        prepare_fluent_emoji(tmp_path / "set", size=32, from_tar=small_tar)
    assert ImageSet.load(tmp_path / "set").size == 16
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "small.tar"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--size", "0"], "size 0 is not supported; choose 8 to 256"),
        (["--size", "200"], "too small for size 200; choose --size 128 or less or no --from-tar"),
        (["--groups", "Food"], "unknown group 'Food'"),
        (["--from-tar", "nowhere.tar"], "there is no file nowhere.tar"),
    ],
)
def test_bad_arguments_are_one_line(small_tar, tmp_path, capsys, arguments, message):
    options = ["--out", str(tmp_path / "set"), "--from-tar", str(small_tar), *arguments]
    assert main(["fluent-emoji", *options]) == 1
    err = capsys.readouterr().err
    assert message in err and err.startswith("error: ") and err.count("\n") == 1
    assert not (tmp_path / "set").exists()


def test_the_command_line_reports_what_it_made(small_tar, tmp_path, capsys):
    out = str(tmp_path / "deep" / "set")
    options = ["--from-tar", str(small_tar), "--size", "8", "--groups", "Symbols, Food & Drink"]
    assert main(["fluent-emoji", "--out", out, *options]) == 0
    assert capsys.readouterr().out == f"{out}: 2 images of 8 px; left out 1 that repeat a name\n"


def test_a_missing_or_broken_folder_says_how_to_make_it(small_tar, tmp_path):
    folder = tmp_path / "set"
    with pytest.raises(FileNotFoundError, match="run `python -m zigdemo.training.prepare fluent-emoji`"):
        ImageSet.load(folder)
    prepare_fluent_emoji(folder, size=8, from_tar=small_tar)
    images, samples = (folder / "images.npy").read_bytes(), (folder / "samples.jsonl").read_bytes()
    pickled, other = io.BytesIO(), io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    np.save(other, np.zeros((3, 8, 9, 3), np.uint8))
    broken = [(bad, samples) for bad in (b"", images[:50], images[:-1], pickled.getvalue(), other.getvalue())]
    lines = (b"", samples[:-20], samples * 2, b"1\n2\n3\n", b"[" * 100_000, b"\xff")
    broken += [(images, bad) for bad in lines]
    for bad_images, bad_samples in broken:
        (folder / "images.npy").write_bytes(bad_images)
        (folder / "samples.jsonl").write_bytes(bad_samples)
        with pytest.raises(ValueError, match="broken.*run `python -m") as error:
            ImageSet.load(folder)
        assert "\n" not in str(error.value)


def test_loading_needs_numpy_only():
    heavy = "{'torch', 'gradio', 'PIL', 'accelerate', 'diffusers', 'av'}"
    code = f"import sys, zigdemo.training.prepare; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.skipif(not Path(REAL_TAR).is_file(), reason="set ZIGDEMO_EMOJI_TAR to the prepared tar file")
def test_the_real_tar_has_1599_names(tmp_path):
    made = prepare_fluent_emoji(tmp_path / "set", from_tar=Path(REAL_TAR))
    loaded = ImageSet.load(tmp_path / "set")
    assert made.count == len(loaded.label_names) == 1599 and len(made.repeated) == 16 and not made.skipped
    assert loaded.images.shape == (1599, 64, 64, 3)
    assert len(ImageSet.load(tmp_path / "set", groups=["Food & Drink"])) == 128
