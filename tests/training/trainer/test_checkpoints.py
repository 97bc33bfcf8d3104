"""Checkpoints: whole or not there, whatever happens while they are written."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch

from benchmarks.kills import make_recipe, rounds
from zigdemo.files import write_whole
from zigdemo.training.__main__ import main
from zigdemo.training.trainer import checkpoints as store
from zigdemo.training.trainer.checkpoints import (
    checkpoints,
    cut_metrics,
    read_checkpoint,
    write_checkpoint,
)
from zigdemo.training.trainer.loop import Training


def content(step):
    return {"step": step, "weights": torch.arange(1000.0) + step}


class Killed(BaseException):
    """Ends the work at once, as SIGKILL does; nothing may catch it."""


class Failing:
    """A file whose write fails after some bytes."""

    def __init__(self, file, left, fault):
        self.file, self.left, self.fault = file, left, fault

    def write(self, data):
        self.left -= len(data)
        if self.left < 0:
            self.file.write(data[: self.left])
            raise self.fault
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *fault):
        self.file.close()


def failing_open(monkeypatch, left, fault, suffix=".part"):
    real = Path.open

    def opened(path, mode="r", *arguments, **options):
        file = real(path, mode, *arguments, **options)
        return Failing(file, left, fault) if "w" in mode and path.name.endswith(suffix) else file

    monkeypatch.setattr(Path, "open", opened)


def full_disk():
    return OSError(errno.ENOSPC, "No space left on device")


def test_what_is_read_is_what_was_written_last(tmp_path):
    assert read_checkpoint(tmp_path) is None
    for step in (5, 10):
        write_checkpoint(tmp_path, step, content(step), keep_last=2)
    found = read_checkpoint(tmp_path)
    assert found["step"] == 10 and torch.equal(found["weights"], content(10)["weights"])


@pytest.mark.parametrize(
    ("last", "every", "left"), [(1, 0, [7]), (3, 0, [7, 6, 5]), (2, 3, [7, 6, 3]), (1, 2, [7, 6, 4, 2])]
)
def test_old_checkpoints_stay_by_the_policy(tmp_path, last, every, left):
    for step in range(1, 8):
        write_checkpoint(tmp_path, step, content(step), last, every)
    assert list(checkpoints(tmp_path)) == left


@pytest.mark.parametrize("harm", ["a bit", "the end", "everything"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_with_a_sentence(tmp_path, caplog, harm):
    for step in (1, 2):
        write_checkpoint(tmp_path, step, content(step), 2)
    newest = checkpoints(tmp_path)[2]
    data = bytearray(newest.read_bytes())
    data[1500] ^= 1
    newest.write_bytes({"a bit": data, "the end": data[:-9], "everything": b""}[harm])
    assert read_checkpoint(tmp_path)["step"] == 1
    assert "damaged; falling back to the checkpoint before step 2" in caplog.text
    write_checkpoint(tmp_path, 2, content(2), 2)  # done again: the damaged one goes
    assert read_checkpoint(tmp_path)["step"] == 2 and len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_when_all_are_damaged_it_says_so(tmp_path):
    write_checkpoint(tmp_path, 1, content(1), 2).write_bytes(b"x")
    with pytest.raises(ValueError, match="every checkpoint .* is damaged"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("moment", ["flush", "hash", "rename", "prune"])
def test_death_at_any_moment_of_a_write_leaves_a_whole_checkpoint(tmp_path, monkeypatch, moment):
    write_checkpoint(tmp_path, 1, content(1), 1)

    def die(*_, **__):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        places = {"flush": (os, "fsync"), "hash": (store, "file_sha256"), "rename": (os, "replace")}
        patch.setattr(*places.get(moment, (Path, "unlink")), die)
        write_checkpoint(tmp_path, 2, content(2), 1)
    assert read_checkpoint(tmp_path)["step"] == (2 if moment == "prune" else 1)
    write_checkpoint(tmp_path, 3, content(3), 1)
    assert [path.name[:7] for path in (tmp_path / "checkpoints").iterdir()] == ["0000003"]


@pytest.mark.parametrize("left", [0, 500, 2000, 5000])
def test_a_full_disk_is_an_os_error_and_costs_nothing(tmp_path, monkeypatch, left):
    write_checkpoint(tmp_path, 1, content(1), 1)
    before = [(path, path.read_bytes()) for path in (tmp_path / "checkpoints").iterdir()]
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        failing_open(patch, left, full_disk())
        write_checkpoint(tmp_path, 2, content(2), 1)
    assert [(path, path.read_bytes()) for path in (tmp_path / "checkpoints").iterdir()] == before


def test_a_run_on_a_full_disk_stops_with_one_sentence_and_goes_on_later(tmp_path, monkeypatch, capsys):
    recipe = make_recipe(tmp_path, steps=6)
    recipe.save(tmp_path / "recipe.yaml")
    Training(recipe).run()
    whole = read_checkpoint(recipe.run)
    command = [str(tmp_path / "recipe.yaml"), "--set", f"run={tmp_path / 'full'}"]
    with monkeypatch.context() as patch:
        failing_open(patch, 3000, full_disk(), "0000004.pt.part")
        assert main(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "No space left on device" in error
    assert "the last intact checkpoint is of step 2" in error and "--resume" in error
    assert main([*command, "--resume"]) == 0
    assert torch.equal(read_checkpoint(tmp_path / "full")["model"]["pos_embed"], whole["model"]["pos_embed"])


def test_a_read_only_folder_is_one_sentence(tmp_path, monkeypatch, capsys):
    make_recipe(tmp_path, steps=2).save(tmp_path / "recipe.yaml")

    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main([str(tmp_path / "recipe.yaml")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Read-only file system" in error and "no checkpoint was written yet" in error


def test_a_run_is_not_begun_again_over_its_checkpoints(tmp_path, capsys):
    make_recipe(tmp_path, steps=2).save(tmp_path / "recipe.yaml")
    assert main([str(tmp_path / "recipe.yaml")]) == 0
    assert main([str(tmp_path / "recipe.yaml")]) == 2
    assert "use --resume" in capsys.readouterr().err


def test_metrics_are_cut_back_to_the_checkpoint(tmp_path):
    file = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"step": step, "loss": 1.0}) for step in (1, 2, 3)]
    file.write_text("\n".join(lines) + '\n[1]\n{"step": 2, "lo')
    cut_metrics(file, 2)
    assert file.read_text().splitlines() == lines[:2]
    cut_metrics(tmp_path / "none.jsonl", 2)
    assert not (tmp_path / "none.jsonl").exists()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_whole(path, b"old")
    failing_open(monkeypatch, 1, full_disk())
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new and long")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_killed_runs_end_in_the_same_bits(tmp_path):
    found = rounds(tmp_path, kills=2, writing=1, steps=10)
    assert [one["same"] for one in found] == [True] * 2
