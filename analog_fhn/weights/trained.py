"""Trained layers as a weight file holds them, and the network they make."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn.errors import InputError
from analog_fhn.network import Network, matched_slope
from analog_fhn.neuron import FHN, FloatArray
from analog_fhn.readout import Activation

Hidden = Activation | tuple[Activation, ...]


@dataclass(frozen=True, eq=False)
class TrainedWeights:
    """Layers of a weight file.

    Parameters
    ----------
    weights
        One float64 array (n_in, n_out) per layer, whatever the orientation in the file.
    biases
        One array (n_out,) or None per layer.
    hidden
        Unit of all hidden layers, or one for each where they differ; None: the file does not say.
    path
        Path of the file.
    format
        Format of the file, in words.
    notes
        Sentences about what else the file holds, and how it was read.
    input_range
        Smallest and largest input value; None: the file does not say.
    network
        The whole network, where the file is one of this package's: its settings are kept.
    sha256
        Hash of the file.

    Raises
    ------
    InputError
        If there is no layer, or the weights of one are no matrix.
    """

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray | None, ...]
    hidden: Hidden | None
    path: Path
    format: str
    notes: tuple[str, ...] = ()
    input_range: tuple[float, float] | None = None
    network: Network | None = None
    sha256: str = ""

    def __post_init__(self) -> None:
        if not self.weights:
            raise InputError(f"{self.path}: holds no layers with weights; expected fully connected ones")
        for k, weight in enumerate(self.weights):
            if weight.ndim != 2:
                raise InputError(f"{self.path}: weights of layer {k} have shape {weight.shape}; expected a matrix")


def to_network(
    trained: TrainedWeights, *, hidden: Hidden | None = None, input_range: tuple[float, float] | None = None
) -> Network:
    """Network with FHN neurons in the hidden units' place, whose slopes match the activations (`matched_slope`).

    The provenance names the file, its format and its SHA-256.

    Parameters
    ----------
    hidden
        Activation that the weights were trained with; it is needed where the file does not say, and must agree with
        the file where it does.
    input_range
        Smallest and largest input value of the training data; it must agree with the file where that says it. None:
        the file's, else 0 to 1.

    Raises
    ------
    InputError
        If the activation is not known, the file says otherwise, there is one output only, or the layers make no
        network.
    """
    source = trained.path
    for option, asked, stored in (
        ("hidden activation", hidden, trained.hidden),
        ("input range", input_range, trained.input_range),
    ):
        if None not in (asked, stored) and asked != stored:
            raise InputError(f"{source}: {option} {asked!r} asked for, but the file says {stored!r}")
    imported = {"file": source.name, "format": trained.format, "sha256": trained.sha256, "notes": list(trained.notes)}
    if trained.network is not None:
        return replace(trained.network, provenance=trained.network.provenance | {"imported": imported})
    activation = trained.hidden or hidden
    if activation is None:
        raise InputError(
            f"{source}: this {trained.format} does not say the hidden activation; "
            "say it: --hidden sigmoid or --hidden tanh (in Python hidden=...)"
        )
    if trained.weights[-1].shape[1] == 1:
        raise InputError(
            f"{source}: one output, a threshold between two classes that the file does not tell; expected one output "
            "per class, of which the largest decides: train with two outputs, or put a column of zeros before the "
            "last weights (and a 0 before the bias) if the second class is where the output is above 0"
        )
    try:
        return Network.of_weights(
            trained.weights,
            trained.biases,
            activation,
            fhn=FHN(slope=matched_slope(activation if isinstance(activation, str) else activation[0])),
            input_range=trained.input_range or input_range or (0.0, 1.0),
            provenance={"imported": imported},
        )
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def hidden_of(units: Sequence[Activation]) -> Hidden:
    """Units of hidden layers as `TrainedWeights` holds them: one name where all are alike."""
    return units[0] if len(set(units)) == 1 else tuple(units)


def as_float64(array: NDArray[Any], name: str, path: Path) -> FloatArray:
    """Values of a float16, float32 or float64 array, exactly.

    Raises
    ------
    InputError
        For any other type.
    """
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise InputError(
            f"{path}: {name} has type {array.dtype}: expected float16, bfloat16, float32 or float64"
            + (" (quantised weights need their scale: save them as floats)" if array.dtype.kind in "iu" else "")
        )
    return np.ascontiguousarray(array, dtype=np.float64)


def file_type(arrays: Sequence[FloatArray | None]) -> np.dtype[Any]:
    """Type in which arrays are written: float32 where it holds every value exactly, else float64."""
    with np.errstate(over="ignore"):
        exact = all(a is None or np.array_equal(a, a.astype(np.float32)) for a in arrays)
    return np.dtype(np.float32 if exact else np.float64)


def natural(name: str) -> list[tuple[int, str]]:
    """Key that sorts `dense_2` before `dense_10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
