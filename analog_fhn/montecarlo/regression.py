"""Which components decide: the accuracies of many chips, regressed on the component values that were drawn for them.

A chip's thousands of drawn values are condensed first. To first order a component of one neuron moves the score of the
true class against its strongest rival in each image; images whose margin is about as small as these movements decide
the accuracy. So the slope of the accuracy in every single component value follows from the nominal chip: the mean over
images of k(margin/tau)/tau d(margin)/dv, k the normal density, tau the rms of the margins' changes from chip to chip.
Slope times drawn deviation, summed over the components of a group, says how much accuracy this group's values should
cost the chip; the regression of the measured accuracies on these sums says how much they do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from analog_fhn.array.sense import columns
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table
from analog_fhn.cell.stages import Parts
from analog_fhn.chip import SECTIONS, Chip, assemble
from analog_fhn.design import Design
from analog_fhn.inference import scores_of_means
from analog_fhn.montecarlo.study import Study
from analog_fhn.montecarlo.trial import Trial, default_table
from analog_fhn.neuron import FloatArray

_CHIPS = 1000  # at most
_PROBES = 8  # chips that tell how far margins move
DEVICES = "array devices"


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


@dataclass(frozen=True)
class Regression:
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

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def regression(study: Study) -> Regression | None:
    """Regression over the chips of the plan's first point, drawn again from their seeds.

    Returns
    -------
    Regression or None
        None where it cannot be made: another backend than direct, the vote readout, converters, fewer chips than three
        for each group, or accuracies that are all the same.
    """
    point = study.store.points()[0]
    design = point.design(study.network, study.technology)
    trials = [trial for trial in study.store.trials(point.number) if trial.accuracy is not None][:_CHIPS]
    accuracy = np.array([trial.accuracy for trial in trials])
    if (
        study.sweep.backend != "direct" or design.network.readout != "mean" or design.technology.adc is not None
        or len(trials) < _PROBES or accuracy.std() == 0.0
    ):  # fmt: skip
        return None
    slopes = _Slopes(study, design, trials)
    names, expected = slopes.expected(trials)
    groups = [_group(name) for name in names]
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
        (_readable(name), group, share(expected[:, k], group))
        for k, (name, group) in enumerate(zip(names, groups, strict=True)) if group in present
    ]  # fmt: skip
    return Regression(
        len(trials), len(slopes.labels), explained,
        tuple(sorted(terms, key=lambda term: -term.share)),
        tuple(sorted(components, key=lambda component: -component[2])),
    )  # fmt: skip


def _group(name: str) -> str:
    """Error group of a component by its name here."""
    if name.startswith(DEVICES):
        return DEVICES
    place, part = name.split(".")
    if place.startswith("sense"):
        return "amplifier_offset" if part.startswith("vos") else "amplifier_gain"
    return SECTIONS[place, part]


_PLACES = {
    "neuron": "neuron", "pair": "tanh pair", "driver": "row driver", "sense0": "input sense amplifier",
    "sense1": "output sense amplifier",
}  # fmt: skip


def _readable(name: str) -> str:
    place, _, part = name.partition(".")
    return f"{_PLACES[place]} {part}" if place in _PLACES else name


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


class _Slopes:
    """Slope of the accuracy in each component value, at the nominal chip."""

    def __init__(self, study: Study, design: Design, trials: list[Trial]) -> None:
        self._design, self._images, self.labels = design, study.job.mapped(), study.job.labels
        self._table = Table(Direct(), study.job.table or default_table("direct", "mean"))
        self._pixels = study.job.pixels()
        self._nominal = design.chip(None)
        everyone = np.arange(len(self.labels))
        scores = self._scores(self._nominal)
        others = scores.copy()
        others[everyone, self.labels] = -np.inf
        self._rival = others.argmax(axis=1)
        margin = scores[everyone, self.labels] - scores[everyone, self._rival]
        moved = []
        for trial in trials[:_PROBES]:
            changed = self._scores(design.chip(trial.chip_seed))
            moved.append(changed[everyone, self.labels] - changed[everyone, self._rival] - margin)
        tau = float(np.sqrt(np.mean(np.square(moved)))) or 1.0
        self._weight = norm.pdf(margin / tau) / tau / len(margin)
        self._hidden = self._activations(self._nominal)
        rows = self._nominal.weights[1]
        # What a change of each hidden activation in each image does to the accuracy.
        self._per_activation = self._weight[:, None] * (rows.T[self.labels] - rows.T[self._rival])
        self._slopes = dict(self._parts_slopes())

    def expected(self, trials: list[Trial]) -> tuple[list[str], FloatArray]:
        """Names of the components, and what each should cost each chip, shape (n_chips, n_components)."""
        names = [*self._slopes, f"{DEVICES} of the input array", f"{DEVICES} of the output array"]
        result = np.zeros((len(trials), len(names)))
        devices = self._device_slopes()
        nominal = dict(_values(self._nominal))
        for row, trial in zip(result, trials, strict=True):
            chip = self._design.chip(trial.chip_seed)
            for k, (name, values) in enumerate(_values(chip)):
                row[k] = self._slopes[name] @ (values - nominal[name])
            assert chip.arrays is not None
            assert self._nominal.arrays is not None
            for layer, (array, exact) in enumerate(zip(chip.arrays, self._nominal.arrays, strict=True)):
                weights, bias = devices[layer]
                change = float(np.sum(weights * (array.crossbar.weights - exact.crossbar.weights)))
                if array.crossbar.bias is not None and exact.crossbar.bias is not None:
                    change += float(bias @ (array.crossbar.bias - exact.crossbar.bias))
                row[len(names) - 2 + layer] = change
        return names, result

    def _parts_slopes(self) -> Iterator[tuple[str, FloatArray]]:
        """Slope in the value of each part, by finite differences: all neurons are changed at a time."""
        for name, values in _values(self._nominal):
            # Relative for resistors and capacitors, which have no value near zero; offsets and scale errors: 1 mV.
            step = np.where(values == 0.0, 1e-3, 1e-3 * np.abs(values))
            if name.startswith("sense1"):
                change = self._scores(self._with(name, values + step)) - self._scores(self._nominal)
                yield name, self._of_scores(change) / step
            else:
                change = self._activations(self._with(name, values + step)) - self._hidden
                yield name, (change * self._per_activation).sum(axis=0) / step

    def _device_slopes(self) -> list[tuple[FloatArray, FloatArray]]:
        """Slopes in the weights (n_in, n_out) and biases (n_out,) of both arrays."""
        step = 1e-3
        z = self._nominal.pre_activations(self._images)
        per_z = (self._activations(self._nominal, z + step) - self._hidden) / step * self._per_activation
        outputs = np.eye(self._nominal.weights[1].shape[1])
        per_score = self._weight[:, None] * (outputs[self.labels] - outputs[self._rival])
        return [
            (self._images.T.astype(np.float64) @ per_z, per_z.sum(axis=0)),
            (self._hidden.T @ per_score, per_score.sum(axis=0)),
        ]

    def _of_scores(self, change: FloatArray) -> FloatArray:
        """What a change of each score (n_images, n_classes) does to the accuracy, shape (n_classes,)."""
        everyone = np.arange(len(self.labels))
        result = np.zeros(change.shape[1])
        np.add.at(result, self.labels, self._weight * change[everyone, self.labels])
        np.add.at(result, self._rival, -self._weight * change[everyone, self._rival])
        return result

    def _scores(self, chip: Chip) -> FloatArray:
        network = self._design.network
        means = self._table.means(chip, network.protocol, window=False)
        return scores_of_means(chip, means, self._images, [network.recentre], self._pixels)[0]

    def _activations(self, chip: Chip, z: FloatArray | None = None) -> FloatArray:
        """What the rows of the output array carry, in units of the activation; shape (n_images, n_neurons)."""
        network = self._design.network
        drives = chip.drive_stage.drives(chip.pre_activations(self._images) if z is None else z)
        x = self._table.means(chip, network.protocol, window=False).look_up(drives)
        gain, offset = chip.row_stage.of(network.recentre)
        return x * gain + offset

    def _with(self, name: str, values: FloatArray) -> Chip:
        """The nominal chip with other values of one component."""
        chip, design = self._nominal, self._design
        assert chip.parts is not None
        assert chip.pair is not None
        assert chip.driver is not None
        assert chip.arrays is not None
        place, part = name.split(".")
        neuron, pair, driver, arrays = chip.parts, chip.pair, chip.driver, list(chip.arrays)
        change: dict[str, Any] = {part: values}
        if place == "neuron":
            neuron = replace(neuron, **change)
        elif place == "pair":
            pair = replace(pair, **change)
        elif place == "driver":
            driver = replace(driver, **change)
        else:
            layer = int(place[-1])
            sense = replace(arrays[layer].sense, **change)
            made = columns(sense, arrays[layer].ports, design.technology)
            arrays[layer] = replace(arrays[layer], sense=sense, columns=made)
        return assemble(
            design.network,
            design.technology,
            design.scales,
            design.drivers,
            (neuron, pair, driver),
            tuple(arrays),
            None,
        )


def _values(chip: Chip) -> Iterator[tuple[str, FloatArray]]:
    """Name and values of every component of a chip but the devices of its arrays."""
    assert chip.arrays is not None
    stages: list[tuple[str, Parts | None]] = [("neuron", chip.parts), ("pair", chip.pair), ("driver", chip.driver)]
    stages += [(f"sense{layer}", array.sense) for layer, array in enumerate(chip.arrays)]
    for place, parts in stages:
        assert parts is not None
        for name, values in parts.items():
            yield f"{place}.{name}", values
