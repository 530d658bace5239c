"""ONNX models made from a list of nodes, and random ones in many layouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

OPSET = 17


@dataclass
class Graph:
    """A chain of nodes that grows: `add` puts a node behind the last value."""

    shape: tuple[int, ...]
    dtype: Any = np.float32
    opset: int = OPSET
    nodes: list[Any] = field(default_factory=list)
    tensors: list[Any] = field(default_factory=list)
    last: str = "x"
    scores: str = ""

    def constant(self, values: Any) -> str:
        array = np.asarray(values)
        name = f"c{len(self.tensors)}"
        kind = np.int64 if array.dtype.kind in "iu" else self.dtype
        self.tensors.append(numpy_helper.from_array(array.astype(kind), name))
        return name

    def add(self, kind: str, *numbers: Any, first: bool = True, **attributes: Any) -> Graph:
        """Put a node behind the last value, whose other inputs are these numbers (None: no such input)."""
        names = ["" if n is None else n if isinstance(n, str) else self.constant(n) for n in numbers]
        inputs = [self.last, *names] if first else [*names, self.last]
        self.last = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [self.last], name=f"n{len(self.nodes)}", **attributes))
        return self

    def model(self, output: str = "", batch: Any = "n") -> Any:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", kind, [batch, *self.shape])],
            [helper.make_tensor_value_info(output or self.last, kind, None)],
            self.tensors,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def save(self, path: Path, **options: Any) -> Path:
        path.write_bytes(self.model(**options).SerializeToString())
        return path

    def run(self, images: Any) -> Any:
        """The values before what ends the model, by onnx's own evaluator."""
        evaluator = ReferenceEvaluator(self.model(self.scores))
        with np.errstate(all="ignore"):  # it computes both halves of a sigmoid everywhere
            return np.asarray(evaluator.run(None, {"x": images.astype(self.dtype)})[0], np.float64)


def random_model(seed: int) -> Graph:
    """A random chain on images of 9 x 8 pixels in two or one channels, channels first or last, or on rows."""
    rng = np.random.default_rng(seed)

    def pick(*choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    def normal(*shape: int) -> Any:
        return rng.normal(size=shape) / np.sqrt(max(1, np.prod(shape[1:])))

    channels, last = pick(1, 2), pick(True, False)
    graph = Graph((9, 8, channels) if last else (channels, 9, 8))
    if pick(True, False):
        graph.add("Sub", rng.normal(size=(1, 1, channels) if last else (channels, 1, 1)))
        graph.add("Div", np.abs(rng.normal(size=channels)).reshape((1, 1, -1) if last else (-1, 1, 1)) + 0.5)
    if last:
        graph.add("Transpose", perm=[0, 3, 1, 2])
    if pick(True, False, False):
        graph.add("BatchNormalization", *(np.abs(normal(channels)) + 0.3 for _ in range(4)))
    n, size = channels, np.array([9, 8])
    for _ in range(pick(1, 2)):
        n, size = _convolve(graph, n, size, pick, normal)
    _flatten(graph, n, size, pick)
    n = n if size is None or graph.scores == "mean" else n * int(np.prod(size))
    graph.scores = ""
    for _ in range(pick(0, 1, 2)):
        m = int(rng.integers(3, 7))
        _dense(graph, n, m, pick, normal)
        _unit(graph, pick)
        n = m
        if pick(True, False):
            graph.add("BatchNormalization", *(np.abs(normal(n)) + 0.3 for _ in range(4)))
        if pick(True, False):
            graph.add("Dropout")
    _dense(graph, n, 4, pick, normal)
    graph.scores = graph.last
    ending = pick("Softmax", "LogSoftmax", "ArgMax", "Sigmoid", "")
    if ending:
        graph.add(ending)
    return graph


def _convolve(graph: Graph, n: int, size: Any, pick: Any, normal: Any) -> tuple[int, Any]:
    """Convolution with its unit, and what may stand beside both; numbers of channels and places behind it."""
    m, k = pick(2, 4), (pick(1, 2, 3) if size[0] > 3 else 1, pick(1, 2, 3) if size[1] > 4 else 1)
    groups = pick(1, n) if m % n == 0 else 1
    strides, dilations = [pick(1, 2), 1], [1, pick(1, 1, 2) if size[1] > 4 else 1]
    reach = [(k[0] - 1) * dilations[0] + 1, (k[1] - 1) * dilations[1] + 1]
    padding: dict[str, Any] = pick(
        {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"auto_pad": "VALID"}, {"pads": [1, 0, 0, 1]}, {},
    )  # fmt: skip
    if padding.get("auto_pad", "").startswith("SAME") and dilations != [1, 1]:
        padding = {}  # onnx's evaluator forgets the dilation there
    if "pads" in padding and pick(True, False):
        graph.add("Pad", [0, 0, *padding["pads"][:2], 0, 0, *padding["pads"][2:]])
        size, padding = size + 1, {}
    numbers = [normal(m, n // groups, *k)] + ([normal(m)] if pick(True, False) else [])
    graph.add("Conv", *numbers, kernel_shape=list(k), strides=strides, dilations=dilations, group=groups, **padding)
    if padding.get("auto_pad", "").startswith("SAME"):
        size = -(-size // np.array(strides))
    else:
        size = (size + ("pads" in padding) - reach) // np.array(strides) + 1
    if pick(True, False):
        graph.add("BatchNormalization", *(np.abs(normal(m)) + 0.3 for _ in range(4)), epsilon=0.01)
    early = pick(True, False, False) and min(size) > 1
    if early:
        graph.add("AveragePool", kernel_shape=[2, 2], strides=[1, 1])
        size = size - 1
    _unit(graph, pick)
    if pick(True, False):
        graph.add("BatchNormalization", *(np.abs(normal(m)) + 0.3 for _ in range(4)))
    if not early and min(size) > 1 and pick(True, False):
        settings: dict[str, Any] = pick({"pads": [1, 1, 0, 0]}, {"ceil_mode": 1}, {}, {"auto_pad": "SAME_UPPER"})
        graph.add("AveragePool", kernel_shape=[2, 2], strides=[2, 2], **settings)
        if "pads" in settings:
            size = (size - 1) // 2 + 1
        elif settings:
            size = -(-size // 2)
        else:
            size = size // 2
    return m, size


def _unit(graph: Graph, pick: Any) -> None:
    kind = pick("Relu", "Sigmoid", "Tanh", "Clip")
    if kind == "Clip":
        graph.add("Clip", np.array(0.0), np.array(1.5))
    else:
        graph.add(kind)


def _flatten(graph: Graph, n: int, size: Any, pick: Any) -> None:
    """One row of values, or the means of the channels."""
    how = pick("Flatten", "Reshape", "last", "GlobalAveragePool", "ReduceMean")
    if how == "GlobalAveragePool":
        graph.add(how).add("Squeeze", [2, 3])
        graph.scores = "mean"
    elif how == "ReduceMean":
        graph.add(how, axes=[2, 3], keepdims=0)
        graph.scores = "mean"
    elif how == "last":
        graph.add("Transpose", perm=[0, 2, 3, 1]).add("Flatten")
    elif how == "Reshape":
        graph.add("Reshape", [0, -1])
    else:
        graph.add("Flatten", axis=1)


def _dense(graph: Graph, n: int, m: int, pick: Any, normal: Any) -> None:
    weights, bias = normal(n, m), normal(m)
    match pick("Gemm", "transB", "MatMul", "no bias"):
        case "Gemm":
            graph.add("Gemm", weights, bias, alpha=0.5, beta=2.0)
        case "transB":
            graph.add("Gemm", weights.T, bias, transB=1)
        case "MatMul":
            graph.add("MatMul", weights).add("Add", bias, first=pick(True, False))
        case _:
            graph.add("MatMul", weights)


def pixels_last(images: Any) -> Any:
    """Images with channels first as rows of pixels."""
    return images.transpose(0, 2, 3, 1).reshape(len(images), -1)


def chain(shape: Sequence[int] = (6,), **options: Any) -> Graph:
    """Values of an input, for a model that is written out in a test."""
    return Graph(tuple(shape), **options)


__all__ = ["OPSET", "Graph", "TensorProto", "chain", "helper", "onnx", "pixels_last", "random_model"]
