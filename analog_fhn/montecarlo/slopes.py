"""Slope of the accuracy in every component value of a design, at its nominal chip.

To first order a component moves the score of the true class against its strongest rival in each image; images whose
margin is about as small as these movements decide the accuracy. So the slope in a value v is the mean over images of
k(margin/tau)/tau d(margin)/dv, with k the normal density and tau the rms of the margins' changes from chip to chip.
A layer's cells and array are changed by themselves; through the layers behind it the change goes by the chain rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from analog_fhn.backends.table.backend import Table
from analog_fhn.cell.base import Cells
from analog_fhn.cell.parts import Parts
from analog_fhn.chip import Chip, ManufacturedChip
from analog_fhn.data.sparse_images import Pixels
from analog_fhn.design import Design
from analog_fhn.draws import Shift
from analog_fhn.hold import HoldParts, window_seconds
from analog_fhn.inference import handed_over, held, scores_of_means
from analog_fhn.neuron import FloatArray

_STEP = 1e-3  # relative; of values near zero (V, scale errors), of z and of its variance absolute
DEVICES = "array devices"
HOLDS = -1  # in place of the number of a group of a cell's parts


def no_slopes(design: Design, backend: str) -> str | None:
    """Why the accuracy of a design's chips has no slopes; None: it has.

    Parameters
    ----------
    backend
        Name of what integrates the neurons.
    """
    if backend != "direct":
        return f"backend {backend!r}: expected 'direct', whose means follow the parts smoothly"
    if design.network.readout != "mean":
        return f"readout {design.network.readout!r}: expected 'mean', which follows the parts smoothly"
    if design.technology.adc is not None:
        return "adc: converters answer in steps; expected a technology without them"
    if design.technology.array.nonlinearity is not None:
        return "array.nonlinearity: slopes are those of weights, which curved devices have none of; expected none"
    return None


@dataclass(frozen=True)
class Component:
    """One part of all cells of a hidden layer, of all its hold stages, or of all sense amplifiers of an array.

    Parameters
    ----------
    layer
        Number of the hidden layer, or of the array, from 0.
    stage
        Number of the cells' group of parts, or `HOLDS`; None: the part is the sense amplifiers'.
    part
        Name of the part within its group.
    """

    layer: int
    stage: int | None
    part: str

    def group(self, chip: ManufacturedChip) -> Parts:
        """The parts of a chip that it belongs to."""
        if self.stage is None:
            return chip.arrays[self.layer].sense
        if self.stage == HOLDS:
            return self._holds(chip)
        return chip.hardware[self.layer].cells.parts[self.stage]

    def _holds(self, chip: ManufacturedChip) -> HoldParts:
        holds = chip.hardware[self.layer].holds
        assert holds is not None
        return holds

    def values(self, chip: ManufacturedChip) -> FloatArray:
        """Its values on a chip, one for each cell or amplifier."""
        values: FloatArray = getattr(self.group(chip), self.part)
        return values

    def with_values(self, chip: ManufacturedChip, values: FloatArray) -> ManufacturedChip:
        """Copy of a chip with other values of this component."""
        if self.stage is None:
            array = chip.arrays[self.layer]
            array = array.with_sense(array.sense.with_values(**{self.part: values}), chip.technology)
            if self.layer == len(chip.hardware):
                return chip.with_parts(output_array=array)
            hardware = replace(chip.hardware[self.layer], array=array)
        elif self.stage == HOLDS:
            hardware = replace(chip.hardware[self.layer], holds=self._holds(chip).with_values(**{self.part: values}))
        else:
            cells = chip.hardware[self.layer].cells
            changed = cells.parts[self.stage].with_values(**{self.part: values})
            groups = (*cells.parts[: self.stage], changed, *cells.parts[self.stage + 1 :])
            hardware = replace(chip.hardware[self.layer], cells=cells.cell.cells(groups))
        return chip.with_parts((*chip.hardware[: self.layer], hardware, *chip.hardware[self.layer + 1 :]))

    def errors(self, chip: ManufacturedChip) -> str:
        """Error group that spreads it, a key of the technology's `ERRORS`."""
        kind, groups = type(self.group(chip)).kind_of(self.part), chip.technology.ERRORS
        return next(name for name, spread in groups.items() if kind.spread.field in spread.get(kind.section, {}))

    def sigma(self, chip: ManufacturedChip) -> float:
        """Number that the technology spreads it by; see `analog_fhn.cell.parts.Deviation`."""
        kind = type(self.group(chip)).kind_of(self.part)
        return float(getattr(getattr(chip.technology, kind.section), kind.spread.field))

    def label(self, design: Design) -> str:
        """Its name for people."""
        if self.stage is None:
            array = design.array_names[self.layer]
            amplifier = "sense amplifier"
            outer = array.removesuffix(" array")
            return f"{amplifier} of {array} {self.part}" if outer == array else f"{outer} {amplifier} {self.part}"
        if self.stage == HOLDS:
            return f"hold stage {self.part}{design.layer_names[self.layer]}"
        return f"{tuple(design.cells[self.layer].streams)[self.stage]} {self.part}{design.layer_names[self.layer]}"


def components(design: Design) -> Iterator[Component]:
    """All components of a design but the devices of its arrays; parts that are not placed are none."""
    for layer, cell in enumerate(design.cells):
        left_out = cell.left_out(design.network.recentre or cell.smoothed)
        for stage, group in enumerate(cell.nominal):
            yield from (Component(layer, stage, name) for name, _ in group.items() if name not in left_out)
        if design.network.held[layer]:
            yield from (Component(layer, HOLDS, f.name) for f in HoldParts.described())
    for layer, array in enumerate(design.arrays):
        yield from (Component(layer, None, name) for name, _ in array.sense.items())


def device_labels(design: Design) -> list[str]:
    """Names for people of the devices of each array."""
    return [f"{DEVICES} of {array if array[-1].isdigit() else f'the {array}'}" for array in design.array_names]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images to judge chips by.

    Parameters
    ----------
    images, labels
        Shapes (n_images, n_in) and (n_images,).
    pixels
        The images once more, if most of their pixels are dark.
    """

    images: NDArray[np.floating]
    labels: NDArray[np.integer]
    pixels: Pixels | None


@dataclass(frozen=True, eq=False)
class _Layer:
    """A hidden layer of the nominal chip under all images.

    Parameters
    ----------
    inputs, ripple
        What its array is given: activations (images in front of the first layer), and the variance of the ripple on
        them; shape (n_runs, n_in), where a run is an image, of a convolution a position of an image.
    z, variance
        Pre-activations and the variance of their ripple, shape (n_runs, n).
    rows
        What it hands on: activations, and the variance of their ripple; shape (2, n_runs, n).
    """

    inputs: FloatArray
    ripple: FloatArray
    z: FloatArray
    variance: FloatArray
    rows: FloatArray


@dataclass(frozen=True, eq=False)
class _Sensitivity:
    """Slopes of the accuracy, in each image, in the fields of the same names of `_Layer`."""

    rows: FloatArray
    z: FloatArray
    variance: FloatArray


class Slopes:
    """Slopes of the accuracy in all component values, at the nominal chip, or at one whose values are shifted.

    Parameters
    ----------
    design
        What the chips are made from; its readout is the mean.
    data
        What they are judged by.
    table
        Makes the response tables.
    seeds
        Of some chips, which tell how far margins move.
    shift
        Of the nominal chip, which `nominal` then is, and of these chips; None: there is none.
    sharpness
        By which tau is divided: large for slopes of the chip itself, 1 for those of chips around it.

    Attributes
    ----------
    accuracy
        Share of images that a chip around the nominal one is expected to classify right: mean over the images of
        Phi(margin/tau), which the slopes are those of.
    """

    def __init__(
        self,
        design: Design,
        data: Labelled,
        table: Table,
        seeds: Sequence[int],
        shift: Shift | None = None,
        sharpness: float = 1.0,
    ) -> None:
        self.design, self.data, self._table = design, data, table
        self.nominal = design.chip(None, shift)
        everyone = np.arange(len(data.labels))
        scores = self.scores(self.nominal)
        others = scores.copy()
        others[everyone, data.labels] = -np.inf
        self.rival = others.argmax(axis=1)
        margin = self.margin(scores)
        moved = [self.margin(self.scores(design.chip(seed, shift))) - margin for seed in seeds]
        self.tau = (float(np.sqrt(np.mean(np.square(moved)))) or 1.0) / sharpness
        self.accuracy = float(norm.cdf(margin / self.tau).mean())
        self.weight = norm.pdf(margin / self.tau) / self.tau / len(margin)
        self._layers = list(self._forward())
        self._sensitivities = self._backward()
        self.of = {component: self._slope(component) for component in components(design)}

    def scores(self, chip: Chip) -> FloatArray:
        """Scores of a chip, shape (n_images, n_classes)."""
        network = self.design.network
        means = [self._table.means(layer.cells, network.protocol, window=False) for layer in chip.layers]
        return scores_of_means(chip, means, self.data.images, [network.recentre], self.data.pixels)[0]

    def margin(self, scores: FloatArray) -> FloatArray:
        """Score of the true class less that of its rival on the nominal chip, shape (n_images,)."""
        everyone = np.arange(len(self.data.labels))
        return np.asarray(scores[everyone, self.data.labels] - scores[everyone, self.rival])

    def devices(self) -> list[tuple[FloatArray, FloatArray]]:
        """Slopes in the weights (n_in, n_out) and in the biases (n_out,) of every array."""
        slopes = []
        for layer, per, nominal in zip(self._layers, self._sensitivities, self.nominal.layers, strict=True):
            of_weights = layer.inputs.T @ per.z
            if np.any(layer.ripple):
                of_weights += 2.0 * nominal.weights * (layer.ripple.T @ per.variance)
            slopes.append((of_weights, per.z.sum(axis=0)))
        per_score = self._per_score()
        return [*slopes, (self._output_rows(self._layers[-1].rows[0]).T @ per_score, per_score.sum(axis=0))]

    def _output_rows(self, activations: FloatArray) -> FloatArray:
        """Rows of the output array (n_images, n_rows) for activations of the last layer (n_runs, n)."""
        return np.asarray(self.nominal.output.front.rows(activations.reshape(len(self.data.labels), -1)))

    def _per_score(self) -> FloatArray:
        """Slope of the accuracy in each score of each image, shape (n_images, n_classes)."""
        classes = np.eye(self.design.network.layer_sizes[-1])
        return np.asarray(self.weight[:, None] * (classes[self.data.labels] - classes[self.rival]))

    def _forward(self) -> Iterator[_Layer]:
        """All hidden layers of the nominal chip, the first one first."""
        n_images = len(self.data.labels)
        values, ripple = np.asarray(self.data.images, dtype=np.float64), None
        for number, layer in enumerate(self.nominal.layers):
            inputs = np.asarray(layer.front.rows(values))
            ripple = np.zeros((1, inputs.shape[1])) if ripple is None else ripple
            z, variance = layer.pre_activations(inputs), ripple @ layer.weights**2
            rows = self._rows(number, layer.cells, z, variance)
            yield _Layer(inputs, ripple, z, variance, rows)
            values = rows[0].reshape(n_images, -1)
            ripple = None if self.nominal.network.held[number] else rows[1]

    def _rows(self, number: int, cells: Cells, z: FloatArray, variance: FloatArray) -> FloatArray:
        """Activations on the rows behind a layer and the variance of their ripple, shape (2, n_images, n)."""
        protocol, recentre = self.design.network.protocol, self.design.network.recentre
        table = self._table.means(cells, protocol, window=False)
        x = table.look_up(cells.drive_stage.drives(z, variance))
        if self.nominal.network.held[number]:
            activations = held(replace(self.nominal.layers[number], cells=cells), x, protocol)
            return np.stack([activations, np.zeros_like(x)])
        if number + 1 < len(self.nominal.layers):
            return np.stack(handed_over(cells, x, protocol, self.nominal.low_passes_before(number)))
        gain, offset = cells.row_stage.of(recentre)
        return np.stack([x * gain + offset, np.zeros_like(x)])

    def _backward(self) -> list[_Sensitivity]:
        """Slopes of the accuracy in what the layers of the nominal chip are given and give."""
        output = self.nominal.output.front.gathered(self._per_score() @ self.nominal.output.weights.T)
        output = output.reshape(self._layers[-1].z.shape)
        rows = np.stack([output, np.zeros_like(output)])
        sensitivities: list[_Sensitivity] = []
        for number, layer in reversed(list(enumerate(self._layers))):
            cells, weights = self.nominal.layers[number].cells, self.nominal.layers[number].weights
            change = self._rows(number, cells, layer.z + _STEP, layer.variance) - layer.rows
            z = (change / _STEP * rows).sum(axis=0)
            change = self._rows(number, cells, layer.z, layer.variance + _STEP) - layer.rows
            variance = (change / _STEP * rows).sum(axis=0)
            sensitivities.insert(0, _Sensitivity(rows, z, variance))
            if number:
                before, front = self._layers[number - 1].z.shape, self.nominal.layers[number].front
                slopes = front.gathered(z @ weights.T).reshape(before)
                through = variance @ (weights**2).T
                held_before = self.nominal.network.held[number - 1]
                rows = np.stack([slopes, np.zeros(before) if held_before else through])
        return sensitivities

    def _slope(self, component: Component) -> FloatArray:
        """Slope in each value of a component, by finite differences: all cells are changed at a time."""
        if component.stage == HOLDS:
            return self._hold_slope(component)
        values = component.values(self.nominal)
        # Relative for resistors and capacitors, which have no value near zero; offsets and scale errors: 1 mV, or their
        # sigma if that is less.
        sigma = component.sigma(self.nominal)
        relative = type(component.group(self.nominal)).kind_of(component.part).relative & (values != 0.0)
        step = np.where(relative, _STEP * np.abs(values), min(_STEP, sigma or _STEP))
        chip = component.with_values(self.nominal, values + step)
        number = component.layer
        if number == len(self._layers):
            rows = self._output_rows(self._layers[-1].rows[0])
            change = rows @ (chip.output.weights - self.nominal.output.weights)
            recentre = self.design.network.recentre
            change += chip.output.bias_of(recentre) - self.nominal.output.bias_of(recentre)
            return np.asarray((change * self._per_score()).sum(axis=0) / step)
        layer, changed = self._layers[number], chip.layers[number]
        z, variance = layer.z, layer.variance
        if component.stage is None:
            z, variance = changed.pre_activations(layer.inputs), layer.ripple @ changed.weights**2
        change = self._rows(number, changed.cells, z, variance) - layer.rows
        return np.asarray((change * self._sensitivities[number].rows).sum(axis=(0, 1)) / step)

    def _hold_slope(self, component: Component) -> FloatArray:
        """Slope in each hold stage's offset or droop, which act on the rows of the next array as `Hold.errors` says."""
        number, n_images = component.layer, len(self.data.labels)
        driven = number + 1 < len(self._layers)
        behind = self.nominal.layers[number + 1] if driven else self.nominal.output
        per_output = self._sensitivities[number + 1].z if driven else self._per_score()
        of_rows = per_output @ behind.weights.T
        hold = self.nominal.layers[number].hold
        assert hold is not None
        of_rows = of_rows.reshape(n_images, -1, of_rows.shape[1]).sum(axis=0)
        offset, droop = hold.slopes(behind.front, of_rows, driven=driven)
        seconds = window_seconds(self.design.network.protocol, self.design.time_unit)
        slope = offset if component.part == "offset" else droop * seconds
        return np.asarray(slope.ravel() / self.nominal.hardware[number].cells.cell.row_volts[0])
