"""A step as one CUDA graph: when it can be one, and that it computes what single launches compute."""

from __future__ import annotations

import pytest
import torch

from zigdemo.training.trainer import loop
from zigdemo.training.trainer.checkpoints import read_checkpoint
from zigdemo.training.trainer.graph import graph_fault
from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import Recipe

GPU = torch.device("cuda")
FREE = {"processes": 1, "parts": 1, "drop_path": 0.0, "scales": False, "checkpointing": False}
MODELS = {
    "zigma": {"family": "zigma", "size": [8, 8], "patch": 2, "width": 32, "depth": 2, "state_size": 4},
    "dit": {"family": "dit", "size": [8, 8], "patch": 2, "width": 32, "depth": 2, "heads": 2},
    "diffussm": {"family": "diffussm", "size": [8, 8], "patch": 1, "width": 32, "depth": 2, "hourglass": 4},
    "dig": {"family": "dig", "size": [8, 8], "patch": 2, "width": 32, "depth": 2, "heads": 2},
}


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"processes": 2}, "exchange"),
        ({"parts": 2}, "accumulate"),
        ({"drop_path": 0.1}, "drop path"),
        ({"checkpointing": True}, "checkpointing"),
        ({"scales": True}, "bf16"),
    ],
)
def test_what_cannot_be_captured_is_named(changes, word):
    assert graph_fault(GPU, **FREE) is None
    assert word in graph_fault(GPU, **{**FREE, **changes})
    assert "cpu" in graph_fault(torch.device("cpu"), **FREE)


def recipe(data, run, family):
    return Recipe(
        name=family, data=data, run=str(run), model=MODELS[family], steps=6, batch=4, lr=1e-3, precision="fp32",
        log_every=2, save_every=6, sample_every=6, warmup=2, cooldown=2,
    )  # fmt: skip


@pytest.mark.gpu
@pytest.mark.parametrize("family", MODELS)
def test_steps_by_a_graph_are_those_of_single_launches(data, tmp_path, monkeypatch, family):
    losses = []
    for fault in (None, "asked not to"):
        monkeypatch.setattr(loop, "graph_fault", lambda *a, fault=fault, **k: fault)
        run = Training(recipe(data, tmp_path / str(fault), family))
        found = []
        run.run(lambda training, found=found: found.append(training.loss))
        losses.append(found)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4) and len(set(losses[0])) == 6


@pytest.mark.gpu
def test_a_run_by_graphs_that_is_resumed_ends_in_the_same_weights(data, tmp_path):
    Training(recipe(data, tmp_path / "whole", "zigma")).run()
    stopped = Training(recipe(data, tmp_path / "split", "zigma"))
    stopped.run(lambda training: training.step == 3 and training.stop())
    assert stopped.step == 3
    Training(recipe(data, tmp_path / "split", "zigma"), resume=True).run()
    whole, split = (read_checkpoint(tmp_path / name)["model"] for name in ("whole", "split"))
    assert all(torch.allclose(whole[name], split[name], atol=1e-5) for name in whole)
