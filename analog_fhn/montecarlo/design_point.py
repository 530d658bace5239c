"""Where chips fail first: the point of the failure surface that lies nearest to the nominal chip, and its parts.

In the space of the standard normal numbers the density of chips falls with the distance from the nominal one, so that
the nearest point of the surface is the most probable one (Hasofer and Lind, J. Eng. Mech. Div. ASCE 100:111, 1974).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from analog_fhn.design import Design
from analog_fhn.draws import Key
from analog_fhn.errors import InputError, SimulationError
from analog_fhn.inference import judge
from analog_fhn.montecarlo.directions import Directions, Means, Point, distance
from analog_fhn.montecarlo.gradient import Gradient, SlopesOfJob
from analog_fhn.montecarlo.shift_file import ShiftFile
from analog_fhn.montecarlo.trial import Job

_STEPS = 30
_DAMPING = 0.7  # share of the way to the point of the linear model that a step goes
_NEAR = 0.05  # sigmas that the last step may still go
_FARTHEST = 15.0  # sigmas, beyond which no chip is made
_SCAN = 0.02  # of the distance
_SCANNED = 1.5


@dataclass(frozen=True, eq=False)
class DesignPoint:
    """Point nearest to the nominal chip at which the accuracy expected of a chip is that of the specification.

    Parameters
    ----------
    point
        In the space of the normal numbers.
    gradient
        Of the accuracy there.
    nominal
        Accuracy expected around the nominal chip.
    steps
        Number of chips that slopes were taken at.
    """

    point: Point
    gradient: Gradient
    nominal: float
    steps: int

    @property
    def distance(self) -> float:
        """Distance from the nominal chip, in sigmas."""
        return distance(self.point)


def design_point(job: Job, design: Design, specification: float) -> DesignPoint:
    """Design point of a specification, by the iteration of Hasofer and Lind.

    A step goes to ``x = lambda grad A`` with ``A(u) + grad A (x - u) = specification`` of the accuracy A that is
    expected of chips around u (`Slopes.accuracy`), damped.

    Parameters
    ----------
    job
        Images, backend and root seed.
    specification
        Accuracy (fraction).

    Raises
    ------
    InputError
        If the accuracy has no slopes in the normal numbers, if the specification is not below the accuracy that is
        expected around the nominal chip, or if it is so far below that no chip is made there.
    SimulationError
        If the iteration does not settle.
    """
    slopes = SlopesOfJob(job, design)
    point: Point = {}
    nominal = 1.0
    for step in range(_STEPS):
        accuracy, gradient = slopes.at(point)
        if step == 0:
            nominal = accuracy
            if specification >= nominal:
                raise InputError(
                    f"specification = {specification:g}: chips are expected to be right on {nominal:.2%} of the "
                    "images, so that about half of them fail; expected less (failures that are not rare a sweep counts)"
                )
        factor = (gradient.along(point) + specification - accuracy) / gradient.square
        share = _DAMPING if point else 1.0
        to = {
            key: (1.0 - share) * point.get(key, np.zeros_like(values)) + share * factor * values
            for key, values in gradient.slopes.items()
        }
        if distance(to) > _FARTHEST:
            raise InputError(
                f"specification = {specification:g}: {distance(to):.3g} sigmas from the nominal chip, which is "
                f"expected to be right on {nominal:.2%}; expected at most {_FARTHEST:g} sigmas"
            )
        moved = distance({key: values - point.get(key, 0.0) for key, values in to.items()})
        point = to
        if moved < _NEAR:
            return DesignPoint(point, gradient, nominal, step + 1)
    raise SimulationError(f"the worst case does not settle: its last step was {moved:.2g} sigmas")


@dataclass(frozen=True)
class WorstPart:
    """What one kind of part does at the worst case.

    Parameters
    ----------
    part, group
        Name of the part, and its error group.
    sigmas
        Distance of all such parts of the chip together from their nominal values, in sigmas.
    share
        Of the squared distance of the worst case.
    largest, index
        Largest deviation of one of these parts (sigmas, with its sign), and its number among them, from 0, devices row
        by row.
    """

    part: str
    group: str
    sigmas: float
    share: float
    largest: float
    index: int


@dataclass(frozen=True, eq=False)
class WorstCase:
    """The most probable chip that misses a specification.

    Parameters
    ----------
    design, specification
        What the chip is a sample of, and the accuracy (fraction) that it misses.
    point
        Of the chip in the space of the normal numbers.
    groups
        Error group of each of its streams.
    distance
        Worst-case distance, in sigmas.
    accuracy, nominal
        Accuracy of the chip, and of the nominal one, as `judge` finds them.
    parts
        What is off, the largest share first.
    """

    design: Design
    specification: float
    point: Point
    groups: dict[Key, str]
    distance: float
    accuracy: float
    nominal: float
    parts: tuple[WorstPart, ...]

    @property
    def shift(self) -> Means:
        """What makes the chip: ``design.chip(None, worst.shift)``."""
        return Means(self.point)

    @property
    def file(self) -> ShiftFile:
        """The shift as it is written to a file."""
        directions, lengths = Directions.of(self.point, self.groups)
        return ShiftFile(directions, tuple(float(length) for length in lengths))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "specification": self.specification,
            "distance": self.distance,
            "accuracy": self.accuracy,
            "nominal_accuracy": self.nominal,
            "parts": [asdict(part) for part in self.parts],
        }


def worst_case(job: Job, design: Design, specification: float, found: DesignPoint) -> WorstCase:
    """The first chip that misses the specification on the way from the nominal chip to the design point, and beyond.

    Raises
    ------
    InputError
        If the nominal chip misses the specification.
    SimulationError
        If no chip does on half as long a way again.
    """
    network = design.network
    engine, images = job.engine(network.readout, "worst_case"), job.mapped()

    def accuracy(factor: float) -> float:
        chip = design.chip(None, Means({key: factor * values for key, values in found.point.items()}))
        result = judge(
            chip, images, [(network.readout, network.recentre)], engine, pixels=job.pixels(), window=False
        )  # fmt: skip
        return result[0].accuracy(job.labels)

    nominal = accuracy(0.0)
    if nominal < specification:
        raise InputError(f"specification = {specification:g}: the nominal chip reaches {nominal:.2%}; expected less")
    for factor in np.arange(_SCAN, _SCANNED + _SCAN, _SCAN):
        reached = accuracy(float(factor))
        if reached < specification:
            point = {key: factor * values for key, values in found.point.items()}
            groups = {key: found.gradient.groups[key] for key in point}
            parts = _parts(point, found.gradient)
            return WorstCase(design, specification, point, groups, distance(point), reached, nominal, parts)
    raise SimulationError(
        f"specification = {specification:g}: chips up to {_SCANNED * found.distance:.2g} sigmas along the slopes still "
        f"meet it ({reached:.2%}); the linear model does not hold"
    )


def _parts(point: Point, gradient: Gradient) -> tuple[WorstPart, ...]:
    """Parts of a point by their names, the largest share first."""
    square = distance(point) ** 2
    parts = []
    for key, values in point.items():
        index = int(np.argmax(np.abs(values)))
        own = float(np.sum(values**2))
        label, group = gradient.labels[key], gradient.groups[key]
        parts.append(WorstPart(label, group, np.sqrt(own), own / square, float(values.flat[index]), index))
    return tuple(sorted(parts, key=lambda part: -part.share))
