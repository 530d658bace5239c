"""Numbers that an ONNX file states: weights, sizes, and what nodes compute of those alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import FloatArray
from analog_fhn.weights.chain import Chain

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

_MOST_SIZES = 64  # numbers in what computes sizes
_MOST_VALUES = 2**26
_DEEPEST = 40


def name_of(node: NodeProto) -> str:
    """A node as messages name it."""
    name = node.name or (node.output[0] if node.output else "")
    return f"node {shown(name)} ({shown(node.op_type)[1:-1]})"


def attribute(node: NodeProto, name: str) -> Any:
    """Value of an attribute, a list, a number, a text or a tensor; None: it is not there."""
    from onnx import AttributeProto as Kind

    for one in node.attribute:
        if one.name == name:
            if one.type == Kind.STRING:
                return one.s.decode(errors="replace")
            for kind, value in (
                (Kind.INT, one.i), (Kind.FLOAT, one.f), (Kind.TENSOR, one.t), (Kind.INTS, one.ints),
                (Kind.FLOATS, one.floats),
            ):  # fmt: skip
                if one.type == kind:
                    return list(cast("Any", value)) if kind in (Kind.INTS, Kind.FLOATS) else value
    return None


def is_float(kind: Any) -> bool:
    """Whether a type's number is that of floating-point numbers that are read."""
    from onnx import TensorProto

    return kind in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


class Numbers:
    """The numbers of a file by their names.

    Parameters
    ----------
    path
        Name of the file in messages.
    tensors
        Those that the file lists, by name.
    makers
        The node that computes a value, by the value's name.
    """

    def __init__(self, path: Path, tensors: Mapping[str, TensorProto], makers: Mapping[str, NodeProto]) -> None:
        self.path = path
        self.sizes: dict[str, tuple[int, ...]] = {}
        """Sizes of the values on the way from the input, without the axis of the images."""
        self._tensors, self._makers = tensors, makers
        self._known: dict[str, NDArray[Any]] = {}

    def constant(self, name: str, depth: int = 0) -> NDArray[Any] | None:
        """Numbers of a name; None: they follow from the input, or are not there.

        Floats are float64 and whole numbers int64.

        Raises
        ------
        InputError
            If they are of another type or in another file, or would be too many.
        """
        if name not in self._known:
            found = self._array(self._tensors[name]) if name in self._tensors else None
            if found is None and name in self._makers:
                if depth > _DEEPEST:
                    raise InputError(f"{self.path}: {shown(name)}: computed by more than {_DEEPEST} nodes")
                found = self._computed(self._makers[name], depth + 1)
            if found is None:
                return None
            self._known[name] = found
        return self._known[name]

    def _array(self, tensor: TensorProto) -> NDArray[Any]:
        """Numbers of a tensor: floats as float64, whole numbers as int64."""
        from onnx import TensorProto, numpy_helper

        where = f"{self.path}: {shown(tensor.name)}"
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise InputError(
                f"{where}: its numbers are in another file, which is not opened; put all into one, where it was made: "
                'onnx.save(onnx.load("model.onnx"), "whole.onnx")'
            )
        if is_float(tensor.data_type):
            return numpy_helper.to_array(tensor).astype(np.float64)
        if tensor.data_type in (TensorProto.INT64, TensorProto.INT32):
            return numpy_helper.to_array(tensor).astype(np.int64)
        kind = TensorProto.DataType.Name(tensor.data_type) if tensor.data_type in TensorProto.DataType.values() else "?"
        raise InputError(f"{where}: has type {kind.lower()}; expected float16, bfloat16, float32 or float64")

    def _computed(self, node: NodeProto, depth: int) -> NDArray[Any] | None:
        """What a node makes of numbers of the file or of the sizes of values; None: of the input."""
        if node.op_type == "Constant":
            return self._stated(node)
        if node.op_type == "Shape":
            sizes = self.sizes.get(node.input[0])
            return None if sizes is None else np.array([-1, *sizes])  # -1: the number of images
        if node.op_type not in _FOLDED:
            return None
        arrays = [self.constant(name, depth) for name in node.input]
        if not arrays or any(array is None for array in arrays):
            return None
        return _FOLDED[node.op_type](self, node, cast("list[NDArray[Any]]", arrays))

    def _stated(self, node: NodeProto) -> NDArray[Any]:
        """Numbers of a Constant node."""
        for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
            value = attribute(node, name)
            if value is not None:
                return self._array(value) if name == "value" else np.asarray(value)
        raise InputError(f"{self.path}: {name_of(node)}: expected one with numbers")


@dataclass(frozen=True, eq=False)
class Step:
    """A node on the way from the input to the output, and the layers so far.

    Parameters
    ----------
    node
        The node.
    place
        Which of its inputs the values on the way are, from 0.
    chain
        The layers.
    numbers
        The file's numbers.
    batch
        Number of images that the model is made for; None: any.
    """

    node: NodeProto
    place: int
    chain: Chain
    numbers: Numbers
    batch: int | None

    @property
    def at(self) -> str:
        """The node as messages name it."""
        return name_of(self.node)

    @property
    def rank(self) -> int:
        """Number of axes of the values, with that of the images."""
        return 1 + len(self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the values without the axis of the images."""
        return self.chain.shape or ()

    def error(self, text: str) -> InputError:
        """Refusal that names file and node."""
        return self.chain.error(self.at, text)

    def attribute(self, name: str) -> Any:
        """Value of an attribute; None: it is not there."""
        return attribute(self.node, name)

    def number(self, name: str, default: float) -> float:
        """Number of an attribute, or the default where it is not there."""
        value = self.attribute(name)
        return float(value) if isinstance(value, int | float) else default

    def has(self, place: int) -> bool:
        """Whether the node has an input of this number."""
        return place < len(self.node.input) and bool(self.node.input[place])

    def floats(self, place: int) -> FloatArray:
        """Numbers that the node takes as this input.

        Raises
        ------
        InputError
            If they are not in the file, or no floats.
        """
        name = self.node.input[place] if self.has(place) else ""
        array = self.numbers.constant(name)
        if array is None:
            raise self.error(f"input {shown(name)} is not in the file as numbers; expected trained weights there")
        if array.dtype != np.float64:
            raise self.error(f"{shown(name)} has type {array.dtype}: expected float16, bfloat16, float32 or float64")
        return array

    def single(self, place: int) -> float:
        """The one number that the node takes as this input; errors as for `floats`."""
        array = self.floats(place)
        if array.size != 1:
            raise self.error(f"input {place + 1} holds {array.size} numbers; expected one")
        return float(array.ravel()[0])

    def whole(self, name: str, place: int | None = None) -> list[int] | None:
        """Whole numbers of an attribute, or of an input where newer opsets have them; None: neither is there.

        Raises
        ------
        InputError
            If they are no whole numbers, or not in the file.
        """
        values = self.attribute(name)
        if values is not None:
            if not isinstance(values, list) or not all(type(value) is int for value in values):
                raise self.error(f"{name} is {shown(values)}; expected whole numbers")
            return values
        if place is None or not self.has(place):
            return None
        array = self.numbers.constant(self.node.input[place])
        if array is None or array.dtype != np.int64 or array.size > _MOST_SIZES:
            raise self.error(f"{name} is not in the file as whole numbers")
        return [int(value) for value in array.ravel()]


# --- nodes whose inputs are numbers of the file --------------------------------------------------------------------


def _error(numbers: Numbers, node: NodeProto, text: str) -> InputError:
    return InputError(f"{numbers.path}: {name_of(node)}: {text}")


def _small(numbers: Numbers, node: NodeProto, arrays: Iterable[NDArray[Any]]) -> None:
    if sum(array.size for array in arrays) > _MOST_SIZES:
        raise _error(numbers, node, "computes with weights; export the model with constants folded")


def _gather(numbers: Numbers, node: NodeProto, arrays: list[NDArray[Any]]) -> NDArray[Any]:
    _small(numbers, node, arrays)
    return np.take(arrays[0], arrays[1], axis=attribute(node, "axis") or 0)


def _concat(numbers: Numbers, node: NodeProto, arrays: list[NDArray[Any]]) -> NDArray[Any]:
    _small(numbers, node, arrays)
    return np.concatenate(arrays, axis=attribute(node, "axis") or 0)


def _slice(numbers: Numbers, node: NodeProto, arrays: list[NDArray[Any]]) -> NDArray[Any]:
    _small(numbers, node, arrays)
    starts, ends = (attribute(node, "starts"), attribute(node, "ends")) if len(arrays) < 3 else (arrays[1], arrays[2])
    steps = arrays[4] if len(arrays) > 4 else [1]
    if arrays[0].ndim != 1 or any(np.size(part) != 1 for part in (starts, ends, steps)):
        raise _error(numbers, node, "slices along several axes; export the model with constants folded")
    start, end, step = (int(np.ravel(part)[0]) for part in (starts, ends, steps))
    return arrays[0][start:end:step]


def _reshaped(numbers: Numbers, node: NodeProto, arrays: list[NDArray[Any]]) -> NDArray[Any]:
    array = arrays[0]
    _small(numbers, node, arrays[1:])
    if node.op_type == "Reshape":
        sizes = [int(size) for size in (arrays[1].ravel() if len(arrays) > 1 else attribute(node, "shape") or [])]
        return array.reshape([array.shape[k] if size == 0 else size for k, size in enumerate(sizes)])
    axes = [int(axis) for axis in arrays[1].ravel()] if len(arrays) > 1 else attribute(node, "axes")
    if node.op_type == "Squeeze":
        return np.squeeze(array) if axes is None else np.squeeze(array, tuple(axes))
    return np.expand_dims(array, tuple(axes or [0]))


def _arithmetic(numbers: Numbers, node: NodeProto, arrays: list[NDArray[Any]]) -> NDArray[Any]:
    if prod(np.broadcast_shapes(*(array.shape for array in arrays))) > _MOST_VALUES:
        raise _error(numbers, node, "computes too many numbers")
    function = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}[node.op_type]
    if node.op_type == "Div" and arrays[0].dtype == np.int64:
        function = np.floor_divide
    return np.asarray(function(*arrays))


def _cast_array(_: Numbers, node: NodeProto, arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0].astype(np.float64 if is_float(attribute(node, "to")) else np.int64)


def _transposed(_: Numbers, node: NodeProto, arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0].transpose(attribute(node, "perm"))


_FOLDED: dict[str, Callable[[Numbers, NodeProto, list[NDArray[Any]]], NDArray[Any]]] = {
    "Identity": lambda _numbers, _node, arrays: arrays[0], "Cast": _cast_array, "Transpose": _transposed,
    "Gather": _gather, "Concat": _concat, "Slice": _slice, "Reshape": _reshaped, "Squeeze": _reshaped,
    "Unsqueeze": _reshaped, "Add": _arithmetic, "Sub": _arithmetic, "Mul": _arithmetic, "Div": _arithmetic,
}  # fmt: skip
