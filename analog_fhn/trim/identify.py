"""A chip as seen from outside: what its rows and outputs do under chosen inputs, and a digital twin made of that.

Row by row: with the activation ``h = centre + amplitude tanh(u)``, u is linear in the inputs, ``u = slope (X W + b)``;
where h is far from its ends, it tells u.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray
from analog_fhn.readout import recentring
from analog_fhn.trim.bench import Bench, BoolArray

# Beyond this share of its amplitude an activation is too near its end to tell u.
READABLE = 0.995
# Change of tanh(u) from the smallest to the largest input below which a row does not tell its gain: programming errors
# and offsets are as large.
_LEAST_SWING = 0.02
# Standard deviation of an activation over the images below which its weights cannot be told: of readings without noise,
# and in units of their noise. Of three images per neuron a weight has a standard error of a tenth then.
_LEAST_SPREAD = 1e-6
_NOISES = 10.0
_WANTED_ARGUMENT = 1.2  # u that the largest weight is to bring about when one row is driven alone


@dataclass(frozen=True, eq=False)
class Ends:
    """Activations of a chip's rows: ``centre + amplitude tanh(u)``, each of shape (n_neurons,).

    Parameters
    ----------
    known
        Where both were measured. A neuron whose inputs hardly move it has the ideal amplitude, and the centre that its
        level and this amplitude give.
    """

    amplitude: FloatArray
    centre: FloatArray
    known: BoolArray

    def arguments(self, hidden: FloatArray) -> FloatArray:
        """u of activations (m, n_neurons); NaN where the activation is too near an end."""
        place = (hidden - self.centre) / self.amplitude
        return np.asarray(np.arctanh(np.where(np.abs(place) < READABLE, place, np.nan)))

    def activations(self, arguments: FloatArray) -> FloatArray:
        """Activations for u of shape (m, n_neurons)."""
        return np.asarray(self.centre + self.amplitude * np.tanh(arguments))


def measure_ends(bench: Bench) -> Ends:
    """Measure the ends of every activation, each neuron under its largest and under its smallest sum of inputs.

    2 n_neurons runs.
    """
    network = bench.design.network
    low, high = network.input_range
    weights = bench.targets(0).weights
    lit = np.vstack([np.where(weights.T > 0.0, high, low), np.where(weights.T > 0.0, low, high)])
    bias = bench.targets(0).bias
    arguments = network.fhn.slope * (lit @ weights + (0.0 if bias is None else bias))
    n = weights.shape[1]
    own = np.arange(n)
    rows = bench.hidden(lit)
    most, least = rows[own, own], rows[n + own, own]
    # Where even the largest input does not saturate a neuron, what its weights should give is good enough.
    up, down = np.tanh(arguments[own, own]), np.tanh(arguments[n + own, own])
    known = np.abs(up - down) > _LEAST_SWING
    fhn = network.fhn
    ideal = -fhn.gamma * (recentring(network.hidden, fhn.a, fhn.gamma)[0] if network.recentre else 1.0)
    amplitude = np.where(known, (most - least) / np.where(known, up - down, 1.0), ideal)
    flat = np.flatnonzero(np.abs(amplitude) < 1e-6)
    if flat.size:
        raise InputError(f"neuron {flat[0]}: its row does not move between its largest and its smallest input")
    return Ends(amplitude, most - amplitude * up, known)


@dataclass(frozen=True, eq=False)
class InputWeights:
    """What the input array and the tanh pairs make of the inputs: ``u = slope (X weights + bias)``.

    Parameters
    ----------
    weights, bias
        Shapes (n_in, n_neurons) and (n_neurons,), in units of the trained weights; the pairs' own slopes and shifts are
        in them. NaN where the chip could not tell.
    """

    weights: FloatArray
    bias: FloatArray


def measure_inputs(bench: Bench, ends: Ends, rows: NDArray[np.intp] | None = None) -> InputWeights:
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
    height = min(height, _WANTED_ARGUMENT / (network.fhn.slope * largest))
    single = np.zeros((len(rows) + 1, n_in))
    single[1 + np.arange(len(rows)), rows] = height
    arguments = ends.arguments(bench.hidden(single))
    weights = np.full((n_in, arguments.shape[1]), np.nan)
    weights[rows] = (arguments[1:] - arguments[0]) / (network.fhn.slope * height)
    return InputWeights(weights, arguments[0] / network.fhn.slope)


@dataclass(frozen=True, eq=False)
class OutputWeights:
    """``scores = hidden weights + bias``, shapes (n_neurons, n_classes) and (n_classes,).

    NaN: the weights of a neuron that no image moves by more than the noise of its readings; the scores cannot tell them
    from the bias.
    """

    weights: FloatArray
    bias: FloatArray


def output_weights(hidden: FloatArray, scores: FloatArray, assumed: FloatArray | None = None) -> OutputWeights:
    """Least squares of scores (k, n_classes) on activations (k, n_neurons).

    The noise of the readings is that which leaves the scores as far from the fit as they are. A weight fitted to such
    noise alone would be as large as any.

    Parameters
    ----------
    assumed
        Weights that a neuron which no image moves is taken to have when the bias is found, shape (n_neurons,
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
        found = np.zeros((hidden.shape[1], scores.shape[1])) if assumed is None else assumed.copy()
        found[moved] = np.linalg.lstsq(hidden[:, moved] - level[moved], scores - scores.mean(axis=0), rcond=1e-9)[0]
        return found

    moved = spread > _LEAST_SPREAD
    found = fit(moved)
    told = moved & (spread > _NOISES * _noise_of(hidden[:, moved] - level[moved], scores, found[moved]))
    if not np.array_equal(told, moved):
        moved = told
        found = fit(moved)
    bias = scores.mean(axis=0) - level @ found
    return OutputWeights(np.where(moved[:, None], found, np.nan), bias)


def _noise_of(hidden: FloatArray, scores: FloatArray, weights: FloatArray) -> float:
    """Noise (standard deviation) of activations, counted from their means, that explains what a fit leaves over."""
    left = scores - scores.mean(axis=0) - hidden @ weights
    freedom = max(len(hidden) - 1 - hidden.shape[1], 1)
    gain = np.sqrt((weights**2).sum(axis=0))
    noise = np.sqrt((left**2).sum(axis=0) / freedom)[gain > 0.0] / gain[gain > 0.0]
    return float(np.median(noise)) if noise.size else 0.0


@dataclass(frozen=True, eq=False)
class Twin:
    """A chip's hidden layer in numbers that were measured from outside.

    Parameters
    ----------
    slope
        Nominal slope of the tanh.
    """

    inputs: InputWeights
    ends: Ends
    slope: float

    @classmethod
    def of(cls, network: Network, inputs: InputWeights, ends: Ends) -> Twin:
        """Twin; what the chip could not tell is taken as trained."""
        bias = network.biases[0]
        known = InputWeights(
            np.where(np.isnan(inputs.weights), network.weights[0], inputs.weights),
            np.where(np.isnan(inputs.bias), 0.0 if bias is None else bias, inputs.bias),
        )
        return cls(known, ends, network.fhn.slope)

    def hidden(self, images: NDArray[np.floating]) -> FloatArray:
        """Activations (n_images, n_neurons) for images (n_images, n_in)."""
        return self.ends.activations(self.slope * (images @ self.inputs.weights + self.inputs.bias))
