"""Where chips fail first: the point of the failure surface that lies nearest to the nominal chip, and its parts.

In the space of the standard normal numbers the density of chips falls with the distance from the nominal one, so that
the nearest point of the surface is the most probable one (Hasofer and Lind, J. Eng. Mech. Div. ASCE 100:111, 1974).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analog_fhn._support.cards import Bar, Card, Grid, Tabular
from analog_fhn._support.words import percent
from analog_fhn.design import Design
from analog_fhn.draws import Key
from analog_fhn.errors import InputError, SimulationError
from analog_fhn.inference import judge
from analog_fhn.montecarlo.directions import Directions, Means, Point, distance
from analog_fhn.montecarlo.gradient import Gradient, SlopesOfJob
from analog_fhn.montecarlo.shift_file import ShiftFile
from analog_fhn.montecarlo.trial import Job

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STEPS = 25  # at most
_DAMPING = 0.2  # the k-th step goes 1/(1 + 0.2 k) of the way to the point of the linear model
_NEAR = 0.1  # sigmas that the last step may still go
_REACH = 2.0  # sigmas by which the point of a linear model may lie beyond the one that it was made at
_SHARPER = (1.4, 2.0, 2.8, 4.0)  # steps from there on, towards the surface of the chip itself
_HALF = 0.5  # of the way that each of them goes
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
    tried
        Points from there on, the first of them `point`, towards the surface of the chip whose other parts are nominal.
    alignment
        Cosine of the angle between the point and the steepest descent there: 1 where the surface is touched.
    groups, labels
        Error group and name of the parts of each stream.
    nominal
        Accuracy expected around the nominal chip.
    steps
        Number of chips that slopes were taken at.
    """

    point: Point
    tried: tuple[Point, ...]
    alignment: float
    groups: Mapping[Key, str]
    labels: Mapping[Key, str]
    nominal: float
    steps: int

    @property
    def distance(self) -> float:
        """Distance from the nominal chip, in sigmas."""
        return distance(self.point)


def design_point(job: Job, design: Design, specification: float) -> DesignPoint:
    """Design point of a specification, by the iteration of Hasofer and Lind.

    A step goes to ``x = lambda grad A`` with ``A(u) + grad A (x - u) = specification`` of the accuracy A that is
    expected of chips around u (`Slopes.accuracy`). Few images make a rugged surface: the steps become shorter, and
    after 25 the last point stands.

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
    """
    slopes = SlopesOfJob(job, design)
    points: list[Point] = [{}]
    groups: dict[Key, str] = {}
    labels: dict[Key, str] = {}
    nominal = alignment = 1.0
    for step in range(_STEPS):
        point = points[-1]
        accuracy, gradient = slopes.at(point)
        groups, labels = {**gradient.groups, **groups}, {**gradient.labels, **labels}
        if step == 0:
            nominal = accuracy
            if specification >= nominal:
                raise InputError(
                    f"specification = {specification:g}: chips are expected to be right on {nominal:.2%} of the "
                    "images, so that about half of them fail; expected less (failures that are not rare a sweep counts)"
                )
        else:
            alignment = -gradient.along(point) / (distance(point) * gradient.length)
        points.append(_next(point, accuracy - specification, gradient, 1.0 / (1.0 + _DAMPING * step)))
        if distance(points[-1]) > _FARTHEST:
            raise InputError(
                f"specification = {specification:g}: {distance(points[-1]):.3g} sigmas from the nominal chip, around "
                f"which chips are expected to be right on {nominal:.2%}; expected at most {_FARTHEST:g} sigmas"
            )
        moved = distance({key: values - point.get(key, 0.0) for key, values in points[-1].items()})
        if moved < _NEAR:
            break
    tried = [points[-1]]
    for sharpness in _SHARPER:
        accuracy, gradient = slopes.at(tried[-1], sharpness)
        groups, labels = {**gradient.groups, **groups}, {**gradient.labels, **labels}
        tried.append(_next(tried[-1], accuracy - specification, gradient, _HALF))
    return DesignPoint(points[-1], tuple(tried), alignment, groups, labels, nominal, step + 1)


def _next(point: Point, above: float, gradient: Gradient, share: float) -> Point:
    """Next point of the iteration, a share of the way to the point where the linear model meets the specification.

    Parameters
    ----------
    above
        Accuracy less the specification at the point.
    """
    away = (above - gradient.along(point)) / gradient.length  # sigmas down the gradient from the nominal chip
    if point:
        away = min(away, distance(point) + _REACH)
    to = {key: -away / gradient.length * values for key, values in gradient.slopes.items()}
    return {
        key: (1.0 - share) * np.asarray(point.get(key, 0.0)) + share * np.asarray(to.get(key, 0.0))
        for key in {**point, **to}
    }


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


@dataclass(frozen=True, eq=False, repr=False)
class WorstCase(Tabular):
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
        Accuracy of the chip, and of the nominal one, as `classify` finds them.
    alignment
        See `DesignPoint`.
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
    alignment: float
    parts: tuple[WorstPart, ...]

    def _card(self) -> Card:
        line = f"{percent(self.accuracy)} at {self.distance:.2f} sigmas, nominal chip {percent(self.nominal)}"
        rows = [
            (
                one.part,
                Bar(one.share, f"{100 * one.share:.0f} %"),
                f"{one.sigmas:.2f}",
                f"{one.largest:+.2f}",
                one.index,
            )
            for one in self.parts
        ]
        grid = Grid(("part", "share", "sigmas", "largest (sigmas)", "number"), rows)
        return Card("Worst case", line, {"specification": percent(self.specification)}, (grid,))

    def table(self) -> list[dict[str, Any]]:
        """One row per kind of part, the largest share first."""
        return [asdict(part) for part in self.parts]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Shares of the squared distance by kind of part, on these axes or those of a new figure.

        Raises
        ------
        MissingProgramError
            Without matplotlib.
        """
        from analog_fhn import plots  # needs an optional package

        on = plots.canvas(ax)
        parts = {part.part: part.share for part in self.parts}
        words = {part.part: f"{part.sigmas:.2f} sigmas" for part in self.parts}
        title = f"Worst case, {self.distance:.2f} sigmas: {percent(self.accuracy)}"
        return plots.only_axes(plots.shares(parts, words, title, on), on)

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
            "alignment": self.alignment,
            "parts": [asdict(part) for part in self.parts],
        }


def worst_case(job: Job, design: Design, specification: float, found: DesignPoint) -> WorstCase:
    """The nearest chip that misses the specification on the ways to the last points of the iteration, and beyond.

    All parts of the chip but those that the point moves have their nominal values.

    Raises
    ------
    InputError
        If the nominal chip misses the specification.
    SimulationError
        If none of the chips misses it on half as long a way again.
    """
    network = design.network
    engine, images, pixels = job.engine(network.readout, "worst_case"), job.mapped(), job.pixels()
    readouts = [(network.readout, network.recentre)]

    def accuracy(point: Point) -> float:
        result = judge(design.chip(None, Means(point)), images, readouts, engine, pixels=pixels, window=False)
        return result[0].accuracy(job.labels)

    nominal = accuracy({})
    if nominal < specification:
        raise InputError(f"specification = {specification:g}: the nominal chip reaches {nominal:.2%}; expected less")
    nearest: tuple[float, float, Point] | None = None
    for point in found.tried:
        for factor in np.arange(_SCAN, _SCANNED + _SCAN, _SCAN):
            scaled: Point = {key: factor * values for key, values in point.items()}
            if nearest is not None and distance(scaled) >= nearest[0]:
                break
            if (reached := accuracy(scaled)) < specification:
                nearest = distance(scaled), reached, scaled
                break
    if nearest is None:
        raise SimulationError(
            f"specification = {specification:g}: chips up to {_SCANNED * found.distance:.2g} sigmas along the slopes "
            "still meet it; the linear model does not hold"
        )
    away, reached, scaled = nearest
    groups = {key: found.groups[key] for key in scaled}
    parts = _parts(scaled, groups, found.labels)
    return WorstCase(design, specification, scaled, groups, away, reached, nominal, found.alignment, parts)


def _parts(point: Point, groups: Mapping[Key, str], labels: Mapping[Key, str]) -> tuple[WorstPart, ...]:
    """Parts of a point by their names, the largest share first."""
    square = distance(point) ** 2
    parts = []
    for key, values in point.items():
        index = int(np.argmax(np.abs(values)))
        own = float(np.sum(values**2))
        largest = float(values.flat[index])
        parts.append(WorstPart(labels[key], groups[key], math.sqrt(own), own / square, largest, index))
    return tuple(sorted(parts, key=lambda part: -part.share))
