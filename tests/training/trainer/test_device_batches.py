"""Batches made where the latents lie: the seed and the step decide, processes share one, captions are the same."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from autoencoders import small_autoencoder
from towers import small_tower

from zigdemo.data.latents import LatentSet, prepare_latents
from zigdemo.data.preparation import write_image_set
from zigdemo.latents import PIXELS, AutoencoderSpec
from zigdemo.training.trainer import loop
from zigdemo.training.trainer.batches import Batches
from zigdemo.training.trainer.device_batches import MOST_SHARE, DeviceBatches, fits
from zigdemo.training.trainer.recipe import Recipe, model_config

CPU = torch.device("cpu")
ROWS, SIDE = 40, 4


def latents(frames=0, loops=False, length=6):
    """Item i is filled with i, its mirror image with -i; frame f of a clip adds f / 10."""
    values = np.arange(ROWS, dtype=np.float16).reshape(-1, 1, 1, 1) + np.zeros((ROWS, 4, SIDE, SIDE), np.float16)
    if frames:
        values = values[:, None] + (np.arange(length, dtype=np.float16) / 10).reshape(1, -1, 1, 1, 1)
    shards = [values[:25], values[25:]]
    names = [f"label {i}" for i in range(4)]
    return LatentSet(
        shards, np.arange(3, ROWS), names, np.arange(3, ROWS) % 4, AutoencoderSpec("kl", "x"), "0",
        groups=[""] * (ROWS - 3), keywords=[[]] * (ROWS - 3), loops=np.full(ROWS - 3, loops),
        mirrored=[] if frames else [-shard for shard in shards],
    )  # fmt: skip


def batches(tmp_path, data=None, process=0, processes=1, kind=DeviceBatches, tower=None, **changes):
    model = {"family": "dit", "heads": 2, **changes.pop("model", {})}
    model = {"size": [SIDE, SIDE], "patch": 2, "width": 16, "depth": 1, "in_channels": 4, **model}
    model = {name: value for name, value in model.items() if value is not None}
    settings = {"steps": 9, "batch": 8, "flip": data is None, **changes}
    recipe = Recipe(name="x", data=str(tmp_path), run=str(tmp_path / "run"), model=model, **settings)
    data = data or latents()
    accelerator = SimpleNamespace(num_processes=processes, process_index=process, device=CPU)
    parts = recipe, data, np.arange(len(data)), model_config(recipe, 4), PIXELS, tower, accelerator
    return kind(*parts) if kind is Batches else kind(*parts, device=CPU)


def test_a_batch_depends_on_the_step_alone(tmp_path):
    made, again = batches(tmp_path), batches(tmp_path)
    for step in (0, 1, 7):
        again(3)
        assert all(torch.equal(a, b) for a, b in zip(made(step), again(step), strict=True))
    assert not torch.equal(made(0)[3], made(1)[3])
    other = batches(tmp_path, seed=1)
    assert not any(torch.equal(a, b) for a, b in zip(made(0), other(0), strict=True))


def test_processes_split_exactly_the_batch_of_one(tmp_path):
    whole = batches(tmp_path)(2)
    halves = [batches(tmp_path, process=i, processes=2)(2) for i in range(2)]
    for one, *two in zip(whole, *halves, strict=True):
        assert torch.equal(one, torch.cat(two))


def test_rows_times_and_share_of_mirror_images_are_those_of_the_recipe(tmp_path):
    made, plain = batches(tmp_path, batch=37), batches(tmp_path, batch=37, kind=Batches)
    mirrored = 0
    for step in range(20):
        (clean, _, t, noise), (same, _, times, _) = made(step), plain(step)
        rows = clean[:, 0, 0, 0]
        assert torch.equal(rows.abs(), same[:, 0, 0, 0].abs()) and torch.equal(t, times)
        assert sorted(rows.abs().tolist()) == list(range(3, ROWS)), "every row once an epoch"
        assert (clean == rows.view(-1, 1, 1, 1)).all()
        mirrored += int((rows < 0).sum())
        assert abs(float(noise.std()) - 1) < 0.1
    assert mirrored / (20 * 37) == pytest.approx(0.5, abs=0.06)
    assert all((batches(tmp_path, flip=False)(step)[0] > 0).all() for step in range(4))


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_a_share_of_the_labels_is_the_null_one(tmp_path, dropout):
    made = batches(tmp_path, batch=37, model={"label_dropout": dropout})
    found = [made(step)[:2] for step in range(20)]
    labels = torch.cat([cond for _, cond in found])
    rows = torch.cat([clean[:, 0, 0, 0].abs().long() for clean, _ in found])
    kept = labels != 4
    assert float((~kept).float().mean()) == pytest.approx(dropout, abs=0.06)
    assert torch.equal(labels[kept], rows[kept] % 4)


@pytest.mark.parametrize("loops", [False, True])
def test_windows_of_clips_start_anywhere_they_may(tmp_path, loops):
    data = latents(frames=4, loops=loops)
    model = {"family": "zigma", "frames": 4, "scheme": "factorized-st", "position": "shared"}
    made = batches(tmp_path, data, batch=37, model=model | {"heads": None})
    windows = torch.cat([made(step)[0] for step in range(12)])
    rows = windows[:, 0, 0, 0, 0].floor()
    frames = ((windows[:, :, 0, 0, 0] - rows[:, None]) * 10).round().long()
    assert windows.shape[1] == 4 and ((frames.diff(dim=1) % 6) == 1).all()
    assert set(frames[:, 0].tolist()) == (set(range(6)) if loops else {0, 1, 2})


def test_captions_are_those_that_a_cpu_draws_and_are_read_ahead(tmp_path):
    tower = small_tower(tmp_path / "tower")
    settings = {"model": {"text_width": 24, "label_dropout": 0.3}, "text": {"tower": str(tmp_path / "tower")}}
    made = batches(tmp_path, tower=tower, **settings)
    plain = batches(tmp_path, tower=tower, kind=Batches, tower_lr=1e-4, **settings)
    try:
        for step in (0, 1, 5, 8, 20):
            assert torch.equal(made(step)[1], plain(step)[1])
        half = batches(tmp_path, tower=tower, process=1, processes=2, **settings)
        assert torch.equal(half(3)[1], plain(3)[1][4:])
        half.close()
    finally:
        made.close()


def test_only_latents_lie_on_a_gpu_and_only_where_they_fit(monkeypatch):
    gpu = torch.device("cuda")
    needed = sum(shard.nbytes for shard in (*latents().shards, *latents().mirrored))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, needed / MOST_SHARE))
    assert fits(latents(), gpu) and not fits(latents(), CPU) and not fits(object(), gpu)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (needed, needed / MOST_SHARE - 9))
    assert not fits(latents(), gpu)


@pytest.mark.parametrize("learns", [False, True])
def test_a_network_and_its_tower_train_on_token_ids(tmp_path, monkeypatch, learns):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
    samples = [{"key": str(row), "label": f"label {row}", "group": "", "keywords": []} for row in range(8)]
    write_image_set(tmp_path / "pictures", pixels, samples, {"dataset": "noise"})
    prepare_latents(tmp_path / "data", tmp_path / "pictures", small_autoencoder(tmp_path / "autoencoder"))
    small_tower(tmp_path / "tower")
    model = {"family": "dit", "heads": 2, "size": [SIDE, SIDE], "patch": 2, "width": 16, "depth": 1, "text_width": 24}
    recipe = Recipe(
        name="x", data=str(tmp_path / "data"), run=str(tmp_path / "run"), model=model, steps=4, batch=8, lr=1e-2,
        text={"tower": str(tmp_path / "tower")}, tower_lr=1e-2 if learns else 0.0, precision="fp32",
    )  # fmt: skip
    monkeypatch.setattr(loop.device_batches, "fits", lambda data, device: True)
    run = loop.Training(recipe)
    before = [{k: v.clone() for k, v in one.state_dict().items()} for one in (run.model, run.tower.clip_model)]
    assert run.batches(0)[1].dtype == torch.int64
    for _ in range(4):  # before the third the layers that start at zero let no gradient through
        assert np.isfinite(run.update().item())
        run.step += 1
    run.batches.close()
    after = [one.state_dict() for one in (run.model, run.tower.clip_model)]
    changed = [any(not torch.equal(old[k], new[k]) for k in old) for old, new in zip(before, after, strict=True)]
    assert changed == [True, learns]
