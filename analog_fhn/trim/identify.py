"""A chip as seen from outside: what its rows and outputs do under chosen inputs, and a digital twin made of that.

Row by row: with the activation ``h = centre + amplitude tanh(u)``, u is linear in what the array is given,
``u = slope (X W + b)``; where h is far from its ends, it tells u.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analog_fhn.array.crossbar import Crossbar
from analog_fhn.cell.base import DriveStage
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray
from analog_fhn.patches import PLAIN
from analog_fhn.trim.bench import Bench, BoolArray
from analog_fhn.trim.codes import RowTarget

# Beyond this share of its amplitude an activation is too near its end to tell u.
READABLE = 0.995
# Change of tanh(u) from the smallest to the largest input below which a row does not tell its gain: programming errors
# and offsets are as large.
_LEAST_SWING = 0.02
# Standard deviation of an activation over the images below which its weights cannot be told: of readings without noise,
# and in units of their noise. Of three images per neuron a weight has a standard error of a tenth then.
_LEAST_SPREAD = 1e-6
_NOISES = 10.0
_LARGEST_ARGUMENT = 1.2  # u that the largest weight is to bring about when one row is driven alone
# What an activation may be off by as its place between the ends tells it, over its amplitude.
_SYSTEMATIC = 0.005
_STEPS = 30  # towards the images that drive a neuron behind other layers furthest


@dataclass(frozen=True, eq=False)
class Ends:
    """Activations of a layer's rows: ``centre + amplitude tanh(u)``, each of shape (n_neurons,).

    Parameters
    ----------
    known
        Where both were measured. A neuron whose inputs hardly move it has the ideal amplitude, and the centre that its
        level and this amplitude give.
    """

    amplitude: FloatArray
    centre: FloatArray
    known: BoolArray

    def places(self, hidden: FloatArray) -> FloatArray:
        """tanh(u) of activations (m, n_neurons); NaN where the activation is too near an end."""
        place = (hidden - self.centre) / self.amplitude
        return np.where(np.abs(place) < READABLE, place, np.nan)

    def activations(self, arguments: FloatArray) -> FloatArray:
        """Activations for u of shape (m, n_neurons)."""
        return np.asarray(self.centre + self.amplitude * np.tanh(arguments))


def extreme_images(network: Network, arrays: Sequence[Crossbar]) -> FloatArray:
    """Images that drive each neuron behind the last of some arrays as high as they can, and then as low.

    Conditional gradient: each step goes part of the way to the image of lowest and highest values that the slopes of
    ideal neurons before point to. Behind the input array the first step arrives.

    Parameters
    ----------
    arrays
        From the input array on.

    Returns
    -------
    ndarray
        Shape (2 n_neurons, n_in).
    """
    low, high = network.input_range
    n = arrays[-1].weights.shape[1]
    sign = np.repeat([1.0, -1.0], n)[:, None]
    images = np.full((2 * n, arrays[0].n_in), 0.5 * (low + high))
    for step in range(1 if len(arrays) == 1 else _STEPS):
        # Backwards from each neuron to the image, through the slopes 1 - tanh(u)^2.
        slopes = sign * np.tile(np.eye(n), (2, 1)) @ arrays[-1].weights.T
        arguments = _ideal_arguments(network, arrays[:-1], images)
        for array, u in zip(reversed(arrays[:-1]), reversed(arguments), strict=True):
            slopes = (slopes * (1.0 - np.tanh(u) ** 2)) @ array.weights.T
        corner = np.where((slopes > 0.0) | ((slopes == 0.0) & (sign < 0.0)), high, low)
        images += (corner - images) * (2.0 / (step + 2.0))
    return images


def _ideal_arguments(network: Network, arrays: Sequence[Crossbar], images: FloatArray) -> list[FloatArray]:
    """u of ideal neurons behind each of these arrays, each of shape (n_images, n_neurons)."""
    arguments, inputs = [], images
    for layer, array in enumerate(arrays):
        arguments.append(network.neurons[layer].slope * _pre_activations(array, inputs))
        amplitude, centre = RowTarget.of(network, layer).of_response(-network.fhn.a, -1.0, network.fhn.gamma)
        inputs = centre + amplitude * np.tanh(arguments[-1])
    return arguments


def _pre_activations(array: Crossbar, inputs: FloatArray) -> FloatArray:
    bias = array.bias
    return np.asarray(inputs @ array.weights + (0.0 if bias is None else bias))


def measure_ends(bench: Bench, layer: int) -> Ends:
    """Measure the ends of every activation of a hidden layer, each neuron under its largest and its smallest input.

    2 n_neurons runs.

    Raises
    ------
    InputError
        If a row does not move.
    """
    network = bench.design.network
    arrays = [bench.targets(number) for number in range(layer + 1)]
    inputs, rows = bench.both(extreme_images(network, arrays), layer)
    arguments = network.neurons[layer].slope * _pre_activations(arrays[-1], inputs)
    n = rows.shape[1]
    each = np.arange(n)
    most, least = rows[each, each], rows[n + each, each]
    # Where even the largest input does not saturate a neuron, what its weights should give is good enough.
    up, down = np.tanh(arguments[each, each]), np.tanh(arguments[n + each, each])
    known = np.abs(up - down) > _LEAST_SWING
    ideal, _ = RowTarget.of(network, layer).of_response(-network.fhn.a, -1.0, network.fhn.gamma)
    amplitude = np.where(known, (most - least) / np.where(known, up - down, 1.0), ideal)
    flat = np.flatnonzero(np.abs(amplitude) < 1e-6)
    if flat.size:
        raise InputError(
            f"neuron {flat[0]}{bench.design.layer_names[layer]}: its row does not move between its largest and its "
            "smallest input"
        )
    return Ends(amplitude, most - amplitude * up, known)


def told_by_single_inputs(network: Network, layer: int) -> bool:
    """Whether a hidden layer's array can be told from rows that are driven one by one, and from tanh of what they make.

    Not so behind a convolution or a mean, whose inputs are not free, nor for a relu, which tells nothing below 0.
    """
    fronts, units = network.fronts[: layer + 1], network.units[: layer + 1]
    return all(front == PLAIN for front in fronts) and "relu" not in units


def fit_ends(bench: Bench, layer: int, images: NDArray[np.floating]) -> Ends:
    """Ends of every activation of a hidden layer, from what its rows do under images.

    Least squares of the activations on what the array's targets say that the drive stage makes of its inputs: tanh(u)
    of a tanh pair, and of a relu ``2 min(max(u, 0), 1) - 1``, which lies between the same ends.
    """
    network, target = bench.design.network, bench.targets(layer)
    inputs, rows = bench.both(images, layer)
    stage = DriveStage.ideal(network.units[layer], network.neurons[layer], rows.shape[1], network.ceilings[layer])
    place = stage.curve(stage.slope * _pre_activations(target, inputs) + stage.shift)
    if stage.CURVE == "ramp":
        place = 2.0 * place - 1.0
    level, spread = place.mean(axis=0), place.std(axis=0)
    known = spread > 0.5 * _LEAST_SWING
    ideal, _ = RowTarget.of(network, layer).of_response(-network.fhn.a, -1.0, network.fhn.gamma)
    moved = ((place - level) * (rows - rows.mean(axis=0))).mean(axis=0) / np.where(known, spread, 1.0) ** 2
    amplitude = np.where(known, moved, ideal)
    return Ends(amplitude, rows.mean(axis=0) - amplitude * level, known)


@dataclass(frozen=True, eq=False)
class ArrayWeights:
    """What an array makes of its inputs, ``inputs weights + bias``: the scores, or u over the nominal slope.

    Parameters
    ----------
    weights, bias
        Shapes (n_in, n_out) and (n_out,), in units of the trained weights; in front of neurons the pairs' own slopes
        and shifts are in them. NaN where the chip could not tell: the weights of inputs that do not move by more than
        the noise of their readings cannot be told from the bias.
    """

    weights: FloatArray
    bias: FloatArray


def measure_inputs(bench: Bench, ends: Ends, rows: NDArray[np.intp] | None = None) -> ArrayWeights:
    """Drive one row of the input array after the other, and none: n_in + 1 runs.

    Parameters
    ----------
    rows
        Only these rows; the others are NaN. None: all.
    """
    network = bench.design.network
    n_in = network.layer_sizes[0]
    rows = np.arange(n_in) if rows is None else rows
    largest = float(np.abs(bench.targets(0).weights).max()) or 1.0
    height = max(abs(limit) for limit in network.input_range)
    height = min(height, _LARGEST_ARGUMENT / (network.fhn.slope * largest))
    single = np.zeros((len(rows) + 1, n_in))
    single[1 + np.arange(len(rows)), rows] = height
    arguments = np.arctanh(ends.places(bench.both(single, 0)[1]))
    weights = np.full((n_in, arguments.shape[1]), np.nan)
    weights[rows] = (arguments[1:] - arguments[0]) / (network.fhn.slope * height)
    return ArrayWeights(weights, arguments[0] / network.fhn.slope)


def measure_deeper(
    bench: Bench, layer: int, ends: Ends, images: NDArray[np.floating], assumed: FloatArray
) -> ArrayWeights:  # fmt: skip
    """Weights in front of a hidden layer behind another one, from what the rows before and behind do under images.

    Least squares of u on the rows before, neuron by neuron. An error of an activation counts the more for u the nearer
    it is to an end: image by image, both sides are multiplied by ``1 - tanh(u)^2``. Of a row that the images hardly
    move the errors of ends and neurons would tell more than the row does; a ridge keeps it at the assumed weights.

    Parameters
    ----------
    assumed
        Weights that the array is taken to have where the images do not tell, shape (n_in, n_neurons).
    """
    inputs, outputs = bench.both(images, layer)
    places, slope = ends.places(outputs), bench.design.network.neurons[layer].slope
    columns = np.column_stack([inputs - inputs.mean(axis=0), np.ones(len(inputs))])
    ridge = _SYSTEMATIC / (slope * float(np.abs(assumed).max())) * np.eye(len(assumed), columns.shape[1])
    solutions = np.full((columns.shape[1], places.shape[1]), np.nan)
    for j, place in enumerate(places.T):
        readable = np.isfinite(place)
        if readable.any():
            certainty = 1.0 - place[readable] ** 2
            left = np.arctanh(place[readable]) - slope * columns[readable, :-1] @ assumed[:, j]
            rows = np.vstack([columns[readable] * certainty[:, None], np.sqrt(len(certainty)) * ridge])
            right = np.concatenate([left * certainty, np.zeros(len(ridge))])
            solutions[:, j] = np.linalg.lstsq(rows, right, rcond=None)[0]
    weights = assumed + solutions[:-1] / slope
    return ArrayWeights(weights, solutions[-1] / slope - inputs.mean(axis=0) @ weights)


def output_weights(hidden: FloatArray, scores: FloatArray, assumed: FloatArray | None = None) -> ArrayWeights:
    """Least squares of scores (k, n_classes) on activations (k, n_neurons).

    The noise of the readings is that which leaves the scores as far from the fit as they are. A weight fitted to such
    noise alone would be as large as any.

    Parameters
    ----------
    assumed
        Weights that a neuron which no image moves is taken to have when the bias is determined, shape (n_neurons,
        n_classes); None: 0, so that its constant is part of the bias.

    Raises
    ------
    InputError
        If there are no more images than neurons.
    """
    if len(hidden) <= hidden.shape[1]:
        raise InputError(
            f"{len(hidden)} images for the output weights of {hidden.shape[1]} neurons: expected at least "
            f"{hidden.shape[1] + 1}"
        )
    level, spread = hidden.mean(axis=0), hidden.std(axis=0)

    def fit(moved: BoolArray) -> FloatArray:
        weights = np.zeros((hidden.shape[1], scores.shape[1])) if assumed is None else assumed.copy()
        weights[moved] = np.linalg.lstsq(hidden[:, moved] - level[moved], scores - scores.mean(axis=0), rcond=1e-9)[0]
        return weights

    moved = spread > _LEAST_SPREAD
    weights = fit(moved)
    noise = _noise_of(hidden[:, moved] - level[moved], scores, weights[moved])
    clearly_moved = moved & (spread > _NOISES * noise)
    if not np.array_equal(clearly_moved, moved):
        moved = clearly_moved
        weights = fit(moved)
    bias = scores.mean(axis=0) - level @ weights
    return ArrayWeights(np.where(moved[:, None], weights, np.nan), bias)


def _noise_of(hidden: FloatArray, scores: FloatArray, weights: FloatArray) -> float:
    """Noise (standard deviation) of activations, counted from their means, that explains what a fit leaves over."""
    left = scores - scores.mean(axis=0) - hidden @ weights
    freedom = max(len(hidden) - 1 - hidden.shape[1], 1)
    gain = np.sqrt((weights**2).sum(axis=0))
    noise = np.sqrt((left**2).sum(axis=0) / freedom)[gain > 0.0] / gain[gain > 0.0]
    return float(np.median(noise)) if noise.size else 0.0


@dataclass(frozen=True, eq=False)
class LayerTwin:
    """One of a chip's hidden layers in numbers that were measured from outside.

    Parameters
    ----------
    array
        In front of its neurons.
    ends
        Of its rows.
    slope
        Nominal slope of the tanh.
    """

    array: ArrayWeights
    ends: Ends
    slope: float

    @classmethod
    def of(cls, network: Network, layer: int, array: ArrayWeights, ends: Ends) -> LayerTwin:
        """Twin; what the chip could not tell is taken as trained."""
        dense = network.hidden_layers[layer]
        known = ArrayWeights(
            np.where(np.isnan(array.weights), dense.weights, array.weights),
            np.where(np.isnan(array.bias), dense.shift, array.bias),
        )
        return cls(known, ends, network.neurons[layer].slope)

    def activations(self, inputs: NDArray[np.floating]) -> FloatArray:
        """Activations (n_images, n_neurons) for what the array is given (n_images, n_in)."""
        return self.ends.activations(self.slope * (inputs @ self.array.weights + self.array.bias))


@dataclass(frozen=True, eq=False)
class ChipTwin:
    """A chip's hidden layers in numbers that were measured from outside, the first layer first."""

    layers: tuple[LayerTwin, ...]

    def hidden(self, images: NDArray[np.floating]) -> FloatArray:
        """Activations of the last layer (n_images, n_neurons) for images (n_images, n_in)."""
        for layer in self.layers:
            images = layer.activations(images)
        return np.asarray(images)
