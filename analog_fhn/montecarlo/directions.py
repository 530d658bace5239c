"""Points and directions in the space of a chip's standard normal numbers, and shifts of the numbers along them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analog_fhn.draws import Key, Shift
from analog_fhn.neuron import FloatArray

Point = Mapping[Key, FloatArray]  # in the space of the normal numbers; zero in all streams that it lacks


def distance(point: Point) -> float:
    """Distance of a point from the nominal chip, in sigmas."""
    return float(np.sqrt(sum(float(np.sum(values**2)) for values in point.values())))


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
    parts: Point

    @classmethod
    def of(cls, point: Point, groups: Mapping[Key, str], least: float = 0.0) -> tuple[Directions, FloatArray]:
        """Directions of the parts that groups of streams have of a point, the longest first, and these parts' lengths.

        Parameters
        ----------
        groups
            Group that each stream belongs to.
        least
            Share of the point's distance that a part has to exceed.
        """
        squares: dict[str, float] = {}
        for key, values in point.items():
            squares[groups[key]] = squares.get(groups[key], 0.0) + float(np.sum(values**2))
        shortest = (least * distance(point)) ** 2
        names = sorted((name for name, square in squares.items() if square > shortest), key=lambda name: -squares[name])
        lengths = np.sqrt([squares[name] for name in names])
        numbers = {key: names.index(groups[key]) for key in point if groups[key] in names}
        parts = {key: point[key] / lengths[number] for key, number in numbers.items()}
        return cls(tuple(names), numbers, parts), np.asarray(lengths)

    def within(self, streams: Container[Key]) -> tuple[Directions, FloatArray]:
        """Directions of length 1 in some of the streams alone, and the lengths that their parts there had before.

        A direction that has none of the streams keeps no part, and counts as long as before.
        """
        squares = np.zeros(len(self.names))
        for key, part in self.parts.items():
            if key in streams:
                squares[self.numbers[key]] += float(np.sum(part**2))
        lengths = np.sqrt(np.where(squares > 0.0, squares, 1.0))
        numbers = {key: number for key, number in self.numbers.items() if key in streams}
        parts = {key: self.parts[key] / lengths[number] for key, number in numbers.items()}
        return Directions(self.names, numbers, parts), lengths

    def point(self, amounts: Sequence[float] | FloatArray) -> Point:
        """The point at these distances along the directions."""
        return {key: amounts[number] * self.parts[key] for key, number in self.numbers.items()}


class Along(Shift):
    """Moves along directions, and measures how far along them the numbers were before.

    One object serves one chip.

    Parameters
    ----------
    directions, amounts
        How far along each of the directions, shape (k,), in sigmas.
    """

    def __init__(self, directions: Directions, amounts: Sequence[float] | FloatArray) -> None:
        self.directions, self.amounts = directions, amounts
        self.met: dict[Key, float] = {}

    def moved(self, key: Key, normal: FloatArray) -> FloatArray:
        """See `Shift.moved`."""
        part = self.directions.parts.get(key)
        if part is None:
            return normal
        self.met[key] = float(np.sum(part * normal))  # a lot's number is met several times
        return np.asarray(normal + self.amounts[self.directions.numbers[key]] * part)

    @property
    def projections(self) -> FloatArray:
        """Projections of the unshifted numbers on the directions, shape (k,): standard normal from chip to chip."""
        sums = np.zeros(len(self.directions.names))
        for key, value in self.met.items():
            sums[self.directions.numbers[key]] += value
        return sums
