"""A convolutional network of a few positions, small enough for ngspice."""

from __future__ import annotations

import numpy as np

from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.network import Convolution, Dense, Layer, Network
from analog_fhn.neuron import FHN, FloatArray, Protocol
from analog_fhn.patches import AveragePool, Patches
from analog_fhn.technology.technology import Technology

IMAGES = np.random.default_rng(7).random((3, 36))
# Errors so large that a wrong position, channel or time shows.
ERRORS = {"hold.offset_sigma": 5e-3, "hold.droop_sigma": 5e-3}


def network(unit: str = "relu", *, two: bool = False, hidden: bool = False) -> Network:
    """6x6 -> 2 channels of 3x3 -> means of 2x2 -> 2 classes.

    Parameters
    ----------
    two
        Whether a second convolution of 2x2 with a border, filled with 0.5, stands behind the means.
    hidden
        Whether a dense layer of 2 units stands in front of the classes.
    """
    rng = np.random.default_rng(3)
    ceiling, n = 2.0 if unit == "relu" else None, 8
    kernel, bias = rng.normal(size=(3, 3, 1, 2)), 0.3 * rng.normal(size=2)
    first = Convolution.of_kernel(kernel, Patches((6, 6, 1), (3, 3)), bias, unit, ceiling)  # type: ignore[arg-type]
    layers: list[Layer] = [first, AveragePool((4, 4, 2), (2, 2), (2, 2))]
    if two:
        patches = Patches((2, 2, 2), (2, 2), (2, 1), ((0, 0), (0, 1)), fill=0.5)
        layers.append(Convolution.of_kernel(rng.normal(size=(2, 2, 2, 2)), patches, None, unit, ceiling))  # type: ignore[arg-type]
        n = 4
    if hidden:
        layers.append(Dense(rng.normal(size=(n, 2)), rng.normal(size=2), "sigmoid"))
        n = 2
    layers.append(Dense(rng.normal(size=(n, 2)), rng.normal(size=2)))
    fhn, protocol = FHN(slope=0.5 if unit == "sigmoid" else 1.0), Protocol(settle=20.0, control=40.0)
    return Network(tuple(layers), fhn=fhn, protocol=protocol)


def chip(net: Network, seed: int | None = 1, **values: object) -> ManufacturedChip:
    """Chip of `discrete` with these values, `ERRORS` and hold capacitors of 0.1 uF, which follow at once."""
    fast = {"hold.capacitor": 1e-7}
    return Design(net, Technology.load("discrete").with_values(fast | ERRORS | values)).chip(seed)


def image(number: int = 0) -> FloatArray:
    """One of the images, shape (36,)."""
    return np.asarray(IMAGES[number])
