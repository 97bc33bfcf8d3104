"""Graphs against the pipeline: within 1e-4, whatever the order, the batch, the gates and the family."""

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from zigdemo.pipeline import Pipeline  # noqa: E402
from zigdemo.web import graphs  # noqa: E402
from zigdemo.web.storage import halve, quantise  # noqa: E402

TOLERANCE = 1e-4
KINDS = ("zigma", "dit", "dig", "diffussm")


def session(graph):
    return ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def networks(pipes):
    """networks(family) -> (pipeline, graph stored in halves, its session), exported once."""
    made = {}

    def make(family):
        if family not in made:
            graph = graphs.network_graph(pipes(family))
            halve(graph)
            made[family] = pipes(family), graph, session(graph)
        return made[family]

    return make


def inputs_of(pipe, batch, scheme=None):
    torch.manual_seed(batch)
    config = pipe.network.config
    feeds = {
        "x": torch.randn(batch, config.in_channels, *config.size),
        "t": torch.rand(batch),
        "words": torch.randn(batch, pipe.text.context, pipe.text.width),
    }
    rows = graphs.scan_rows(pipe, scheme)
    return feeds | ({} if rows is None else dict(zip(("perm", "inverse"), rows, strict=True)))


def run(model, feeds):
    return model.run(None, {name: value.numpy() for name, value in feeds.items()})[0]


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize("batch", [1, 2, 5])
@torch.inference_mode()
def test_a_network_predicts_the_same(networks, family, batch):
    pipe, _, model = networks(family)
    feeds = inputs_of(pipe, batch)
    expected = pipe.network(feeds["x"], feeds["t"], feeds["words"]).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(run(model, feeds), expected, atol=TOLERANCE)


@pytest.mark.parametrize("scheme", ["sweep", "zigzag-8", "hilbert-8", "random-8", "shuffled-4"])
@torch.inference_mode()
def test_one_graph_reads_along_every_scheme(networks, scheme):
    pipe, _, model = networks("zigma")
    feeds = inputs_of(pipe, 2, scheme)
    expected = pipe.network(feeds["x"], feeds["t"], feeds["words"], scheme=scheme).numpy()
    np.testing.assert_allclose(run(model, feeds), expected, atol=TOLERANCE)
    other = inputs_of(pipe, 2, "sweep" if scheme != "sweep" else "hilbert-8")
    assert np.abs(run(model, other) - expected).max() > 10 * TOLERANCE, "the order makes no difference"


@torch.inference_mode()
def test_blocks_of_two_scans_take_two_orders_each(tiny_portraits):
    pipe = Pipeline.load(tiny_portraits("zigma", scheme="bidirectional"), "cpu")
    feeds = inputs_of(pipe, 2)
    assert len(feeds["perm"]) == 2 * pipe.network.config.depth
    expected = pipe.network(feeds["x"], feeds["t"], feeds["words"]).numpy()
    np.testing.assert_allclose(run(session(graphs.network_graph(pipe)), feeds), expected, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("dig", {"depth": 6, "skip": True, "conv": "inside", "rms_norm": True}),
        ("dig", {"depth": 5}),
        ("dig", {"depth": 5, "restore": False, "size": (16, 16), "kernel": 5, "expand_k": 1.0}),
        ("dig", {"directions": "seq", "transpose": False, "conv": "none", "refine": 4}),
        ("diffussm", {"depth": 3, "hourglass": 4, "modes": 5, "size": (12, 24), "patch": 2}),
        ("diffussm", {"hourglass": 1, "refine": 4}),
    ],
)
@torch.inference_mode()
def test_every_kind_of_a_backbone_has_a_graph(tiny_portraits, family, changes):
    pipe = Pipeline.load(tiny_portraits(family, **changes), "cpu")
    feeds = inputs_of(pipe, 3)
    expected = pipe.network(feeds["x"], feeds["t"], feeds["words"]).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(run(session(graphs.network_graph(pipe)), feeds), expected, atol=TOLERANCE)


@torch.inference_mode()
def test_gates_may_be_as_strong_as_they_like(tiny_portraits):
    pipe = Pipeline.load(tiny_portraits("dig"), "cpu")
    before = inputs_of(pipe, 2)
    free = pipe.network(before["x"], before["t"], before["words"]).numpy()
    for block in pipe.network.blocks:
        block.attn.gk_proj[1].bias.fill_(-320.0)  # a log gate of about -20 for every token
    expected = pipe.network(before["x"], before["t"], before["words"]).numpy()
    assert np.abs(expected - free).max() > 10 * TOLERANCE, "the gates make no difference"
    np.testing.assert_allclose(run(session(graphs.network_graph(pipe)), before), expected, atol=TOLERANCE)


def test_a_tower_reads_the_same(pipes):
    pipe = pipes("zigma")
    model = session(graphs.tower_graph(pipe))
    for prompt in ("", "a red hat", "word " * 30):
        ids = np.array([pipe.text.prompt(prompt).ids], np.int32)
        expected = pipe.text.features(prompt).numpy()
        np.testing.assert_allclose(model.run(None, {"ids": ids})[0], expected, atol=TOLERANCE)


def test_a_decoder_makes_the_same_picture(pipes):
    pipe = pipes("zigma")
    latents = torch.randn(1, pipe.latents.channels, *pipe.network.config.size)
    result = session(graphs.decoder_graph(pipe)).run(None, {"latents": latents.numpy()})[0]
    np.testing.assert_allclose(result, pipe.latents.decode(latents).numpy(), atol=TOLERANCE)


def floats(graph):
    kind = onnx.TensorProto.FLOAT
    return {one.name: one for one in graph.graph.initializer if one.data_type == kind and np.prod(one.dims) > 255}


def test_halves_lose_nothing_and_take_half(pipes, networks):
    plain = graphs.network_graph(pipes("zigma"))
    _, halved, model = networks("zigma")
    feeds = inputs_of(pipes("zigma"), 2)
    np.testing.assert_array_equal(run(model, feeds), run(session(plain), feeds))
    assert halved.ByteSize() < 0.65 * plain.ByteSize()
    left = sum(int(np.prod(one.dims)) for one in floats(halved).values())
    assert left < 0.1 * pipes("zigma").network.config.parameters, "only what halves would change stays"
    onnx.checker.check_model(halved)


@pytest.mark.parametrize("family", KINDS)
def test_bytes_take_a_quarter_at_a_small_loss(pipes, family):
    graph, pipe = graphs.network_graph(pipes(family)), pipes(family)
    feeds, plain = inputs_of(pipe, 2), session(graph)
    before, size = run(plain, feeds), graph.ByteSize()
    quantise(graph)
    error = np.abs(run(session(graph), feeds) - before)
    assert 0 < error.max() < 0.1 * np.abs(before).max()
    assert graph.ByteSize() < 0.55 * size


def test_a_missing_package_is_one_sentence(pipes, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match="exporting needs the package onnx; run `pip install onnx`"):
        graphs.decoder_graph(pipes("zigma"))
