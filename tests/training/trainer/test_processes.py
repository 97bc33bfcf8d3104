"""Several processes, parts of a batch, weightings, averages, trackers: each does what it says and no more."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from waiting import PATIENCE

from benchmarks.kills import make_recipe
from zigdemo.training.__main__ import main
from zigdemo.training.trainer import loop as trainer
from zigdemo.training.trainer.checkpoints import read_checkpoint
from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import RECIPES, load_recipe
from zigdemo.training.trainer.rules import min_snr_weight, split

# One thread each, and no network: by the machine's own name gloo might be led to an address that nobody answers.
ALONE = {"OMP_NUM_THREADS": "1", **({"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {})}


@pytest.fixture
def recipe(tmp_path):
    return replace(make_recipe(tmp_path, steps=6), log_every=1, save_every=3)


def losses(run):
    found = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in found if "loss" in line], [line for line in found if "by_time" in line]


def test_two_processes_have_the_loss_curve_of_one_with_the_whole_batch(recipe, tmp_path):
    recipe = replace(recipe, sample_every=100, time_mean=-0.8, time_spread=1.0, held_out=0)
    recipe.save(tmp_path / "recipe.yaml")
    # "--multi_gpu" is accelerate's word for several processes, on CPUs too; with "--cpu" it starts one alone.
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    environment = {**os.environ, **ALONE}
    command += ["-m", "zigdemo.training", str(tmp_path / "recipe.yaml"), "--set", f"run={tmp_path / 'two'}"]
    settings = {"capture_output": True, "text": True, "env": environment, "timeout": PATIENCE}
    odd = subprocess.run([*command, "--set", "batch=7"], **settings)
    assert odd.returncode != 0 and "cannot be split over 2 processes" in odd.stderr + odd.stdout
    done = subprocess.run(command, **settings)
    assert done.returncode == 0, done.stderr[-2000:]
    Training(recipe).run()
    one, two = losses(recipe.run)[0], losses(tmp_path / "two")[0]
    assert len(one) == 6 and two == pytest.approx(one, rel=1e-4)
    lines = [line for line in done.stdout.splitlines() if "peer ranks" not in line]  # older torch tells of it
    assert len(lines) == 7, done.stdout  # the main process alone speaks


@pytest.mark.skipif(sys.platform != "linux", reason="gloo in shards is tried on Linux alone")
def test_a_run_in_shards_is_the_run_in_one_process_and_resumes(recipe, tmp_path):
    recipe = replace(recipe, sample_every=100, held_out=0, log_every=1)
    recipe.save(tmp_path / "whole.yaml")
    replace(recipe, run=str(tmp_path / "shards")).save(tmp_path / "recipe.yaml")
    command = [sys.executable, str(Path(__file__).with_name("sharded.py")), str(tmp_path / "recipe.yaml")]
    environment = {**os.environ, **ALONE, "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-2000:]
    Training(recipe).run()
    assert losses(tmp_path / "shards")[0] == pytest.approx(losses(recipe.run)[0], rel=1e-4)
    one, shards = read_checkpoint(recipe.run), read_checkpoint(tmp_path / "shards")
    for key, value in one["emas"][0].items():
        assert torch.allclose(shards["emas"][0][key], value, atol=1e-4)


def test_a_batch_in_parts_has_the_loss_curve_of_the_whole(recipe, tmp_path):
    Training(recipe).run()
    Training(replace(recipe, run=str(tmp_path / "parts"), accumulate=4)).run()
    assert losses(tmp_path / "parts")[0] == pytest.approx(losses(recipe.run)[0], rel=1e-4)
    with pytest.raises(ValueError, match="use a multiple of 3"):
        Training(replace(recipe, run=str(tmp_path / "thirds"), accumulate=3))


def test_the_held_out_loss_is_of_rows_never_trained_on_and_comes_by_time(recipe):
    run = Training(replace(recipe, validate_every=3))
    assert len(run.rows) == 10 and len(run.held_out) == 2 and not set(run.rows) & set(run.held_out)
    run.run()
    lines = losses(recipe.run)[1]
    assert [line["step"] for line in lines] == [3, 6] and len(lines[0]["by_time"]) == 8
    assert lines[0]["held_out_loss"] == pytest.approx(sum(lines[0]["by_time"]) / 8, abs=1e-4)
    with pytest.raises(ValueError, match="held_out 5 leaves nothing"):
        split(5, 5)


def test_every_average_forgets_at_its_own_rate(recipe):
    Training(replace(recipe, ema_halflife=[0.01, 1e9])).run()
    content = read_checkpoint(recipe.run)
    near, far = ((content["model"]["x_embedder.proj.weight"] - ema["x_embedder.proj.weight"]).norm()
                 for ema in content["emas"])  # fmt: skip
    assert near < 1e-6 < far


def test_min_snr_is_the_snr_of_the_noisy_half_and_constant_in_the_other():
    t = torch.tensor([0.1, 0.5, 0.9])
    snr = (t / (1 - t)) ** 2
    assert torch.allclose(min_snr_weight(t, 5.0), snr.clamp_max(5.0) * (1 - t) ** 2)


def test_min_snr_changes_what_is_learned(recipe, tmp_path):
    Training(recipe).run()
    Training(replace(recipe, run=str(tmp_path / "snr"), min_snr=5.0)).run()
    assert losses(tmp_path / "snr")[0] != losses(recipe.run)[0]


def test_compile_is_asked_of_torch(recipe, monkeypatch):
    asked = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: asked.append(type(module).__name__))
    Training(replace(recipe, compile=True, steps=1)).run()
    assert asked == ["DiT"]


@pytest.mark.parametrize("fault", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
                                   RuntimeError("DefaultCPUAllocator: can't allocate memory")])  # fmt: skip
def test_too_little_memory_is_one_sentence_with_advice(recipe, tmp_path, monkeypatch, capsys, fault):
    def burst(*_):
        raise fault

    monkeypatch.setattr(trainer, "interpolate", burst)
    recipe.save(tmp_path / "recipe.yaml")
    assert main([str(tmp_path / "recipe.yaml")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "lower batch, set accumulate to 2, or set checkpointing to true" in error


def test_ctrl_c_saves_and_says_how_to_go_on(recipe, tmp_path, monkeypatch, capsys):
    recipe.save(tmp_path / "recipe.yaml")
    update, before = Training.update, signal.getsignal(signal.SIGINT)

    def interrupted(self):
        if self.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self)

    monkeypatch.setattr(Training, "update", interrupted)
    assert main([str(tmp_path / "recipe.yaml")]) == 130
    assert "stopped after step 2 of 6; continue with --resume" in capsys.readouterr().out
    assert read_checkpoint(recipe.run)["step"] == 2
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.setattr(Training, "update", update)
    assert main([str(tmp_path / "recipe.yaml"), "--resume"]) == 0
    assert len(losses(recipe.run)[0]) == 6


def test_a_run_can_be_watched_and_stopped_from_outside(recipe):
    seen = []

    def watch(training):
        seen.append(training.step)
        if training.step == 4:
            training.stop()

    run = Training(recipe)
    run.run(watch)
    assert seen == [1, 2, 3, 4] and not run.finished and read_checkpoint(recipe.run)["step"] == 4


def test_a_missing_tracker_is_one_sentence(recipe, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install wandb"):
        Training(replace(recipe, trackers=["wandb"]))
    with pytest.raises(ValueError, match="trackers must be a list of some of"):
        replace(recipe, trackers=["paper"])


def test_tensorboard_gets_the_losses(recipe):
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    Training(replace(recipe, trackers=["tensorboard"])).run()
    events = EventAccumulator(str(Path(recipe.run) / recipe.name)).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]


def test_the_shipped_accelerate_configs_are_read_by_accelerate():
    commands = pytest.importorskip("accelerate.commands.config.config_args")
    folder = RECIPES / "accelerate"
    for path in folder.glob("*.yaml"):
        assert commands.load_config_from_file(str(path)).num_processes >= 2
    assert {path.stem for path in folder.glob("*.yaml")} == {"ddp", "fsdp", "machines"}


def test_recipes_are_not_mixed_with_the_configs_of_accelerate():
    with pytest.raises(ValueError, match="not a setting of a recipe"):
        load_recipe(RECIPES / "accelerate" / "ddp.yaml")
