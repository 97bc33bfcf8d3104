"""What one step of the optimiser does: rates, clipping, decay, dropped conditions, parts of a batch, fixed times."""

from __future__ import annotations

import pytest
import torch
from towers import small_tower

from zigdemo.training.trainer import validation
from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import Recipe
from zigdemo.training.trainer.rules import ramp

MODEL = {"family": "dit", "size": [8, 8], "patch": 4, "width": 16, "depth": 1, "heads": 2}


def training(data, tmp_path, **changes):
    settings = {"steps": 100, "batch": 8, "lr": 1e-2, "precision": "fp32", "model": MODEL, **changes}
    return Training(Recipe(name="x", data=data, run=str(tmp_path / "run"), **settings))


def rate(run):
    return run.optimizer.param_groups[0]["lr"]


def test_the_rate_rises_stays_and_falls():
    rates = [ramp(step, 10, warmup=4, cooldown=3) for step in range(10)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 2 / 3, 1 / 3])
    assert ramp(0, 5, 0, 0) == 1


def test_a_step_uses_the_rate_of_its_place(data, tmp_path):
    run = training(data, tmp_path, warmup=10, cooldown=10)
    run.update()
    assert rate(run) == pytest.approx(1e-3)
    run.step = 50
    run.update()
    assert rate(run) == pytest.approx(1e-2)
    run.step = 99
    run.update()
    assert rate(run) == pytest.approx(1e-3)


def test_gradients_are_clipped_to_the_norm_of_the_recipe(data, tmp_path, monkeypatch):
    norms = []

    def step(optimizer, *arguments):
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.cat([grad.flatten() for grad in grads]).norm()))

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    training(data, tmp_path, clip=1e-3).update()
    training(data, tmp_path / "b", clip=1e6).update()
    assert norms[0] == pytest.approx(1e-3, rel=1e-3) and norms[1] > 0.01


def test_weights_decay_by_the_share_of_the_recipe(data, tmp_path):
    plain, decayed = training(data, tmp_path), training(data, tmp_path / "b", weight_decay=0.5)
    name = "blocks.0.mlp.fc1.weight"
    before = plain.model.state_dict()[name].clone()
    plain.update()
    decayed.update()
    ours, theirs = (run.model.state_dict()[name] for run in (plain, decayed))
    assert torch.allclose(ours - theirs, 1e-2 * 0.5 * before, atol=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_a_share_of_the_labels_is_the_null_one(data, tmp_path, dropout):
    run = training(data, tmp_path, model={**MODEL, "label_dropout": dropout})
    labels = torch.cat([run.batches(step)[1] for step in range(60)])
    assert float((labels == 4).float().mean()) == pytest.approx(dropout, abs=0.07)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_a_share_of_the_captions_is_empty(data, tmp_path, dropout):
    small_tower(tmp_path / "tower")
    model = {**MODEL, "text_width": 24, "label_dropout": dropout}
    run, captions = training(data, tmp_path, model=model, text={"tower": str(tmp_path / "tower")}), []
    run.tower.encode = lambda texts: captions.extend(texts) or torch.zeros(len(texts), 16, 24)
    for step in range(60):
        run.batches(step)
    assert captions.count("") / len(captions) == pytest.approx(dropout, abs=0.07)


def test_a_batch_in_parts_has_the_gradients_of_the_whole(data, tmp_path, monkeypatch):
    found = []

    def step(optimizer, *arguments):
        found.append([p.grad.clone() for group in optimizer.param_groups for p in group["params"]])

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    training(data, tmp_path, clip=1e6).update()
    training(data, tmp_path / "b", clip=1e6, accumulate=4).update()
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*found, strict=True))


def test_validation_asks_in_the_middle_of_every_part_of_the_way():
    asked = []

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def forward(self, x, t, cond):
            asked.append(float(t[0]))
            return x * 0

    losses = validation.bucket_losses(Network(), "velocity", torch.zeros(2, 3, 4, 4), torch.zeros(2))
    assert asked == pytest.approx([(i + 0.5) / 8 for i in range(8)]) and len(losses) == 8
