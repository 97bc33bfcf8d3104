"""The command: a model or a folder against a real set, alone or in several processes, and what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from extractors import corner_features
from models import LABELS, tiny_folder
from PIL import Image
from waiting import PATIENCE

from zigdemo.evaluation.__main__ import evaluate, main
from zigdemo.evaluation.materials import Material, generate, plan_draws, read_material
from zigdemo.pipeline import Pipeline

ROOT = Path(__file__).parents[2]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def pipe(tmp_path_factory):
    return Pipeline(tiny_folder(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def labelled():
    return Material(noise(12, 16, 16), [*LABELS, "unknown"] * 3)


def test_draws_spread_over_the_labels_that_model_and_data_share(pipe, labelled):
    draws = plan_draws(pipe, labelled, 20, seed=5)
    rows = [row for draw in draws for row in draw.rows]
    assert [draw.request.label for draw in draws] == sorted(LABELS) and len(rows) == 20
    assert all(labelled.labels[row] == draw.request.label for draw in draws for row in draw.rows)
    starts = np.cumsum([0] + [draw.request.count for draw in draws])
    assert [draw.request.seed for draw in draws] == (5 + starts[:-1]).tolist()
    assert max(np.bincount(rows)) - 20 // 9 <= 1  # each about as often


def test_what_is_drawn_is_what_the_pipeline_makes(pipe, labelled):
    draws = plan_draws(pipe, labelled, 3, seed=0, steps=1)
    made = generate(pipe, draws)
    assert made.shape == (3, 16, 16, 3) and made.dtype == np.uint8
    assert np.array_equal(made[0], np.asarray(pipe(draws[0].request).images[0]))


def test_a_model_is_scored_by_every_metric(pipe, labelled):
    labelled = Material(labelled.items[:4], labelled.labels[:4])
    metrics = ["frechet", "precision", "clip", "retrieval"]
    features, folder = corner_features(), str(pipe.folder.path)
    with pytest.raises(ValueError, match="unknown metric 'fid'"):
        evaluate(folder, labelled, features, ["fid"], 4, steps=1)
    scores = evaluate(folder, Material(noise(12, 16, 16), labelled.labels * 3), features, metrics, 5, 2, steps=1)
    names = [score.name for score in scores]
    assert names[:3] == ["Frechet distance on corners", "precision on corners", "recall on corners"]
    assert names[3:] == ["named right by emoji-clip", "cosine to the label by emoji-clip", "label retrieval in pixels"]
    assert all(score.count == 5 and score.seed == 2 and np.isfinite(score.floor) for score in scores)


def test_the_command_writes_every_number_with_its_floor(tmp_path, capsys):
    np.save(tmp_path / "real.npy", noise(30, 16, 16))
    folder = tmp_path / "made"
    folder.mkdir()
    for number, picture in enumerate(noise(8, 16, 16, seed=1)):
        Image.fromarray(picture).save(folder / f"{number}.png")
    out, cache = tmp_path / "out" / "scores.json", tmp_path / "cache"
    arguments = [str(folder), str(tmp_path / "real.npy"), "--features", "emoji-clip", "--seed", "4"]
    assert main([*arguments, "--out", str(out), "--cache", str(cache)]) == 0
    found = json.loads(out.read_text())
    assert [score["count"] for score in found["scores"]] == [8] * 4 and len(found["features_sha256"]) == 64
    assert found["scores"][0]["floor_of"] == "real/real 8:22" and found["seed"] == "4"
    shown = capsys.readouterr().out
    assert "Frechet distance on emoji-clip" in shown and "real/real 8:22" in shown
    assert len(list(cache.iterdir())) == 1


def test_clips_are_scored_by_motion_too(tmp_path):
    np.save(tmp_path / "made.npy", noise(6, 3, 16, 16))
    scores = evaluate(str(tmp_path / "made.npy"), Material(noise(8, 3, 16, 16, seed=1)), corner_features(), ["frechet"])
    assert [score.name.split(" ")[0] for score in scores] == ["frame-wise", "video", "mean", "flow"]


SHARES = """
import json
from accelerate import PartialState
from extractors import corner_features
from zigdemo.evaluation.__main__ import evaluate
from zigdemo.evaluation.materials import read_material

state = PartialState(cpu=True)
scores = evaluate("made.npy", read_material("real.npy"), corner_features(), ["frechet", "kid", "precision"])
if state.is_main_process:
    print(json.dumps([state.num_processes, [[score.value, score.floor] for score in scores]]))
state.destroy_process_group()
"""


def test_two_processes_agree_with_one(tmp_path):
    """The moments add up; the vectors come in another order, which KID's random subsets see."""
    np.save(tmp_path / "real.npy", noise(41, 4, 4))
    np.save(tmp_path / "made.npy", noise(21, 4, 4, seed=1))
    (tmp_path / "shares.py").write_text(SHARES)
    # --multi_gpu asks for a process group, which falls back to the CPU; with --cpu accelerate starts one process
    command = f"{sys.executable} -m accelerate.commands.launch --multi_gpu --num_processes 2 --main_process_port 0"
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    if sys.platform == "linux":
        environment["GLOO_SOCKET_IFNAME"] = "lo"  # the machine's own name may lead to an address that nobody answers
    done = subprocess.run(
        [*command.split(), "shares.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr[-2000:]
    processes, two = json.loads(done.stdout.splitlines()[-1])
    metrics = ["frechet", "kid", "precision"]
    real = read_material(tmp_path / "real.npy")
    one = [
        (score.value, score.floor) for score in evaluate(str(tmp_path / "made.npy"), real, corner_features(), metrics)
    ]
    assert processes == 2 and two[0] == pytest.approx(one[0], rel=1e-10)
    assert two[1][1] == pytest.approx(one[1][1]) and two[2:] == [pytest.approx(each) for each in one[2:]]


def broken(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_broken_and_hostile_material_is_named(tmp_path):
    text = broken(tmp_path, "text")
    (text / "a.png").write_text("no picture")
    sizes = broken(tmp_path, "sizes")
    for side in (8, 9):
        Image.new("RGB", (side, 8)).save(sizes / f"{side}.png")
    labels = broken(tmp_path, "labels")
    np.save(labels / "images.npy", noise(3, 8, 8))
    (labels / "samples.jsonl").write_text('{"label": "a"}\n')
    garbage = broken(tmp_path, "garbage")
    np.save(garbage / "images.npy", noise(1, 8, 8))
    (garbage / "samples.jsonl").write_text("{}\n")
    bomb = broken(tmp_path, "bomb")
    Image.new("1", (30_000, 30_000)).save(bomb / "a.png")
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    np.save(tmp_path / "floats.npy", np.zeros((2, 8, 8, 3)))
    for path, said in {
        tmp_path / "nothing": "there is no file, folder or model",
        broken(tmp_path, "empty"): "has no pictures",
        text: "a.png is not a readable picture",
        sizes: "must have one size, but 9.png makes it 8 x 8 and 9 x 8",
        labels: "is broken: 3 in images.npy but 1",
        garbage: "samples.jsonl is broken",
        bomb: r"a.png (has 30000 x 30000 pixels|is not a readable picture)",
        tmp_path / "objects.npy": "is not a readable .npy file",
        tmp_path / "floats.npy": r"must be uint8 \(n, H, W, 3\)",
    }.items():
        with pytest.raises(ValueError, match=said):
            read_material(path)


def test_what_does_not_fit_together_is_said(pipe, tmp_path, capsys):
    np.save(tmp_path / "made.npy", noise(6, 16, 16))
    features, real, made = corner_features(), Material(noise(8, 16, 16)), str(tmp_path / "made.npy")
    for call, said in (
        (lambda: plan_draws(pipe, real, 3, 0), "data have no"),
        (lambda: plan_draws(pipe, Material(real.items, ["x"] * 8), 3, 0), "knows no label of the data, such as 'x'"),
        (lambda: plan_draws(pipe, real, 0, 0), "count must be a whole number of at least 1, not 0"),
        (lambda: evaluate(made, real, features, count=7), "has 6 items; choose a count of 1 to 6"),
        (lambda: evaluate(made, real, features, ["clip"]), "need the labels of the generated items"),
        (lambda: evaluate(made, Material(noise(8, 2, 16, 16)), features), "clips are only scored by frechet"),
        (lambda: evaluate(made, Material(noise(8, 2, 16, 16)), features, ["frechet"]), "the data are clips"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
    assert main([made, str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.startswith("error: there is no file")
