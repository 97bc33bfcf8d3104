"""The S4D convolution as a graph has it: the numbers of zigdemo.ops at any length, with kernels made when it loads."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from zigdemo.backbones.diffussm import BidirectionalS4D  # noqa: E402
from zigdemo.web.builder import Graph  # noqa: E402
from zigdemo.web.long_convolution import Fourier, s4d  # noqa: E402
from zigdemo.web.storage import quantise  # noqa: E402

CHANNELS, MODES = 5, 3


def session(graph, output, length, options=None):
    model = graph.finish(output, "y", ["batch", length, CHANNELS])
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def mixer_of(seed):
    torch.manual_seed(seed)
    mixer = BidirectionalS4D(CHANNELS, MODES)
    with torch.no_grad():
        mixer.D.add_(torch.randn(CHANNELS))
        mixer.log_dt.add_(2 * torch.rand(CHANNELS))
    return mixer


@pytest.mark.parametrize("length", [1, 2, 3, 16, 20, 63, 64, 256])
@torch.inference_mode()
def test_a_convolution_by_spectra_is_the_recurrence(length):
    mixer, graph = mixer_of(length), Graph()
    u = torch.randn(2, length, CHANNELS)
    model = session(graph, s4d(graph, graph.input("u", "batch", length, CHANNELS), mixer, length), length)
    expected = mixer(u).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(model.run(None, {"u": u.numpy()})[0], expected, atol=2e-5)


def test_both_directions_reach_from_end_to_end():
    mixer, graph, length = mixer_of(0), Graph(), 20
    mixer.log_dt.data.fill_(-6.0)  # remembers for long
    model = session(graph, s4d(graph, graph.input("u", "batch", length, CHANNELS), mixer, length), length)
    u = np.zeros((2, length, CHANNELS), np.float32)
    u[0, 0] = u[1, -1] = 1.0
    first, last = model.run(None, {"u": u})[0]
    np.testing.assert_allclose(first, mixer(torch.from_numpy(u)).detach().numpy()[0], atol=1e-5)
    assert (np.abs(first[-1]) > 1e-4).all() and (np.abs(last[0]) > 1e-4).all(), "nothing wraps around, nothing is lost"
    assert not np.allclose(first, last[::-1], atol=1e-4), "each direction has a kernel of its own"


def test_a_spectrum_has_its_tokens():
    graph, length = Graph(), 21
    fourier = Fourier(graph, length, CHANNELS)
    x = np.random.default_rng(0).normal(size=(2, length, CHANNELS)).astype(np.float32)
    model = session(graph, fourier.tokens(fourier.spectrum(graph.input("x", "batch", length, CHANNELS))), length)
    np.testing.assert_allclose(model.run(None, {"x": x})[0], x, atol=1e-5)


def test_tables_stay_exact_where_weights_become_bytes():
    graph, length = Graph(), 256
    fourier = Fourier(graph, length, CHANNELS)
    output = fourier.tokens(fourier.spectrum(graph.input("x", "batch", length, CHANNELS)))
    model = graph.finish(output, "y", ["batch", length, CHANNELS])
    before = model.SerializeToString()
    quantise(model)
    feeds = {"x": np.random.default_rng(0).normal(size=(1, length, CHANNELS)).astype(np.float32)}
    results = [ort.InferenceSession(one, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
               for one in (before, model.SerializeToString())]  # fmt: skip
    np.testing.assert_array_equal(*results)


def test_kernels_are_computed_once_when_the_graph_loads(tmp_path):
    graph, options = Graph(), ort.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
    output = s4d(graph, graph.input("u", "batch", 20, CHANNELS), mixer_of(0), 20)
    model = session(graph, output, 20, options)
    model.run(None, {"u": np.zeros((1, 20, CHANNELS), np.float32)})
    events = json.loads(open(model.end_profiling(), encoding="utf-8").read())
    kinds = {event["args"]["op_name"] for event in events if "op_name" in event.get("args", {})}
    assert "MatMul" in kinds and not kinds & {"Exp", "Cos", "Sin", "ReduceSum"}
