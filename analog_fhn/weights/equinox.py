"""Weights in Equinox's `.eqx` files; Equinox and JAX are not needed.

Source of the layout: `equinox.tree_serialise_leaves` of Equinox 0.13. The leaves of a model stand one after another in
the order of its fields, each as `numpy.save` writes it: of a Linear its weights (n_out, n_in) and its bias (n_out,), of
a Dropout its probability and a truth value. A first line of JSON with the model's settings, as Equinox's documentation
has it, may stand before them.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.bfloat16 import from_bfloat16
from analog_fhn._support.json_text import read_object
from analog_fhn._support.npz import read_header
from analog_fhn.errors import InputError, shown
from analog_fhn.network import check_hidden
from analog_fhn.neuron import FloatArray
from analog_fhn.weights.order import chains
from analog_fhn.weights.trained import Hidden, TrainedWeights, as_float64, hidden_of

MAGIC = b"\x93NUMPY"
"""What an array begins with."""

_LONGEST = 2**24  # bytes of the line of settings
_EXPECTED = "expected the weights and the bias of each Linear layer, as equinox.tree_serialise_leaves saves them"
_KEEP_ORDER = ("identity", "linear", "softmax", "log_softmax", "sigmoid", "tanh")
_CONVOLUTION = (
    "of a convolution or a normalisation, whose settings the file does not tell: export the model to ONNX, or build it "
    "in Keras or PyTorch and hand that to analog_fhn.from_model"
)

_Pair = tuple[NDArray[Any], NDArray[Any] | None]


def read(path: Path) -> TrainedWeights:
    """Layers of an `.eqx` file; the setting `activation` in its first line, if there is one, is the hidden unit.

    Raises
    ------
    InputError
        For leaves that make no chain of Linear layers, pickled ones, and a file that was cut off.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        settings: dict[str, Any] = {}
        if stream.read(1) == b"{":
            stream.seek(0)
            settings = read_object(stream.readline(_LONGEST), f"{path}: first line")
        else:
            stream.seek(0)
        leaves = _leaves(stream, size, path)
    notes: list[str] = []
    pairs = _pairs(leaves, path, notes)
    if len(pairs) < 2:
        raise InputError(f"{path}: holds {len(pairs)} layers; expected at least 2 (hidden and output)")
    turn = next((turn for turn in (-1, 1) if _fit(pairs, turn)), None)
    if turn is None:
        shapes = ", ".join(str(w.shape) + ("" if b is None else f" {b.shape}") for w, b in pairs)
        raise InputError(
            f"{path}: leaves of shapes {shapes}: as weights (outputs, inputs) and biases (outputs,), the layers do not "
            "follow each other, nor as (inputs, outputs); expected the layers in the order of their use"
        )
    if turn == 1:
        notes.append("weights read as (inputs, outputs): as Equinox has them, the layers do not follow each other")
    weights: list[FloatArray] = []
    biases: list[FloatArray | None] = []
    for k, (w, b) in enumerate(pairs):
        matrix = as_float64(w, f"weights of layer {k}", path)
        weights.append(np.ascontiguousarray(matrix.T) if turn == -1 else matrix)
        biases.append(None if b is None else as_float64(b, f"bias of layer {k}", path))
    hidden = _activation(settings, path, notes)
    return TrainedWeights(tuple(weights), tuple(biases), hidden, path, "Equinox file", tuple(notes))


def _leaves(stream: BinaryIO, size: int, path: Path) -> list[NDArray[Any]]:
    """Arrays of the file from here to its end."""
    leaves: list[NDArray[Any]] = []
    while stream.tell() < size:
        where = f"{path}: leaf {len(leaves)} (counted from 0)"
        try:
            shape, columns, dtype = read_header(stream)
        except ValueError as error:
            if str(error) == "pickled objects":
                raise InputError(f"{where} is a pickle, which could run code when loaded; {_EXPECTED}") from None
            raise InputError(f"{where} cannot be read ({error}); the file is damaged or no Equinox file") from None
        length = prod(shape) * dtype.itemsize
        if length > size - stream.tell():
            raise InputError(
                f"{where} has shape {shown(shape)}: {length} bytes of {dtype}, but the file ends after "
                f"{size - stream.tell()}; save or copy it again"
            )
        if min(shape, default=1) < 1 or not length:
            raise InputError(f"{where} has shape {shown(shape)}; {_EXPECTED}")
        values = np.frombuffer(stream.read(length), dtype)
        if dtype == np.dtype("V2"):  # how NumPy names bfloat16
            values = from_bfloat16(values.view("<u2"))
        leaves.append(values.reshape(shape, order="F" if columns else "C"))
    return leaves


def _pairs(leaves: list[NDArray[Any]], path: Path, notes: list[str]) -> list[_Pair]:
    """Weights and bias of each layer; Dropout is left out, and said to be.

    Raises
    ------
    InputError
        For any other leaf.
    """
    pairs: list[_Pair] = []
    k = 0
    while k < len(leaves):
        leaf, following = leaves[k], leaves[k + 1 : k + 2]
        if leaf.ndim == 2:
            bias = following[0] if following and following[0].ndim == 1 else None
            pairs.append((leaf, bias))
            k += 1 if bias is None else 2
        elif _is_dropout(leaf, following):
            notes.append("Dropout left out: it acts in training only")
            k += 2
        else:
            what = f"is the number {leaf}" if leaf.ndim == 0 else f"has shape {leaf.shape}"
            raise InputError(f"{path}: leaf {k} (counted from 0) {what}, {_CONVOLUTION}; {_EXPECTED}")
    return pairs


def _is_dropout(leaf: NDArray[Any], following: list[NDArray[Any]]) -> bool:
    """Whether two leaves are a probability and a truth value."""
    if leaf.ndim or leaf.dtype.kind not in "iuf" or not following:
        return False
    return not following[0].ndim and following[0].dtype.kind == "b" and 0.0 <= float(leaf) <= 1.0


def _fit(pairs: list[_Pair], turn: int) -> bool:
    """Whether layers follow each other, and have as many biases as outputs; `turn` -1: weights are (n_out, n_in)."""
    sizes = [w.shape[::turn] for w, _ in pairs]
    biased = all(b is None or len(b) == n_out for (_, b), (_, n_out) in zip(pairs, sizes, strict=True))
    return biased and chains(sizes)


def _activation(settings: dict[str, Any], path: Path, notes: list[str]) -> Hidden | None:
    """Unit of the hidden layers, if the settings say it.

    Raises
    ------
    InputError
        If no neuron follows it, or if they say an activation of the outputs that changes their order.
    """
    end = settings.get("final_activation")
    if end is not None:
        name = str(end).rpartition(".")[2]
        if name not in _KEEP_ORDER:
            raise InputError(
                f"{path}: final_activation {shown(end)}; expected one that keeps the largest output the largest: "
                f"{', '.join(_KEEP_ORDER)}"
            )
        notes.append(f"{name} of the outputs left out: the largest stays the largest")
    given = settings.get("activation")
    if given is None:
        return None
    names = given if isinstance(given, list) and given else [given]
    return hidden_of([check_hidden(str(name).rpartition(".")[2], f"{path}: activation") for name in names])
