"""Layers from arrays that have nothing but names: safetensors and `.npz`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.weights.order import Sizes, chains, in_order
from analog_fhn.weights.trained import as_float64, natural

_PATTERNS = (
    re.compile(r"(?:(?P<layer>.*)[./])?(?P<role>weight|kernel|bias)(?::0)?"),
    re.compile(r"(?P<role>[wWbB])(?P<layer>\d+)"),
)
_ARR = re.compile(r"arr_(\d+)")
_EXPECTED = (
    "0.weight and 0.bias (PyTorch), dense/kernel and dense/bias (Keras), w0 and b0, "
    "or arr_0, arr_1, ... (numpy.savez(..., *model.get_weights()))"
)

_STATISTICS = ("running_mean", "running_var", "moving_mean", "moving_variance")
COUNTER = "num_batches_tracked"
"""How the names end of a counter of training, which is left out."""


@dataclass(frozen=True, eq=False)
class Layers:
    """Weights (n_in, n_out) and biases (n_out,) of the layers in their order; notes say how that was told."""

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray | None, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Pair:
    """Names of a layer's weights and of its bias, if it has one."""

    weight: str
    bias: str | None


def layers(arrays: Mapping[str, NDArray[Any]], path: Path, *, stored: bool) -> Layers:
    """Layers of named arrays, in the order of `in_order`.

    The name tells the orientation: `weight` is PyTorch's (out, in), everything else is (in, out). A bias may be a row
    or a column.

    Parameters
    ----------
    arrays
        The file's arrays by their names, in the order of the file.
    stored
        Whether the arrays were saved in that order; False: the file's format sorts them.

    Raises
    ------
    InputError
        For names, types and shapes that make no chain of fully connected layers, or whose order is open.
    """
    if not arrays:
        raise InputError(f"{path}: holds no arrays; expected {_EXPECTED}")
    counters = [name for name in arrays if name.endswith(COUNTER)]
    arrays = {name: array for name, array in arrays.items() if name not in counters}
    _refuse_normalisation(arrays, path)
    listed = bool(arrays) and all(map(_ARR.fullmatch, arrays))
    pairs = _by_order(arrays, path) if listed else _by_name(arrays, path)
    matrices = [pair.weight for pair in pairs.values()]
    for name in matrices:
        if arrays[name].ndim != 2:
            raise InputError(
                f"{path}: {name} has shape {arrays[name].shape}: expected a matrix; "
                "only fully connected layers can be built"
            )
    transposed = bool(matrices) and _is_pytorch(matrices[0])
    if any(_is_pytorch(name) != transposed for name in matrices):
        names = ", ".join(sorted(matrices, key=natural))
        raise InputError(f"{path}: {names}: names of several kinds; expected one kind: {_EXPECTED}")
    turn = -1 if transposed else 1
    sizes = {layer: arrays[pair.weight].shape[::turn] for layer, pair in pairs.items()}
    order, note = in_order(sizes, path, stored=stored)
    pairs = {layer: pairs[layer] for layer in order}
    _check_chain({pair.weight: arrays[pair.weight].shape for pair in pairs.values()}, transposed, path)
    weights = [as_float64(arrays[pair.weight], pair.weight, path) for pair in pairs.values()]
    biases = [
        None if pair.bias is None else as_float64(_row(arrays[pair.bias], sizes[layer][1]), pair.bias, path)
        for layer, pair in pairs.items()
    ]
    notes = [f"{name} left out: a counter of the training" for name in counters]
    return Layers(
        tuple(w.T.copy() if transposed else w for w in weights), tuple(biases), (*([note] if note else []), *notes)
    )


def _refuse_normalisation(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Raise an `InputError` if the arrays hold the statistics of a batch normalisation."""
    statistics = [name for name in arrays if name.endswith(_STATISTICS)]
    if statistics:
        layer = statistics[0].rpartition("." if "." in statistics[0] else "/")[0]
        raise InputError(
            f"{path}: {statistics[0]}: layer {layer!r} normalises batches, which the circuit does not, and the file "
            "tells neither its place nor its eps; fold it into the weights of the layer before it, or train without it"
        )


def _row(bias: NDArray[Any], n_out: int) -> NDArray[Any]:
    """A bias (n,), (1, n) or (n, 1) as (n,); other shapes as they are."""
    return bias.reshape(n_out) if bias.shape in ((1, n_out), (n_out, 1)) else bias


def _by_name(arrays: Mapping[str, NDArray[Any]], path: Path) -> dict[str, _Pair]:
    """Weights and bias of each layer by the layer's name, which the names of its arrays share."""
    matrices: dict[str, str] = {}
    biases: dict[str, str] = {}
    unknown = []
    for name in arrays:
        match = next((m for m in (pattern.fullmatch(name) for pattern in _PATTERNS) if m), None)
        if match is None:
            unknown.append(name)
            continue
        layer = match["layer"] or ""
        group = biases if match["role"] in ("bias", "b", "B") else matrices
        if layer in group:
            raise InputError(f"{path}: {group[layer]} and {name} belong to one layer; expected one of them")
        group[layer] = name
    if unknown:
        unknown.sort(key=natural)
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise InputError(f"{path}: holds {', '.join(unknown[:5])}{more}; expected only {_EXPECTED}")
    alone = [name for layer, name in biases.items() if layer not in matrices]
    if alone:
        raise InputError(f"{path}: {', '.join(alone)} without the weights of that layer")
    return {layer: _Pair(matrix, biases.get(layer)) for layer, matrix in matrices.items()}


def _by_order(arrays: Mapping[str, NDArray[Any]], path: Path) -> dict[str, _Pair]:
    """Weights and bias of each layer, of arrays that alternate: the name of the weights stands for the layer."""
    pairs: list[_Pair] = []
    for name in sorted(arrays, key=natural):
        if arrays[name].ndim == 1 or (pairs and _is_row(arrays[name], arrays[pairs[-1].weight])):
            if not pairs or pairs[-1].bias is not None:
                raise InputError(f"{path}: {name} has shape {arrays[name].shape}: expected weights before each bias")
            pairs[-1] = _Pair(pairs[-1].weight, name)
        else:
            pairs.append(_Pair(name, None))
    return {pair.weight: pair for pair in pairs}


def _is_row(array: NDArray[Any], matrix: NDArray[Any]) -> bool:
    """Whether an array is a bias of a layer (n_in, n_out) as a row; after one output it is a layer of its own."""
    return matrix.ndim == 2 and matrix.shape[1] > 1 and array.shape == (1, matrix.shape[1])


def _is_pytorch(name: str) -> bool:
    return name.endswith("weight")


def _check_chain(shapes: Mapping[str, Sizes], transposed: bool, path: Path) -> None:
    """Raise an `InputError` unless the layers follow each other; it says so where they would the other way round."""
    stored = list(shapes.values())
    turned = [(columns, rows) for rows, columns in stored]
    if chains(turned if transposed else stored):
        return
    listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    if chains(stored if transposed else turned):
        read, other, advice = (
            ("(out, in), as PyTorch stores .weight", "(in, out)", ".kernel")
            if transposed
            else ("(in, out)", "(out, in), as PyTorch stores .weight", ".weight")
        )
        raise InputError(
            f"{path}: {listed}: read as {read}, the layers do not follow each other; as {other}, they would: "
            f"transpose them or name them {advice}; if it is the order that is wrong, number them (0., 1., ...)"
        )
    raise InputError(
        f"{path}: {listed}: the outputs of one layer are not as many as the inputs of the next; "
        "number the layers in their order (0., 1., ...)"
    )
