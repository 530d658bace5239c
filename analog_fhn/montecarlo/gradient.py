"""Gradient of the accuracy in the standard normal numbers that a chip is drawn from.

It is the slope of the accuracy in each component value (`analog_fhn.montecarlo.slopes`), times that of the value in the
number that it is drawn from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.draws import Key, Shift
from analog_fhn.errors import InputError
from analog_fhn.montecarlo.directions import Directions, Means, Point, distance
from analog_fhn.montecarlo.regression import PROBES, labelled, slope_table
from analog_fhn.montecarlo.slopes import DEVICES, Slopes, device_labels, no_slopes
from analog_fhn.montecarlo.trial import Job, chip_seed
from analog_fhn.neuron import FloatArray

LEAST_PART = 0.05  # of a point's distance, that a group's part must exceed to be a direction of its own
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
        """Gradient at `point`, where the chip lies that the slopes were taken at, by differences of the values."""
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
    def length(self) -> float:
        """Change of the accuracy per sigma in its direction."""
        return distance(self.slopes)

    def along(self, point: Point) -> float:
        """Scalar product with a point."""
        return float(sum(float(np.sum(s * point[key])) for key, s in self.slopes.items() if key in point))


class SlopesOfJob:
    """Slopes and gradients of the accuracy of a job's chips, at one point after another.

    Parameters
    ----------
    job
        Images, response tables and root seed.
    design
        What the chips are made from.

    Raises
    ------
    InputError
        If the accuracy has no slopes.
    """

    def __init__(self, job: Job, design: Design) -> None:
        if reason := no_slopes(design, job.backend_name):
            raise InputError(reason)
        self._design, self._data, self._table = design, labelled(job, design), slope_table(job)
        self._seeds = [chip_seed(job.seed, k) for k in range(PROBES)]

    def at(self, point: Point, sharpness: float = 1.0) -> tuple[float, Gradient]:
        """Accuracy that is expected of chips around a point, and its gradient; `sharpness` is that of `Slopes`.

        Raises
        ------
        InputError
            If the gradient is zero.
        """
        slopes = Slopes(self._design, self._data, self._table, self._seeds, Means(point) if point else None, sharpness)
        gradient = Gradient.at(slopes, point)
        if gradient.length == 0.0:
            raise InputError(
                f"technology {self._design.technology.name!r}: no normal part moves the accuracy; expected a "
                "technology that spreads some (parts that are uniform within their tolerance, and stuck devices, are "
                "not shifted)"
            )
        return slopes.accuracy, gradient


def directions_of_slopes(job: Job, design: Design) -> Directions:
    """Directions along which the parts of each error group move the accuracy of the nominal chip, the steepest first.

    Raises
    ------
    InputError
        If the accuracy has no slopes in normal parts.
    """
    _, gradient = SlopesOfJob(job, design).at({})
    return Directions.of(gradient.slopes, gradient.groups, LEAST_PART)[0]


def _changes(
    slopes: Slopes, of_devices: list[tuple[FloatArray, FloatArray]], base: ManufacturedChip, changed: ManufacturedChip
) -> list[tuple[str, str, FloatArray]]:
    """Error group, name, and change of the accuracy by each value of each component, and by each device."""
    found = [
        (
            component.errors(base),
            component.label(slopes.design),
            slope * (component.values(changed) - component.values(base)),
        )
        for component, slope in slopes.of.items()
    ]
    arrays = zip(of_devices, device_labels(slopes.design), changed.arrays, base.arrays, strict=True)
    for (weights, bias), label, array, exact in arrays:
        new, old = array.crossbar, exact.crossbar
        rows = np.vstack([weights, *[bias * old.bias_drive] * old.bias_rows]) / old.siemens_per_weight
        found.append((DEVICES, f"positive {label}", rows * (new.g_plus - old.g_plus)))
        found.append((DEVICES, f"negative {label}", -rows * (new.g_minus - old.g_minus)))
    return found
