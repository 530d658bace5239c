"""Directions in the space of a chip's standard normal numbers, and shifts along them.

The slope of the accuracy in each component value (`analog_fhn.montecarlo.slopes`), times that of the value in the normal
number that it is drawn from, is the gradient of the accuracy in the numbers. A direction is a part of unit length of a
point in their space: that of all components of one error group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.draws import Key, Shift
from analog_fhn.montecarlo.slopes import DEVICES, Slopes
from analog_fhn.neuron import FloatArray

Point = dict[Key, FloatArray]  # in the space of the normal numbers, zero in all other streams

_STEP = 1e-3  # of a normal number, whose sigma is 1


@dataclass(frozen=True, eq=False)
class Means(Shift):
    """Adds a point to the normal numbers.

    Parameters
    ----------
    point
        Means of the numbers of each stream.
    """

    point: Point

    def moved(self, key: Key, normal: FloatArray) -> FloatArray:
        """See `Shift.moved`."""
        return normal + self.point[key] if key in self.point else normal


class Inventory(Shift):
    """Moves nothing, but takes a note of every stream of normal numbers that a chip is made of.

    Attributes
    ----------
    shapes
        Shape of the numbers of each stream.
    """

    def __init__(self) -> None:
        self.shapes: dict[Key, tuple[int, ...]] = {}

    def moved(self, key: Key, normal: FloatArray) -> FloatArray:
        """See `Shift.moved`."""
        self.shapes[key] = normal.shape
        return normal


@dataclass(frozen=True, eq=False)
class Directions:
    """Directions at right angles to each other: no two have a stream in common.

    Parameters
    ----------
    names
        Of the directions.
    numbers
        Number of the direction that each stream belongs to.
    parts
        Part of the direction in each stream; all parts of a direction together have length 1.
    """

    names: tuple[str, ...]
    numbers: Mapping[Key, int]
    parts: Mapping[Key, FloatArray]

    @classmethod
    def of(cls, point: Point, groups: Mapping[Key, str]) -> tuple[Directions, FloatArray]:
        """Directions of the parts of a point in each group of streams, the longest part first, and their lengths."""
        squares: dict[str, float] = {}
        for key, values in point.items():
            squares[groups[key]] = squares.get(groups[key], 0.0) + float(np.sum(values**2))
        names = sorted((name for name, square in squares.items() if square > 0.0), key=lambda name: -squares[name])
        lengths = np.sqrt([squares[name] for name in names])
        numbers = {key: names.index(groups[key]) for key in point if groups[key] in names}
        parts = {key: point[key] / lengths[number] for key, number in numbers.items()}
        return cls(tuple(names), numbers, parts), np.asarray(lengths)

    def point(self, amounts: Sequence[float] | FloatArray) -> Point:
        """The point at these distances along the directions."""
        return {key: amounts[number] * self.parts[key] for key, number in self.numbers.items()}


class Along(Shift):
    """Moves along directions, and measures how far along them the numbers were before.

    Parameters
    ----------
    directions, amounts
        How far along each of the directions, shape (k,).
    """

    def __init__(self, directions: Directions, amounts: Sequence[float] | FloatArray) -> None:
        self.directions, self.amounts = directions, amounts
        self._met: dict[Key, float] = {}

    def moved(self, key: Key, normal: FloatArray) -> FloatArray:
        """See `Shift.moved`."""
        part = self.directions.parts.get(key)
        if part is None:
            return normal
        self._met[key] = float(np.sum(part * normal))  # a lot's number is met several times
        amount = self.amounts[self.directions.numbers[key]]
        return np.asarray(normal + amount * part) if amount else normal

    @property
    def projections(self) -> FloatArray:
        """Projections of the unshifted numbers on the directions, shape (k,): standard normal from chip to chip."""
        sums = np.zeros(len(self.directions.names))
        for key, value in self._met.items():
            sums[self.directions.numbers[key]] += value
        return sums


@dataclass(frozen=True, eq=False)
class Gradient:
    """Gradient of the accuracy in the normal numbers.

    Parameters
    ----------
    slopes
        Of each stream, of the shape of its numbers.
    groups
        Error group of the parts of each stream.
    """

    slopes: Point
    groups: Mapping[Key, str]

    @classmethod
    def at(cls, slopes: Slopes, point: Point) -> Gradient:
        """Gradient at the chip that the slopes were taken at, which lies at `point`.

        Streams in which it is zero are left out.
        """
        design, base = slopes.design, slopes.nominal
        listed = Inventory()
        design.chip(None, listed)
        found: Point = {}
        groups: dict[Key, str] = {}
        for key, shape in listed.shapes.items():
            changed = design.chip(None, Means(point | {key: point.get(key, np.zeros(shape)) + _STEP}))
            for group, change in _changes(slopes, base, changed):
                if np.any(change):
                    part = change if change.shape == shape else np.full(shape, change.sum())
                    found[key] = found.get(key, np.zeros(shape)) + part / _STEP
                    groups.setdefault(key, group)
        return cls(found, groups)

    @property
    def square(self) -> float:
        """Squared length."""
        return float(sum(np.sum(values**2) for values in self.slopes.values()))

    def along(self, point: Point) -> float:
        """Scalar product with a point."""
        return float(sum(np.sum(values * point[key]) for key, values in self.slopes.items() if key in point))

    def times(self, factor: float) -> Point:
        """Point in the gradient's direction."""
        return {key: factor * values for key, values in self.slopes.items()}


def _changes(slopes: Slopes, base: ManufacturedChip, changed: ManufacturedChip) -> list[tuple[str, FloatArray]]:
    """Error group and change of the accuracy by each value of each component, and by each device."""
    found = [
        (component.errors(base), slope * (component.values(changed) - component.values(base)))
        for component, slope in slopes.of.items()
    ]
    for (weights, bias), array, exact in zip(slopes.devices(), changed.arrays, base.arrays, strict=True):
        new, old = array.crossbar, exact.crossbar
        per_siemens = np.vstack([weights, *[bias * old.bias_drive] * old.bias_rows]) / old.siemens_per_weight
        for sign, of_new, of_old in ((1.0, new.g_plus, old.g_plus), (-1.0, new.g_minus, old.g_minus)):
            found.append((DEVICES, sign * per_siemens * (of_new - of_old)))
    return found
