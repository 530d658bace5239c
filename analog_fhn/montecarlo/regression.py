"""Which components decide: the accuracies of many chips, regressed on the component values that were drawn for them.

A chip's thousands of drawn values are condensed first: slope of the accuracy times drawn deviation
(`analog_fhn.montecarlo.slopes`), summed over the components of an error group, says how much accuracy this group's
values should cost the chip; the regression of the measured accuracies on these sums says how much they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from analog_fhn._support.cards import Bar, Card, Grid, Tabular
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table, default_drives
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.slopes import DEVICES, Labelled, Slopes, device_labels, no_slopes
from analog_fhn.montecarlo.trial import Job, Trial, shift_of
from analog_fhn.neuron import FloatArray

_CHIPS = 1000  # at most
_SLOPE_VALUES = 20_000_000  # activations of one layer in all images that slopes are taken over
PROBES = 8  # chips that tell how far margins move


@dataclass(frozen=True)
class Term:
    """One error group in the regression.

    Parameters
    ----------
    group
        Name, as in `--errors`; the devices of the arrays are one group (programming, faults, drift, noise).
    coefficient, low, high
        Measured over expected accuracy, with its 95 % interval: 1 if the first order tells it all. None for a group
        that is expected to move the accuracy by less than a hundredth of its spread.
    share
        Of the variance of the accuracy from chip to chip.
    """

    group: str
    coefficient: float | None
    low: float | None
    high: float | None
    share: float


@dataclass(frozen=True, repr=False)
class Regression(Tabular):
    """Accuracies of chips regressed on their drawn component values.

    Parameters
    ----------
    n_chips, n_images
        What it rests on.
    explained
        Share of the variance of the accuracy that all groups explain together (R squared, adjusted for their number);
        the rest are images that change their class beyond the first order.
    terms
        Groups, the largest share first.
    components
        Share of each component, (name, group, share), the largest first.
    """

    n_chips: int
    n_images: int
    explained: float
    terms: tuple[Term, ...]
    components: tuple[tuple[str, str, float], ...]

    def _card(self) -> Card:
        told = [term for term in self.terms if term.share]
        rows = [(term.group, Bar(term.share, f"{100 * term.share:.1f} %"), term.coefficient) for term in told]
        line = f"{100 * self.explained:.0f} % of the variance of {self.n_chips} chips explained"
        return Card("Regression", line, grids=(Grid(("error group", "share of the variance", "coefficient"), rows),))

    def table(self) -> list[dict[str, Any]]:
        """One row per error group: coefficient with its interval, and share of the variance."""
        return [asdict(term) for term in self.terms]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def of_json(cls, values: dict[str, Any]) -> Regression:
        """What `as_json` gave, also after it was written and read as JSON."""
        terms = tuple(Term(**term) for term in values["terms"])
        components = tuple((str(name), str(group), float(share)) for name, group, share in values["components"])
        return cls(**(values | {"terms": terms, "components": components}))


def regression(job: Job, point: SweepPoint, trials: Sequence[Trial]) -> Regression | None:
    """Regression over chips of one point, drawn again from their seeds.

    Parameters
    ----------
    job
        What all trials of the run have in common.
    trials
        Trials of the point; of those that did not fail the first 1000 are used.

    Returns
    -------
    Regression or None
        None where it cannot be made: another backend than direct, the vote readout, converters, curved devices,
        fewer chips than three for each group, or accuracies that are all the same.
    """
    design = point.design(job.network, job.technology)
    trials = [trial for trial in trials if trial.accuracy is not None][:_CHIPS]
    accuracy = np.array([trial.accuracy for trial in trials])
    if no_slopes(design, job.backend_name) is not None or len(trials) < PROBES or accuracy.std() == 0.0:
        return None
    seeds = [trial.chip_seed for trial in trials]
    data = labelled(job, design)
    slopes = Slopes(design, data, slope_table(job), seeds[:PROBES])
    chips = (design.chip(one.chip_seed, shift_of(job, point, design, one.trial)) for one in trials)
    names, groups, expected = _expected(slopes, chips)
    spread = {g: float(_sum(expected, groups, g).std()) for g in dict.fromkeys(groups)}
    present = [g for g in spread if spread[g] > 0.01 * accuracy.std()]
    if len(trials) < 3 * len(present) + 1 or not present:
        return None
    x = np.column_stack([_sum(expected, groups, g) for g in present])
    coefficients, half, explained = _least_squares(x, accuracy)
    variance = float(accuracy.var(ddof=1))

    def share(values: FloatArray, group: str) -> float:
        return float(coefficients[present.index(group)] * np.cov(values, accuracy)[0, 1] / variance)

    terms = [
        Term(group, float(c), float(c - h), float(c + h), share(x[:, k], group))
        for k, (group, c, h) in enumerate(zip(present, coefficients, half, strict=True))
    ]
    terms += [Term(g, None, None, None, 0.0) for g in spread if g not in present and spread[g] > 0.0]
    components = [
        (name, group, share(expected[:, k], group))
        for k, (name, group) in enumerate(zip(names, groups, strict=True)) if group in present
    ]  # fmt: skip
    return Regression(
        len(trials), len(data.labels), explained,
        tuple(sorted(terms, key=lambda term: -term.share)),
        tuple(sorted(components, key=lambda component: -component[2])),
    )  # fmt: skip


def labelled(job: Job, design: Design) -> Labelled:
    """Images of a job that slopes are taken over; see `_chosen`."""
    chosen = _chosen(design, len(job.labels))
    data = Labelled(job.mapped(), job.labels, job.pixels())
    if len(chosen) < len(job.labels):
        return Labelled(data.images[chosen], data.labels[chosen], None)
    return data


def slope_table(job: Job) -> Table:
    """What makes the response tables of the chips that slopes are taken at."""
    return Table(Direct(), job.table or default_drives("direct", "mean"))


def _chosen(design: Design, n_images: int) -> NDArray[np.intp]:
    """Images that the slopes are taken over: all, or of a convolution's as many as there is memory for, evenly."""
    layers = zip(design.network.fronts, design.network.layer_sizes[1:-1], strict=False)
    widest = max(front.n_positions * n for front, n in layers)
    n = min(n_images, max(1, _SLOPE_VALUES // widest))
    return np.linspace(0, n_images - 1, n).round().astype(np.intp)


def _expected(slopes: Slopes, chips: Iterable[ManufacturedChip]) -> tuple[list[str], list[str], FloatArray]:
    """Accuracy that each component should cost each chip.

    Returns
    -------
    names, groups, expected
        Names of the components and their error groups; change of the accuracy, shape (n_chips, n_components). The
        devices of an array count as one component.
    """
    design, nominal, devices = slopes.design, slopes.nominal, slopes.devices()
    names = [component.label(design) for component in slopes.of]
    groups = [component.errors(nominal) for component in slopes.of]
    names += device_labels(design)
    groups += [DEVICES] * len(design.arrays)
    expected = []
    for chip in chips:
        costs = [float(slope @ (part.values(chip) - part.values(nominal))) for part, slope in slopes.of.items()]
        for (weights, bias), array, exact in zip(devices, chip.arrays, nominal.arrays, strict=True):
            cost = float(np.sum(weights * (array.crossbar.weights - exact.crossbar.weights)))
            if array.crossbar.bias is not None and exact.crossbar.bias is not None:
                cost += float(bias @ (array.crossbar.bias - exact.crossbar.bias))
            costs.append(cost)
        expected.append(costs)
    return names, groups, np.array(expected)


def _sum(expected: FloatArray, groups: list[str], group: str) -> FloatArray:
    return np.asarray(expected[:, [g == group for g in groups]].sum(axis=1))


def _least_squares(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Coefficients, half widths of their 95 % intervals, adjusted R squared; with an intercept."""
    design = np.column_stack([x, np.ones(len(y))])
    solution = np.asarray(np.linalg.lstsq(design, y)[0], dtype=np.float64)
    residual = y - design @ solution
    freedom = len(y) - design.shape[1]
    variance = residual @ residual / freedom
    errors = np.sqrt(np.diag(np.linalg.pinv(design.T @ design)) * variance)
    half = student.ppf(0.975, freedom) * errors
    return np.asarray(solution[:-1]), np.asarray(half[:-1]), float(1.0 - variance / y.var(ddof=1))
