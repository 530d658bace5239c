"""The ceilings of relu layers: said by the file, given by the user, or measured on training images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn.errors import InputError, check_range
from analog_fhn.network import Dense, Layer, fronts_of
from analog_fhn.neuron import FloatArray
from analog_fhn.patches import Front

QUANTILE = 0.997
"""Share of a layer's positive activations that lie below a measured ceiling."""

_IMAGES = 2000
_VALUES = 4e7  # activations of a layer that are held at a time
_GROUP = 50


def with_ceilings(
    layers: Sequence[Layer],
    ceilings: float | Sequence[float] | None,
    images: NDArray[np.floating] | None,
    quantile: float = QUANTILE,
) -> tuple[tuple[Layer, ...], list[dict[str, Any]]]:
    """Layers whose relus all have a ceiling.

    Measuring goes from layer to layer: each sees what the layers before it give with their ceilings.

    Parameters
    ----------
    ceilings
        For the relus that have none: one for all, or one for each.
    images
        Training images, shape (n, n_inputs), of which at most 2 000 are looked at, evenly picked, and fewer of large
        layers. The ceilings that are neither there nor given are measured on them, and what each ceiling clips.
    quantile
        Share of a layer's positive activations that lie below its measured ceiling.

    Returns
    -------
    layers
        With ceilings.
    told
        For each relu, in JSON's types: `layer` (number among the hidden layers, from 0), `ceiling`, `from` ("file",
        "user" or "images") and, with images, `clipped`, the share of its activations above the ceiling.

    Raises
    ------
    InputError
        If ceilings are missing, too many or out of range; if the images do not fit, or leave a layer at 0.
    """
    check_range("ceiling quantile", quantile, 0.5, 1.0)
    hidden = [layer for layer in layers if isinstance(layer, Dense) and layer.unit is not None]
    relus = [k for k, layer in enumerate(hidden) if layer.unit == "relu"]
    missing = [k for k in relus if hidden[k].ceiling is None]
    values = _given(ceilings, missing)
    if missing and values is None and images is None:
        listed = ", ".join(map(str, missing))
        raise InputError(
            f"the activations of hidden layer {listed} (relu) have no upper end, but those of neurons do: say their "
            "ceiling (--ceiling C, or C,C,... for each layer; in Python ceilings=...), or have it measured on training "
            "images (--dataset; images=...)"
        )
    origins = dict.fromkeys(relus, "file") | dict.fromkeys(missing, "images" if values is None else "user")
    chosen = {k: hidden[k].ceiling for k in relus} | (values or {})
    if not relus:
        return tuple(layers), []
    clipped: dict[int, float] = {}
    if images is not None:
        measured, clipped = _measured(layers, chosen, images, quantile)
        chosen |= measured
    numbers = iter(range(len(hidden)))
    found = tuple(
        replace(layer, ceiling=chosen.get(next(numbers))) if isinstance(layer, Dense) and layer.unit else layer
        for layer in layers
    )
    told = [{"layer": k, "ceiling": chosen[k], "from": origins[k]} for k in relus]
    return found, [one | ({"clipped": clipped[k]} if k in clipped else {}) for one, k in zip(told, relus, strict=True)]


def _given(ceilings: float | Sequence[float] | None, missing: list[int]) -> dict[int, float] | None:
    """Ceilings that the user gave, by layer."""
    if ceilings is None:
        return None
    values = [float(ceilings)] * len(missing) if isinstance(ceilings, int | float) else [float(c) for c in ceilings]
    if len(values) == 1:
        values = values * len(missing)
    if len(values) != len(missing) or not missing:
        raise InputError(
            f"{len(values) or 1} ceilings for {len(missing)} relu layers whose ceiling the file does not say; expected "
            "one for all, or one for each of them"
        )
    if not all(1e-30 < value < 1e30 for value in values):
        raise InputError(f"ceilings {', '.join(f'{value:g}' for value in values)}: expected numbers above 0")
    return dict(zip(missing, values, strict=True))


def _measured(
    layers: Sequence[Layer], ceilings: dict[int, float | None], images: NDArray[np.floating], quantile: float
) -> tuple[dict[int, float], dict[int, float]]:
    """Ceilings of all relus, and the share of each one's activations above its ceiling."""
    largest = max(layer.n_values for layer in layers if isinstance(layer, Dense))
    step = -(-len(images) // max(1, min(_IMAGES, int(_VALUES / largest))))
    values = np.asarray(images[::step], dtype=np.float64)
    measured: dict[int, float] = {}
    clipped: dict[int, float] = {}
    maps = [layer for layer in layers if isinstance(layer, Dense)]
    hidden = [(layer, front) for layer, front in zip(maps, fronts_of(layers), strict=True) if layer.unit is not None]
    for number, (layer, front) in enumerate(hidden):
        z = _pre_activations(layer, front, values)
        if layer.unit == "relu":
            ceiling = ceilings[number] or _ceiling(z, quantile, number)
            measured[number], clipped[number] = ceiling, float(np.mean(z > ceiling))
            layer = replace(layer, ceiling=ceiling)
        values = layer.activation(z)
    return measured, clipped


def _pre_activations(layer: Dense, front: Front, values: FloatArray) -> FloatArray:
    """z of all outputs at all positions, shape (n_images, n_values)."""
    first = front.n_inputs or layer.n_in
    if values.shape[1] != first:
        raise InputError(f"images have {values.shape[1]} values; the network takes {first}")

    def groups() -> Iterator[FloatArray]:
        for k in range(0, len(values), _GROUP):
            part = values[k : k + _GROUP]
            yield layer.pre_activations(front.rows(part)).reshape(len(part), -1)

    return np.concatenate(list(groups()))


def _ceiling(z: FloatArray, quantile: float, number: int) -> float:
    positive = z[z > 0.0]
    if not len(positive):
        raise InputError(
            f"hidden layer {number} is a relu that stays at 0 on all {len(z)} images; are their values those of the "
            "training (--input-range)?"
        )
    return float(np.quantile(positive, quantile))
