"""Trained layers as a weight file holds them, and the network they make."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from analog_fhn.errors import InputError, shown
from analog_fhn.network import Convolution, Dense, Layer, Network, check_hidden, matched_slope, nearest_unit
from analog_fhn.neuron import FHN, FloatArray
from analog_fhn.patches import AveragePool, Front
from analog_fhn.readout import Activation
from analog_fhn.weights.ceilings import QUANTILE, with_ceilings

Hidden = Activation | tuple[Activation, ...]


@dataclass(frozen=True)
class StandIn:
    """Something in a file that no circuit is built for, and what may stand in its place if the user says so.

    Parameters
    ----------
    refusal
        Why the file is refused otherwise, and what can be done.
    note
        What stands in its place.
    """

    refusal: str
    note: str

    @classmethod
    def of_unit(cls, activation: object, nearest: Activation, source: str) -> StandIn:
        """The unit `nearest` for an activation that `check_hidden` refuses; `source` names file and layer."""
        try:
            check_hidden(activation, source)
        except InputError as error:
            return cls(str(error), f"{source}: activation {activation} read as {nearest}")
        raise ValueError(f"{activation!r} needs no other in its place")


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
    layers
        The whole chain of layers, where it is more than dense ones or says a relu's ceiling; its linear maps have these
        weights, biases and units. A relu whose ceiling the file does not say has None.
    stand_ins
        What may only be read as something else, if the user says so.

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
    layers: tuple[Layer, ...] | None = None
    stand_ins: tuple[StandIn, ...] = ()

    def __post_init__(self) -> None:
        if not self.weights:
            raise InputError(f"{self.path}: holds no layers with weights; expected fully connected ones")
        for k, weight in enumerate(self.weights):
            if weight.ndim != 2:
                raise InputError(f"{self.path}: weights of layer {k} have shape {weight.shape}; expected a matrix")


def to_network(
    trained: TrainedWeights,
    *,
    hidden: Hidden | None = None,
    input_range: tuple[float, float] | None = None,
    ceilings: float | Sequence[float] | None = None,
    images: NDArray[np.floating] | None = None,
    quantile: float = QUANTILE,
    scaling: tuple[float, float] | None = None,
    nearest: bool = False,
) -> Network:
    """Network with FHN neurons in the hidden units' place, whose slopes match the activations (`matched_slope`).

    The provenance names the file, its format and its SHA-256, and where each relu's ceiling comes from.

    Parameters
    ----------
    hidden
        Activation that the weights were trained with; it is needed where the file does not say, and must agree with
        the file where it does.
    input_range
        Smallest and largest input value of the training data; it must agree with the file where that says it. None:
        the file's, else that of the images, else 0 to 1.
    ceilings
        Largest activation of the relu layers whose ceiling the file does not say: one for all, or one for each.
    images
        Training images, shape (n, n_inputs), on which ceilings are measured that are not given; `ceilings.measured`.
    quantile
        Share of a layer's positive activations that lie below a ceiling that is measured.
    scaling
        Gain and offset: the training was given gain * pixel + offset for the pixels that this network is given. It is
        taken into the first layer.
    nearest
        Read activations that no neuron follows as the nearest unit, and max pooling as average pooling.

    Raises
    ------
    InputError
        If the activation or a ceiling is not known, the file says otherwise, it holds what no circuit is built for,
        there is one output only, or the layers make no network.
    """
    source = trained.path
    for option, asked, stored in (
        ("hidden activation", hidden, trained.hidden),
        ("input range", input_range, trained.input_range),
    ):
        if None not in (asked, stored) and asked != stored:
            raise InputError(f"{source}: {option} {asked!r} asked for, but the file says {stored!r}")
    notes = [*trained.notes, *(one.note.removeprefix(f"{source}: ") for one in trained.stand_ins)]
    imported: dict[str, Any] = {"file": source.name, "format": trained.format, "sha256": trained.sha256, "notes": notes}
    if trained.network is not None:
        if not (ceilings is None and scaling is None):
            raise InputError(f"{source}: is a whole network; expected no ceilings and no scaling for it")
        return replace(trained.network, provenance=trained.network.provenance | {"imported": imported})
    if trained.stand_ins and not nearest:
        raise InputError(trained.stand_ins[0].refusal)
    activation = trained.hidden or hidden
    if activation is None:
        raise InputError(
            f"{source}: this {trained.format} does not say the hidden activation; "
            "say it: --hidden sigmoid, --hidden tanh or --hidden relu (in Python hidden=...)"
        )
    if trained.weights[-1].shape[1] == 1:
        raise InputError(
            f"{source}: one output, a threshold between two classes that the file does not tell; expected one output "
            "per class, of which the largest decides: train with two outputs, or put a column of zeros before the "
            "last weights (and a 0 before the bias) if the second class is where the output is above 0"
        )
    try:
        layers = trained.layers or dense_layers(trained.weights, trained.biases, activation)
        if scaling is not None:
            layers = _of_scaled_inputs(layers, *scaling)
            imported |= {"scaling": list(scaling)}
        layers, told = with_ceilings(layers, ceilings, images, quantile)
        return Network(
            layers,
            fhn=FHN(slope=matched_slope(activation if isinstance(activation, str) else activation[0])),
            input_range=trained.input_range or input_range or _range_of(images),
            provenance={"imported": imported | ({"ceilings": told} if told else {})},
        )
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def _range_of(images: NDArray[np.floating] | None) -> tuple[float, float]:
    """Smallest and largest value of images; of none 0 and 1."""
    return (0.0, 1.0) if images is None else (float(np.min(images)), float(np.max(images)))


def dense_layers(
    weights: Sequence[FloatArray], biases: Sequence[FloatArray | None], hidden: str | Sequence[str]
) -> tuple[Layer, ...]:
    """Dense layers of arrays; arguments as for `Network.of_weights`. Relus have no ceiling yet.

    Raises
    ------
    InputError
        If the numbers of weights, biases and units do not fit together.
    """
    n_hidden = len(weights) - 1
    units = [hidden] * n_hidden if isinstance(hidden, str) else list(hidden)
    if biases and len(biases) != n_hidden + 1:
        raise InputError(f"network has {n_hidden + 1} weight layers but {len(biases)} biases")
    if len(units) != n_hidden:
        raise InputError(
            f"network has {n_hidden + 1} weight layers but {len(units)} units; expected {n_hidden}, none behind the "
            "last"
        )
    parts = zip(weights, biases or [None] * (n_hidden + 1), [*units, None], strict=True)
    return tuple(Dense(w, b, cast("Activation | None", unit)) for w, b, unit in parts)


def _of_scaled_inputs(layers: tuple[Layer, ...], gain: float, offset: float) -> tuple[Layer, ...]:
    """The layers of a network whose inputs are gain * pixel + offset, for the pixels themselves."""
    if not (np.isfinite([gain, offset]).all() and gain):
        raise InputError(f"scaling {gain:g}, {offset:g}: expected a gain other than 0 and an offset, both finite")
    place, first = next((k, layer) for k, layer in enumerate(layers) if isinstance(layer, Dense))
    pools = [layer for layer in layers[:place] if isinstance(layer, AveragePool)]
    if offset and any(pool.count_padding for pool in pools):
        raise InputError("scaling: zeros that a mean in front of the first layer counts would be shifted too")
    bias = first.shift + offset * np.asarray(first.weights).sum(axis=0)
    moved = replace(first, weights=gain * np.asarray(first.weights), bias=bias)
    if isinstance(moved, Convolution) and moved.patches is not None:
        fill = (np.asarray(moved.patches.fill) - offset) / gain
        patches = replace(moved.patches, fill=tuple(np.atleast_1d(fill).tolist()))
        moved = replace(moved, patches=patches)
    return (*layers[:place], moved, *layers[place + 1 :])


def stated_units(names: Sequence[object], path: Path) -> tuple[Hidden, tuple[StandIn, ...]]:
    """Units of hidden layers by the names in a file, and what stands in for those that no neuron follows.

    Raises
    ------
    InputError
        For an activation that is not known.
    """
    units, stand_ins = [], []
    for name in names:
        nearest = nearest_unit(name)
        if nearest is None or nearest == name:
            units.append(check_hidden(name, str(path)))
        else:
            units.append(nearest)
            stand_ins.append(StandIn.of_unit(name, nearest, str(path)))
    return hidden_of(units), tuple(stand_ins)


def with_stated_ceilings(trained: TrainedWeights, text: object) -> TrainedWeights:
    """The layers of named arrays with the ceilings of their relus, as the file says them: numbers by commas.

    Raises
    ------
    InputError
        If they are no numbers, or not as many as relus.
    """
    layers = trained.layers or dense_layers(trained.weights, trained.biases, trained.hidden or ())
    relus = [layer for layer in layers if isinstance(layer, Dense) and layer.unit == "relu"]
    try:
        ceilings = [float(part) for part in text.split(",")] if isinstance(text, str) else []
    except ValueError:
        ceilings = []
    if len(ceilings) != len(relus):
        raise InputError(
            f"{trained.path}: ceilings {shown(text)}: expected numbers separated by commas, one for each relu layer "
            f"({len(relus)})"
        )
    values = iter(ceilings)
    return replace(
        trained, layers=tuple(replace(layer, ceiling=next(values)) if layer in relus else layer for layer in layers)
    )


def ceilings_text(network: Network) -> str:
    """Ceilings of a network's relus as a file says them; empty: it has none."""
    return ", ".join(repr(layer.ceiling) for layer in network.hidden_layers if layer.unit == "relu")


def refuse_images(path: Path, network: Network) -> None:
    """Refuse a network with convolutions or means for a file that holds arrays alone.

    Raises
    ------
    InputError
        If it has some.
    """
    if any(front != Front() for front in network.fronts):
        raise InputError(
            f"{path}: arrays alone do not say how convolutions and means are used; expected a name that ends in .keras "
            "or .npz"
        )


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
