"""Writes an ONNX graph as one writes torch: values with operators, and the layers that networks are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import onnx

OPSET, IR_VERSION = 18, 9
EXACT = "table"  # what the names of numbers begin with that no storage may change
MISSING = "exporting needs the package onnx; run `pip install onnx`"


class Value:
    """A tensor of a graph, by its name; arithmetic with values, torch tensors (weights) and numbers adds nodes."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def __add__(self, other: Any) -> Value:
        return self.graph.node("Add", self, other)

    def __sub__(self, other: Any) -> Value:
        return self.graph.node("Sub", self, other)

    def __mul__(self, other: Any) -> Value:
        return self.graph.node("Mul", self, other)

    def __truediv__(self, other: Any) -> Value:
        return self.graph.node("Div", self, other)

    def __matmul__(self, other: Any) -> Value:
        return self.graph.node("MatMul", self, other)

    __radd__, __rmul__ = __add__, __mul__

    def reshape(self, *shape: int) -> Value:
        """As numpy's; 0 keeps the axis at its place, -1 is what remains."""
        return self.graph.node("Reshape", self, list(shape))

    def transpose(self, *axes: int) -> Value:
        return self.graph.node("Transpose", self, perm=list(axes))

    def unsqueeze(self, axis: int) -> Value:
        return self.graph.node("Unsqueeze", self, [axis])

    def slice(self, axis: int, start: int, end: int) -> Value:
        return self.graph.node("Slice", self, [start], [end], [axis])

    def split(self, axis: int, *sizes: int) -> list[Value]:
        parts = self.graph.node("Split", self, list(sizes), outputs=len(sizes), axis=axis)
        return parts if len(sizes) > 1 else [parts]

    def take(self, rows: Value, axis: int = 0) -> Value:
        return self.graph.node("Gather", self, rows, axis=axis)


class Graph:
    """A graph in the making; `finish` gives it as a model of ONNX. Raises ValueError where the package is missing."""

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError:
            raise ValueError(MISSING) from None
        self._onnx = onnx
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._weights: dict[str, onnx.TensorProto] = {}
        self._constants: dict[Any, Value] = {}

    def input(self, name: str, *shape: int | str, whole: bool = False) -> Value:
        """An input of float32, or with `whole` of int32; a size given as a word is free."""
        kind = self._onnx.TensorProto.INT32 if whole else self._onnx.TensorProto.FLOAT
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, kind, list(shape)))
        return Value(self, name)

    def node(self, kind: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; returns its value, or a list of them. inputs: values, weights, numbers, lists of integers."""
        names = [self._name(value) for value in inputs]
        made = [f"{kind}_{len(self._nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        self._nodes.append(self._onnx.helper.make_node(kind, names, made, **attributes))
        values = [Value(self, name) for name in made]
        return values if outputs > 1 else values[0]

    def cat(self, values: Sequence[Value], axis: int) -> Value:
        return self.node("Concat", *values, axis=axis)

    def table(self, values: Tensor) -> Value:
        """Numbers that are no weights: stored once however often they are used, and always exactly."""
        return self._constant(values.contiguous().numpy(), EXACT)

    def _name(self, value: Any) -> str:
        if isinstance(value, Value | str):  # "" for an optional input that is left out
            return getattr(value, "name", "")
        if isinstance(value, Tensor):
            return self._stored(value.detach().cpu().contiguous().numpy())
        return self._constant(np.array(value, np.int64 if isinstance(value, list) else np.float32)).name

    def _constant(self, array: np.ndarray, kind: str = "weight") -> Value:
        """Numbers that are stored once, however often a graph has them."""
        key = (kind, array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = Value(self, self._stored(array, kind))
        return self._constants[key]

    def _stored(self, array: np.ndarray, kind: str = "weight") -> str:
        name = f"{kind}_{len(self._weights)}"
        self._weights[name] = self._onnx.numpy_helper.from_array(array, name)
        return name

    def finish(self, output: Value, name: str, shape: Sequence[int | str]) -> onnx.ModelProto:
        """The model with one output, under this name and of this shape."""
        helper = self._onnx.helper
        self._nodes.append(helper.make_node("Identity", [output.name], [name]))
        outputs = [helper.make_tensor_value_info(name, self._onnx.TensorProto.FLOAT, list(shape))]
        graph = helper.make_graph(self._nodes, "zigdemo", self._inputs, outputs, list(self._weights.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    # Layers, as torch has them.

    def linear(self, x: Value, layer: nn.Linear) -> Value:
        y = x @ layer.weight.T
        return y if layer.bias is None else y + layer.bias

    def conv(self, x: Value, layer: nn.Conv2d) -> Value:
        pads = [*layer.padding, *layer.padding]
        weights = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
        return self.node("Conv", x, *weights, strides=list(layer.stride), pads=pads, group=layer.groups)

    def norm(self, x: Value, layer: nn.Module) -> Value:
        """An nn.LayerNorm or nn.RMSNorm over the last axis."""
        if isinstance(layer, nn.LayerNorm):
            if not layer.elementwise_affine:
                return self.layer_norm(x, layer.normalized_shape[0], layer.eps)
            return self.node("LayerNormalization", x, layer.weight, layer.bias, axis=-1, epsilon=layer.eps)
        return self.rms_norm(x, layer.weight, layer.eps)

    def rms_norm(self, x: Value, weight: Tensor, epsilon: float) -> Value:
        mean = self.mean(self.node("Pow", x, 2.0), -1, keep=True)
        return x / self.node("Sqrt", mean + epsilon) * weight

    def layer_norm(self, x: Value, width: int, epsilon: float) -> Value:
        return self.node("LayerNormalization", x, torch.ones(width), axis=-1, epsilon=epsilon)

    def mean(self, x: Value, axis: int, keep: bool = False) -> Value:
        return self.node("ReduceMean", x, [axis], keepdims=int(keep))

    def sum(self, x: Value, axis: int, keep: bool = False) -> Value:
        return self.node("ReduceSum", x, [axis], keepdims=int(keep))

    def silu(self, x: Value) -> Value:
        return x * self.node("Sigmoid", x)

    def gelu(self, x: Value, tanh: bool = False) -> Value:
        """GELU, exact or in its published tanh form."""
        if tanh:
            inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
            return x * 0.5 * (self.node("Tanh", inner) + 1.0)
        return x * 0.5 * (self.node("Erf", x * math.sqrt(0.5)) + 1.0)

    def attention(self, q: Value, k: Value, v: Value, heads: int, width: int, mask: Tensor | None = None) -> Value:
        """Softmax attention: (batch, tokens, heads * width) each; width: of a head; mask: added to the scores."""
        q, v = (value.reshape(0, 0, heads, width).transpose(0, 2, 1, 3) for value in (q, v))
        scores = q @ k.reshape(0, 0, heads, width).transpose(0, 2, 3, 1) * width**-0.5
        shares = self.node("Softmax", scores if mask is None else scores + mask, axis=-1)
        return (shares @ v).transpose(0, 2, 1, 3).reshape(0, 0, heads * width)
