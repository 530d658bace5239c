"""Gradient of the accuracy in the standard normal numbers that a chip is drawn from.

The slope of the accuracy in each component value (`analog_fhn.montecarlo.slopes`), times that of the value in the number
that it is drawn from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.draws import Key, Shift
from analog_fhn.montecarlo.directions import Means, Point, distance
from analog_fhn.montecarlo.slopes import DEVICES, Slopes, device_labels
from analog_fhn.neuron import FloatArray

_STEP = 1e-3  # of a normal number, whose sigma is 1


class Inventory(Shift):
    """Moves nothing, but takes a note of every stream of normal numbers that a chip is made of.

    Attributes
    ----------
    shapes
        Shape of the numbers of each stream.
    """

    def __init__(self) -> None:
        self.shapes: dict[Key, tuple[int, ...]] = {}

    @classmethod
    def of(cls, design: Design) -> dict[Key, tuple[int, ...]]:
        """Shapes of all streams of a design's chips."""
        listed = cls()
        design.chip(None, listed)
        return listed.shapes

    def moved(self, key: Key, normal: FloatArray) -> FloatArray:
        """See `Shift.moved`."""
        self.shapes[key] = normal.shape
        return normal


@dataclass(frozen=True, eq=False)
class Gradient:
    """Gradient of the accuracy in the normal numbers.

    Parameters
    ----------
    slopes
        In each stream; streams in which it is zero are left out.
    groups, labels
        Error group and name of the parts of each stream.
    """

    slopes: Point
    groups: Mapping[Key, str]
    labels: Mapping[Key, str]

    @classmethod
    def at(cls, slopes: Slopes, point: Point) -> Gradient:
        """Gradient at `point`, where the chip lies that the slopes were taken at; by finite differences of the values."""
        design, base, of_devices = slopes.design, slopes.nominal, slopes.devices()
        found: dict[Key, FloatArray] = {}
        groups: dict[Key, str] = {}
        labels: dict[Key, str] = {}
        for key, shape in Inventory.of(design).items():
            nearby = {**point, key: point.get(key, np.zeros(shape)) + _STEP}
            for group, label, change in _changes(slopes, of_devices, base, design.chip(None, Means(nearby))):
                if np.any(change):
                    part = change if change.shape == shape else np.full(shape, change.sum())
                    found[key] = found.get(key, np.zeros(shape)) + part / _STEP
                    groups.setdefault(key, group)
                    labels.setdefault(key, label)
        return cls(found, groups, labels)

    @property
    def square(self) -> float:
        """Squared length."""
        return distance(self.slopes) ** 2

    def along(self, point: Point) -> float:
        """Scalar product with a point."""
        return float(sum(float(np.sum(s * point[key])) for key, s in self.slopes.items() if key in point))


def _changes(
    slopes: Slopes, of_devices: list[tuple[FloatArray, FloatArray]], base: ManufacturedChip, changed: ManufacturedChip
) -> list[tuple[str, str, FloatArray]]:
    """Error group, name, and changes of the accuracy by the values of each component and by the devices of each array."""
    found = [
        (component.errors(base), component.label(slopes.design), slope * (component.values(changed) - component.values(base)))
        for component, slope in slopes.of.items()
    ]
    arrays = zip(of_devices, device_labels(slopes.design), changed.arrays, base.arrays, strict=True)
    for (weights, bias), label, array, exact in arrays:
        new, old = array.crossbar, exact.crossbar
        rows = np.vstack([weights, *[bias * old.bias_drive] * old.bias_rows]) / old.siemens_per_weight
        found.append((DEVICES, f"positive {label}", rows * (new.g_plus - old.g_plus)))
        found.append((DEVICES, f"negative {label}", -rows * (new.g_minus - old.g_minus)))
    return found
