"""Gated linear attention as a graph has it: the numbers of zigdemo.ops at any length, however strong the gates."""

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from zigdemo.ops import gated_linear_attention  # noqa: E402
from zigdemo.web.builder import Graph  # noqa: E402
from zigdemo.web.linear_attention import decayed_attention, up_to_the_middle  # noqa: E402

HEADS, KEYS, VALUES = 2, 6, 5


def attended(length, gates):
    """Attention by a graph, and by zigdemo.ops in float64. gates: (batch, length, heads, keys) -> logarithms."""
    torch.manual_seed(length)
    sizes = {"q": KEYS, "k": KEYS, "v": VALUES, "log_gate": KEYS}
    feeds = {name: torch.randn(2, length, HEADS, size) for name, size in sizes.items()}
    feeds["log_gate"] = gates(feeds["log_gate"])
    expected = gated_linear_attention(*(value.double() for value in feeds.values())).numpy()
    graph = Graph()
    values = [graph.input(name, "batch", HEADS, length, size) for name, size in sizes.items()]
    values[0] = values[0] * KEYS**-0.5
    model = graph.finish(decayed_attention(graph, *values, length), "o", ["batch", HEADS, length, VALUES])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result = session.run(None, {name: value.transpose(1, 2).numpy() for name, value in feeds.items()})[0]
    return result.transpose(0, 2, 1, 3), expected


@pytest.mark.parametrize("length", [1, 2, 3, 8, 20, 63, 64, 65])
def test_attention_by_halves_is_the_recurrence(length):
    result, expected = attended(length, lambda gates: -gates.abs() / 4)
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("strength", [20.0, 300.0, 1e30])
def test_gates_that_forget_all_divide_by_nothing(strength):
    result, expected = attended(64, lambda gates: torch.full_like(gates, -strength))
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_a_channel_that_forgets_leaves_others_what_they_remember():
    def gates(like):
        mixed = torch.full_like(like, -0.01)
        mixed[..., ::2] = -20.0
        mixed[:, 30:34, :, 1] = -20.0  # and one that forgets in the middle alone
        return mixed

    np.testing.assert_allclose(*attended(64, gates), rtol=1e-4, atol=1e-5)


def test_the_decays_on_both_sides_of_the_middle():
    expected = [
        [0, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 1, 1],
    ]  # before the middle: what follows; after: so far
    np.testing.assert_array_equal(up_to_the_middle(2).numpy(), expected)
