"""The exported folder: what is in it, what is not exported, and what is made only once."""

import hashlib
import json

import numpy as np
import pytest
import yaml

pytest.importorskip("onnx", reason="onnx is not installed")

from zigdemo.pipeline import Pipeline  # noqa: E402
from zigdemo.scans import scan_scheme  # noqa: E402
from zigdemo.web import __main__ as command  # noqa: E402
from zigdemo.web import folder, graphs  # noqa: E402


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of graphs of this test, and a runtime that needs no npm."""
    files = {name: b"runtime" for pair in folder.FILES.values() for name in pair}
    monkeypatch.setattr(folder, "runtime_files", lambda package=None: files)
    return tmp_path / "cache"


@pytest.fixture
def exported(tiny_portraits, cache, tmp_path):
    path = tiny_portraits()
    return Pipeline.load(path, "cpu"), tmp_path / "out", folder.export([str(path)], tmp_path / "out", cache=cache)


def test_everything_that_the_index_names_is_there(exported):
    pipe, out, index = exported
    assert json.loads((out / "index.json").read_text(encoding="utf-8")) == index
    entry = index["models"][pipe.folder.id]
    named = [*entry["parts"].values(), entry["tokenizer"], entry["scans"]]
    named += [path for runtime in index["runtime"].values() for path in runtime.values()]
    for path in named:
        assert (out / path).stat().st_size == index["files"][path], path
    for path in [*entry["parts"].values(), entry["tokenizer"], entry["scans"]]:
        assert hashlib.sha256((out / path).read_bytes()).hexdigest()[:12] in path
    for page in ("index.html", "page.js", "worker.js", "web.css", "tokens.css", "language.js", "tables.js"):
        assert (out / page).is_file()
    assert entry["defaults"] == {"solver": "euler", "steps": 2, "guidance": 3.0} and entry["examples"] == ["a hat"]


def test_the_orders_are_those_of_the_schemes(exported):
    pipe, out, index = exported
    entry = index["models"][pipe.folder.id]
    content = json.loads((out / entry["scans"]).read_text(encoding="utf-8"))
    assert entry["schemes"][0] == entry["scan"] == "zigzag-8" and entry["learned"] == ["zigzag-8"]
    assert {"sweep", "hilbert-8", "random-8"} <= set(entry["schemes"]) and "bidirectional" not in entry["schemes"]
    for scheme, rows in content["orders"].items():
        for layer, row in enumerate(rows):
            assert row == scan_scheme(scheme).order(layer, content["grid"]).perm.tolist()


def test_sketches_have_the_colours_of_previews(exported):
    pipe, _, index = exported
    colours = index["models"][pipe.folder.id]["latents"]["colours"]
    latents = np.random.default_rng(0).normal(size=(1, pipe.latents.channels, 2, 3)).astype(np.float32)
    expected = pipe.latents.preview(graphs.torch.from_numpy(latents)).numpy()[0]
    result = np.einsum("oc,chw->ohw", colours["matrix"], latents[0]) + np.array(colours["offset"])[:, None, None]
    np.testing.assert_allclose(result, expected, atol=1e-4)


def test_a_graph_is_made_once_and_old_parts_go(exported, tiny_portraits, cache, monkeypatch):
    pipe, out, index = exported
    with monkeypatch.context() as patch:
        patch.setattr(folder, "PARTS", {part: lambda pipe: pytest.fail("made again") for part in folder.PARTS})
        assert folder.export([str(pipe.folder.path)], out, cache=cache) == index
    other = folder.export([str(tiny_portraits("dit"))], out, cache=cache)
    left = {f"parts/{path.name}" for path in (out / "parts").iterdir()}
    assert left == {path for path in other["files"] if path.startswith("parts/")}
    entry = next(iter(other["models"].values()))
    assert entry["scans"] is None and entry["schemes"] == [] and entry["scan"] is None


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("zigma-emoji", "is drawn by label, and the browser draws by prompt"),
        ("zigma-actions", "is drawn by label, and the browser draws by prompt"),
    ],
)
def test_what_a_browser_cannot_draw_is_one_sentence(cache, tmp_path, model, reason):
    with pytest.raises(ValueError, match=f"{model} {reason}; choose a model such as zigma-portraits"):
        folder.export([model], tmp_path / "out", cache=cache)


@pytest.mark.parametrize(
    ("family", "changes", "reason"),
    [
        ("dit", {"conditioning": "in-context"}, "is a dit of a kind that the browser has no graph of"),
        ("dig", {"size": (64, 68)}, "mixes 272 tokens in order, and a graph is for at most 256"),
    ],
)
def test_what_has_no_graph_is_one_sentence(cache, tmp_path, tiny_portraits, family, changes, reason):
    with pytest.raises(ValueError, match=reason):
        folder.export([str(tiny_portraits(family, **changes))], tmp_path / "out", cache=cache)


def test_a_prediction_that_the_solvers_do_not_follow_is_refused(cache, tmp_path, tiny_portraits):
    with pytest.raises(ValueError, match="does not predict the velocity"):
        folder.export([str(tiny_portraits(prediction="clean"))], tmp_path / "out", cache=cache)
    with pytest.raises(ValueError, match="unknown storage 'int4'; choose one of fp16, int8"):
        folder.export([], tmp_path / "out", storage="int4", cache=cache)


def test_the_folder_is_a_static_space_that_lets_threads_run(exported):
    front = yaml.safe_load((exported[1] / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert front["sdk"] == "static"
    assert front["custom_headers"]["cross-origin-opener-policy"] == "same-origin"
    assert front["custom_headers"]["cross-origin-embedder-policy"] == "require-corp"


@pytest.mark.parametrize("storage", ["fp16", "int8"])
def test_the_card_says_how_weights_are_stored_and_what_is_fetched(tiny_portraits, cache, tmp_path, storage):
    index = folder.export([str(tiny_portraits())], tmp_path, cache=cache, storage=storage)
    name, entry = next(iter(index["models"].items()))
    shared = [*entry["parts"].values(), entry["tokenizer"], entry["scans"]]
    cells = [f"`{name}`", folder.STORED[storage]]
    for pair in index["runtime"].values():
        size = sum((tmp_path / path).stat().st_size for path in [*shared, *pair.values()])
        cells.append(f"{size / 1e6:.1f} MB")
    assert f"| {' | '.join(cells)} |" in (tmp_path / "README.md").read_text(encoding="utf-8").splitlines()


def test_the_command_says_sizes_or_one_sentence(tiny_portraits, cache, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(folder, "CACHE", cache)
    path = tiny_portraits()
    assert command.main(["export", str(path), str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "MB to download with wasm" in printed and "python -m zigdemo.web serve" in printed
    assert command.main(["export", "nobody", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("unknown model 'nobody'; choose one of")
    assert command.main(["serve", str(tmp_path)]) == 2
    assert "is no exported folder; run `python -m zigdemo.web export" in capsys.readouterr().err
