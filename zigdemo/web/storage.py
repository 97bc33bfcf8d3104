"""How the weights of a graph are stored: in half precision or bytes, and computed with in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .builder import EXACT

if TYPE_CHECKING:
    import onnx

LEAST = 256  # numbers of a weight that is worth another node
STORAGES = ("fp16", "int8")


def halve(graph: onnx.ModelProto) -> None:
    """Store the float32 weights of a graph as float16, each with a cast that the runtime folds when it loads.

    Shipped weights are saved in half precision, so nothing is lost. A constant that half precision would change (made
    of weights by the exporter, or a table of sines) stays as it is.
    """
    for tensor, values in _weights(graph):
        half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values):
            _replace(graph, tensor, half)


def quantise(graph: onnx.ModelProto) -> None:
    """As `halve`, with matrices and kernels as int8 and a scale for each row: half the bytes, at a loss.

    A row is what lies along the first axis, for a matrix along the one with the smaller error: the largest error of a
    weight is a 254th of the largest weight of its row. Tables of a graph stay as they are.
    """
    for tensor, values in _weights(graph):
        if tensor.name.startswith(EXACT) or values.ndim < 2 or not np.isfinite(values).all():
            continue
        if min(values.shape[0], values[0].size) < 4:
            continue
        axes = (0, 1) if values.ndim == 2 else (0,)
        whole, scale = min((_whole(values, axis) for axis in axes), key=lambda one: _error(values, *one))
        _replace(graph, tensor, whole, scale)
    halve(graph)


def _whole(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 and the scale of every row along an axis, shaped to multiply it."""
    others = tuple(one for one in range(values.ndim) if one != axis)
    scale = (np.abs(values).max(others, keepdims=True) / 127).astype(np.float32)
    scale[scale == 0] = 1
    return np.clip(np.round(values / scale), -127, 127).astype(np.int8), scale


def _error(values: np.ndarray, whole: np.ndarray, scale: np.ndarray) -> float:
    return float(np.square(whole * scale - values).mean())


def _weights(graph: onnx.ModelProto) -> list[tuple[onnx.TensorProto, np.ndarray]]:
    """The float32 weights worth storing in another way, with their values."""
    from onnx import TensorProto, numpy_helper

    floats = [one for one in graph.graph.initializer if one.data_type == TensorProto.FLOAT]
    return [(one, numpy_helper.to_array(one)) for one in floats if int(np.prod(one.dims)) >= LEAST]


def _replace(graph: onnx.ModelProto, tensor: onnx.TensorProto, stored: np.ndarray, scale: np.ndarray | None = None):
    """Put a stored form in the place of a weight, with the nodes that make float32 of it under its old name."""
    from onnx import TensorProto, helper, numpy_helper

    name = tensor.name
    tensor.CopyFrom(numpy_helper.from_array(stored, f"{name}.stored"))
    cast = f"{name}.cast" if scale is not None else name
    nodes = [helper.make_node("Cast", [f"{name}.stored"], [cast], to=TensorProto.FLOAT)]
    if scale is not None:
        graph.graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
        nodes.append(helper.make_node("Mul", [cast, f"{name}.scale"], [name]))
    for place, node in enumerate(nodes):
        graph.graph.node.insert(place, node)
