"""Muon for the matrices of the blocks, AdamW for all else, as one optimiser that a run saves and resumes."""

from __future__ import annotations

import pytest
import torch

from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.optimizer import matrices
from zigdemo.training.trainer.recipe import Recipe

pytestmark = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="Muon came with torch 2.9")
MODEL = {"family": "dit", "size": [8, 8], "patch": 4, "width": 32, "depth": 1, "heads": 2}


def recipe(data, folder, **changes):
    settings = {"steps": 6, "batch": 8, "lr": 1e-2, "muon_lr": 2e-2, "precision": "fp32", "model": MODEL, **changes}
    return Recipe(name="x", data=data, run=str(folder), **settings)


def weights(run):
    return {name: value.clone() for name, value in run.accelerator.unwrap_model(run.model).named_parameters()}


def leaning(run) -> float:
    """How much the largest singular value of an update of qkv outweighs the 8th; 1 is all directions alike."""
    run.update()
    run.update()  # the branches begin at zero, so that nothing behind them moves at first
    before = weights(run)["blocks.0.attn.qkv.weight"]
    run.update()
    values = torch.linalg.svdvals(weights(run)["blocks.0.attn.qkv.weight"].detach() - before.detach())
    return float(values[0] / values[7])


def test_muon_moves_all_directions_of_a_matrix_alike(data, tmp_path):
    with_muon = leaning(Training(recipe(data, tmp_path / "muon")))
    without = leaning(Training(recipe(data, tmp_path / "adamw", muon_lr=0.0)))
    assert with_muon < 2 < without


def test_adamw_moves_the_rest(data, tmp_path):
    run = Training(recipe(data, tmp_path / "run"))
    before = weights(run)["final_layer.linear.weight"].detach()
    run.update()
    moved = weights(run)["final_layer.linear.weight"].detach() - before
    assert float(moved.abs().max()) == pytest.approx(1e-2, rel=0.01)


def test_what_muon_trains_are_the_wide_maps_of_the_blocks(data, tmp_path):
    run = Training(recipe(data, tmp_path / "run"))
    names = {id(weight): name for name, weight in run.model.named_parameters()}
    assert {names[id(weight)] for weight in matrices(run.model)} == {
        f"blocks.0.{name}.weight" for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2", "adaLN_modulation.1")
    }


def test_both_rates_follow_the_ramp(data, tmp_path):
    run = Training(recipe(data, tmp_path / "run", warmup=2))
    run.update()
    assert [group["lr"] for group in run.optimizer.param_groups] == pytest.approx([5e-3, 1e-2])


def test_a_resumed_run_ends_in_the_same_weights(data, tmp_path):
    whole = Training(recipe(data, tmp_path / "whole"))
    whole.run()
    part = Training(recipe(data, tmp_path / "part"))
    part.run(lambda run: run.step == 3 and run.stop())
    resumed = Training(recipe(data, tmp_path / "part"), resume=True)
    resumed.run()
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name


def test_muon_needs_matrices_and_a_torch_that_has_it(data, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="muon_lr trains whole matrices, and 'lora' trains none; leave it out"):
        Training(recipe(data, tmp_path / "a", method="lora", rank=2))
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(ValueError, match="muon_lr needs torch 2.9 or newer; update torch, or leave muon_lr out"):
        Training(recipe(data, tmp_path / "b"))
