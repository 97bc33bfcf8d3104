"""Scan and convolution as a graph has them: the numbers of zigdemo.ops, along any order and of any length."""

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from zigdemo.ops import causal_conv, selective_scan  # noqa: E402
from zigdemo.web import scanning  # noqa: E402
from zigdemo.web.builder import Graph  # noqa: E402
from zigdemo.web.scanning import PIECE  # noqa: E402

CHANNELS, STATE = 6, 3


def run(graph, output, feeds):
    model = graph.finish(output, "y", ["batch", "length", CHANNELS])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {name: value.numpy() for name, value in feeds.items()})[0]


def scanned(length, steps, batch=2):
    """The scan by a graph and by zigdemo.ops."""
    torch.manual_seed(length)
    A = -torch.rand(CHANNELS, STATE) * 4
    sizes = {"x": CHANNELS, "steps": CHANNELS, "B": STATE, "C": STATE}
    feeds = {name: torch.randn(batch, length, size) for name, size in sizes.items()}
    feeds["steps"] = steps(feeds["steps"])
    graph = Graph()
    values = [graph.input(name, "batch", length, size) for name, size in sizes.items()]
    result = run(graph, scanning.scan_in_pieces(graph, *values, A, length), feeds)
    return result, selective_scan(feeds["x"], feeds["steps"], A, feeds["B"], feeds["C"]).numpy()


@pytest.mark.parametrize("length", [1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 8 * PIECE, 8 * PIECE + 5])
def test_a_scan_in_pieces_is_the_scan(length):
    np.testing.assert_allclose(*scanned(length, torch.nn.functional.softplus), atol=1e-5)


def test_decays_that_vanish_divide_by_nothing():
    result, expected = scanned(64, lambda steps: steps.abs() + 80)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("length", [1, 2, 21])
def test_a_convolution_looks_back_only(length):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, length, CHANNELS), torch.randn(CHANNELS, 4), torch.randn(CHANNELS)
    graph = Graph()
    value = graph.input("x", "batch", length, CHANNELS)
    result = run(graph, scanning.causal_conv(graph, value, weight, bias, length), {"x": x})
    np.testing.assert_allclose(result, causal_conv(x, weight, bias, silu=False).numpy(), atol=1e-5)
