"""The benchmarks run, on sizes too small to mean anything."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models import LABELS, tiny_folder
from towers import small_tower
from waiting import PATIENCE

from benchmarks.gpu.taking import take
from zigdemo import zoo
from zigdemo.backbones import build
from zigdemo.data.preparation import write_image_set
from zigdemo.training.trainer.checkpoints import read_checkpoint
from zigdemo.training.trainer.recipe import load_recipe, model_config

QUICK = ("selective_scan", "gla", "s4d", "memory", "growth", "backbones", "solvers", "overhead", "video", "training")


def run(monkeypatch, name, *arguments):
    """What `python -m benchmarks.NAME` does, in this process, which has torch already."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    importlib.import_module(f"benchmarks.{name}").main()


@pytest.mark.parametrize("name", QUICK)
def test_a_benchmark_runs_and_writes_its_result(name, tmp_path, monkeypatch):
    pytest.importorskip("numba", reason="the CPU kernels need numba")
    if name == "selective_scan":
        pytest.importorskip("mambapy", reason="mambapy is a peer of this benchmark")
    out = tmp_path / "result.json"
    run(monkeypatch, name, "--quick", "--out", out)
    assert json.loads(out.read_text())


def test_the_benchmark_of_texts_names_what_a_model_draws(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "weights/words", text=small_tower(tmp_path / "weights/emoji-clip"))
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    keys = [f"key {i}" for i in "abcdefgh"]
    samples = [{"key": n, "label": n, "group": "noise", "keywords": [f"{n} {k}" for k in keys]} for n in "stuv"]
    write_image_set(tmp_path / "data", pixels, samples, {"dataset": "noise"})
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    sizes = "--count", 4, "--steps", 1
    run(monkeypatch, "text", "words", "--data", tmp_path / "data", *sizes, "--out", tmp_path / "out")
    found = json.loads((tmp_path / "out/text.json").read_text())
    assert found["n"] == len(found["texts"]) == 4 and found["floor"] == 0.25 and 0 <= found["ceiling_top1"] <= 1
    assert found["templates"]["n"] == found["synonyms"]["n"] == 2 and (tmp_path / "out/compositions.png").is_file()


def test_the_benchmark_of_scores_damages_the_real_set_and_scores_a_model(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8)
    labels = [*LABELS, *"abcdefghijklmnopq"]
    samples = [{"key": n, "label": n, "group": "noise", "keywords": []} for n in labels]
    write_image_set(tmp_path / "data", pixels, samples, {"dataset": "noise"})
    sizes = "--part", 8, "--count", 4, "--steps", 1
    tiny = str(tiny_folder(tmp_path / "tiny").path)
    for models in ([], [tiny]):
        files = "--data", tmp_path / "data", "--out", tmp_path / "scores.json"
        run(monkeypatch, "scores", *models, *files, *sizes, "--features", "emoji-clip")
    found = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert len(found["sanity"]["emoji-clip"]) == 4 and len(found["models"][tiny]) == 7


def test_the_benchmark_of_twins_draws_every_model_under_every_scheme(tmp_path, monkeypatch, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    samples = [{"key": n, "label": n, "group": "noise", "keywords": []} for n in LABELS]
    write_image_set(tmp_path / "data", pixels, samples, {"dataset": "noise"})
    models = [tiny_folder(tmp_path / scheme, scheme=scheme).path for scheme in ("sweep", "random-2")]
    sizes = "--data", tmp_path / "data", "--count", 3, "--steps", 1
    run(monkeypatch, "twins", *models, *sizes, "--out", tmp_path / "twins.json")
    found = json.loads((tmp_path / "twins.json").read_text())["found"]
    trained = [[each["trained"] for each in scores.values()] for scores in found.values()]
    assert trained == [[True, False], [False, True]] and (tmp_path / "twins.png").is_file()
    distances = [[each["distance"] for each in scores.values()] for scores in found.values()]
    assert distances[0][0] != distances[0][1] and "| drawn under | sweep | random-2 |" in capsys.readouterr().out


def test_the_benchmark_of_claims_trains_scores_and_goes_on_from_what_it_has(tmp_path, monkeypatch, capsys):
    pytest.importorskip("numba", reason="the CPU kernels need numba")
    pixels = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), np.uint8)
    samples = [{"key": str(n), "label": str(n), "group": "ab"[n % 2], "keywords": []} for n in range(30)]
    write_image_set(tmp_path / "data", pixels, samples, {"dataset": "noise"})
    files = "--data", tmp_path / "data", "--out", tmp_path / "claims.json"
    written = []
    for more in ([], ["--cases", "DiT"], ["--cases", "zigzag-8"]):
        run(monkeypatch, "claims", "--quick", *files, "--features", "emoji-clip", *more)
        written.append(json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))["runs"])
    assert [run["case"] for run in written[1]] == ["zigzag-8", "DiT"] and written[2] == written[1]
    said = capsys.readouterr().out
    assert "| DiT |" in said and "Scan schemes of ZigMa" in said and "Floor" in said
    assert "| ZigMa with zigzag-8 |" in said and "beyond patch 2" in said
    (tmp_path / "claims.png").unlink()
    run(monkeypatch, "claims", "--only-draw", "--out", tmp_path / "claims.json")
    assert (tmp_path / "claims.png").is_file() and capsys.readouterr().out.strip() in said
    assert json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))["runs"] == written[2]
    with pytest.raises(SystemExit):
        run(monkeypatch, "claims", "--only-draw", "--out", tmp_path / "none.json")


def test_the_gpu_script_runs_dry_and_stays_within_its_limits(tmp_path):
    pytest.importorskip("triton", reason="its first part tests the Triton kernels")
    pytest.importorskip("numba", reason="the CPU kernels need numba")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    samples = [{"key": n, "label": n, "group": "noise", "keywords": [], "emoji": ""} for n in "abcd"]
    write_image_set(tmp_path / "data", pixels, samples, {"dataset": "noise"})
    out = tmp_path / "out"
    command = ["bash", "benchmarks/gpu.sh", str(out), "--dry", "--data", str(tmp_path / "data")]
    command += ["--train", "zigma-emoji", "--profile", "zigma-emoji"]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((out / "gpu.json").read_text())
    assert {part["status"] for part in found["parts"].values()} == {0}
    assert found["scan"] and found["attention"] and found["networks"] and found["profile"][0]["busy"] > 0
    assert len(found["models"]) == 1 and all(row["good"] for row in found["correctness"])
    files = list(out.rglob("*"))
    assert len(files) <= 8 and all(file.is_file() and file.stat().st_size < 16 * 2**20 for file in files)
    run = take(out / "zigma-emoji.json", tmp_path / "runs")
    content = read_checkpoint(run)
    assert content["step"] == found["models"][0]["steps"] == 3 and content["labels"] == list("abcd")
    assert load_recipe(run / "recipe.yaml").steps == 3 and (run / "metrics.jsonl").read_text().strip()
    network = build(model_config(load_recipe(run / "recipe.yaml"), 4))
    network.load_state_dict(content["emas"][0])


def test_a_part_that_stalls_takes_no_more_than_its_share():
    from benchmarks.gpu.__main__ import run

    ended = run(["timeit", "-n", "1", "-r", "1", "import time; time.sleep(600)"], 1.0)
    assert "stopped after 1 s" in str(ended["status"]) and ended["seconds"] < 300
