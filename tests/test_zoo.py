"""A model folder is read whole or refused in one sentence, before anything large is allocated."""

import json
import shutil

import pytest
import torch
from models import LABELS, tiny_folder
from safetensors.torch import load_file, save_file

from zigdemo import zoo


@pytest.fixture
def folder(tmp_path):
    return tiny_folder(tmp_path / "tiny")


def change(folder, **changes):
    path = folder.path / zoo.CONFIG
    content = json.loads(path.read_text())
    content["model"].update(changes.pop("model", {}))
    content.update(changes)
    path.write_text(json.dumps(content))


def test_a_folder_survives_its_files(folder):
    again = zoo.read_folder(folder.path)
    assert again == folder and again.labels == tuple(LABELS) and again.schemes == ("zigzag-8",)
    network = again.load()
    stored = load_file(folder.path / zoo.TENSORS)
    assert all(torch.equal(value.half(), stored[key]) for key, value in network.state_dict().items())
    assert all(value.dtype == torch.float16 for value in stored.values())
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    assert len(again.sha256) == 64


def refused(folder, word):
    with pytest.raises(ValueError, match=word) as fault:
        zoo.read_folder(folder.path).load()
    assert "\n" not in str(fault.value) and len(str(fault.value)) < 500


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"model": {"width": 100_000, "depth": 100_000}}, "weights"),
        ({"model": {"width": 10**12}}, "width"),
        ({"model": {"depth": 2**20}}, "weights"),
        ({"model": {"position": "sincos", "size": [2**20, 2**20]}}, "weights"),
        ({"model": {"width": 64}}, "weights|belong"),
        ({"model": {"patch": 3}}, "multiples"),
        ({"model": {"scheme": "nonsense"}}, "scan scheme"),
        ({"model": {"evil": 1}}, "does not know"),
        ({"model": {"size": 3}}, "size"),
        ({"model": {"skip": "sideways"}}, "skip"),
        ({"family": "gan"}, "family"),
        ({"labels": ["one"]}, "labels"),
        ({"labels": [1, 2, 3]}, "labels"),
        ({"prediction": "magic"}, "prediction"),
        ({"schemes": ["nonsense"]}, "scan scheme"),
    ],
    ids=str,
)
def test_a_config_that_does_not_fit_is_refused(folder, changes, word):
    change(folder, **changes)
    refused(folder, word)


def test_weights_that_are_damaged_renamed_or_foreign_are_refused(folder):
    path = folder.path / zoo.TENSORS
    whole, state = path.read_bytes(), {key: value.clone() for key, value in load_file(path).items()}
    path.write_bytes(whole[: len(whole) // 2])
    refused(folder, "damaged or not a safetensors file")
    path.write_bytes(b"\xff" * 100)
    refused(folder, "damaged or not a safetensors file")
    torch.save(state, path)
    refused(folder, "damaged or not a safetensors file")
    save_file({**{k: v for k, v in state.items() if k != "norm_f.weight"}, "spare": torch.ones(32)}, path)
    refused(folder, "norm_f.weight")
    save_file({**state, "spare": torch.ones(2)}, path)
    refused(folder, "spare")
    save_file({**state, "norm_f.weight": torch.full((32,), torch.nan)}, path)
    refused(folder, "NaN")
    path.unlink()
    refused(folder, "has no model.safetensors")


def test_a_config_that_is_missing_or_no_json_is_refused(folder):
    path = folder.path / zoo.CONFIG
    for text in ("{", "[" * 100_000, "[]", '{"family": ["zigma"]}', "\x00"):
        path.write_text(text)
        refused(folder, "config.json")
    path.unlink()
    refused(folder, "config.json")


def test_a_model_without_a_scan_lists_no_schemes_and_takes_none(tmp_path):
    folder = tiny_folder(tmp_path / "dit", family="dit")
    assert folder.schemes == () and zoo.read_folder(folder.path).load().config.heads == 2
    change(folder, schemes=["sweep"])
    refused(folder, "dit has no scan")


def test_a_model_of_a_learned_variance_is_no_velocity(tmp_path):
    folder = tiny_folder(tmp_path / "dit", family="dit")
    change(folder, model={"learn_sigma": True})
    refused(folder, "learn_sigma, and clean prediction no variance; set drop_sigma")


def test_a_copied_or_renamed_folder_is_a_model_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    tiny = tiny_folder(tmp_path / "tiny")
    copied = shutil.copytree(tiny.path, tmp_path / "again")
    assert [entry.id for entry in zoo.available()] == ["again", "tiny"]
    assert zoo.find("again").id == zoo.installed("again").id == zoo.read_folder(copied).id == "again"
    elsewhere = shutil.copytree(tiny.path, tmp_path / "cache" / "0123abc")
    assert zoo.read_folder(elsewhere).id == "tiny"


def test_an_unreadable_folder_does_not_hide_the_others(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "good")
    bad = tiny_folder(tmp_path / "bad")
    (bad.path / zoo.CONFIG).write_text("{")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    assert [entry.id for entry in zoo.available()] == ["good"]
