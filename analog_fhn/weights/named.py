"""Layers from arrays that have nothing but names: safetensors and `.npz`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
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

Layers = tuple[tuple[FloatArray, ...], tuple[FloatArray | None, ...]]


def layers(arrays: Mapping[str, NDArray[Any]], path: Path) -> Layers:
    """Weights (n_in, n_out) and biases in the natural order of their names.

    The name tells the orientation: `weight` is PyTorch's (out, in), everything else is (in, out).

    Raises
    ------
    InputError
        For names, types and shapes that make no chain of fully connected layers.
    """
    if not arrays:
        raise InputError(f"{path}: holds no arrays; expected {_EXPECTED}")
    found = _by_order(arrays, path) if all(map(_ARR.fullmatch, arrays)) else _by_name(arrays, path)
    matrices = [matrix for matrix, _ in found]
    for name in matrices:
        if arrays[name].ndim != 2:
            raise InputError(
                f"{path}: {name} has shape {arrays[name].shape}: expected a matrix; "
                "only fully connected layers can be built"
            )
    transposed = _is_pytorch(matrices[0])
    if any(_is_pytorch(name) != transposed for name in matrices):
        raise InputError(f"{path}: {', '.join(matrices)}: names of several kinds; expected one kind: {_EXPECTED}")
    _check_chain([arrays[name].shape for name in matrices], matrices, transposed, path)
    weights = [as_float64(arrays[name], name, path) for name in matrices]
    return (
        tuple(w.T.copy() if transposed else w for w in weights),
        tuple(None if bias is None else as_float64(arrays[bias], bias, path) for _, bias in found),
    )


def _by_name(arrays: Mapping[str, NDArray[Any]], path: Path) -> list[tuple[str, str | None]]:
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
    return [(matrices[layer], biases.get(layer)) for layer in sorted(matrices, key=natural)]


def _by_order(arrays: Mapping[str, NDArray[Any]], path: Path) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for name in sorted(arrays, key=natural):
        if arrays[name].ndim != 1:
            found.append((name, None))
        elif found and found[-1][1] is None:
            found[-1] = (found[-1][0], name)
        else:
            raise InputError(f"{path}: {name} has shape {arrays[name].shape}: expected weights before each bias")
    return found


def _is_pytorch(name: str) -> bool:
    return name.endswith("weight")


def _check_chain(stored: Sequence[tuple[int, ...]], names: Sequence[str], transposed: bool, path: Path) -> None:
    def fits(shapes: Sequence[tuple[int, ...]]) -> bool:
        return all(one[1] == other[0] for one, other in pairwise(shapes))

    turned = [shape[::-1] for shape in stored]
    if fits(turned if transposed else stored):
        return
    listed = ", ".join(f"{name} {shape}" for name, shape in zip(names, stored, strict=True))
    if fits(stored if transposed else turned):
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
